/** @file BFGS: Nocedal & Wright (2006), algorithm 6.1, with the inverse Hessian updated in vector form. */
import { InverseHessian } from './inverse-hessian.js';
import { LineSearch } from './line-search.js';
import { type Core, type CoreResult, messages, type Objective, STOPPED } from './types.js';
import { dot, norm, scale, subtract } from './vectors.js';

export interface BfgsOptions {
  /** Stop when the gradient's norm is at most this. */
  readonly gtol?: number;
  /** The order of that norm. */
  readonly norm?: number;
  /** 200 n unless told. */
  readonly maxiter?: number;
  /** Stop when a step is at most `xrtol` times `x`, in 2-norms. */
  readonly xrtol?: number;
  readonly c1?: number;
  readonly c2?: number;
  /** The inverse Hessian to start from, row-major; without it the identity, scaled after the first step by N&W (6.20). */
  readonly hess_inv0?: Float64Array;
}

/**
 * Minimises from `x0`. Every trial step of the line search is one evaluation of value and gradient together. A direction along
 * which no smaller value is found is replaced once by steepest descent before the search is given up.
 */
export function* bfgs(objective: Objective, x0: Float64Array, options: BfgsOptions = {}): Core {
  const n = x0.length;
  const {
    gtol = 1e-5,
    norm: ord = Number.POSITIVE_INFINITY,
    maxiter = 200 * n,
    xrtol = 0,
    c1 = 1e-4,
    c2 = 0.9,
    hess_inv0,
  } = options;
  const search = new LineSearch(objective, n);
  const H = new InverseHessian(n);
  let x: Float64Array = x0.slice();
  const first = objective(x);
  let f = first.f;
  let g: Float64Array = first.g.slice();
  let gnorm = norm(g, ord);
  let nit = 0;
  // Whether H is still the plain identity, which knows nothing of the problem's scale.
  let fresh = hess_inv0 === undefined;
  if (hess_inv0) H.setFull(hess_inv0);
  else H.setDiagonal(1);

  const d = new Float64Array(n);
  const Hg = new Float64Array(n);
  const s = new Float64Array(n);
  const y = new Float64Array(n);
  const Hy = new Float64Array(n);
  const b = new Float64Array(n);
  H.times(g, Hg);

  const end = (status: number, message: string): CoreResult => {
    const nfev = search.evaluations + 1;
    return { x, fun: f, jac: g, hessInv: H.toFull(), nit, nfev, njev: nfev, nhev: 0, status, message };
  };

  while (!(gnorm <= gtol)) {
    if (!Number.isFinite(f) || Number.isNaN(gnorm)) return end(3, messages.nan);
    if (nit >= maxiter) return end(1, messages.maxiter);
    scale(-1, Hg, d);
    let slope = dot(d, g);
    // The identity gives a direction but no length; this one cannot overshoot by more than a unit (SciPy's choice too).
    const found = slope < 0 && search.search(x, d, f, slope, fresh ? Math.min(1, 1.01 / norm(g)) : 1, { c1, c2 });
    if (!found) {
      if (fresh) return end(2, messages.precision);
      H.setDiagonal(1);
      Hg.set(g);
      fresh = true;
      continue;
    }
    nit++;
    subtract(search.x, x, s);
    subtract(search.g, g, y);
    const alpha = search.alpha;
    slope *= alpha;
    // Swapping, not copying: the old point's arrays become the search's spare ones.
    [x, search.x] = [search.x, x];
    [g, search.g] = [search.g, g];
    f = search.f;
    gnorm = norm(g, ord);
    const stop = yield { iteration: nit, x: x.slice(), value: f, gradientNorm: gnorm };

    const sy = dot(s, y);
    const yy = dot(y, y);
    if (sy > Number.EPSILON * Math.sqrt(dot(s, s) * yy)) {
      if (fresh) {
        // (6.20)
        const gamma = sy / yy;
        H.setDiagonal(gamma);
        scale(gamma, y, Hy);
        scale(gamma, g, Hg);
        fresh = false;
      } else {
        // H y = H g_new - H g_old, and H g_old = -d: one product serves both the update and the next direction.
        H.times(g, Hg);
        for (let i = 0; i < n; i++) Hy[i] = Hg[i]! + d[i]!;
      }
      // (6.17) multiplied out: H + a bᵀ + b aᵀ with a = s and b = (1 + yᵀHy / sy) s / 2sy - Hy / sy.
      const half = (1 + dot(y, Hy) / sy) / (2 * sy);
      for (let i = 0; i < n; i++) b[i] = half * s[i]! - Hy[i]! / sy;
      H.update(s, b);
      const sg = dot(s, g);
      const bg = dot(b, g);
      for (let i = 0; i < n; i++) Hg[i] = Hg[i]! + s[i]! * bg + b[i]! * sg;
    } else H.times(g, Hg);

    if (stop) return end(STOPPED, messages.stopped);
    if (gnorm <= gtol) break;
    if (norm(s) <= xrtol * norm(x)) return end(0, messages.success);
  }
  if (!Number.isFinite(f)) return end(3, messages.nan);
  return end(0, messages.success);
}
