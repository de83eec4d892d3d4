/** @file Levenberg–Marquardt: Moré, "The Levenberg–Marquardt algorithm: implementation and theory", Lecture Notes in Mathematics 630 (1978). */
import { multiply } from './dense.js';
import { norm } from './vectors.js';

/** The residuals at a point. They may be memory that the next evaluation overwrites. */
export interface Linearisation {
  readonly r: Float64Array;
  /** Their Jacobian there, row-major m × n; asked for only where a step is accepted, and before the next evaluation. */
  jacobian(): Float64Array;
}

export interface LmOptions {
  /** Stop when the cost's relative decrease, actual and predicted, is at most this. */
  readonly ftol?: number;
  /** Stop when the trust region is at most this, relative to the scaled x. */
  readonly xtol?: number;
  /** Stop when the cosine of the angle between the residuals and every column of the Jacobian is at most this. */
  readonly gtol?: number;
  /** 100 n unless told. */
  readonly max_nfev?: number;
  /** The scale of every variable; 'jac' takes it from the Jacobian's columns. */
  readonly x_scale?: number | Float64Array | 'jac';
}

export interface LmProgress {
  readonly iteration: number;
  readonly x: Float64Array;
  /** Half the sum of squares. */
  readonly value: number;
  readonly gradientNorm: number;
}

export interface LmResult {
  readonly x: Float64Array;
  readonly cost: number;
  readonly r: Float64Array;
  readonly J: Float64Array;
  readonly grad: Float64Array;
  readonly nfev: number;
  readonly njev: number;
  readonly nit: number;
  readonly status: number;
  readonly message: string;
}

const texts: Record<number, string> = {
  [-1]: 'The residuals or their Jacobian are not finite.',
  0: 'The maximum number of function evaluations is exceeded.',
  1: '`gtol` termination condition is satisfied.',
  2: '`ftol` termination condition is satisfied.',
  3: '`xtol` termination condition is satisfied.',
  4: 'Both `ftol` and `xtol` termination conditions are satisfied.',
  99: '`callback` returned true.',
};

/** Householder's QR of A (m × n, m ≥ n, overwritten by R in its upper triangle); b becomes Qᵀb. */
function factor(A: Float64Array, b: Float64Array, m: number, n: number): void {
  for (let k = 0; k < n; k++) {
    let size = 0;
    for (let i = k; i < m; i++) size = Math.hypot(size, A[i * n + k]!);
    if (size === 0) continue;
    const alpha = A[k * n + k]! > 0 ? -size : size;
    const v0 = A[k * n + k]! - alpha;
    // vᵀv / 2 for the reflector v = column - alpha e_k
    const half = -alpha * v0;
    const reflect = (at: (i: number) => number, target: Float64Array) => {
      let sum = v0 * target[at(k)]!;
      for (let i = k + 1; i < m; i++) sum += A[i * n + k]! * target[at(i)]!;
      sum /= half;
      target[at(k)] = target[at(k)]! - sum * v0;
      for (let i = k + 1; i < m; i++) target[at(i)] = target[at(i)]! - sum * A[i * n + k]!;
    };
    for (let j = k + 1; j < n; j++) reflect((i) => i * n + j, A);
    reflect((i) => i, b);
    A[k * n + k] = alpha;
  }
}

/** Solves R p = b with the upper triangle of `A` (row length n); undefined when a pivot is at most `relative` times the largest. */
function backward(A: Float64Array, b: Float64Array, n: number, relative: number): Float64Array | undefined {
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(A[i * n + i]!));
  const p = b.slice(0, n);
  for (let i = n - 1; i >= 0; i--) {
    const pivot = A[i * n + i]!;
    if (!(Math.abs(pivot) > relative * largest)) return undefined;
    for (let j = i + 1; j < n; j++) p[i] = p[i]! - A[i * n + j]! * p[j]!;
    p[i] = p[i]! / pivot;
  }
  return p;
}

/** Solves Rᵀ w = v. */
function forward(A: Float64Array, v: Float64Array, n: number): Float64Array {
  const w = v.slice();
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) w[i] = w[i]! - A[j * n + i]! * w[j]!;
    w[i] = w[i]! / A[i * n + i]!;
  }
  return w;
}

/** The step p(λ) with ‖D p‖ within a tenth of `radius` (or λ = 0 inside it): section 5 of the paper, algorithm (5.5). */
function lmStep(R: Float64Array, Qtr: Float64Array, D: Float64Array, g: Float64Array, radius: number, lambda0: number) {
  const n = D.length;
  const scaled = (p: Float64Array) => norm(p.map((v, i) => v * D[i]!));
  const rhs = Qtr.map((v) => -v);
  const newton = backward(R, rhs, n, n * Number.EPSILON);
  if (newton && scaled(newton) <= 1.1 * radius) return { p: newton, lambda: 0, length: scaled(newton) };
  /** -φ'(λ) ‖D p‖, from the factor at λ. */
  const slope = (A: Float64Array, p: Float64Array, length: number) =>
    norm(
      forward(
        A,
        p.map((v, i) => (D[i]! ** 2 * v) / length),
        n,
      ),
    ) ** 2;
  let low = 0;
  if (newton) {
    const length = scaled(newton);
    low = (length - radius) / (slope(R, newton, length) * length);
  }
  let high = norm(g.map((v, i) => v / D[i]!)) / radius;
  if (high === 0) high = Number.MIN_VALUE / radius;
  let lambda = lambda0;
  for (let round = 0; ; round++) {
    if (!(lambda > low && lambda < high)) lambda = Math.max(0.001 * high, Math.sqrt(low * high));
    const A = new Float64Array(2 * n * n);
    A.set(R);
    for (let i = 0; i < n; i++) A[(n + i) * n + i] = Math.sqrt(lambda) * D[i]!;
    const b = new Float64Array(2 * n);
    b.set(rhs);
    factor(A, b, 2 * n, n);
    const p = backward(A, b, n, 0) ?? new Float64Array(n);
    const length = scaled(p);
    const phi = length - radius;
    if (Math.abs(phi) <= 0.1 * radius || round === 20) return { p, lambda, length };
    const rate = slope(A, p, length) * length;
    if (phi < 0) high = lambda;
    low = Math.max(low, lambda + phi / rate);
    lambda += (length / radius) * (phi / rate);
  }
}

