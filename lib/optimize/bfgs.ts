/** @file BFGS: Nocedal & Wright (2006), algorithm 6.1, with the inverse Hessian updated in vector form. */
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
 * The inverse Hessian H, as its lower triangle by rows. A rank-two update is only noted and carried out by the next product,
 * which reads all of H anyway: one pass over n²/2 numbers per iteration.
 */
class InverseHessian {
  private readonly rows: Float64Array;
  private readonly left: Float64Array;
  private readonly right: Float64Array;
  private pending = false;

  constructor(private readonly n: number) {
    this.rows = new Float64Array((n * (n + 1)) / 2);
    this.left = new Float64Array(n);
    this.right = new Float64Array(n);
  }

  setDiagonal(value: number): void {
    this.rows.fill(0);
    for (let i = 0, at = 0; i < this.n; at += ++i + 1) this.rows[at] = value;
    this.pending = false;
  }

  setFull(full: Float64Array): void {
    for (let i = 0, at = 0; i < this.n; i++) for (let j = 0; j <= i; j++) this.rows[at++] = full[i * this.n + j]!;
    this.pending = false;
  }

  /** H += a bᵀ + b aᵀ, when next used. */
  update(a: Float64Array, b: Float64Array): void {
    this.left.set(a);
    this.right.set(b);
    this.pending = true;
  }

  /** out = H v */
  times(v: Float64Array, out: Float64Array): void {
    const { rows, n, left: a, right: b, pending } = this;
    out.fill(0);
    let at = 0;
    for (let i = 0; i < n; i++) {
      const vi = v[i]!;
      let sum = 0;
      if (pending) {
        const ai = a[i]!;
        const bi = b[i]!;
        for (let j = 0; j < i; j++, at++) {
          const h = rows[at]! + (ai * b[j]! + bi * a[j]!);
          rows[at] = h;
          sum += h * v[j]!;
          out[j] = out[j]! + h * vi;
        }
        rows[at] = rows[at]! + 2 * ai * bi;
      } else {
        for (let j = 0; j < i; j++, at++) {
          const h = rows[at]!;
          sum += h * v[j]!;
          out[j] = out[j]! + h * vi;
        }
      }
      out[i] = out[i]! + sum + rows[at++]! * vi;
    }
    this.pending = false;
  }

  toFull(): Float64Array {
    const { n } = this;
    const full = new Float64Array(n * n);
    if (this.pending) this.times(this.left, new Float64Array(n));
    for (let i = 0, at = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, at++) full[i * n + j] = full[j * n + i] = this.rows[at]!;
    }
    return full;
  }
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
