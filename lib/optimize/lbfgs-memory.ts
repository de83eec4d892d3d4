/** @file The limited-memory BFGS matrix B = θI - W M Wᵀ: Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16 (1995), eq. (3.2)–(3.4). */
import { invert } from './dense.js';
import { axpy, axpyDot, dot } from './vectors.js';

/** The last `limit` pairs (s, y) of steps and gradient differences. */
export class Memory {
  theta = 1;
  readonly S: Float64Array[] = [];
  readonly Y: Float64Array[] = [];
  /** sᵢ·yᵢ */
  private own: number[] = [];
  /** sᵢ·yⱼ and sᵢ·sⱼ for the oldest of the pairs kept: M needs them, `direction` does not. */
  private sy: number[][] = [];
  private ss: number[][] = [];
  private middle: Float64Array | undefined;

  constructor(
    private readonly n: number,
    private readonly limit: number,
  ) {}

  /** Number of pairs kept. */
  get size(): number {
    return this.S.length;
  }

  clear(): void {
    this.S.length = this.Y.length = 0;
    this.own = [];
    this.sy = [];
    this.ss = [];
    this.theta = 1;
    this.middle = undefined;
  }

  /** Remembers a pair, forgetting the oldest when full; refused (false) unless s·y is clearly positive. */
  push(s: Float64Array, y: Float64Array): boolean {
    const sy = dot(s, y);
    const yy = dot(y, y);
    if (!(sy > Number.EPSILON * yy)) return false;
    // The oldest pair's arrays are used again.
    const full = this.size === this.limit;
    const sNew = full ? this.S.shift()! : new Float64Array(this.n);
    const yNew = full ? this.Y.shift()! : new Float64Array(this.n);
    sNew.set(s);
    yNew.set(y);
    this.S.push(sNew);
    this.Y.push(yNew);
    this.own.push(sy);
    if (full) {
      this.own.shift();
      this.sy = this.sy.slice(1).map((row) => row.slice(1));
      this.ss = this.ss.slice(1).map((row) => row.slice(1));
    }
    this.theta = yy / sy;
    this.middle = undefined;
    return true;
  }

  /** Completes sᵢ·yⱼ and sᵢ·sⱼ with the pairs that are new. */
  private multiply(): void {
    const { S, Y, sy, ss } = this;
    for (let k = sy.length; k < this.size; k++) {
      for (let i = 0; i < k; i++) {
        sy[i]!.push(dot(S[i]!, Y[k]!));
        ss[i]!.push(dot(S[i]!, S[k]!));
      }
      sy.push(Y.slice(0, k + 1).map((y) => dot(S[k]!, y)));
      ss.push(S.slice(0, k + 1).map((s) => dot(S[k]!, s)));
    }
  }

  /** out = -H g by the two-loop recursion, N&W algorithm 7.4, with γ = 1/θ (7.20). Each change of `out` also gives its product with the next vector. */
  direction(g: Float64Array, out: Float64Array): void {
    const { S, Y, own, size, n, theta } = this;
    const a = new Float64Array(size);
    for (let i = 0; i < n; i++) out[i] = -g[i]!;
    if (size === 0) return;
    let product = dot(S[size - 1]!, out);
    for (let k = size - 1; k >= 0; k--) {
      a[k] = product / own[k]!;
      if (k > 0) product = axpyDot(-a[k]!, Y[k]!, out, S[k - 1]!);
      else axpy(-a[k]!, Y[k]!, out);
    }
    for (let i = 0; i < n; i++) out[i] = out[i]! / theta;
    product = dot(Y[0]!, out);
    for (let k = 0; k < size; k++) {
      const c = a[k]! - product / own[k]!;
      if (k + 1 < size) product = axpyDot(c, S[k]!, out, Y[k + 1]!);
      else axpy(c, S[k]!, out);
    }
  }

  /** Row i of W = [Y θS], into `out` of length 2 size. */
  row(i: number, out: Float64Array): void {
    const { S, Y, size, theta } = this;
    for (let k = 0; k < size; k++) {
      out[k] = Y[k]![i]!;
      out[size + k] = theta * S[k]![i]!;
    }
  }

  /** Wᵀ v */
  transposed(v: Float64Array): Float64Array {
    const { S, Y, size, theta } = this;
    const out = new Float64Array(2 * size);
    for (let k = 0; k < size; k++) {
      out[k] = dot(Y[k]!, v);
      out[size + k] = theta * dot(S[k]!, v);
    }
    return out;
  }

  /** (W c) at coordinate i. */
  at(i: number, c: Float64Array): number {
    const { S, Y, size, theta } = this;
    let sum = 0;
    for (let k = 0; k < size; k++) sum += Y[k]![i]! * c[k]! + theta * S[k]![i]! * c[size + k]!;
    return sum;
  }

  /** M of (3.4), row-major 2 size × 2 size. */
  get M(): Float64Array {
    if (this.middle) return this.middle;
    this.multiply();
    const { size: m, theta } = this;
    const inverse = new Float64Array(4 * m * m);
    for (let i = 0; i < m; i++) {
      inverse[i * 2 * m + i] = -this.sy[i]![i]!;
      for (let j = 0; j < m; j++) {
        inverse[(m + i) * 2 * m + m + j] = theta * this.ss[i]![j]!;
        // L holds sᵢ·yⱼ for i > j.
        if (i > j) inverse[(m + i) * 2 * m + j] = inverse[j * 2 * m + m + i] = this.sy[i]![j]!;
      }
    }
    this.middle = invert(inverse, 2 * m);
    return this.middle;
  }
}
