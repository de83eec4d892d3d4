/** @file Fractional max pooling: windows of fixed size at pseudo-random starts, which are data. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range } from '../stablehlo/types.js';
import { expandList } from './common.js';
import { gatherDim } from './gather.js';
import { larger, planeInits } from './pooling.js';
import { type RuleContext, rule } from './registry.js';

/** Starts [planes, out] of the windows along one dimension: ⌊(i + u)·α⌋ - ⌊u·α⌋, the last one at the end. */
function starts(b: Builder, u: Op, size: number, out: number, kernel: number): Op {
  const shape = [u.shape[0]!, out];
  const alpha = out > 1 ? (size - kernel) / (out - 1) : 0;
  const over = b.broadcastInDim(u, shape, [0]);
  const scaled = (x: Op) => b.convert(b.multiply(x, b.fill(x, alpha)), 'int64');
  const inner = b.subtract(scaled(b.add(b.iota(shape, 1, u.dtype), over)), scaled(over));
  const last = b.compare('EQ', b.iota(shape, 1, 'int64'), b.constant(out - 1, shape, 'int64'));
  return b.select(last, b.fill(inner, size - kernel), inner);
}
/** `order[d]`: which random sample serves spatial dimension d. */
function pool(
  { b, outs }: RuleContext,
  self: Op,
  kernelSize: readonly number[],
  samples: Op,
  order: readonly number[],
) {
  const n = order.length;
  const kernel = expandList(kernelSize, n);
  const sizes = self.shape.slice(-n);
  const cells = outs[0]!.shape.slice(-n);
  const planes = numel(self.shape.slice(0, -n));
  const u = b.reshape(samples, [planes, n]);
  // [planes, out₁, k₁, out₂, k₂, …]: the place in its plane that each element of each window shows.
  const shape = [planes, ...range(n).flatMap((d) => [cells[d]!, kernel[d]!])];
  let at = b.constant(0, shape, 'int64');
  range(n).forEach((d) => {
    const column = b.reshape(b.sliceDim(u, 1, order[d]!, order[d]! + 1), [planes]);
    const first = b.broadcastInDim(starts(b, column, sizes[d]!, cells[d]!, kernel[d]!), shape, [0, 2 * d + 1]);
    const place = b.add(first, b.iota(shape, 2 * d + 2, 'int64'));
    at = b.add(b.multiply(at, b.fill(at, sizes[d]!)), place);
  });
  const flat = b.reshape(at, [planes, numel(shape.slice(1))]);
  const values = b.reshape(gatherDim(b, b.reshape(self, [planes, numel(sizes)]), 1, flat), shape);
  const inner = range(n).map((d) => 2 * d + 2);
  const best = b.reduceMany([values, at], planeInits(b, self), inner, (p, q) => larger(b, p, q));
  return best.map((y, i) => b.reshape(y, outs[i]!.shape));
}
rule('aten::fractional_max_pool2d', (ctx, a) => pool(ctx, a.self, a.kernel_size, a.random_samples, [1, 0]));
rule('aten::fractional_max_pool3d', (ctx, a) => pool(ctx, a.self, a.kernel_size, a.random_samples, [0, 1, 2]));
