/** @file The packed symmetric matrix of BFGS against plain loops. */
import assert from 'node:assert/strict';
import { multiply } from '../../lib/optimize/dense.js';
import { InverseHessian } from '../../lib/optimize/inverse-hessian.js';

const vector = (n: number, seed: number) => Float64Array.from({ length: n }, (_, i) => Math.sin(seed + 1.7 * i));
const close = (a: Float64Array, b: Float64Array) =>
  a.forEach((v, i) => {
    assert.ok(Math.abs(v - b[i]!) < 1e-12, `element ${i}: ${v} and ${b[i]}`);
  });

describe('InverseHessian', () => {
  // Every remainder of the blocks of four rows.
  for (const n of [1, 2, 3, 4, 5, 7, 8, 13]) {
    it(`n = ${n}: products see the updates, each once`, () => {
      const H = new InverseHessian(n);
      H.setDiagonal(2);
      const full = new Float64Array(n * n);
      for (let i = 0; i < n; i++) full[i * n + i] = 2;
      const out = new Float64Array(n);
      for (let round = 0; round < 3; round++) {
        const [a, b, v] = [vector(n, round), vector(n, 5 + round), vector(n, 9 + round)];
        H.update(a, b);
        for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) full[i * n + j]! += a[i]! * b[j]! + b[i]! * a[j]!;
        for (let again = 0; again < 2; again++) {
          H.times(v, out);
          close(out, multiply(full, v));
        }
      }
      H.update(vector(n, 1), vector(n, 2));
      const updated = H.toFull();
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          full[i * n + j]! += vector(n, 1)[i]! * vector(n, 2)[j]! + vector(n, 2)[i]! * vector(n, 1)[j]!;
        }
      }
      close(updated, full);
      const other = new InverseHessian(n);
      other.setFull(full);
      close(other.toFull(), full);
    });
  }
});
