/** @file L-BFGS-B: Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16 (1995), with the projection of Morales & Nocedal, ACM TOMS 38 (2011). */

import { type Box, clip, intoBox, longestStep, projectedNorm } from './box.js';
import { Memory } from './lbfgs-memory.js';
import { cauchyPoint, subspaceMinimum } from './lbfgsb-step.js';
import { LineSearch } from './line-search.js';
import { type Core, type CoreResult, messages, type Objective, STOPPED } from './types.js';
import { dot, subtract } from './vectors.js';

export interface LbfgsbOptions {
  /** Pairs kept. */
  readonly maxcor?: number;
  /** Stop when (f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) is at most this. */
  readonly ftol?: number;
  /** Stop when the largest component of the projected gradient is at most this. */
  readonly gtol?: number;
  readonly maxfun?: number;
  readonly maxiter?: number;
  /** Evaluations per line search. */
  readonly maxls?: number;
}

/** Minimises from `x0`, which is moved into the box first. */
export function* lbfgsb(objective: Objective, x0: Float64Array, options: LbfgsbOptions = {}, box?: Box): Core {
  const n = x0.length;
  const {
    maxcor = 10,
    ftol = 2220446049250313e-24,
    gtol = 1e-5,
    maxfun = 15000,
    maxiter = 15000,
    maxls = 20,
  } = options;
  // A step that ends on a bound must be exactly on it, or the bound is not recognised as active.
  const inside: Objective = box ? (x) => objective(intoBox(x, box)) : objective;
  const search = new LineSearch(inside, n);
  const memory = new Memory(n, maxcor);
  let x: Float64Array = box ? clip(x0, box) : x0.slice();
  const first = objective(x);
  let f = first.f;
  let g: Float64Array = first.g.slice();
  let gnorm = projectedNorm(x, g, box);
  let nit = 0;
  const d = new Float64Array(n);
  const s = new Float64Array(n);
  const y = new Float64Array(n);
  const boxed = box?.lower.every((v, i) => Number.isFinite(v) && Number.isFinite(box.upper[i]!)) ?? false;

  const end = (status: number, message: string): CoreResult => {
    const nfev = search.evaluations + 1;
    return { x, fun: f, jac: g, nit, nfev, njev: nfev, nhev: 0, status, message };
  };

  while (!(gnorm <= gtol)) {
    if (!Number.isFinite(f) || Number.isNaN(gnorm)) return end(2, messages.nan);
    if (nit >= maxiter) return end(1, 'STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT');
    if (search.evaluations + 1 >= maxfun) return end(1, 'STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT');
    if (box) subtract(subspaceMinimum(cauchyPoint(x, g, memory, box), x, g, memory, box), x, d);
    else memory.direction(g, d);
    const slope = dot(d, g);
    const longest = box ? (nit === 0 ? Math.min(1, longestStep(x, d, box)) : longestStep(x, d, box)) : 1e10;
    const guess = memory.size === 0 && !boxed ? Math.min(1, 1 / Math.sqrt(dot(d, d))) : 1;
    const wolfe = { c1: 1e-3, c2: 0.9, longest, maxEvaluations: maxls };
    if (!(slope < 0) || !search.search(x, d, f, slope, guess, wolfe)) {
      if (memory.size === 0) return end(2, 'ABNORMAL: ');
      memory.clear();
      continue;
    }
    nit++;
    subtract(search.x, x, s);
    subtract(search.g, g, y);
    [x, search.x] = [search.x, x];
    [g, search.g] = [search.g, g];
    const decrease = f - search.f;
    const size = Math.max(Math.abs(f), Math.abs(search.f), 1);
    f = search.f;
    gnorm = projectedNorm(x, g, box);
    if (yield { iteration: nit, x: x.slice(), value: f, gradientNorm: gnorm }) return end(STOPPED, messages.stopped);
    if (gnorm <= gtol) break;
    if (decrease <= ftol * size) return end(0, 'CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH');
    memory.push(s, y);
  }
  return end(0, 'CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL');
}
