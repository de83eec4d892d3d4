/** @file minimize with { compileLoop: true }: the optimisation as one program, and the same as a function to compile or vmap. */
import { type Compiled, compile } from '../compile/compile.js';
import { XLA_OPTIONS } from '../compile/executables.js';
import { JorchError } from '../runtime/errors.js';
import { fromOneLine, fromOwnLines } from '../runtime/lines.js';
import { frombuffer } from '../torch/data.js';
import { where } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { bfgs } from './bfgs.js';
import { lbfgsb } from './lbfgsb.js';
import { loopBfgs } from './loop-bfgs.js';
import { type LbfgsLoopOptions, loopLbfgs } from './loop-lbfgs.js';
import { ENDS, type LoopOptions, type LoopResult } from './loop-search.js';
import { objectiveOf, scalarOf } from './objective.js';
import type { Parameters } from './parameters.js';
import { type Core, type CoreResult, messages, type Objective } from './types.js';

/** The methods that are one loop. */
export type LoopMethod = 'BFGS' | 'L-BFGS-B';
/** A method with all its options. */
export type Loop =
  | { readonly method: 'BFGS'; readonly options: LoopOptions }
  | { readonly method: 'L-BFGS-B'; readonly options: LbfgsLoopOptions };

const defaults = (n: number) => ({
  BFGS: { gtol: 1e-5, maxiter: 200 * n, c1: 1e-4, c2: 0.9, maxls: 40 },
  'L-BFGS-B': {
    gtol: 1e-5,
    ftol: 2220446049250313e-24,
    maxiter: 15000,
    maxfun: 15000,
    maxcor: 10,
    c1: 1e-3,
    c2: 0.9,
    maxls: 20,
  },
});

/** SciPy's status and text for each way to end. */
const TEXTS: Readonly<Record<LoopMethod, Readonly<Record<number, readonly [number, string]>>>> = {
  BFGS: {
    [ENDS.gradient]: [0, messages.success],
    [ENDS.maxiter]: [1, messages.maxiter],
    [ENDS.precision]: [2, messages.precision],
    [ENDS.nan]: [3, messages.nan],
  },
  'L-BFGS-B': {
    [ENDS.gradient]: [0, 'CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL'],
    [ENDS.reduction]: [0, 'CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH'],
    [ENDS.maxiter]: [1, 'STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT'],
    [ENDS.maxfun]: [1, 'STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT'],
    [ENDS.precision]: [2, 'ABNORMAL: '],
    [ENDS.nan]: [2, messages.nan],
  },
};

/** The status that SciPy would give, of a 0-d tensor that is one of ENDS. */
export const statusOf = (end: Tensor, method: LoopMethod): Tensor =>
  Object.entries(TEXTS[method]).reduce((status, [code, [number]]) => where(end.eq(Number(code)), number, status), end);

/** The whole run as a function of the flat start. */
export const loopOf = <X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  { method, options }: Loop,
  who: string,
): ((x0: Tensor) => LoopResult) => {
  const objective = (x: Tensor): Tensor => fromOwnLines(() => scalarOf(fun(parameters.rebuild(x)), who));
  return (x0) =>
    fromOneLine(() => (method === 'BFGS' ? loopBfgs(objective, x0, options) : loopLbfgs(objective, x0, options)));
};

/** LLVM's first level makes these loops as fast as its third, in half the time. */
const XLA = { xla_backend_optimization_level: 1 };

/** What is kept for one objective and one set of options. */
interface Kept {
  /** All iterations as one program, compiled at its first call. */
  readonly program: Compiled<(x0: Tensor) => LoopResult>;
  /** Value and gradient, for runs whose iterations JavaScript drives. */
  readonly objective: Objective;
  /** Milliseconds that those runs took. */
  spent: number;
}

/** By objective: a second run from another start compiles nothing. Forgotten with the objective. */
const kept = new WeakMap<object, Map<string, Kept>>();

