/** @file Memory order of tensors: XLA returns row-major values, eager libtorch would return other strides. */

/**
 * The dimensions in the order in which they lie in memory (falling strides), if the memory is dense: then a result
 * transposed to this order, row-major, has exactly these strides. undefined for expanded or overlapping memory.
 */
export const physicalOrder = (shape: readonly number[], strides: readonly number[]): number[] | undefined => {
  const order = shape.map((_, d) => d);
  if (shape.includes(0)) return order;
  // Dimensions of size 1 keep their place: their strides say nothing.
  const moving = order.filter((d) => shape[d] !== 1).sort((a, b) => strides[b]! - strides[a]!);
  let expected = 1;
  for (const d of [...moving].reverse()) {
    if (strides[d] !== expected) return undefined;
    expected *= shape[d]!;
  }
  let next = 0;
  return order.map((d) => (shape[d] === 1 ? d : moving[next++]!));
};

/** Whether `order` leaves everything where it is. */
export const isIdentity = (order: readonly number[]): boolean => order.every((d, i) => d === i);
