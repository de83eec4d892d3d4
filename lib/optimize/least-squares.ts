/** @file least_squares and root: Levenberg–Marquardt on torch functions, with exact Jacobians. */
import { JorchError } from '../runtime/errors.js';
import { frombuffer } from '../torch/data.js';
import type { Tensor } from '../torch/tensor.js';
import { checkKeys } from './check.js';
import { type CallbackInfo, drive } from './drive.js';
import { type LmResult, levenbergMarquardt } from './levenberg-marquardt.js';
import { residualsOf } from './objective.js';
import { Parameters } from './parameters.js';

export interface LeastSquaresOptions<X> {
  readonly method?: 'lm' | undefined;
  /** The Jacobian, m × n over the elements in flat order. Left out: exact, by autograd. */
  readonly jac?: ((x: X) => Tensor) | undefined;
  readonly ftol?: number | undefined;
  readonly xtol?: number | undefined;
  readonly gtol?: number | undefined;
  readonly x_scale?: number | 'jac' | undefined;
  readonly max_nfev?: number | undefined;
  readonly callback?: ((info: CallbackInfo<X>) => unknown) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** false: `fun` runs eagerly, operator by operator. */
  readonly compile?: boolean | undefined;
}

/** SciPy's result of least_squares. */
export interface LeastSquaresResult<X> {
  readonly x: X;
  /** Half the sum of squares. */
  readonly cost: number;
  /** The residuals at x, [m]. */
  readonly fun: Tensor;
  /** The Jacobian at x, [m, n]. */
  readonly jac: Tensor;
  /** The gradient of the cost, shaped like x0. */
  readonly grad: X;
  /** The gradient's largest component. */
  readonly optimality: number;
  readonly nfev: number;
  readonly njev: number;
  readonly status: number;
  readonly success: boolean;
  readonly message: string;
}

const KEYS = ['method', 'jac', 'ftol', 'xtol', 'gtol', 'x_scale', 'max_nfev', 'callback', 'signal', 'compile'];

function run<X>(
  fun: (x: X) => unknown,
  x0: X,
  options: LeastSquaresOptions<X>,
  who: string,
): { parameters: Parameters<X>; result: LmResult } {
  if (typeof fun !== 'function')
    throw new JorchError('BAD_ARGUMENT', `${who}: fun must be a function, got ${typeof fun}`);
  checkKeys(who, options, KEYS, 'keyword');
  const { method = 'lm', jac, callback, signal, compile = true, ...rest } = options;
  if (method !== 'lm') throw new JorchError('BAD_ARGUMENT', `${who}: unknown method '${String(method)}'; known is lm`);
  const parameters = new Parameters(x0, who);
  const linearise = residualsOf(fun, parameters, jac, { wanted: compile, warmups: [] }, who);
  const checked = (x: Float64Array) => {
    const at = linearise(x);
    if (at.r.length < parameters.n) {
      throw new JorchError(
        'BAD_ARGUMENT',
        `${who}: method lm needs at least as many residuals as variables, got ${at.r.length} for ${parameters.n}`,
      );
    }
    return at;
  };
  const known = Object.fromEntries(Object.entries(rest).filter(([, v]) => v !== undefined));
  const core = levenbergMarquardt(checked, parameters.start, known);
  return { parameters, result: drive(core, { callback, signal, disp: false, toTree: (x) => parameters.toTree(x) }) };
}

/**
 * Minimises half the sum of squares of the residuals that `fun` returns (a tensor of any shape, at least as many elements as x0) by
 * Levenberg–Marquardt with the exact Jacobian.
 * @throws JorchError BAD_ARGUMENT for a bad x0, unknown keywords, fewer residuals than variables.
 * @see https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.least_squares.html
 */
export function least_squares<X>(
  fun: (x: X) => unknown,
  x0: X,
  options: LeastSquaresOptions<X> = {},
): LeastSquaresResult<X> {
  const { parameters, result } = run(fun, x0, options, 'least_squares');
  const { x, cost, r, J, grad, nfev, njev, status, message } = result;
  return {
    x: parameters.toTree(x),
    cost,
    fun: frombuffer(r),
    jac: frombuffer(J).reshape([r.length, parameters.n]),
    grad: parameters.toTree(grad),
    optimality: grad.reduce((most, v) => Math.max(most, Math.abs(v)), 0),
    nfev,
    njev,
    status,
    success: status > 0 && status < 99,
    message,
  };
}

export interface RootOptions<X>
  extends Omit<LeastSquaresOptions<X>, 'x_scale' | 'max_nfev' | 'ftol' | 'xtol' | 'gtol'> {
  /** The relative precision of x and of the residuals. */
  readonly tol?: number | undefined;
}

export interface RootResult<X> {
  readonly x: X;
  /** What is left of the equations at x, [n]. */
  readonly fun: Tensor;
  readonly nfev: number;
  readonly njev: number;
  readonly status: number;
  readonly success: boolean;
  readonly message: string;
}

/**
 * Finds x with fun(x) = 0, as many equations as variables, by Levenberg–Marquardt with the exact Jacobian. Not `success` where the
 * residuals have a minimum that is not zero.
 * @throws JorchError BAD_ARGUMENT for a bad x0, unknown keywords, another number of equations.
 * @see https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.root.html
 */
export function root<X>(fun: (x: X) => unknown, x0: X, options: RootOptions<X> = {}): RootResult<X> {
  const { tol = 1.49012e-8, ...rest } = options;
  // The residuals are to vanish, so only the step says when to stop: a small relative decrease would stop too early.
  const { parameters, result } = run(fun, x0, { ...rest, xtol: tol, ftol: 0, gtol: 0 }, 'root');
  const { x, r, J, nfev, njev, status } = result;
  const { n } = parameters;
  if (r.length !== n)
    throw new JorchError('BAD_ARGUMENT', `root: ${r.length} equations for ${n} variables; use least_squares`);
  // A residual is nothing where rounding x to within the tolerance could make it: |J| |x| tol.
  const solved = r.every((v, i) => {
    let size = 0;
    for (let j = 0; j < n; j++) size += Math.abs(J[i * n + j]!) * Math.max(1, Math.abs(x[j]!));
    return Math.abs(v) <= tol * size;
  });
  const message = solved
    ? 'The solution converged.'
    : status === 99
      ? result.message
      : 'The residuals have a minimum that is not zero.';
  return { x: parameters.toTree(x), fun: frombuffer(r), nfev, njev, status, success: solved, message };
}
