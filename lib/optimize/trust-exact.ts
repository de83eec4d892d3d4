/** @file The trust-region method with nearly exact subproblems: Conn, Gould & Toint, "Trust-Region Methods" (2000), algorithms 6.1.1 and 7.3.4. */
import { cholesky, multiply, solveLower, solveUpper } from './dense.js';
import { type Core, type CoreResult, type Hessian, messages, type Objective, STOPPED } from './types.js';
import { dot, norm, step } from './vectors.js';

export interface TrustOptions {
  readonly initial_trust_radius?: number;
  readonly max_trust_radius?: number;
  /** The least ratio of actual to predicted decrease that moves the point. */
  readonly eta?: number;
  /** Stop when the gradient's 2-norm is below this. */
  readonly gtol?: number;
  /** 200 n unless told. */
  readonly maxiter?: number;
}

// How far from the boundary a solution may be (7.3.19), and how far from the best decrease in the hard case (7.3.20).
const EASY = 0.1;
const HARD = 0.2;

/** A unit vector z for which ‖Lᵀz‖ is nearly smallest, and that norm: the LINPACK estimator (Golub & Van Loan, algorithm 3.5.1). */
function smallestSingular(L: Float64Array, n: number): { sigma: number; z: Float64Array } {
  const p = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const pivot = L[k * n + k]!;
    const plus = (1 - p[k]!) / pivot;
    const minus = (-1 - p[k]!) / pivot;
    let grownPlus = Math.abs(plus);
    let grownMinus = Math.abs(minus);
    for (let i = k + 1; i < n; i++) {
      grownPlus += Math.abs(p[i]! + L[i * n + k]! * plus);
      grownMinus += Math.abs(p[i]! + L[i * n + k]! * minus);
    }
    w[k] = grownPlus >= grownMinus ? plus : minus;
    for (let i = k + 1; i < n; i++) p[i] = p[i]! + L[i * n + k]! * w[k]!;
  }
  const v = solveUpper(L, w, n);
  const length = norm(v);
  return { sigma: norm(w) / length, z: v.map((u) => u / length) };
}

/** The smaller root t, in size, of ‖p + t z‖ = radius. */
function toBoundary(p: Float64Array, z: Float64Array, radius: number): number {
  const b = dot(p, z);
  const c = dot(p, p) - radius ** 2;
  // Of the two formulas for a root, the one without cancellation.
  const q = -(b + (b >= 0 ? 1 : -1) * Math.sqrt(Math.max(b * b - c, 0)));
  const other = q === 0 ? 0 : c / q;
  return Math.abs(other) < Math.abs(q) ? other : q;
}

interface Step {
  readonly p: Float64Array;
  readonly onBoundary: boolean;
}

