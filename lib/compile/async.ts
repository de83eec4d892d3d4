/**
 * @file Asynchronous calls of a compiled function. The function is traced on the JS thread, at the call; XLA compiles and the program runs
 * on threads of jorch's own. Arguments and captured tensors count as they were at the call.
 */

import { withLines } from '../inspect/lowered.js';
import type { Lowered } from '../lowering/index.js';
import type { CompiledHandle, Executable, FinishedRun, Snapshot, XlaOptions } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { type Results, takeResults } from '../torch/handle.js';
import type { Tensor } from '../torch/tensor.js';
import type { Built, Plan } from './build.js';
import type { Variant, Variants } from './live.js';
import { placeOf } from './place.js';

/** Arguments as leaves, and the programs for their structure. */
export interface Taken {
  readonly structure: Variants | undefined;
  readonly leaves: readonly Tensor[];
}

/** A traced and lowered call that waits for its executables. */
export interface Prepared<Installed = unknown> {
  readonly plan: Plan;
  /** What was read while tracing. */
  readonly variant: Variant;
  /** Makes it a program of the function. */
  install(built: Built): Installed;
  /** There will be no program. */
  failed(): void;
}

/** What the compiled function offers to its asynchronous calls. */
export interface AsyncTarget {
  name(): string;
  handle(): CompiledHandle;
  take(args: unknown[]): Taken;
  /** Traces and lowers. Whatever fails leaves everything as it was. */
  prepare(args: unknown[]): Prepared;
  finish(result: Results): unknown;
  /** No asynchronous call is under way any more. */
  idle(): void;
  /** Counts. */
  hit(): void;
  loaded(ms: number, fromCache: boolean): void;
}

export interface AsyncOptions {
  /** Rejects the promise with the signal's reason; what was not done yet is not done. */
  readonly signal?: AbortSignal | undefined;
}

const executableFor = async (
  program: Lowered,
  given: XlaOptions,
  device: number | undefined,
): Promise<{ executable: Executable; loaded: boolean }> => {
  const { text } = program;
  const { executables: store, options } = placeOf(program, given, device);
  const key = store.key(text, options);
  const { target } = store;
  store.askFor(key, text);
  const fetched = store.fetched(key, false);
  if (fetched !== undefined) return { executable: fetched, loaded: true };
  const bytes = key && store.cache.read(key);
  if (bytes) {
    try {
      return { executable: await native().loadProgramAsync(target, bytes), loaded: true };
    } catch {
      store.cache.reject(key);
    }
  }
  const made = await native().compileProgramAsync(target, text, options, key !== undefined);
  if (key && made.bytes) store.cache.write(key, made.bytes);
  return { executable: made.executable, loaded: false };
};

/** A compilation that several calls wait for. */
interface Pending {
  readonly done: Promise<void>;
  /** Called as soon as the program is there, before another one can drive it out. */
  readonly waiting: (() => void)[];
  readonly variant: Variant;
  readonly captured: readonly Tensor[];
  readonly changes: boolean;
}

/** Resolves or rejects as `promise`, or rejects as soon as the signal fires. */
const abortable = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
};

/** Attempts after which arguments are given up that no program of theirs fits. */
const ATTEMPTS = 3;

export class AsyncCalls {
  private readonly pending = new Map<string, Pending>();
  /** Whether a program of the function changes tensors: its asynchronous calls then run one after the other. */
  private serial = false;
  /** The last of them, while any is under way. */
  private tail: Promise<unknown> | undefined;
  /** Leaves that some program changes or returns as they are. */
  private readonly touched = new Set<number>();

  constructor(
    private readonly target: AsyncTarget,
    private readonly xla: XlaOptions,
  ) {}

