/** @file Loops on Float64Array. Plain counted loops: V8 turns these, and not reduce() or closures, into machine code. */

/** Four sums side by side: a processor adds to one of them while the others wait for their last addition, which takes it four cycles. */
export function dot(a: Float64Array, b: Float64Array): number {
  const n = a.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (; i < n; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

/** y += alpha x */
export function axpy(alpha: number, x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i] = y[i]! + alpha * x[i]!;
}

/** y += alpha x, and z·y of the new y, which is read once for both. */
export function axpyDot(alpha: number, x: Float64Array, y: Float64Array, z: Float64Array): number {
  const n = y.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    const y0 = y[i]! + alpha * x[i]!;
    const y1 = y[i + 1]! + alpha * x[i + 1]!;
    const y2 = y[i + 2]! + alpha * x[i + 2]!;
    const y3 = y[i + 3]! + alpha * x[i + 3]!;
    s0 += z[i]! * y0;
    s1 += z[i + 1]! * y1;
    s2 += z[i + 2]! * y2;
    s3 += z[i + 3]! * y3;
    y[i] = y0;
    y[i + 1] = y1;
    y[i + 2] = y2;
    y[i + 3] = y3;
  }
  for (; i < n; i++) {
    y[i] = y[i]! + alpha * x[i]!;
    s0 += z[i]! * y[i]!;
  }
  return s0 + s1 + (s2 + s3);
}

/** out = x + alpha d */
export function step(x: Float64Array, alpha: number, d: Float64Array, out: Float64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = x[i]! + alpha * d[i]!;
}

/** out = a - b */
export function subtract(a: Float64Array, b: Float64Array, out: Float64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = a[i]! - b[i]!;
}

/** out = alpha x */
export function scale(alpha: number, x: Float64Array, out: Float64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = alpha * x[i]!;
}

/** The vector norm of order `ord`: Infinity (largest), -Infinity (smallest), 0 (count of nonzeros), p otherwise. NaN in, NaN out. */
export function norm(x: Float64Array, ord = 2): number {
  if (ord === 2) return Math.sqrt(dot(x, x));
  if (ord === Number.POSITIVE_INFINITY) {
    let most = 0;
    // Math.max keeps NaN, where a comparison would drop it.
    for (let i = 0; i < x.length; i++) most = Math.max(most, Math.abs(x[i]!));
    return most;
  }
  if (ord === Number.NEGATIVE_INFINITY) {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < x.length; i++) least = Math.min(least, Math.abs(x[i]!));
    return least;
  }
  if (ord === 0) return x.reduce((count, v) => count + (v === 0 ? 0 : 1), 0);
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.abs(x[i]!) ** ord;
  return sum ** (1 / ord);
}
