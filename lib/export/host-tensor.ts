/** @file A tensor in JavaScript's memory: what exported programs take and return where there is no libtorch. */
import type { TypedArray } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { ARRAY_OF, type DType, ITEM_BYTES } from '../torch/dtype.js';

/** Elements of the typed array that a shape needs. */
export const elementsOf = (dtype: DType, shape: readonly number[]): number =>
  shape.reduce((product, n) => product * n, 1) * (dtype.startsWith('complex') ? 2 : 1);

/** Row-major elements with a shape and a dtype. */
export class HostTensor {
  constructor(
    readonly data: TypedArray,
    readonly shape: readonly number[],
    readonly dtype: DType,
  ) {
    const expected = elementsOf(dtype, shape);
    if (!(data instanceof ARRAY_OF[dtype]) || data.length !== expected)
      throw new JorchError(
        'BAD_ARGUMENT',
        `HostTensor: ${dtype} [${shape.join(', ')}] needs a ${ARRAY_OF[dtype].name} of ${expected} elements, got a ${data?.constructor?.name} of ${data?.length}`,
      );
  }

  get byteLength(): number {
    return elementsOf(this.dtype, this.shape) * (ITEM_BYTES[this.dtype] / (this.dtype.startsWith('complex') ? 2 : 1));
  }

  /** The only element. @throws JorchError BAD_ARGUMENT when there are more */
  item(): number | bigint | boolean {
    if (this.data.length !== 1)
      throw new JorchError('BAD_ARGUMENT', `item: expected one element, got ${this.data.length}; use data or tolist()`);
    return this.tolist() as number | bigint | boolean;
  }

  /** Nested arrays; booleans for bool, `[re, im]` for complex numbers. */
  tolist(): unknown {
    const shape = this.dtype.startsWith('complex') ? [...this.shape, 2] : this.shape;
    let next = 0;
    const level = (d: number): unknown => {
      if (d < shape.length) return Array.from({ length: shape[d]! }, () => level(d + 1));
      const value = this.data[next++]!;
      return this.dtype === 'bool' ? value !== 0 : value;
    };
    return level(0);
  }
}