/** Minimises half the sum of squares of m ≥ n residuals from `x0`. Yields after each accepted step; being told `true` stops it. */
export function* levenbergMarquardt(
  linearise: (x: Float64Array) => Linearisation,
  x0: Float64Array,
  options: LmOptions = {},
): Generator<LmProgress, LmResult, boolean | undefined> {
  const n = x0.length;
  const { ftol = 1e-8, xtol = 1e-8, gtol = 1e-8, max_nfev = 100 * n, x_scale = 1 } = options;
  let x: Float64Array = x0.slice();
  const first = linearise(x);
  const m = first.r.length;
  let r = first.r.slice();
  let J = first.jacobian().slice();
  let njev = 1;
  let size = norm(r);
  let nfev = 1;
  let nit = 0;
  let lambda = 0;

  const columns = () =>
    Float64Array.from({ length: n }, (_, j) => {
      let sum = 0;
      for (let i = 0; i < m; i++) sum = Math.hypot(sum, J[i * n + j]!);
      return sum;
    });
  const gradient = () => {
    const g = new Float64Array(n);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) g[j] = g[j]! + J[i * n + j]! * r[i]!;
    return g;
  };
  let g = gradient();
  let lengths = columns();
  const D =
    x_scale === 'jac'
      ? lengths.map((v) => v || 1)
      : Float64Array.from({ length: n }, (_, i) => 1 / (typeof x_scale === 'number' ? x_scale : x_scale[i]!));
  const scaled = (v: Float64Array) => norm(v.map((u, i) => u * D[i]!));
  let radius = 100 * (scaled(x) || 1);
  const end = (status: number): LmResult => {
    return { x, cost: 0.5 * size * size, r, J, grad: g, nfev, njev, nit, status, message: texts[status]! };
  };
  const finite = () => Number.isFinite(size) && J.every(Number.isFinite);

  if (!finite()) return end(-1);
  for (;;) {
    let cosine = 0;
    for (let j = 0; j < n; j++) {
      if (lengths[j]! > 0 && size > 0) cosine = Math.max(cosine, Math.abs(g[j]!) / (lengths[j]! * size));
    }
    if (cosine <= gtol) return end(1);
    const R = J.slice();
    const Qtr = r.slice();
    factor(R, Qtr, m, n);
    const corner = R.slice(0, n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) corner[i * n + j] = 0;
    for (let accepted = false; !accepted; ) {
      if (nfev >= max_nfev) return end(0);
      const { p, lambda: at, length } = lmStep(corner, Qtr.slice(0, n), D, g, radius, lambda);
      lambda = at;
      if (nit === 0 && nfev === 1) radius = Math.min(radius, length);
      const trial = x.map((v, i) => v + p[i]!);
      const next = linearise(trial);
      nfev++;
      const sizeNew = norm(next.r);
      // Relative decreases, (4.3) and (4.4), written so that they do not cancel.
      const actual = sizeNew < 10 * size ? 1 - (sizeNew / size) ** 2 : -1;
      const model = (norm(multiply(J, p, m)) / size) ** 2;
      const damped = (lambda * length * length) / size ** 2;
      const predicted = model + 2 * damped;
      const ratio = predicted > 0 ? actual / predicted : 0;
      if (!(ratio > 0.25)) {
        // The minimiser of the parabola through both values and the slope at 0, kept within [0.1, 0.5].
        const down = -(model + damped);
        const shrink = actual >= 0 ? 0.5 : (0.5 * down) / (down + 0.5 * actual);
        radius = (sizeNew < 10 * size ? Math.min(Math.max(shrink, 0.1), 0.5) : 0.1) * Math.min(radius, 10 * length);
        lambda /= 0.5;
      } else if (lambda === 0 || ratio >= 0.75) {
        radius = 2 * length;
        lambda *= 0.5;
      }
      accepted = ratio > 1e-4;
      if (accepted) {
        x = trial;
        r = next.r.slice();
        J = next.jacobian().slice();
        njev++;
        size = sizeNew;
        if (!finite()) return end(-1);
        g = gradient();
        lengths = columns();
        if (x_scale === 'jac') for (let j = 0; j < n; j++) D[j] = Math.max(D[j]!, lengths[j]!);
        nit++;
        const gradientNorm = norm(g, Number.POSITIVE_INFINITY);
        if (yield { iteration: nit, x: x.slice(), value: 0.5 * size * size, gradientNorm }) return end(99);
      }
      const small = Math.abs(actual) <= ftol && predicted <= ftol && ratio <= 2;
      const narrow = radius <= xtol * scaled(x);
      if (small || narrow) return end(small && narrow ? 4 : small ? 2 : 3);
      // Nothing smaller can be told apart from rounding.
      if (Math.abs(actual) <= Number.EPSILON && predicted <= Number.EPSILON && ratio <= 2) return end(2);
      if (size === 0) return end(1);
    }
  }
}
