/** @file Eager operators on device tensors: each is compiled as a program of its own, once per shape, and kept. */
import { compileQuietly } from '../compile/compile.js';
import { isJorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { leaves, map } from '../tree.js';
import { moveTo } from './devices.js';

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

/** Operators that change or make handles and compute nothing. */
const WITHOUT_PROGRAM: Readonly<Record<string, (self: Tensor, value?: unknown) => Tensor>> = {
  'aten::detach': (self) => self.data,
  'aten::requires_grad_': (self, value = true) => {
    self.requires_grad =
      typeof value === 'object' ? (value as { requires_grad?: boolean }).requires_grad !== false : Boolean(value);
    return self;
  },
};

/** Called from C++ for an operator that was given tensors on a device. */
export const runOperator = (name: string, overload: string | undefined, args: readonly unknown[]): unknown => {
  const direct = WITHOUT_PROGRAM[name];
  if (direct) return direct(args[0] as Tensor, args[1]);
  const operator = lookUp(name, overload);
  try {
    return named(operator.compiled(...args), operator.names);
  } catch (error) {
    // Changes to a copy would be lost.
    const changes = /[^_]_$/.test(name) || args.some((a) => typeof a === 'object' && a !== null && 'out' in a);
    if (!isJorchError(error) || !NEEDS_HOST.has(error.code) || changes) throw error;
    return onHost(operator.call, args);
  }
};
