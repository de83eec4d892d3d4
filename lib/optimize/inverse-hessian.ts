/** @file BFGS's inverse Hessian: a packed triangle, and one pass over it per iteration. */

/**
 * A symmetric matrix H as its lower triangle, row after row. A rank-two update is only noted, and carried out by the next product,
 * which reads all of H anyway: n²/2 numbers are read and written once per iteration.
 */
export class InverseHessian {
  private readonly rows: Float64Array;
  /** The update that is due: H + a bᵀ + b aᵀ; zeros when there is none. */
  private readonly a: Float64Array;
  private readonly b: Float64Array;

  constructor(private readonly n: number) {
    this.rows = new Float64Array((n * (n + 1)) / 2);
    this.a = new Float64Array(n);
    this.b = new Float64Array(n);
  }

  setDiagonal(value: number): void {
    this.rows.fill(0);
    for (let i = 0, at = 0; i < this.n; at += ++i + 1) this.rows[at] = value;
    this.a.fill(0);
  }

  setFull(full: Float64Array): void {
    for (let i = 0, at = 0; i < this.n; i++) for (let j = 0; j <= i; j++) this.rows[at++] = full[i * this.n + j]!;
    this.a.fill(0);
  }

  /** H += a bᵀ + b aᵀ, when next used. */
  update(a: Float64Array, b: Float64Array): void {
    this.a.set(a);
    this.b.set(b);
  }

  /** out = H v */
  times(v: Float64Array, out: Float64Array): void {
    out.fill(0);
    for (let i = 0; i < this.n; i += 4) {
      const whole = i + 4 <= this.n;
      if (whole) this.fourRows(i, v, out);
      // What is left of them: the small triangle on the diagonal, or the last rows.
      for (let k = i; k < Math.min(i + 4, this.n); k++) this.row(k, whole ? i : 0, v, out);
    }
    this.a.fill(0);
  }

  /** Columns 0 … i - 1 of rows i … i + 3: four rows together read a, b, v and out once instead of four times, which halves the time. */
  private fourRows(i: number, v: Float64Array, out: Float64Array): void {
    const { rows, a, b } = this;
    let p0 = (i * (i + 1)) / 2;
    let p1 = p0 + i + 1;
    let p2 = p1 + i + 2;
    let p3 = p2 + i + 3;
    const a0 = a[i]!;
    const a1 = a[i + 1]!;
    const a2 = a[i + 2]!;
    const a3 = a[i + 3]!;
    const b0 = b[i]!;
    const b1 = b[i + 1]!;
    const b2 = b[i + 2]!;
    const b3 = b[i + 3]!;
    const v0 = v[i]!;
    const v1 = v[i + 1]!;
    const v2 = v[i + 2]!;
    const v3 = v[i + 3]!;
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    for (let j = 0; j < i; j++) {
      const aj = a[j]!;
      const bj = b[j]!;
      const vj = v[j]!;
      const h0 = rows[p0]! + (a0 * bj + b0 * aj);
      const h1 = rows[p1]! + (a1 * bj + b1 * aj);
      const h2 = rows[p2]! + (a2 * bj + b2 * aj);
      const h3 = rows[p3]! + (a3 * bj + b3 * aj);
      rows[p0++] = h0;
      rows[p1++] = h1;
      rows[p2++] = h2;
      rows[p3++] = h3;
      sum0 += h0 * vj;
      sum1 += h1 * vj;
      sum2 += h2 * vj;
      sum3 += h3 * vj;
      out[j] = out[j]! + (h0 * v0 + h1 * v1 + h2 * v2 + h3 * v3);
    }
    out[i] = sum0;
    out[i + 1] = sum1;
    out[i + 2] = sum2;
    out[i + 3] = sum3;
  }

  /** Columns `from` … i of row i. */
  private row(i: number, from: number, v: Float64Array, out: Float64Array): void {
    const { rows, a, b } = this;
    const ai = a[i]!;
    const bi = b[i]!;
    const vi = v[i]!;
    let at = (i * (i + 1)) / 2 + from;
    let sum = 0;
    for (let j = from; j < i; j++, at++) {
      const h = rows[at]! + (ai * b[j]! + bi * a[j]!);
      rows[at] = h;
      sum += h * v[j]!;
      out[j] = out[j]! + h * vi;
    }
    const h = rows[at]! + 2 * ai * bi;
    rows[at] = h;
    out[i] = out[i]! + sum + h * vi;
  }

  /** H, row-major n × n. */
  toFull(): Float64Array {
    const { n } = this;
    const full = new Float64Array(n * n);
    // A product for the sake of the update that is due.
    this.times(new Float64Array(n), new Float64Array(n));
    for (let i = 0, at = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, at++) full[i * n + j] = full[j * n + i] = this.rows[at]!;
    }
    return full;
  }
}
