/** @file Reading and writing single elements and whole rows by computed positions: what every indexing rule is made of. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, replaceAt, rowMajor } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import { NoLowering } from './registry.js';

/** Elements of a 1-d tensor at the positions `at`; the result has the shape of `at`. */
export function takeFlat(b: Builder, flat: Op, at: Op): Op {
  if (numel(at.shape) === 0 || flat.shape[0] === 0) return b.constant(0, at.shape, flat.dtype);
  return b.gather(flat, b.unsqueeze(at, at.shape.length), { offset: [], collapsed: [0], map: [0], sizes: [1] });
}
/** Combines `updates` into a 1-d tensor at the positions `at` (same shape); positions outside are dropped. */
export function scatterFlat(b: Builder, flat: Op, at: Op, updates: Op, combine: (old: Op, update: Op) => Op): Op {
  if (numel(at.shape) === 0 || flat.shape[0] === 0) return flat;
  const dims = { updateWindow: [], inserted: [0], map: [0] };
  return b.scatter(flat, b.unsqueeze(at, at.shape.length), updates, dims, combine);
}

/**
 * Row-major positions in a tensor of `shape`: along `dim` as `index` says, along the others as in `index` itself.
 * `index` has the rank of `shape`; a negative entry counts from the end when `wrap`.
 */
export function positions(b: Builder, index: Op, shape: readonly number[], dim: number): Op {
  const strides = rowMajor(shape);
  const scaled = (x: Op, d: number) => b.multiply(x, b.fill(x, strides[d]!));
  let at = scaled(b.convert(index, 'int64'), dim);
  index.shape.forEach((_, d) => {
    if (d !== dim) at = b.add(at, scaled(b.iota(index.shape, d, 'int64'), d));
  });
  return at;
}
/** Negative indices count from the end. */
export function wrapIndex(b: Builder, index: Op, size: number): Op {
  if (isFloating(index.dtype)) throw new NoLowering(`an index of ${index.dtype}`);
  const i = b.convert(index, 'int64');
  return b.select(b.compare('LT', i, b.fill(i, 0)), b.add(i, b.fill(i, size)), i);
}
export const flatten = (b: Builder, x: Op): Op => b.reshape(x, [numel(x.shape)]);

/** torch.gather on a tensor of the same rank as `index`. */
export const gatherDim = (b: Builder, x: Op, dim: number, index: Op): Op =>
  takeFlat(b, flatten(b, x), positions(b, index, x.shape, dim));
/** torch.scatter with a combiner. */
export function scatterDim(b: Builder, x: Op, dim: number, index: Op, src: Op, combine: (o: Op, u: Op) => Op): Op {
  const flat = scatterFlat(b, flatten(b, x), positions(b, index, x.shape, dim), src, combine);
  return b.reshape(flat, x.shape);
}
/** Whole slices `x[…, i, …]` for each i of the 1-d `index`. */
export function takeRows(b: Builder, x: Op, dim: number, index: Op): Op {
  const shape = replaceAt(x.shape, dim, index.shape[0]!);
  if (numel(shape) === 0 || numel(x.shape) === 0) return b.constant(0, shape, x.dtype);
  return b.gather(x, b.unsqueeze(index, 1), {
    offset: range(x.shape.length).filter((d) => d !== dim),
    collapsed: [dim],
    map: [dim],
    sizes: replaceAt(x.shape, dim, 1),
  });
}
/** Combines whole slices `rows[…, k, …]` into `x[…, index[k], …]`. */
export function scatterRows(b: Builder, x: Op, dim: number, index: Op, rows: Op, combine: (o: Op, u: Op) => Op): Op {
  if (numel(rows.shape) === 0 || numel(x.shape) === 0) return x;
  const dims = { updateWindow: range(x.shape.length).filter((d) => d !== dim), inserted: [dim], map: [dim] };
  return b.scatter(x, b.unsqueeze(index, 1), rows, dims, combine);
}
