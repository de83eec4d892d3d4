/** @file minimize with { compileLoop: true }: the optimisation as one program, and the same as a function to compile or vmap. */
import { type Compiled, compile } from '../compile/compile.js';
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/tensor.js';
import { type LoopOptions, type LoopResult, loopBfgs } from './loop-bfgs.js';
import { scalarOf } from './objective.js';
import type { Parameters } from './parameters.js';
import { type CoreResult, messages } from './types.js';

/** The flat objective: one number of a float64 vector. */
const flatObjective =
  <X>(fun: (x: X) => unknown, parameters: Parameters<X>, who: string) =>
  (x: Tensor): Tensor =>
    scalarOf(fun(parameters.rebuild(x)), who);

/** The whole run as a function of the flat start. */
export const loopOf =
  <X>(fun: (x: X) => unknown, parameters: Parameters<X>, options: LoopOptions, who: string) =>
  (x0: Tensor): LoopResult =>
    loopBfgs(flatObjective(fun, parameters, who), x0, options);

/** Programs by objective: a second run from another start compiles nothing. Forgotten with the objective. */
const programs = new WeakMap<object, Map<string, Compiled<(x0: Tensor) => LoopResult>>>();

const texts: Readonly<Record<number, string>> = {
  0: messages.success,
  1: messages.maxiter,
  2: messages.precision,
  3: messages.nan,
};

/** Runs the program; the counts and texts of an ordinary run. */
export const runLoop = <X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  options: LoopOptions,
  who: string,
  start: Tensor,
): CoreResult => {
  const known = programs.get(fun) ?? new Map<string, Compiled<(x0: Tensor) => LoopResult>>();
  programs.set(fun, known);
  const key = `${parameters.layout}|${Object.values(options).join()}`;
  const program = known.get(key) ?? compile(loopOf(fun, parameters, options, who), { name: who });
  known.set(key, program);
  const { x, fun: value, jac, nit, nfev, status } = program(start);
  const evaluations = nfev.item();
  return {
    x: x.toTypedArray() as Float64Array,
    fun: value.item(),
    jac: jac.toTypedArray() as Float64Array,
    nit: nit.item(),
    nfev: evaluations,
    njev: evaluations,
    nhev: 0,
    status: status.item(),
    message: texts[status.item()]!,
  };
};

const KNOWN = ['gtol', 'maxiter', 'c1', 'c2', 'disp'];

/** The options of the loop; refuses what needs JavaScript on the way. */
export const loopOptions = (
  who: string,
  n: number,
  given: Readonly<Record<string, unknown>>,
  excluded: Readonly<Record<string, unknown>>,
): LoopOptions => {
  for (const [name, value] of Object.entries(excluded))
    if (value !== undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${who}: ${name} cannot be used with compileLoop, which runs all iterations as one program`,
      );
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && !KNOWN.includes(name))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${who}: option ${name} is not known to compileLoop; known are ${KNOWN.join(', ')}`,
      );
  const { gtol = 1e-5, maxiter = 200 * n, c1 = 1e-4, c2 = 0.9 } = given as Partial<LoopOptions>;
  return { gtol, maxiter, c1, c2 };
};
