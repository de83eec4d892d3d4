/** @file Eager operators on device tensors: each is compiled as a program of its own, once per shape, and kept. */
import { compileQuietly } from '../compile/compile.js';
import { isJorchError, JorchError } from '../runtime/errors.js';
import { native, onLoad } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { leaves, map } from '../tree.js';
import { moveTo, nameOfDevice, setProgramRunner } from './devices.js';

type Call = (...args: unknown[]) => unknown;

interface Known {
  readonly call: Call;
  readonly compiled: Call;
  /** What torch calls the results, when there are several. */
  names: readonly string[];
}

const known = new Map<string, Known>();

const lookUp = (name: string, overload: string | undefined): Known => {
  const key = overload === undefined ? name : `${name}/${overload}`;
  const there = known.get(key);
  if (there) return there;
  const call = (overload === undefined ? native().packet(name) : native().packet(name, overload)) as Call;
  const made: Known = {
    call,
    compiled: compileQuietly(
      (...args: unknown[]) => {
        const result = call(...args);
        if (Array.isArray(result))
          made.names = Object.getOwnPropertyNames(result).filter((n) => n !== 'length' && !/^\d+$/.test(n));
        return result;
      },
      name.replace('aten::', ''),
    ),
    names: [],
  };
  known.set(key, made);
  return made;
};

const named = (result: unknown, names: readonly string[]): unknown => {
  if (Array.isArray(result))
    names.forEach((name, i) => {
      Object.defineProperty(result, name, { value: result[i], configurable: true });
    });
  return result;
};

/** What has no program: answers that are JavaScript values, shapes that depend on data, operators without a lowering. */
const NEEDS_HOST = new Set(['CONCRETIZATION', 'DYNAMIC_SHAPE', 'NO_RULE']);

const isTensor = (value: unknown): value is Tensor => native().isTensor(value);

/** Runs the operator with libtorch on copies of its arguments, and moves its results to where those were. */
const onHost = (call: Call, args: readonly unknown[]): unknown => {
  const device = Math.max(...leaves(args).map((t) => native().deviceOf(t)));
  const result = call(...(map((t: Tensor) => moveTo(t, 0), args) as unknown[]));
  return isTensor(result) || Array.isArray(result) ? map((t: Tensor) => moveTo(t, device), result) : result;
};

/** Operators whose result may be a view of their first argument, by what libtorch registers. */
const views = (): ReadonlySet<string> => {
  viewNames ??= new Set(
    native()
      .schemas()
      .filter((schema) => /^[^!]*-> (\(?Tensor\(a\)|Tensor\(a\)\[\])/.test(schema))
      .map((schema) => schema.slice(0, schema.search(/[.(]/))),
  );
  return viewNames;
};
let viewNames: ReadonlySet<string> | undefined;

/** What a view operator gave: a copy here, by the operator's name. */
const copies = new WeakMap<Tensor, string>();

const noteCopies = (name: string, result: unknown, self: unknown): void => {
  if (views().has(name)) for (const t of leaves(result)) if (t !== self) copies.set(t, name.replace('aten::', ''));
};

/** Whether the operator writes to an argument. @throws JorchError BAD_ARGUMENT where eager torch would write through a view */
const writes = (name: string, args: readonly unknown[]): boolean => {
  const keywords = args.at(-1);
  const out = typeof keywords === 'object' && keywords !== null && 'out' in keywords ? keywords.out : undefined;
  const targets = /[^_]_$/.test(name) ? leaves(args[0]) : leaves(out);
  for (const target of targets) {
    const view = copies.get(target);
    if (view !== undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name.replace('aten::', '')}: on ${nameOfDevice(native().deviceOf(target))} the result of ${view}() is a copy, so that writing to it does not change the tensor it was taken from; write with setAt() or index_put_(), inside compile (where views are views), or to a clone()`,
      );
  }
  return targets.length > 0;
};

/** An operator that was given tensors on a device. */
const runOperator = (name: string, overload: string | undefined, args: readonly unknown[]): unknown => {
  if (name === 'aten::detach') return (args[0] as Tensor).data; // makes a handle and computes nothing
  const operator = lookUp(name, overload);
  const changes = writes(name, args);
  let result: unknown;
  try {
    result = named(operator.compiled(...args), operator.names);
  } catch (error) {
    // Changes to a copy would be lost.
    if (!isJorchError(error) || !NEEDS_HOST.has(error.code) || changes) throw error;
    result = onHost(operator.call, args);
  }
  if (!changes) noteCopies(name, result, args[0]);
  return result;
};

const programs = new Map<string, Call>();

onLoad((addon) => addon.setDeviceOperator(runOperator));
setProgramRunner((name, f, args) => {
  let program = programs.get(name);
  if (!program) {
    program = compileQuietly(f as Call, name);
    programs.set(name, program);
  }
  return program(...args);
});
