/** @file compile(f): the callable that runs f as an XLA program, compiled once per signature. */

import { inspect } from 'node:util';
import { checkCard, compileForTopology, type TopologyProgram } from '../cuda/topology.js';
import type { LoweredProgram } from '../inspect/lowered.js';
import { ruleNames } from '../lowering/index.js';
import { isModule } from '../nn/fields.js';
import type { Module } from '../nn/module.js';
import { readModule } from '../nn/slots.js';
import { JorchError } from '../runtime/errors.js';
import { located, onLoad } from '../runtime/load.js';
import { Mesh } from '../shard/mesh.js';
import type { AsyncOptions } from './async.js';
import { Compilation } from './compilation.js';
import type { XLA_OPTIONS } from './executables.js';
import { exportProgram, type Traced } from './export.js';
import type { CompileOptions, CompileStats, Explanation } from './options.js';
import { materialize, type WithSpecs } from './spec.js';

/** A compiled function: called like `f`, returns the same pytree. */
export interface Compiled<F extends (...args: never[]) => unknown> {
  (...args: Parameters<F>): ReturnType<F>;
  /**
   * The same off the event loop: traced here and now, compiled and run on other threads. Arguments and captured tensors count as they are
   * at the call; what the function changes changes when the promise resolves. Calls of a function that changes tensors run one after the other.
   */
  async(...args: Parameters<F>): Promise<ReturnType<F>>;
  /** Compiles for these arguments, off the event loop, without running. spec(shape, { dtype }) stands for a tensor. */
  warmup(...args: WithSpecs<Parameters<F>>): Promise<void>;
  /** `async` and `warmup` that an AbortSignal ends: the promise rejects with its reason, and nothing is changed. */
  with(options: AsyncOptions): Pick<Compiled<F>, 'async' | 'warmup'>;
  /** The program for these arguments, without running it. */
  lower(...args: WithSpecs<Parameters<F>>): LoweredProgram;
  /** Which operators were lowered, which run as ATen calls, and why each compilation happened. */
  explain(...args: WithSpecs<Parameters<F>> | []): Explanation;
  /**
   * Writes the program for these arguments, with the captured tensors, to a file that loadCompiled() runs without libtorch. The function
   * is traced in the modes of this moment; gradients through the call are not part of it.
   * @throws JorchError NO_RULE naming operators that need libtorch; BAD_ARGUMENT for a function that changes tensors.
   */
  export(path: string, ...args: WithSpecs<Parameters<F>>): void;
  readonly stats: Readonly<CompileStats>;
  /** Frees the programs and the captured tensors. A later call compiles anew. */
  dispose(): void;
}

// The recorder keeps whole what has a rule; everything else libtorch takes apart.
onLoad((n) => n.setRules(ruleNames()));

let prepared = false;
/** Whoever compiles will call: the plugin loads on a thread of its own, from now on or from libtorch's first use. */
const prepareSoon = (): void => {
  if (!prepared) onLoad((n) => n.prepareCompiler(located().cpuPlugin));
  prepared = true;
};

/** A compiled function of jorch's own, which may be compiled for any number of shapes. */
export const compileQuietly = (f: (...args: unknown[]) => unknown, name: string): ((...args: unknown[]) => unknown) => {
  const compilation = new Compilation(f as (...args: never[]) => unknown, { name, maxCompiles: { limit: 256 } });
  compilation.quiet = true;
  return (...args) => compilation.call(args);
};

const bodies = new WeakMap<
  object,
  { readonly body: (...args: never[]) => unknown; readonly options: CompileOptions }
>();

/** What a compiled function was made of; undefined for any other. */
export const bodyOf = (f: object) => bodies.get(f);

