/** @file minimize: SciPy's interface to the minimisers, over torch functions that are compiled together with their derivatives. */
import { JorchError } from '../runtime/errors.js';
import { frombuffer } from '../torch/data.js';
import type { Tensor } from '../torch/tensor.js';
import { type BoundsArgument, boxOf, checkKeys, checkMethod, checkOptions } from './check.js';
import { type CallbackInfo, type DriveOptions, drive, driveAsync } from './drive.js';
import { type Method, methods, type OptionsByMethod } from './methods.js';
import { type LoopMethod, loopFor, loopOf, runLoop, statusOf } from './minimize-loop.js';
import { type Compiling, curvatureOf, differences, functionOf, hessianOf, type Jac, objectiveOf } from './objective.js';
import { Parameters } from './parameters.js';
import type { Core, CoreResult, Objective } from './types.js';

export type { BoundsArgument, CallbackInfo, Jac, Method, OptionsByMethod };

export interface MinimizeOptions<X, M extends Method = Method> {
  /** Default: `BFGS`, and with bounds `L-BFGS-B`. */
  readonly method?: M | undefined;
  /** The gradient. Left out: exact, by autograd. `true`: `fun` returns [value, gradient] (if it is a compiled function it is called as it is: compile once, minimise often). A function of x. `'2-point'`, `'3-point'`: finite differences. */
  readonly jac?: Jac<X> | undefined;
  /** The Hessian, n × n over the elements in flat order. Left out: exact, by autograd, where the method needs it. */
  readonly hess?: ((x: X) => Tensor) | undefined;
  /** The Hessian times a vector, shaped like x (`Newton-CG`). */
  readonly hessp?: ((x: X, p: X) => X) | undefined;
  /** `L-BFGS-B` and `Nelder-Mead` only. */
  readonly bounds?: BoundsArgument | undefined;
  /** Sets the method's own tolerances, as SciPy's `tol` does. */
  readonly tol?: number | undefined;
  readonly options?: OptionsByMethod[M] | undefined;
  readonly callback?: ((info: CallbackInfo<X>) => unknown) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** false: `fun` runs eagerly, operator by operator. */
  readonly compile?: boolean | undefined;
  /**
   * All iterations as one XLA program (`BFGS`, `L-BFGS-B` without bounds): no turn in JavaScript between them, hence no `callback`, `jac`, `bounds`.
   * What is compiled is kept with `fun`: starting again, from another x0 of the same shape, compiles nothing. Compiling takes about a third of a second, so
   * with `true` JavaScript drives the iterations of small problems until they have taken that long; `compiledLoop` in the result says which it
   * was. `'always'` compiles at the first run.
   */
  readonly compileLoop?: boolean | 'always' | undefined;
}

/** SciPy's OptimizeResult. `x` and `jac` are shaped like x0. */
export interface OptimizeResult<X> {
  readonly x: X;
  readonly fun: number;
  /** The gradient at `x`; not there after Nelder-Mead. */
  readonly jac?: X;
  /** The last inverse Hessian, n × n in float64 (`BFGS`). */
  readonly hess_inv?: Tensor;
  readonly nit: number;
  readonly nfev: number;
  readonly njev: number;
  readonly nhev: number;
  readonly status: number;
  readonly success: boolean;
  readonly message: string;
  /** With `compileLoop`: whether the run was one program. */
  readonly compiledLoop?: boolean;
}

const KEYS = [
  'method',
  'jac',
  'hess',
  'hessp',
  'bounds',
  'tol',
  'options',
  'callback',
  'signal',
  'compile',
  'compileLoop',
];

interface Run<X> {
  readonly core: Core;
  readonly driving: DriveOptions<X>;
  readonly warmups: Compiling['warmups'];
  finish(result: CoreResult): OptimizeResult<X>;
}