/** Minimises gᵀp + pᵀHp/2 over ‖p‖ ≤ radius: finds λ ≥ 0 with (H + λI) p = -g, H + λI ⪰ 0 and λ(radius - ‖p‖) = 0. */
function subproblem(H: Float64Array, g: Float64Array, radius: number): Step | undefined {
  const n = g.length;
  const gnorm = norm(g);
  const L = new Float64Array(n * n);
  // Bounds on λ from Gershgorin's discs and norms, section 7.3.8.
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let smallest = Number.POSITIVE_INFINITY;
  let infNorm = 0;
  for (let i = 0; i < n; i++) {
    const hii = H[i * n + i]!;
    const off = norm(H.subarray(i * n, i * n + n), 1) - Math.abs(hii);
    least = Math.min(least, hii - off);
    most = Math.max(most, hii + off);
    smallest = Math.min(smallest, hii);
    infNorm = Math.max(infNorm, off + Math.abs(hii));
  }
  const frobenius = norm(H);
  let low = Math.max(0, -smallest, gnorm / radius - Math.min(most, frobenius, infNorm));
  let high = Math.max(0, gnorm / radius + Math.min(-least, frobenius, infNorm));
  const between = () => Math.max(Math.sqrt(Math.max(low * high, 0)), low + 0.01 * (high - low));
  const tiny = n * Number.EPSILON * infNorm;
  let lambda = low === 0 ? 0 : between();

  for (let round = 0; round < 200; round++) {
    const done = cholesky(H, n, lambda, L);
    if (done < n) {
      // The leading block of order `done` + 1 lacks `delta` on its last diagonal element to be singular: (7.3.14).
      const row = L.subarray(done * n, done * n + done);
      const delta = dot(row, row) - H[done * n + done]! - lambda;
      const v = solveUpper(L, row, n, done);
      low = Math.max(low, lambda + delta / (dot(v, v) + 1));
      lambda = between();
      // The interval has shrunk to nothing: as positive definite as rounding allows.
      if (!(high > low)) lambda = low + Math.max(tiny, Number.EPSILON * low);
      continue;
    }
    if (gnorm <= tiny) {
      if (lambda === 0) return { p: new Float64Array(n), onBoundary: false };
      const { sigma, z } = smallestSingular(L, n);
      if (sigma ** 2 <= HARD * lambda) return { p: z.map((v) => v * radius), onBoundary: true };
      high = lambda;
      low = Math.max(low, lambda - sigma ** 2);
      lambda = between();
      continue;
    }
    const w = solveLower(L, g, n);
    const p = solveUpper(L, w, n).map((v) => -v);
    const length = norm(p);
    if (!Number.isFinite(length)) return undefined;
    if (length <= radius && lambda === 0) return { p, onBoundary: false };
    // Newton's step on the secular equation, (7.3.7).
    const u = norm(solveLower(L, p, n));
    const next = lambda + (length / u) ** 2 * ((length - radius) / radius);
    if (length >= radius) {
      if (length - radius <= EASY * radius) return { p, onBoundary: true };
      low = lambda;
      lambda = next;
      continue;
    }
    const { sigma, z } = smallestSingular(L, n);
    const t = toBoundary(p, z, radius);
    // pᵀ(H + λI)p = ‖w‖²
    if (t * t * sigma * sigma <= HARD * (dot(w, w) + lambda * radius ** 2)) {
      for (let i = 0; i < n; i++) p[i] = p[i]! + t * z[i]!;
      return { p, onBoundary: true };
    }
    high = lambda;
    low = Math.max(low, lambda - sigma ** 2);
    if (next > low && cholesky(H, n, next, L) === n) lambda = next;
    else {
      low = Math.max(low, next);
      lambda = between();
    }
  }
  return undefined;
}

/** Minimises from `x0`. */
export function* trustExact(
  objective: Objective,
  hessian: Hessian,
  x0: Float64Array,
  options: TrustOptions = {},
): Core {
  const n = x0.length;
  const { initial_trust_radius = 1, max_trust_radius = 1000, eta = 0.15, gtol = 1e-4, maxiter = 200 * n } = options;
  let x: Float64Array = x0.slice();
  let trial: Float64Array = new Float64Array(n);
  const first = objective(x);
  let f = first.f;
  let g = first.g.slice();
  let gnorm = norm(g);
  let H = gnorm >= gtol ? hessian(x).slice() : new Float64Array(0);
  let nhev = H.length > 0 ? 1 : 0;
  let nfev = 1;
  let nit = 0;
  let radius = initial_trust_radius;

  const end = (status: number, message: string): CoreResult => {
    return { x, fun: f, jac: g, nit, nfev, njev: nfev, nhev, status, message };
  };

  while (!(gnorm < gtol)) {
    if (!Number.isFinite(f) || !g.every(Number.isFinite) || !H.every(Number.isFinite)) return end(3, messages.nan);
    if (nit >= maxiter) return end(1, messages.maxiter);
    const found = subproblem(H, g, radius);
    if (!found) return end(3, 'A linalg error occurred, such as a non-psd Hessian.');
    const { p, onBoundary } = found;
    const predicted = -(dot(g, p) + 0.5 * dot(p, multiply(H, p)));
    if (!(predicted > 0)) return end(2, 'A bad approximation caused failure to predict improvement.');
    step(x, 1, p, trial);
    const { f: fTrial, g: gTrial } = objective(trial);
    nfev++;
    // Differences of values below rounding say nothing; the model is trusted there, or the last digits would never come.
    const noise = 10 * Number.EPSILON * Math.abs(f);
    const actual = f - fTrial;
    const ratio = Math.abs(actual) <= noise && predicted <= noise ? 1 : actual / predicted;
    // NaN compares as a failed step.
    if (!(ratio >= 0.25)) radius *= 0.25;
    else if (ratio > 0.75 && onBoundary) radius = Math.min(2 * radius, max_trust_radius);
    if (ratio > eta) {
      [x, trial] = [trial, x];
      f = fTrial;
      g = gTrial.slice();
      gnorm = norm(g);
      if (!(gnorm < gtol)) {
        H = hessian(x).slice();
        nhev++;
      }
    }
    nit++;
    if (yield { iteration: nit, x: x.slice(), value: f, gradientNorm: gnorm }) return end(STOPPED, messages.stopped);
  }
  return end(0, messages.success);
}
