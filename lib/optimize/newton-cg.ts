/** @file Newton-CG with a line search: Nocedal & Wright (2006), algorithm 7.1; the curvature is only ever multiplied by vectors. */
import { LineSearch } from './line-search.js';
import { type Core, type CoreResult, messages, type Objective, STOPPED } from './types.js';
import { axpy, dot, norm } from './vectors.js';

/** At a point, the product of the Hessian there with a vector. */
export type Curvature = (x: Float64Array) => (p: Float64Array) => Float64Array;

export interface NewtonCgOptions {
  /** Stop when the mean absolute step is at most this. */
  readonly xtol?: number;
  /** 200 n unless told. */
  readonly maxiter?: number;
  readonly c1?: number;
  readonly c2?: number;
}

/** The conjugate-gradient solution of H p = -g, to the relative residual `forcing`; undefined when it did not converge. */
function direction(
  g: Float64Array,
  product: (p: Float64Array) => Float64Array,
  forcing: number,
): Float64Array | undefined {
  const n = g.length;
  const enough = forcing * norm(g, 1);
  const z = new Float64Array(n);
  const r = g.slice();
  const p = g.map((v) => -v);
  let rr = dot(r, r);
  for (let k = 0; k < 20 * n; k++) {
    if (norm(r, 1) <= enough) return z;
    const Hp = product(p);
    const curvature = dot(p, Hp);
    if (curvature >= 0 && curvature <= 3 * Number.EPSILON) return z;
    // Negative curvature: what was found so far, or steepest descent of the length the model's curvature suggests.
    if (curvature < 0) return k > 0 ? z : g.map((v) => (-v * rr) / -curvature);
    if (Number.isNaN(curvature)) return undefined;
    const alpha = rr / curvature;
    axpy(alpha, p, z);
    axpy(alpha, Hp, r);
    const rrNew = dot(r, r);
    for (let i = 0; i < n; i++) p[i] = (rrNew / rr) * p[i]! - r[i]!;
    rr = rrNew;
  }
  return undefined;
}

/** Minimises from `x0`. */
export function* newtonCg(
  objective: Objective,
  curvature: Curvature,
  x0: Float64Array,
  options: NewtonCgOptions = {},
): Core {
  const n = x0.length;
  const { xtol = 1e-5, maxiter = 200 * n, c1 = 1e-4, c2 = 0.9 } = options;
  const search = new LineSearch(objective, n);
  let x: Float64Array = x0.slice();
  const first = objective(x);
  let f = first.f;
  let g: Float64Array = first.g.slice();
  let nit = 0;

  const end = (status: number, message: string): CoreResult => {
    const nfev = search.evaluations + 1;
    return { x, fun: f, jac: g, nit, nfev, njev: nfev, nhev: nit, status, message };
  };

  let loosest = 0.5;
  for (;;) {
    if (!Number.isFinite(f) || !g.every(Number.isFinite)) return end(3, messages.nan);
    if (nit >= maxiter) return end(1, `Warning: ${messages.maxiter}`);
    const size = norm(g, 1);
    if (size === 0) break;
    // The forcing sequence min(0.5, √‖g‖) makes the convergence superlinear (7.3).
    const forcing = Math.min(loosest, Math.sqrt(size));
    const d = direction(g, curvature(x), forcing);
    if (!d) return end(3, "Warning: CG iterations didn't converge. The Hessian is not positive definite.");
    const slope = dot(d, g);
    const full = norm(d, 1);
    if (!(slope < 0) || !search.search(x, d, f, slope, 1, { c1, c2 })) {
      // The whole step is within the tolerance, or predicts less than rounding: this is the minimum.
      if (full <= xtol * n || Math.abs(slope) <= 10 * Number.EPSILON * Math.abs(f)) break;
      return end(2, `Warning: ${messages.precision}`);
    }
    nit++;
    [x, search.x] = [search.x, x];
    [g, search.g] = [search.g, g];
    f = search.f;
    const gradientNorm = norm(g, Number.POSITIVE_INFINITY);
    if (yield { iteration: nit, x: x.slice(), value: f, gradientNorm }) return end(STOPPED, messages.stopped);
    if (search.alpha * full <= xtol * n) {
      if (forcing <= 0.01) break;
      // A step may also be small because its equations were solved loosely; that is no convergence.
      loosest = 0.01;
    }
  }
  return end(0, messages.success);
}
