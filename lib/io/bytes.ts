/** @file Tensors from their bytes, and back. Little-endian, row-major. */
import { native } from '../runtime/load.js';
import { type DType, ITEM_BYTES } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';

/** The number of elements, or undefined where the product is no size. */
export const elements = (shape: readonly number[]): number | undefined => {
  let n = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    n *= size;
    if (!Number.isSafeInteger(n)) return undefined;
  }
  return n;
};
/** Bytes of a tensor of this shape, or undefined where that is no size. */
export const byteLength = (dtype: DType, shape: readonly number[]): number | undefined => {
  const n = elements(shape);
  const bytes = n === undefined ? Number.NaN : n * ITEM_BYTES[dtype];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
};

/** A copy in libtorch's memory, aligned as compiled programs want it. */
export const fromBytes = (bytes: Uint8Array, dtype: DType, shape: readonly number[]): Tensor =>
  native().fromData(bytes, dtype, shape);

export const toBytes = (tensor: Tensor): Uint8Array => new Uint8Array(native().toBytes(tensor));