function prepare<X, M extends Method>(fun: (x: X) => unknown, x0: X, given: MinimizeOptions<X, M>): Run<X> {
  if (typeof fun !== 'function')
    throw new JorchError('BAD_ARGUMENT', `minimize: fun must be a function, got ${typeof fun}`);
  checkKeys('minimize', given, KEYS, 'keyword');
  const { bounds, jac, hess, hessp, tol, callback, signal, compile = true } = given;
  const method: Method = given.method ?? (bounds === undefined ? 'BFGS' : 'L-BFGS-B');
  checkMethod(method);
  const entry = methods[method] as (typeof methods)['BFGS'];
  const who = `minimize (${method})`;
  if (bounds !== undefined && !entry.bounds)
    throw new JorchError('BAD_ARGUMENT', `${who} cannot handle bounds: use L-BFGS-B or Nelder-Mead`);
  for (const [name, value, order] of [
    ['jac', jac, 1],
    ['hess', hess, 2],
    ['hessp', hessp, 2],
  ] as const) {
    if (value !== undefined && entry.derivatives < order)
      throw new JorchError('BAD_ARGUMENT', `${who} does not use ${name}`);
  }
  if (hessp !== undefined && method !== 'Newton-CG')
    throw new JorchError('BAD_ARGUMENT', `${who} does not use hessp: give hess, or nothing`);
  const differenced = jac === '2-point' || jac === '3-point' ? jac : undefined;
  if (jac !== undefined && typeof jac !== 'boolean' && typeof jac !== 'function' && !differenced) {
    throw new JorchError(
      'BAD_ARGUMENT',
      `${who}: jac must be true, a function, '2-point' or '3-point', got ${String(jac)}`,
    );
  }
  const exact = differenced === undefined && jac !== true;
  if (entry.derivatives === 2 && !exact && !hess && !hessp) {
    throw new JorchError('BAD_ARGUMENT', `${who}: hess must be given with jac: ${JSON.stringify(jac)}`);
  }
  const parameters = new Parameters(x0, who);
  if (given.compileLoop !== undefined && typeof given.compileLoop !== 'boolean' && given.compileLoop !== 'always')
    throw new JorchError(
      'BAD_ARGUMENT',
      `${who}: compileLoop must be true, false or 'always', got ${String(given.compileLoop)}`,
    );
  if (given.compileLoop) {
    const fromTol = tol === undefined ? {} : Object.fromEntries(entry.tol.map((name) => [name, tol]));
    const asked = { ...fromTol, ...given.options } as Record<string, unknown>;
    const loop = loopFor(who, method, parameters.n, asked, { callback, jac, hess, hessp, bounds });
    const always = given.compileLoop === 'always';
    return {
      core: runLoop(fun, parameters, loop, who, always),
      warmups: [],
      driving: { signal, disp: false, toTree: (x) => parameters.toTree(x) },
      finish: (made) => {
        const result = resultOf(parameters, made);
        if (asked.disp) report(result);
        return result;
      },
    };
  }
  const compiling: Compiling = { wanted: compile, warmups: [] };
  const chosen = (given.options ?? {}) as Record<string, unknown>;
  checkOptions(who, entry.options, chosen, parameters.n);
  if (tol !== undefined && !(typeof tol === 'number' && tol >= 0))
    throw new JorchError('BAD_ARGUMENT', `${who}: tol must be a number ≥ 0, got ${String(tol)}`);
  const fromTol = tol === undefined ? {} : Object.fromEntries(entry.tol.map((name) => [name, tol]));
  const { disp = false, eps, ...options } = { ...fromTol, ...chosen } as { disp?: boolean; eps?: number };

  let counted: (Objective & { count: number }) | undefined;
  const core = entry.start(
    {
      objective: () => {
        if (!differenced) return objectiveOf(fun, parameters, jac, compiling, who);
        counted = differences(functionOf(fun, parameters, compiling, who), differenced, eps);
        return counted;
      },
      value: () => functionOf(fun, parameters, compiling, who),
      curvature: () => curvatureOf(fun, parameters, { hess, hessp }, compiling, who),
      hessian: () => hessianOf(fun, parameters, hess, compiling, who),
      box: bounds === undefined ? undefined : boxOf(bounds, parameters.n),
    },
    parameters.start,
    options,
  );
  const finish = (made: CoreResult): OptimizeResult<X> => {
    const result = resultOf(parameters, { ...made, nfev: counted?.count ?? made.nfev });
    if (disp) report(result);
    return result;
  };
  const { warmups } = compiling;
  return { core, warmups, driving: { callback, signal, disp, toTree: (x) => parameters.toTree(x) }, finish };
}

function resultOf<X>(parameters: Parameters<X>, { x, fun, jac, hessInv, ...rest }: CoreResult): OptimizeResult<X> {
  const { n } = parameters;
  return {
    x: parameters.toTree(x),
    fun,
    ...(jac && { jac: parameters.toTree(jac) }),
    ...(hessInv && { hess_inv: frombuffer(hessInv).reshape([n, n]) }),
    ...rest,
    success: rest.status === 0,
  };
}

