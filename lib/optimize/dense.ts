/** @file Small dense linear algebra on row-major Float64Array: what the solvers need of it, and no more. */

/** out = A v for A of m × n. */
export function multiply(A: Float64Array, v: Float64Array, m = v.length): Float64Array {
  const n = v.length;
  const out = new Float64Array(m);
  for (let i = 0, at = 0; i < m; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += A[at++]! * v[j]!;
    out[i] = sum;
  }
  return out;
}

/** Solves A X = B for `columns` right-hand sides (row-major n × columns), by elimination with partial pivoting. Not finite where A is singular. */
export function solve(A: Float64Array, B: Float64Array, n: number, columns = 1): Float64Array {
  const a = A.slice();
  const b = B.slice();
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i * n + k]!) > Math.abs(a[pivot * n + k]!)) pivot = i;
    if (pivot !== k) {
      for (let j = 0; j < n; j++) [a[k * n + j], a[pivot * n + j]] = [a[pivot * n + j]!, a[k * n + j]!];
      for (let j = 0; j < columns; j++)
        [b[k * columns + j], b[pivot * columns + j]] = [b[pivot * columns + j]!, b[k * columns + j]!];
    }
    for (let i = k + 1; i < n; i++) {
      const factor = a[i * n + k]! / a[k * n + k]!;
      if (factor === 0) continue;
      for (let j = k; j < n; j++) a[i * n + j] = a[i * n + j]! - factor * a[k * n + j]!;
      for (let j = 0; j < columns; j++) b[i * columns + j] = b[i * columns + j]! - factor * b[k * columns + j]!;
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let c = 0; c < columns; c++) {
      let sum = b[i * columns + c]!;
      for (let j = i + 1; j < n; j++) sum -= a[i * n + j]! * b[j * columns + c]!;
      b[i * columns + c] = sum / a[i * n + i]!;
    }
  }
  return b;
}

export function invert(A: Float64Array, n: number): Float64Array {
  const identity = new Float64Array(n * n);
  for (let i = 0; i < n; i++) identity[i * n + i] = 1;
  return solve(A, identity, n, n);
}

/**
 * The lower Cholesky factor of A + shift I, row-major, into `L`. Returns n when A + shift I is positive definite; otherwise
 * the index k of the first row that has no pivot: rows before it are the factor of the leading k × k block, and row k is solved.
 */
export function cholesky(A: Float64Array, n: number, shift: number, L: Float64Array): number {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      let sum = A[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= L[i * n + k]! * L[j * n + k]!;
      L[i * n + j] = sum / L[j * n + j]!;
    }
    let pivot = A[i * n + i]! + shift;
    for (let k = 0; k < i; k++) pivot -= L[i * n + k]! ** 2;
    if (!(pivot > 0)) return i;
    L[i * n + i] = Math.sqrt(pivot);
  }
  return n;
}

/** Solves L w = v with the leading k × k block of a lower factor of row length n. */
export function solveLower(L: Float64Array, v: Float64Array, n = v.length, k = n): Float64Array {
  const w = v.slice(0, k);
  for (let i = 0; i < k; i++) {
    let sum = w[i]!;
    for (let j = 0; j < i; j++) sum -= L[i * n + j]! * w[j]!;
    w[i] = sum / L[i * n + i]!;
  }
  return w;
}

/** Solves Lᵀ w = v with the leading k × k block of a lower factor of row length n. */
export function solveUpper(L: Float64Array, v: Float64Array, n = v.length, k = n): Float64Array {
  const w = v.slice(0, k);
  for (let i = k - 1; i >= 0; i--) {
    const wi = w[i]! / L[i * n + i]!;
    w[i] = wi;
    for (let j = 0; j < i; j++) w[j] = w[j]! - L[i * n + j]! * wi;
  }
  return w;
}