const isPosition = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isListOf = (value: unknown, item: (value: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(item);

/** What each option may be, and in words. */
const OPTIONS: Readonly<
  Record<Exclude<keyof CompileOptions, typeof XLA_OPTIONS>, readonly [(value: unknown) => boolean, string]>
> = {
  name: [(v) => typeof v === 'string', 'a string'],
  static: [(v) => isListOf(v, isPosition), 'positions of arguments: [1]'],
  dynamic: [Array.isArray, "positions of arguments and paths: [1, 'opt.lr']"],
  donate: [(v) => typeof v === 'boolean' || isListOf(v, isPosition), 'true, or positions of arguments: [0]'],
  fallback: [(v) => v === 'aten' || v === 'error', "'aten' or 'error'"],
  optimize: [(v) => v === 'auto' || v === 'xla' || v === 'aten', "'auto', 'xla' or 'aten'"],
  checks: [(v) => typeof v === 'boolean' || v === 'nan', "true, false or 'nan'"],
  mesh: [(v) => v instanceof Mesh, "made with mesh([8], ['data'])"],
  in_shardings: [Array.isArray, "one entry an argument: [P('data'), null]"],
  out_shardings: [() => true, ''],
  device: [(v) => typeof v === 'string' || (typeof v === 'object' && v !== null && 'type' in v), "'cpu' or 'cuda'"],
  maxCompiles: [
    (v) => {
      if (typeof v !== 'object' || v === null) return false;
      const { limit = 1, policy = 'warn', ...rest } = v as { limit?: unknown; policy?: unknown };
      const known = policy === 'warn' || policy === 'error';
      return isPosition(limit) && limit !== 0 && known && Object.keys(rest).length === 0;
    },
    "{ limit, policy }: a positive integer, and 'warn' or 'error'",
  ],
};

const checkOptions = (options: CompileOptions): void => {
  if (typeof options !== 'object' || options === null)
    throw new JorchError(
      'BAD_ARGUMENT',
      `compile: options are an object, not ${options === null ? 'null' : typeof options}`,
    );
  for (const [key, value] of Object.entries(options)) {
    const [accepts, words] = OPTIONS[key as keyof typeof OPTIONS] ?? [];
    if (accepts === undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `compile: unknown option '${key}'; there are: ${Object.keys(OPTIONS).join(', ')}`,
      );
    if (value !== undefined && !accepts(value))
      throw new JorchError('BAD_ARGUMENT', `compile: ${key} is ${inspect(value, { depth: 1 })}, expected ${words}`);
  }
};

const forwardOf = <F extends (...args: never[]) => unknown>(module: Module): F =>
  ((...args: unknown[]) => {
    readModule(module);
    return module.forward(...args);
  }) as unknown as F;

/**
 * A function that records the operators of `f` at the first call with arguments of some shapes and dtypes, has XLA
 * compile them, and runs the program from then on. Arguments and results are pytrees of tensors; other values in the
 * arguments are part of the program. A module is its `forward`. Captured tensors are read at every call; in-place changes to them and to
 * arguments take effect as in eager.
 * @throws JorchError BAD_ARGUMENT, CONCRETIZATION, DYNAMIC_SHAPE, NO_RULE, COMPILE_FAILED at the call that compiles.
 * @example const fast = compile((x: Tensor) => torch.sin(x).sum());
 */
export function compile<M extends Module>(module: M, options?: CompileOptions): Compiled<M['forward']>;
export function compile<F extends (...args: never[]) => unknown>(f: F, options?: CompileOptions): Compiled<F>;
export function compile<F extends (...args: never[]) => unknown>(
  target: F | Module,
  options: CompileOptions = {},
): Compiled<F> {
  // The module's own forward, looked up at every trace: hooks that are registered later run too.
  const f = isModule(target) ? forwardOf<F>(target) : target;
  if (isModule(target)) Object.defineProperty(f, 'name', { value: target._get_name() });
  if (typeof f !== 'function')
    throw new JorchError('BAD_ARGUMENT', `compile: expected a function, got ${f === null ? 'null' : typeof f}`);
  if (/^(Async|Generator)/.test(f.constructor.name))
    throw new JorchError(
      'BAD_ARGUMENT',
      f.constructor.name.startsWith('Async')
        ? 'compile: the function is async; compile takes synchronous functions. Await the data first and pass it in'
        : 'compile: the function is a generator; compile takes functions that return. Return an array of tensors instead',
    );
  checkOptions(options);
  prepareSoon();
  const compilation = new Compilation(f, options);
  const compiled = (...args: unknown[]) => compilation.call(args);
  bodies.set(compiled, { body: f, options });
  const calls = (options: AsyncOptions) => ({
    async: (...args: unknown[]) => compilation.asyncCalls.call(args, options),
    warmup: async (...args: unknown[]) => compilation.asyncCalls.warmup(materialize(args), options),
  });
  Object.defineProperty(compiled, 'name', { value: compilation.name });
  return Object.assign(compiled, {
    ...calls({}),
    with: (given: AsyncOptions) => {
      const { signal } = given ?? {};
      if (signal !== undefined && !(signal instanceof AbortSignal))
        throw new JorchError(
          'BAD_ARGUMENT',
          `with: signal is ${inspect(signal, { depth: 0 })}, expected an AbortSignal`,
        );
      return calls({ signal });
    },
    lower: (...args: unknown[]) => compilation.lower(args),
    explain: (...args: unknown[]) => compilation.explain(args),
    export: (path: string, ...args: unknown[]) => exportProgram(path, compilation.traced(materialize(args))),
    stats: compilation.stats,
    dispose: () => compilation.dispose(),
  }) as unknown as Compiled<F>;
}

/** Traces `f` (a function or a module) for a program of its own: nothing is compiled and nothing run. */
export const traceAlone = (target: object, args: readonly unknown[]): Traced => {
  const f = isModule(target) ? forwardOf(target) : target;
  if (typeof f !== 'function') throw new JorchError('BAD_ARGUMENT', `compile: expected a function, got ${typeof f}`);
  const { body, options } = bodyOf(target) ?? { body: f as (...args: never[]) => unknown, options: {} };
  const name = isModule(target) ? { name: target._get_name() } : {};
  return new Compilation(body, { ...name, ...options }).traced(materialize([...args]));
};

/**
 * The program of `f` (a function, a compiled one, or a module) for arguments of these shapes, compiled for the NVIDIA GPU `card` (`h100`,
 * `h200`, `a100`, `b200`) on any machine: its memory, its cost, its HLO, and an executable to save. spec(shape, { dtype }) stands for a tensor.
 * Needs `npx jorch install cuda --compiler`. Kernels are chosen by XLA's cost model, since no card is there to time them on.
 * @throws JorchError BAD_ARGUMENT for an unknown card; NO_RULE naming operators that need libtorch; RUNTIME_MISSING; COMPILE_FAILED; what tracing throws.
 * @example compile.forTopology('h100', f, spec([1024, 1024])).memory.temporaries
 */
compile.forTopology = <F extends ((...args: never[]) => unknown) | Module>(
  card: string,
  f: F,
  ...args: WithSpecs<F extends Module ? Parameters<F['forward']> : F extends (...args: infer A) => unknown ? A : never>
): TopologyProgram => compileForTopology(checkCard(card), traceAlone(f, args as readonly unknown[]));
