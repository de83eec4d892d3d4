/** @file What the numeric cores of the optimisers share: objectives, progress, results, messages. */

/** Value and gradient at a point. `g` may be memory that the next evaluation overwrites: the cores copy it. */
export interface Evaluation {
  readonly f: number;
  readonly g: Float64Array;
}

/** A smooth function of n numbers. It must not keep or change `x`. */
export type Objective = (x: Float64Array) => Evaluation;

/** The Hessian at a point, row-major n × n. */
export type Hessian = (x: Float64Array) => Float64Array;

/** Where an optimiser stands after an iteration; what `callback` is told. `x` is a copy. */
export interface Progress {
  readonly iteration: number;
  readonly x: Float64Array;
  readonly value: number;
  readonly gradientNorm: number;
}

/** What a core ends with; SciPy's OptimizeResult on flat arrays. */
export interface CoreResult {
  readonly x: Float64Array;
  readonly fun: number;
  readonly jac?: Float64Array;
  /** Row-major n × n. */
  readonly hessInv?: Float64Array;
  readonly nit: number;
  readonly nfev: number;
  readonly njev: number;
  readonly nhev: number;
  readonly status: number;
  readonly message: string;
  readonly compiledLoop?: boolean;
}

/** A core yields after each iteration and returns its result; being told `true` makes it stop there. */
export type Core = Generator<Progress, CoreResult, boolean | undefined>;

/** SciPy's texts, so that code which reads them keeps working. */
export const messages = {
  success: 'Optimization terminated successfully.',
  maxfev: 'Maximum number of function evaluations has been exceeded.',
  maxiter: 'Maximum number of iterations has been exceeded.',
  precision: 'Desired error not necessarily achieved due to precision loss.',
  nan: 'NaN result encountered.',
  stopped: '`callback` returned true.',
} as const;

/** SciPy's status of a run that its callback ended. */
export const STOPPED = 99;

/** Runs a core to its end without asking anybody: what the tests and nested solvers use. */
export function finish(core: Core): CoreResult {
  for (;;) {
    const step = core.next();
    if (step.done) return step.value;
  }
}
