/** @file compile(f): the callable that runs f as an XLA program, compiled once per signature. */
import { checkCard, compileForTopology, type TopologyProgram } from '../cuda/topology.js';
import { collectReports, type Report } from '../debug/collect.js';
import type { DataChecks } from '../debug/watch.js';
import { dump } from '../inspect/dump.js';
import { events } from '../inspect/events.js';
import { type LoweredProgram, loweredProgram, withLines } from '../inspect/lowered.js';
import { ruleNames } from '../lowering/index.js';
import type { Optimize } from '../lowering/prefer.js';
import type { CompiledHandle, Trace } from '../native.js';
import { isModule } from '../nn/fields.js';
import type { Module } from '../nn/module.js';
import { JorchError } from '../runtime/errors.js';
import { located, native, onLoad } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { type Flat, flatten, leafStructures, type Structure, structureKey, unflatten } from '../tree.js';
import { AsyncCalls, type AsyncOptions, type Prepared } from './async.js';
import { type Built, type Plan, plan } from './build.js';
import { asNumbers, dynamicPaths, withNumbers } from './dynamic.js';
import { executables } from './executables.js';
import { exportProgram, ownMemory, type Traced } from './export.js';
import { Live } from './live.js';
import { difference, explainMiss, type Signature, signatureOf } from './reasons.js';
import { materialize, type WithSpecs } from './spec.js';
import { runTrace } from './trace.js';

export interface CompileOptions {
  /** For messages; default: the function's name. */
  name?: string;
  /** Arguments (by position) that are compared by identity and never taken apart: functions, configurations. */
  static?: readonly number[];
  /**
   * Numbers in arguments that are values of the program instead of parts of it: a position stands for all numbers of that argument,
   * `'opt.lr'` for a key in one. The function gets 0-d tensors that promote like numbers.
   */
  dynamic?: readonly (number | string)[];
  /**
   * Lets the program compute the new values of tensors that the function changes in place in their own memory, which halves the memory of a
   * training step: `true` for all of them, positions for those in these arguments. A run that fails half-way then leaves anything in them.
   */
  donate?: boolean | readonly number[];
  /** What to do with an operator that has no lowering: run libtorch's kernel inside the program (`aten`), or refuse (`error`). Default `aten`. */
  fallback?: 'aten' | 'error';
  /** Whether heavy operators run as libtorch's kernels inside the program: where that was measured to be faster (`auto`, the default), never (`xla`), always (`aten`). */
  optimize?: Optimize;
  /**
   * `true`: the program raises what eager would raise from data (an index out of range, an integer division by zero, a matrix without a
   * factorisation), in torch's words and before anything is changed. `'nan'`: also when a result holds NaN, naming the operator that made it.
   * Default `false`: indices are clamped or dropped, failed factorisations give NaN, divisions by zero give XLA's values.
   */
  checks?: DataChecks;
  /** Programs kept at most, the least recently used are dropped; and from the 9th compilation on: `warn` once, or throw. Default `{ limit: 64, policy: 'warn' }`. */
  maxCompiles?: { limit?: number; policy?: 'warn' | 'error' };
}

export interface CompileStats {
  /** Programs made, by compiling or from the persistent cache. */
  compiles: number;
  /** Programs that came whole from the persistent cache. */
  cacheLoads: number;
  hits: number;
  misses: number;
  /** Programs dropped because of `maxCompiles.limit`. */
  evictions: number;
  traceMs: number;
  lowerMs: number;
  compileMs: number;
}

export interface Explanation {
  /** Overloads that became StableHLO. */
  readonly lowered: readonly string[];
  /** Operators that run libtorch's kernel inside the program, why, and where they were called. */
  readonly calls: readonly { readonly op: string; readonly reason: string; readonly line?: string }[];
  /** Why each compilation happened. */
  readonly reasons: readonly string[];
  toString(): string;
}

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

/** Compilations of one function after which it is probably called wrongly. */
const MANY = 8;

// The recorder keeps whole what has a rule; everything else libtorch takes apart.
onLoad((n) => n.setRules(ruleNames()));

/** XLA's options for every program: see docs/PERFORMANCE.md. */
const XLA_OPTIONS: Readonly<Record<string, boolean | number | string>> = {};

let prepared = false;
/** Whoever compiles will call: the plugin loads on a thread of its own, from now on or from libtorch's first use. */
const prepareSoon = (): void => {
  if (!prepared) onLoad((n) => n.prepareCompiler(located().cpuPlugin));
  prepared = true;
};

interface Entry {
  readonly built: Built;
  readonly signature: Signature;
  readonly structure: Structure;
}