  private checkOutside(what: string): void {
    if (native().isTracing() || native().currentLevel() !== null)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.target.name()}: ${what} inside a function that is being traced or transformed; its result would come afterwards. Call the compiled function itself there`,
      );
  }

  /** Calls that are not settled. */
  inFlight = 0;

  async call(args: unknown[], options: AsyncOptions = {}): Promise<unknown> {
    this.inFlight++;
    try {
      return await this.run(args, options);
    } finally {
      if (--this.inFlight === 0) this.target.idle();
    }
  }

  private async run(args: unknown[], { signal }: AsyncOptions): Promise<unknown> {
    this.checkOutside('an asynchronous call');
    signal?.throwIfAborted();
    const { target } = this;
    const taken = target.take(args);
    const modes = target.handle().modes();
    if (this.serial) return this.queued(args, taken, modes, signal);
    const run = this.start(taken, modes);
    if (run) {
      target.hit();
      return this.settle(run, taken, signal);
    }
    const pending = this.compilation(args, taken, modes);
    if (pending.changes) return this.queued(args, taken, modes, signal);
    const snapshot = target.handle().snapshot([...taken.leaves, ...pending.captured]);
    return this.settle(this.startAfter(pending, args, taken, modes, signal, snapshot), taken, signal);
  }

  /** Starts the program that fits, if there is one. */
  private start({ structure, leaves }: Taken, modes: number, snapshot?: Snapshot): Promise<FinishedRun> | undefined {
    for (const variant of structure?.list ?? []) {
      const run = variant.fits() ? this.target.handle().start(variant.id, leaves, modes, snapshot) : undefined;
      if (run) return run;
    }
    return undefined;
  }

  /** Compiles for these arguments if no program fits them. */
  async warmup(args: unknown[], { signal }: AsyncOptions = {}): Promise<void> {
    this.checkOutside('warmup');
    signal?.throwIfAborted();
    const taken = this.target.take(args);
    const handle = this.target.handle();
    const modes = handle.modes();
    const there = taken.structure?.list.some((v) => v.fits() && handle.find(v.id, taken.leaves, modes) !== undefined);
    if (!there) await abortable(this.compilation(args, taken, modes).done, signal);
  }

  private async settle(
    run: Promise<FinishedRun>,
    { leaves }: Taken,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const done = await abortable(run, signal);
    // The last moment at which nothing has been changed.
    signal?.throwIfAborted();
    return this.target.finish(takeResults(this.target.handle().finish(done, leaves)));
  }

  /** Starts the program when it is compiled; compiles again when a captured tensor changed in between. */
  private async startAfter(
    pending: Pending,
    args: unknown[],
    taken: Taken,
    modes: number,
    signal: AbortSignal | undefined,
    snapshot?: Snapshot,
  ): Promise<FinishedRun> {
    const { leaves } = taken;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const compilation = attempt === 0 ? pending : this.compilation(args, taken, modes);
      let run: Promise<FinishedRun> | undefined;
      let failed: { error: unknown } | undefined;
      compilation.waiting.push(() => {
        if (signal?.aborted) return;
        try {
          run = this.target.handle().start(compilation.variant.id, leaves, modes, snapshot);
          run?.catch(() => undefined); // it may fail before this function goes on
        } catch (error) {
          failed = { error };
        }
      });
      await abortable(compilation.done, signal);
      if (failed) throw failed.error;
      if (run) return run;
    }
    throw new JorchError(
      'COMPILE_FAILED',
      `${this.target.name()}: captured tensors kept changing their shape, dtype or requires_grad while the function was compiled`,
    );
  }

  /** Behind the calls before it, whose changes it must see. Arguments that the function only reads count as they are now. */
  private queued(args: unknown[], taken: Taken, modes: number, signal: AbortSignal | undefined): Promise<unknown> {
    const busy = this.tail;
    const { leaves } = taken;
    const readOnly = (t: Tensor, i: number): Tensor | null => (this.touched.has(i) || t.requires_grad ? null : t);
    const given = busy && this.target.handle().snapshot(leaves.map(readOnly));
    const turn = async (): Promise<unknown> => {
      signal?.throwIfAborted();
      const now: Taken = { leaves, structure: taken.structure ?? this.target.take(args).structure };
      const run = this.start(now, modes, given);
      if (run) {
        this.target.hit();
        return this.settle(run, now, signal);
      }
      const pending = this.compilation(args, now, modes);
      const snapshot = this.target.handle().snapshot([...leaves, ...pending.captured], given);
      return this.settle(this.startAfter(pending, args, now, modes, signal, snapshot), now, signal);
    };
    const result = busy ? abortable(busy, signal).then(turn) : turn();
    // Failures are the caller's; the next call goes on.
    const tail = Promise.all([busy, result.catch(() => undefined)]).then(() => {
      if (this.tail === tail) this.tail = undefined;
    });
    this.tail = tail;
    return result;
  }

  /** The compilation under way for these arguments, or a new one. */
  private compilation(args: unknown[], { structure, leaves }: Taken, modes: number): Pending {
    const tensors = leaves.map(
      (t) => `${t.dtype}[${t.shape.join()}][${t.strides.join()}]${t.requires_grad ? 'g' : ''}`,
    );
    const keyOf = ({ id }: Variant): string => `${id} ${modes} ${tensors.join(' ')}`;
    // A first call has nothing to look into: another one before it may have been traced since.
    for (const variant of (structure ?? this.target.take(args).structure)?.list ?? []) {
      const known = variant.fits() ? this.pending.get(keyOf(variant)) : undefined;
      if (known) return known;
    }
    const prepared = this.target.prepare(args);
    const { captured, effects, clearedGrads, flags, results } = prepared.plan;
    const waiting: (() => void)[] = [];
    const key = keyOf(prepared.variant);
    const pending: Pending = {
      variant: prepared.variant,
      waiting,
      captured,
      changes: effects.length + clearedGrads.length + flags.length > 0,
      done: this.compile(prepared, waiting).finally(() => this.pending.delete(key)),
    };
    this.serial ||= pending.changes;
    for (const place of [...effects, ...clearedGrads, ...flags, ...results])
      if ('isArg' in place && place.isArg) this.touched.add(place.index);
    pending.done.catch(() => undefined); // whoever waits hears of it
    this.pending.set(key, pending);
    return pending;
  }

  private async compile({ plan, install, failed }: Prepared, waiting: readonly (() => void)[]): Promise<void> {
    const started = performance.now();
    const load = async (program: Lowered): Promise<Awaited<ReturnType<typeof executableFor>>> => {
      try {
        return await executableFor(program, this.xla, plan.device);
      } catch (error) {
        throw withLines(plan.graph, program.text, error);
      }
    };
    try {
      const made = await Promise.all(plan.programs.map(load));
      if (plan.backwardAfter) made.push(await load(plan.backwardAfter(made[0]!.executable)));
      this.target.loaded(
        performance.now() - started,
        made.every(({ loaded }) => loaded),
      );
      install(plan.finish(made.map(({ executable }) => executable)));
    } catch (error) {
      failed();
      throw error;
    }
    for (const start of waiting) start();
  }
}
