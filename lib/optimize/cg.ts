/** @file Nonlinear conjugate gradients: Polak–Ribière+, Nocedal & Wright (2006), algorithm 5.4 with (5.45). */
import { LineSearch } from './line-search.js';
import { type Core, type CoreResult, messages, type Objective, STOPPED } from './types.js';
import { dot, norm } from './vectors.js';

export interface CgOptions {
  /** Stop when the gradient's norm is at most this. */
  readonly gtol?: number;
  /** The order of that norm. */
  readonly norm?: number;
  /** 200 n unless told. */
  readonly maxiter?: number;
  readonly c1?: number;
  readonly c2?: number;
}

/** Minimises from `x0` in memory of a few vectors. */
export function* cg(objective: Objective, x0: Float64Array, options: CgOptions = {}): Core {
  const n = x0.length;
  const { gtol = 1e-5, norm: ord = Number.POSITIVE_INFINITY, maxiter = 200 * n, c1 = 1e-4, c2 = 0.4 } = options;
  const search = new LineSearch(objective, n);
  let x: Float64Array = x0.slice();
  const first = objective(x);
  let f = first.f;
  let g: Float64Array = first.g.slice();
  let gg = dot(g, g);
  let gnorm = norm(g, ord);
  const d = g.map((v) => -v);
  let steepest = true;
  // As if the last iteration had decreased the value by half the gradient's length: the first step has about unit length.
  let decrease = Math.sqrt(gg) / 2;
  let nit = 0;

  const end = (status: number, message: string): CoreResult => {
    const nfev = search.evaluations + 1;
    return { x, fun: f, jac: g, nit, nfev, njev: nfev, nhev: 0, status, message };
  };

  while (!(gnorm <= gtol)) {
    if (!Number.isFinite(f) || Number.isNaN(gnorm)) return end(3, messages.nan);
    if (nit >= maxiter) return end(1, messages.maxiter);
    const slope = dot(d, g);
    // (3.60): the step that would bring the last iteration's decrease once more.
    const guess = Math.min(1, (1.01 * 2 * decrease) / -slope);
    if (!search.search(x, d, f, slope, guess > 0 ? guess : 1, { c1, c2 })) {
      if (steepest) return end(2, messages.precision);
      for (let i = 0; i < n; i++) d[i] = -g[i]!;
      steepest = true;
      continue;
    }
    nit++;
    const previous = g;
    [x, search.x] = [search.x, x];
    [g, search.g] = [search.g, g];
    decrease = f - search.f;
    f = search.f;
    gnorm = norm(g, ord);
    if (yield { iteration: nit, x: x.slice(), value: f, gradientNorm: gnorm }) return end(STOPPED, messages.stopped);

    const ggNew = dot(g, g);
    // (5.45); `previous` is the search's spare array now, still holding the old gradient.
    const beta = Math.max(0, (ggNew - dot(g, previous)) / gg);
    for (let i = 0; i < n; i++) d[i] = beta * d[i]! - g[i]!;
    steepest = beta === 0;
    gg = ggNew;
    // The line search is inexact: a direction that hardly descends is replaced by steepest descent.
    if (!(dot(d, g) <= -0.01 * gg)) {
      for (let i = 0; i < n; i++) d[i] = -g[i]!;
      steepest = true;
    }
  }
  if (!Number.isFinite(f)) return end(3, messages.nan);
  return end(0, messages.success);
}