const keptFor = <X>(fun: (x: X) => unknown, parameters: Parameters<X>, loop: Loop, who: string): Kept => {
  const known = kept.get(fun) ?? new Map<string, Kept>();
  kept.set(fun, known);
  const key = `${parameters.layout}|${loop.method}|${Object.values(loop.options).join()}`;
  const found = known.get(key) ?? {
    program: compile(loopOf(fun, parameters, loop, who), { name: who, [XLA_OPTIONS]: XLA }),
    objective: objectiveOf(fun, parameters, undefined, { wanted: true, warmups: [] }, who),
    spent: 0,
  };
  known.set(key, found);
  return found;
};

/** Milliseconds that compiling a loop takes, about. */
const COST = 300;
/** A guess at what one run takes when JavaScript drives it, milliseconds: a hundred evaluations, and the arithmetic of the method at 1 GFlop/s. */
const guessed = ({ method, options }: Loop, n: number): number =>
  (method === 'BFGS' ? 6 * n * n : 8 * options.maxcor * n) * 1e-4;

/**
 * A run of a method that is one loop. With `always` it is one program from the first call on. Else JavaScript drives the first runs, until they have
 * together taken as long as compiling takes or a run is so long that it would: so a small problem that is solved a few times never waits for a
 * compiler that cannot repay, and no number of runs takes more than twice as long as with the better choice.
 */
export function* runLoop<X>(
  fun: (x: X) => unknown,
  parameters: Parameters<X>,
  loop: Loop,
  who: string,
  always: boolean,
): Core {
  const mine = keptFor(fun, parameters, loop, who);
  if (always || mine.spent >= COST || guessed(loop, parameters.n) >= COST / 2)
    return { ...ofProgram(mine.program, loop, parameters.start), compiledLoop: true };
  const started = performance.now();
  const { method, options } = loop;
  const core =
    method === 'BFGS'
      ? bfgs(mine.objective, parameters.start, options)
      : lbfgsb(mine.objective, parameters.start, options);
  const made = yield* core;
  mine.spent += performance.now() - started;
  return { ...made, compiledLoop: false };
}

/** Runs the program; the counts and texts of an ordinary run. */
const ofProgram = (
  program: Compiled<(x0: Tensor) => LoopResult>,
  { method }: Loop,
  start: Float64Array,
): CoreResult => {
  const { x, fun: value, jac, nit, nfev, end, hessInv } = program(frombuffer(start));
  const evaluations = nfev.item();
  const [status, message] = TEXTS[method][end.item()]!;
  return {
    x: x.toTypedArray() as Float64Array,
    fun: value.item(),
    jac: jac.toTypedArray() as Float64Array,
    ...(hessInv && { hessInv: hessInv.toTypedArray() as Float64Array }),
    nit: nit.item(),
    nfev: evaluations,
    njev: evaluations,
    nhev: 0,
    status,
    message,
  };
};

const isLoopMethod = (method: string): method is LoopMethod => method in TEXTS;

/** The method with its options; refuses what needs JavaScript on the way. */
export const loopFor = (
  who: string,
  method: string,
  n: number,
  given: Readonly<Record<string, unknown>>,
  excluded: Readonly<Record<string, unknown>>,
): Loop => {
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${who}: ${why}`);
  };
  if (!isLoopMethod(method)) return refuse('compileLoop is there for BFGS and L-BFGS-B');
  for (const [name, value] of Object.entries(excluded))
    if (value !== undefined)
      refuse(`${name} cannot be used with compileLoop, which runs all iterations as one program`);
  const options = defaults(n)[method];
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || name === 'disp') continue;
    if (!(name in options))
      refuse(`option ${name} is not known to compileLoop; known are ${Object.keys(options).join(', ')}, disp`);
    if (typeof value !== 'number') refuse(`option ${name} must be a number, got ${typeof value}`);
  }
  const { disp: _, ...numbers } = given;
  const set = Object.entries(numbers).filter(([, value]) => value !== undefined);
  const loop = { method, options: { ...options, ...Object.fromEntries(set) } } as Loop;
  if (loop.method === 'L-BFGS-B' && !(Number.isInteger(loop.options.maxcor) && loop.options.maxcor >= 1))
    refuse(`option maxcor must be an integer ≥ 1, got ${loop.options.maxcor}`);
  return loop;
};
