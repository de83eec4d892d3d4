/** @file Loops on Float64Array. Plain counted loops: V8 turns these, and not reduce() or closures, into machine code. */

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** y += alpha x */
export function axpy(alpha: number, x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i] = y[i]! + alpha * x[i]!;
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
