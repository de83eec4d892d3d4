/** @file Runs a core to its end: callback, abort signal, progress line; all at once or between turns of the event loop. */
import { setImmediate } from 'node:timers/promises';
import type { Progress } from './types.js';

/** What `callback` is told after each iteration. Returning true stops the run. */
export interface CallbackInfo<X> {
  readonly iteration: number;
  readonly x: X;
  readonly value: number;
  /** Infinity norm unless the method's option says otherwise; NaN without a gradient. */
  readonly gradientNorm: number;
}

export interface DriveOptions<X> {
  readonly callback?: ((info: CallbackInfo<X>) => unknown) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly disp: boolean;
  /** Makes the user's pytree; only called when there is a callback. */
  readonly toTree: (x: Float64Array) => X;
}

/** A line that is written over itself, at most ten times a second, when standard error is a terminal. */
class ProgressLine {
  private last = 0;
  private shown = false;
  private readonly active: boolean;

  constructor(disp: boolean) {
    this.active = disp && process.stderr.isTTY === true;
  }

  show({ iteration, value, gradientNorm }: Progress): void {
    if (!this.active || performance.now() - this.last < 100) return;
    this.last = performance.now();
    this.shown = true;
    process.stderr.write(
      `\r\x1b[Kiteration ${iteration}  value ${value.toPrecision(10)}  gradient ${gradientNorm.toExponential(2)}`,
    );
  }

  end(): void {
    if (this.shown) process.stderr.write('\r\x1b[K');
  }
}

function told<X>(progress: Progress, { callback, toTree }: DriveOptions<X>): unknown {
  if (!callback) return false;
  const { iteration, x, value, gradientNorm } = progress;
  return callback({ iteration, x: toTree(x), value, gradientNorm });
}

export function drive<X, R>(core: Generator<Progress, R, boolean | undefined>, options: DriveOptions<X>): R {
  const line = new ProgressLine(options.disp);
  try {
    options.signal?.throwIfAborted();
    for (let step = core.next(); ; ) {
      if (step.done) return step.value;
      line.show(step.value);
      const stop = told(step.value, options) === true;
      options.signal?.throwIfAborted();
      step = core.next(stop);
    }
  } finally {
    line.end();
  }
}

/** The same, giving the event loop a turn before each iteration; `callback` may be async. */
export async function driveAsync<X, R>(
  core: Generator<Progress, R, boolean | undefined>,
  options: DriveOptions<X>,
): Promise<R> {
  const line = new ProgressLine(options.disp);
  try {
    options.signal?.throwIfAborted();
    await setImmediate();
    for (let step = core.next(); ; ) {
      if (step.done) return step.value;
      line.show(step.value);
      const stop = (await told(step.value, options)) === true;
      await setImmediate();
      options.signal?.throwIfAborted();
      step = core.next(stop);
    }
  } finally {
    line.end();
  }
}
