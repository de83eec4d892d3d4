/** @file Compares two tensors element by element, within torch's own tolerances of the dtype. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';

/** torch.testing's default tolerances; dtypes not named here must be equal. */
const TOLERANCES: Readonly<Record<string, readonly [rtol: number, atol: number]>> = {
  float16: [1e-3, 1e-5],
  bfloat16: [1.6e-2, 1e-5],
  float32: [1.3e-6, 1e-5],
  float64: [1e-7, 1e-7],
  complex64: [1.3e-6, 1e-5],
  complex128: [1e-7, 1e-7],
};

export interface CloseOptions {
  readonly what?: string;
  readonly rtol?: number;
  readonly atol?: number;
}

const near = (a: number | bigint, b: number | bigint, rtol: number, atol: number): boolean => {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (typeof a === 'bigint' || typeof b === 'bigint') return false;
  return Math.abs(a - b) <= atol + rtol * Math.abs(b);
};

/** Asserts equal shapes and dtypes and near values; NaN is near NaN. */
export const close = (actual: Tensor, expected: Tensor, options: CloseOptions = {}): void => {
  const what = options.what ?? 'tensor';
  assert.equal(actual.dtype, expected.dtype, `${what}: dtype`);
  assert.deepEqual([...actual.shape], [...expected.shape], `${what}: shape`);
  const [rtol, atol] = TOLERANCES[expected.dtype] ?? [0, 0];
  const a = actual.detach().toTypedArray();
  const b = expected.detach().toTypedArray();
  for (let i = 0; i < b.length; i++) {
    if (!near(a[i]!, b[i]!, options.rtol ?? rtol, options.atol ?? atol))
      assert.fail(`${what}: stored number ${i} is ${a[i]}, expected ${b[i]} (shape [${expected.shape.join(', ')}])`);
  }
};
