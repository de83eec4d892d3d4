/** @file Pairwise distances and their derivatives. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { inOpmath, sumOver } from './common.js';
import { takeRows } from './gather.js';
import { mT } from './linalg.js';
import { batchMatmul } from './matmul.js';
import { vectorNorm } from './reduction.js';
import { rule } from './registry.js';

/** x1[i] - x2[j] as [..., P, R, M]. */
function differences(b: Builder, x1: Op, x2: Op, batch: readonly number[]): Op {
  const [p, m] = x1.shape.slice(-2) as [number, number];
  const r = x2.shape.at(-2)!;
  const shape = [...batch, p, r, m];
  const at = (x: Op, dim: number) => b.broadcast(b.unsqueeze(x, x.shape.length - dim), shape);
  return b.subtract(at(x1, 1), at(x2, 2));
}
rule('aten::_cdist_forward', ({ b, out }, { x1, x2, p }) => {
  const d = differences(b, x1, x2, out.shape.slice(0, -2));
  return vectorNorm(b, d, p, [d.shape.length - 1]);
});
/** The derivative of the p-norm of `d` by `d`, given the norm; 0 where the norm is. */
function normSlope(b: Builder, d: Op, dist: Op, p: number): Op {
  const zero = b.fill(d, 0);
  if (p === 0) return zero;
  const size = b.abs(d);
  const atZero = b.compare('EQ', dist, zero);
  const safe = b.select(atZero, b.fill(d, 1), dist);
  if (p === 1) return b.sign(d);
  if (p === Infinity) return b.select(b.compare('EQ', size, dist), b.sign(d), zero);
  const slope = p === 2 ? b.divide(d, safe) : b.multiply(b.sign(d), b.power(b.divide(size, safe), b.fill(d, p - 1)));
  return b.select(p < 2 ? b.or(atZero, b.compare('EQ', d, zero)) : atZero, zero, slope);
}
rule('aten::_cdist_backward', ({ b, out }, { grad, x1, x2, p, cdist }) => {
  const d = differences(b, x1, x2, cdist.shape.slice(0, -2));
  const last = d.shape.length - 1;
  const over = (x: Op) => b.broadcastInDim(x, d.shape, range(last));
  const slope = b.multiply(normSlope(b, d, over(cdist), p), over(grad));
  return b.broadcast(sumOver(b, slope, [last - 1]), out.shape);
});
/** Through x·y: exact zeros are kept from turning negative. */
rule('aten::_euclidean_dist', ({ b }, { x1, x2 }) => {
  const square = (x: Op) => sumOver(b, b.multiply(x, x), [x.shape.length - 1], true);
  const cross = batchMatmul(b, x1, mT(b, x2));
  const total = b.add(b.broadcast(square(x1), cross.shape), b.broadcast(mT(b, square(x2)), cross.shape));
  const d = b.subtract(total, b.multiply(b.fill(cross, 2), cross));
  return b.sqrt(b.maximum(d, b.fill(d, 0)));
});

/** The pairs i < j, row by row. */
function pairs(b: Builder, n: number): { i: Op; j: Op } {
  const list = range(n).flatMap((i) => range(n - i - 1).map((k) => [i, i + k + 1] as const));
  const column = (k: 0 | 1) =>
    b.constant(
      list.map((p) => p[k]),
      [list.length],
      'int64',
    );
  return { i: column(0), j: column(1) };
}
rule('aten::_pdist_forward', ({ b }, { self, p }) => {
  const { i, j } = pairs(b, self.shape[0]!);
  return vectorNorm(b, b.subtract(takeRows(b, self, 0, i), takeRows(b, self, 0, j)), p, [1]);
});
rule('aten::_pdist_backward', (ctx, { grad, self, p, pdist }) =>
  inOpmath(ctx, [grad, self, pdist], ([g, x, dist]) => {
    const { b } = ctx;
    const { i, j } = pairs(b, x!.shape[0]!);
    const d = b.subtract(takeRows(b, x!, 0, i), takeRows(b, x!, 0, j));
    const over = (y: Op) => b.broadcastInDim(y, d.shape, [0]);
    const slope = b.multiply(normSlope(b, d, over(dist!), p), over(g!));
    // Row i gains what row j loses: one product with the incidence matrix instead of two scatters.
    const shape = [x!.shape[0]!, i.shape[0]!];
    const hits = (k: Op) =>
      b.convert(b.compare('EQ', b.iota(shape, 0, 'int64'), b.broadcastInDim(k, shape, [1])), d.dtype);
    return b.dot(b.subtract(hits(i), hits(j)), slope, { contract: [[1], [0]] });
  }),
);