const checkResults = (name: string, structure: Structure, path: string): void => {
  if (structure.kind === 'tensor') return;
  if (structure.kind !== 'static') {
    for (const [i, item] of structure.items.entries()) {
      checkResults(name, item, structure.kind === 'array' ? `${path}[${i}]` : `${path}.${String(structure.keys[i])}`);
    }
    return;
  }
  const { value } = structure;
  if (value === undefined || value === null) return;
  if (value instanceof Promise) {
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function is async; compile takes synchronous functions. Await the data first and pass it in`,
    );
  }
  throw new JorchError(
    'BAD_ARGUMENT',
    `${name}: ${path} is ${typeof value === 'object' ? `an object of class ${value.constructor.name}` : `a ${typeof value}`}, not a tensor; a compiled function returns tensors in arrays, plain objects or Maps. Wrap a number with torch.tensor(…)`,
  );
};

/** Which of the two shapes that C++ builds by itself the results have; 2: TypeScript unflattens. */
const shapeOf = (s: Structure): 0 | 1 | 2 =>
  s.kind === 'tensor' ? 0 : s.kind === 'array' && s.items.every((i) => i.kind === 'tensor') ? 1 : 2;

class Compilation<F extends (...args: never[]) => unknown> {
  readonly stats: CompileStats = {
    compiles: 0,
    cacheLoads: 0,
    hits: 0,
    misses: 0,
    evictions: 0,
    traceMs: 0,
    lowerMs: 0,
    compileMs: 0,
  };
  private handle: CompiledHandle | undefined;
  private readonly structures = new Map<string, number>();
  private readonly flatStructures: number[] = [];
  private readonly entries = new Map<number, Entry>();
  private readonly reasons: string[] = [];
  private nextId = 0;
  /** Result structures of programs that were dropped while asynchronous calls were under way. */
  private readonly retired = new Map<number, Structure>();
  readonly asyncCalls = new AsyncCalls(
    {
      name: () => this.name,
      handle: () => this.programs(),
      take: (args) => this.take(args),
      prepare: (args) => this.prepare(args),
      finish: (result) => this.finish(result),
      idle: () => this.retired.clear(),
      hit: () => void this.stats.hits++,
      loaded: (ms, fromCache) => this.countLoad(ms, fromCache),
    },
    XLA_OPTIONS,
  );
  private readonly name: string;
  private readonly statics: ReadonlySet<number>;
  private readonly isDynamic: ReturnType<typeof dynamicPaths> | undefined;
  private readonly live = new Live();
  private liveVersion = 0;

  constructor(
    private readonly f: F,
    private readonly options: CompileOptions,
  ) {
    this.name = options.name ?? (f.name || 'compiled function');
    this.statics = new Set(options.static ?? []);
    this.isDynamic = options.dynamic && dynamicPaths(options.dynamic, f);
  }

  call(args: unknown[]): unknown {
    const { structure, leaves } = this.take(args);
    const handle = this.programs();
    const hit = handle.call(structure, leaves);
    if (hit !== undefined) {
      this.stats.hits++;
      if (events.hit.heard) events.hit.publish({ name: this.name });
      return this.finish(hit);
    }
    // Inside another trace, and inside torch.func's transforms, a compiled function is its body.
    if (native().isTracing() || native().currentLevel() !== null) return this.f(...(args as never[]));
    this.compile(args);
    // What was read while tracing is part of the structure now.
    const result = handle.call(this.take(args).structure, leaves);
    if (result === undefined)
      throw new JorchError(
        'COMPILE_FAILED',
        `${this.name}: the program just compiled does not fit its own arguments; a captured tensor changed while the function was traced`,
      );
    return this.finish(result);
  }

  private programs(): CompiledHandle {
    this.handle ??= new (native().Compiled)();
    return this.handle;
  }

  /** Arguments as leaves and the number of their structure. All tensors is the fast case: nothing is taken apart. */
  private take(args: unknown[]): { structure: number; leaves: readonly Tensor[] } {
    const { Tensor } = native();
    const { live } = this;
    live.refresh();
    if (live.version !== this.liveVersion) {
      this.liveVersion = live.version;
      this.flatStructures.length = 0;
    }
    let flat = this.statics.size === 0;
    for (let i = 0; flat && i < args.length; i++) flat = args[i] instanceof (Tensor as never);
    if (flat) {
      this.flatStructures[args.length] ??= this.number(`(${args.length} tensors)${live.key}`);
      return { structure: this.flatStructures[args.length]!, leaves: args as Tensor[] };
    }
    const { structure, leaves } = this.flatten(args);
    return { structure: this.number(structureKey(structure) + live.key), leaves };
  }

  private number(key: string): number {
    const id = this.structures.get(key) ?? this.structures.size;
    this.structures.set(key, id);
    return id;
  }

  private flatten(args: unknown[]): ReturnType<typeof flatten> {
    const parts = args.map((arg, i): Flat => {
      if (this.statics.has(i)) return { structure: { kind: 'static', value: arg }, leaves: [] };
      return this.isDynamic ? withNumbers(flatten(arg), this.isDynamic, [i]) : flatten(arg);
    });
    return {
      structure: { kind: 'array', items: parts.map((p) => p.structure) },
      leaves: parts.flatMap((p) => p.leaves),
    };
  }

  private finish(result: Tensor | (Tensor | number)[]): unknown {
    if (!Array.isArray(result) || typeof result[0] !== 'number') return result;
    return unflatten(this.entries.get(result[0])?.structure ?? this.retired.get(result[0])!, result, 1);
  }

  /** Traces, lowers and compiles for these arguments. Whatever fails leaves everything as it was. */
  private compile(args: unknown[]): Entry {
    const { plan: planned, install } = this.prepare(args);
    return install(this.make(planned));
  }

  /** Traces and lowers for these arguments; `install` makes the executables a program for them. */
  private prepare(args: unknown[]): Prepared<Entry> {
    this.stats.misses++;
    const { structure, leaves } = this.flatten(args);
    const signature = signatureOf(structure, leaves, this.live.values());
    const reason = explainMiss(
      [...this.entries.values()].map((e) => e.signature),
      signature,
    );
    events.miss.publish({ name: this.name, reason });
    this.complain(reason);
    const { trace, results, reports } = this.trace(structure, leaves);
    const planned = this.lowerTrace(trace, reports, structure);
    const dumpRest = dump(this.name, planned);
    const { structure: number } = this.take(args);
    // What was read while tracing is part of the signature now.
    const known = { ...signature, live: this.live.values() };
    const described = this.programs().describe(leaves, planned.captured);
    const install = (built: Built): Entry => {
      const id = this.nextId++;
      const entry: Entry = { built, signature: known, structure: results };
      this.programs().add(number, leaves, { ...built.spec, id, shape: shapeOf(results), described });
      this.entries.set(id, entry);
      this.reasons.push(reason);
      this.stats.compiles++;
      const { calls } = built.lowered;
      events.compile.publish({ name: this.name, reason, operators: planned.graph.nodes.length, calls: calls.length });
      dumpRest(built, String(this.explain([])));
      this.stats.evictions += this.trim(this.options.maxCompiles?.limit ?? 64);
      return entry;
    };
    return { plan: planned, structure: number, install };
  }

  /** Drops the least recently used programs; returns how many. */
  private trim(limit: number): number {
    const dropped = this.handle?.trim(limit) ?? [];
    for (const id of dropped) {
      if (this.asyncCalls.inFlight > 0) this.retired.set(id, this.entries.get(id)!.structure);
      this.entries.delete(id);
    }
    if (dropped.length > 0) events.evict.publish({ name: this.name, programs: dropped.length });
    return dropped.length;
  }

  private countLoad(ms: number, fromCache: boolean): void {
    this.stats.compileMs += ms;
    if (fromCache) this.stats.cacheLoads++;
    events.cache.publish({ hit: fromCache, ms });
  }

  /** Which leaves may be overwritten; captured tensors are leaf -1. */
  private donations(structure: Structure): ((leaf: number) => boolean) | undefined {
    const { donate } = this.options;
    if (!donate || typeof donate === 'boolean') return donate ? () => true : undefined;
    const owners = structure.kind === 'array' ? structure.items.flatMap((s, i) => leafStructures(s).map(() => i)) : [];
    return (leaf) => leaf >= 0 && donate.includes(owners[leaf]!);
  }

  private lowerTrace(trace: Trace, reports: readonly Report[], structure: Structure): Plan {
    const started = performance.now();
    const planned = plan(trace, {
      fallback: this.options.fallback ?? 'aten',
      optimize: this.options.optimize ?? 'auto',
      checks: this.options.checks ?? false,
      donate: this.donations(structure),
      reports,
    });
    this.stats.lowerMs += performance.now() - started;
    return planned;
  }

  /** Compiles what was planned, or loads it from the persistent cache. */
  private make(planned: Plan): Built {
    const started = performance.now();
    const obtained = planned.programs.map(({ text }) => {
      try {
        return executables().obtain(text, XLA_OPTIONS);
      } catch (error) {
        throw withLines(planned.graph, text, error);
      }
    });
    this.countLoad(
      performance.now() - started,
      obtained.every(({ loaded }) => loaded),
    );
    return planned.finish(obtained.map(({ executable }) => executable));
  }

  private trace(
    structure: Structure,
    leaves: readonly Tensor[],
    arrange: (results: Tensor[]) => Tensor[] = (results) => results,
  ): { trace: Trace; results: Structure; reports: readonly Report[] } {
    const started = performance.now();
    let results: Structure = { kind: 'static', value: undefined };
    const { value: trace, reports } = collectReports(() =>
      runTrace(
        (twins) => {
          const given = unflatten(structure, asNumbers(structure, twins)) as never[];
          const value = this.live.record(() => this.f(...given));
          const flat = flatten(value);
          checkResults(this.name, flat.structure, 'the result');
          results = flat.structure;
          return arrange(flat.leaves);
        },
        leaves,
        true,
      ),
    );
    this.stats.traceMs += performance.now() - started;
    return { trace, results, reports };
  }

  private complain(reason: string): void {
    if (this.stats.compiles < MANY) return;
    const text = `${this.name} has been compiled ${this.stats.compiles} times; the last reason: ${reason}`;
    if (this.options.maxCompiles?.policy === 'error')
      throw new JorchError('BAD_ARGUMENT', `${text} ({ maxCompiles: { policy: 'error' } })`);
    if (this.stats.compiles === MANY) process.emitWarning(text, { type: 'JorchRecompilation' });
  }

  /** The program for these arguments: one of those compiled, or a new one. */
  private entryFor(args: unknown[]): Entry {
    const { structure, leaves } = this.flatten(args);
    this.live.refresh();
    const now = signatureOf(structure, leaves, this.live.values());
    const known = [...this.entries.values()].find((e) => difference(e.signature, now) === undefined);
    return known ?? this.compile(args);
  }

  lower(args: unknown[]): LoweredProgram {
    const { built } = this.entryFor(materialize(args));
    return loweredProgram(built);
  }

  /** Traced for a program of its own, which returns contiguous values. */
  traced(args: unknown[]): Traced {
    const { structure, leaves } = this.flatten(args);
    const { trace, results } = this.trace(structure, leaves, ownMemory);
    return { name: this.name, trace, args: structure, results };
  }

  explain(args: unknown[]): Explanation {
    const entry = args.length > 0 ? this.entryFor(materialize(args)) : [...this.entries.values()].at(-1);
    const lowered = entry?.built.lowered.lowered ?? [];
    const calls = entry?.built.lowered.calls ?? [];
    const reasons = [...this.reasons];
    const lines = [
      `${this.name}: ${reasons.length} compilation${reasons.length === 1 ? '' : 's'}`,
      ...reasons.map((reason, i) => `  ${i + 1}. ${reason}`),
      `lowered to StableHLO: ${lowered.join(', ') || 'nothing'}`,
      `ATen calls: ${calls.map((c) => `${c.op} (${c.reason}${c.line ? `, ${c.line}` : ''})`).join(', ') || 'none'}`,
    ];
    return { lowered, calls, reasons, toString: () => lines.join('\n') };
  }

  dispose(): void {
    this.trim(0);
  }
}

const bodies = new WeakMap<
  object,
  { readonly body: (...args: never[]) => unknown; readonly options: CompileOptions }
>();

/** What a compiled function was made of; undefined for any other. */
export const bodyOf = (f: object) => bodies.get(f);

const checkOptions = (options: CompileOptions): void => {
  const known = ['name', 'static', 'dynamic', 'donate', 'fallback', 'optimize', 'checks', 'maxCompiles'];
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw new JorchError('BAD_ARGUMENT', `compile: unknown option '${key}'; there are: ${known.join(', ')}`);
  }
};

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
  const f = isModule(target) ? (((...args: unknown[]) => target.forward(...args)) as unknown as F) : target;
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
  return Object.assign(compiled, {
    ...calls({}),
    with: (options: AsyncOptions) => calls(options),
    lower: (...args: unknown[]) => compilation.lower(args),
    explain: (...args: unknown[]) => compilation.explain(args),
    export: (path: string, ...args: unknown[]) => exportProgram(path, compilation.traced(materialize(args))),
    stats: compilation.stats,
    dispose: () => compilation.dispose(),
  }) as unknown as Compiled<F>;
}

/** Traces `f` (a function or a module) for a program of its own: nothing is compiled and nothing run. */
export const traceAlone = (target: object, args: readonly unknown[]): Traced => {
  const f = isModule(target) ? (...given: unknown[]) => target.forward(...given) : target;
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