/** SciPy's summary, on standard output. */
function report({ fun, nit, nfev, njev, nhev, message }: OptimizeResult<unknown>): void {
  const counts = [`Current function value: ${fun}`, `Iterations: ${nit}`, `Function evaluations: ${nfev}`];
  if (njev > 0) counts.push(`Gradient evaluations: ${njev}`);
  if (nhev > 0) counts.push(`Hessian evaluations: ${nhev}`);
  console.log([message, ...counts.map((c) => `         ${c}`)].join('\n'));
}

function minimizeNow<X, M extends Method = Method>(
  fun: (x: X) => unknown,
  x0: X,
  options: MinimizeOptions<X, M> = {},
): OptimizeResult<X> {
  const { core, driving, finish } = prepare(fun, x0, options);
  return finish(drive(core, driving));
}

async function minimizeAsync<X, M extends Method = Method>(
  fun: (x: X) => unknown,
  x0: X,
  options: MinimizeOptions<X, M> = {},
): Promise<OptimizeResult<X>> {
  const { core, driving, warmups, finish } = prepare(fun, x0, options);
  for (const warmup of warmups) await warmup({ signal: options.signal });
  return finish(await driveAsync(core, driving));
}

/** What `minimize.loop` returns: tensors, `x` and `jac` shaped like x0, the others 0-d. */
export interface LoopOutcome<X> {
  readonly x: X;
  readonly fun: Tensor;
  readonly jac: X;
  readonly nit: Tensor;
  readonly nfev: Tensor;
  /** SciPy's of the method: 0 success, 1 maxiter or maxfun, 2 no better point to be found, 3 NaN (`L-BFGS-B`: 2). */
  readonly status: Tensor;
}

/** Options of `minimize.loop`: the method and what SciPy calls its options. */
export interface LoopRunOptions {
  /** Default `BFGS`. */
  readonly method?: LoopMethod | undefined;
  readonly gtol?: number;
  readonly maxiter?: number;
  readonly c1?: number;
  readonly c2?: number;
  /** Evaluations in one search. */
  readonly maxls?: number;
  /** `L-BFGS-B` only, as the next ones. */
  readonly ftol?: number;
  readonly maxfun?: number;
  readonly maxcor?: number;
}

/**
 * The optimisation itself as a function of tensors: BFGS or L-BFGS in one while_loop, to be compiled, vmapped over starting points or over data, or
 * nested.
 * @param x0 floating tensors; inside `vmap` one example's.
 * @param options the method (BFGS) and its options, with the defaults of `minimize`.
 * @example const all = compile(func.vmap((x) => minimize.loop(f, x)))(starts);   // starts: [batch, n]
 */
function minimizeLoop<X>(fun: (x: X) => unknown, x0: X, options: LoopRunOptions = {}): LoopOutcome<X> {
  const { method = 'BFGS', ...numbers } = options;
  const who = 'minimize.loop';
  const parameters = new Parameters(x0, who, true);
  const loop = loopFor(who, method, parameters.n, numbers, {});
  const { x, jac, end, fun: value, nit, nfev } = loopOf(fun, parameters, loop, who)(parameters.flat(x0, `${who}: x0`));
  return {
    x: parameters.rebuild(x),
    fun: value,
    jac: parameters.rebuild(jac),
    nit,
    nfev,
    status: statusOf(end, method),
  };
}

/**
 * Minimises a function of one tensor, or of a pytree of tensors, that returns one number; `fun` is compiled together with its gradient,
 * and each step of a line search is one call of that program.
 *
 * Methods: `BFGS`, `L-BFGS-B` (bounds), `CG`, `Newton-CG`, `trust-exact`, `Nelder-Mead` (bounds, no gradient), with the options, result
 * fields, status codes and messages of SciPy's. `minimize.async` compiles off the event loop and gives it a turn before every iteration.
 * @param fun X → a tensor with one element.
 * @param x0 floating tensors, any shape; the search runs in float64.
 * @throws JorchError BAD_ARGUMENT for an x0 that is empty, not floating or not finite, an objective that is no single number, and unknown methods and options. The signal's reason when aborted.
 * @see https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.minimize.html
 * @example const { x, fun, nit } = minimize(rosenbrock, torch.full([100], 2, { dtype: torch.float64 }), { method: 'BFGS' });
 */
export const minimize = Object.assign(minimizeNow, { async: minimizeAsync, loop: minimizeLoop });
