/** @file Sorting and selection: NaN is larger than every number, equal elements keep their order. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import { keepShape, resultType, spread, sumOver, wrapDim } from './common.js';
import { gatherDim, takeFlat } from './gather.js';
import { argExtremum } from './reduction.js';
import { type RuleContext, rule, rules } from './registry.js';
import { scan } from './scan.js';

/** Values and their former places along `dim`. */
export function sortDim(b: Builder, x: Op, dim: number, descending = false): readonly [Op, Op] {
  const direction = descending ? 'GT' : 'LT';
  const [values, places] = b.sort([x, b.iota(x.shape, dim, 'int64')], dim, ([p], [q]) => {
    const before = b.compare(direction, p!, q!);
    if (!isFloating(x.dtype)) return before;
    const [high, low] = descending ? [p!, q!] : [q!, p!];
    return b.or(before, b.and(b.isNan(high), b.not(b.isNan(low))));
  });
  return [values!, places!];
}
/** Works on a vector where the tensor is 0-d, and gives results libtorch's shapes. */
function along(ctx: RuleContext, self: Op, dim: number, body: (x: Op, d: number) => readonly Op[]): Op[] {
  const x = self.shape.length === 0 ? ctx.b.reshape(self, [1]) : self;
  const results = body(x, wrapDim(dim, x.shape.length));
  return ctx.outs.map((o, i) => ctx.b.reshape(results[i]!, o!.shape));
}
rules(['aten::sort', 'aten::sort.stable'], (ctx, { self, dim, descending }) =>
  along(ctx, self, dim, (x, d) => sortDim(ctx.b, x, d, descending)),
);
rules(['aten::argsort', 'aten::argsort.stable'], (ctx, { self, dim, descending }) =>
  along(ctx, self, dim, (x, d) => [sortDim(ctx.b, x, d, descending)[1]]),
);
rule('aten::topk', (ctx, { self, k, dim, largest }) =>
  along(ctx, self, dim, (x, d) => {
    const count = Math.min(k, x.shape[d]!);
    return sortDim(ctx.b, x, d, largest).map((y) => ctx.b.sliceDim(y, d, 0, count));
  }),
);
rule('aten::kthvalue', (ctx, { self, k, dim }) =>
  along(ctx, self, dim, (x, d) => sortDim(ctx.b, x, d).map((y) => ctx.b.sliceDim(y, d, k - 1, k))),
);
/** The lower median; NaN if there is one, unless `skipNan` leaves NaN out. */
function median(b: Builder, x: Op, d: number, skipNan: boolean): readonly Op[] {
  const n = x.shape[d]!;
  const sorted = sortDim(b, x, d);
  const nans = sumOver(b, b.convert(b.isNan(x), 'int64'), [d], true);
  const count = b.subtract(b.fill(nans, n), nans);
  const half = b.shiftRight(b.subtract(count, b.fill(count, 1)), b.fill(count, 1));
  const none = b.compare('EQ', nans, b.fill(nans, 0));
  // Sorted, the first NaN stands right behind the numbers.
  const at = skipNan ? b.maximum(half, b.fill(half, 0)) : b.select(none, half, count);
  return sorted.map((y) => gatherDim(b, y, d, at));
}
rule('aten::median.dim', (ctx, { self, dim }) => along(ctx, self, dim, (x, d) => median(ctx.b, x, d, false)));
rule('aten::nanmedian.dim', (ctx, { self, dim }) => along(ctx, self, dim, (x, d) => median(ctx.b, x, d, true)));
for (const [name, skipNan] of [
  ['aten::median', false],
  ['aten::nanmedian', true],
] as const) {
  rule(name, ({ b, out }, { self }) => {
    if (numel(self.shape) === 0) return b.fill(out, isFloating(out.dtype) ? NaN : 0);
    return b.reshape(median(b, b.reshape(self, [numel(self.shape)]), 0, skipNan)[0]!, []);
  });
}
/** The most frequent value, the smallest of several, with the last place where it stands. */
rule('aten::mode', (ctx, { self, dim }) =>
  along(ctx, self, dim, (x, d) => {
    const { b } = ctx;
    const [values, places] = sortDim(b, x, d);
    const at = b.iota(x.shape, d, 'int64');
    const previous = b.padDim(values, d, b.scalar(0, x.dtype), 1, -1);
    const starts = b.or(b.compare('EQ', at, b.fill(at, 0)), b.compare('NE', values, previous));
    const [start] = scan(b, [b.select(starts, at, b.fill(at, 0))], d, [0], ([p], [q]) => [b.maximum(p!, q!)]);
    const longest = argExtremum(b, b.subtract(at, start!), d, 'maximum')[1];
    const pick = b.reshape(longest, keepShape(x.shape, [d]));
    return [gatherDim(b, values, d, pick), gatherDim(b, places, d, pick)];
  }),
);

/** Binary search in every row of `sorted` at once: how many elements are below (or, `right`, not above) each value. */
export function search(b: Builder, sorted: Op, values: Op, right: boolean): Op {
  const n = sorted.shape.at(-1)!;
  const shape = values.shape;
  const flat = b.reshape(sorted, [numel(sorted.shape)]);
  const rowShape = sorted.shape.slice(0, -1);
  // A one-dimensional sequence serves all values; else row r of values looks into row r of the sequence.
  const row = b.iota([numel(rowShape)], 0, 'int64');
  const offset = b.multiply(b.reshape(row, rowShape), b.constant(n, rowShape, 'int64'));
  const base =
    sorted.shape.length === 1 ? b.constant(0, shape, 'int64') : b.broadcastInDim(offset, shape, range(rowShape.length));
  let low = b.constant(0, shape, 'int64');
  let high = b.constant(n, shape, 'int64');
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    const middle = b.shiftRight(b.add(low, high), b.fill(low, 1));
    const open = b.compare('LT', low, high);
    const item = takeFlat(b, flat, b.add(base, b.minimum(middle, b.fill(middle, n - 1))));
    const stop = b.compare(right ? 'GT' : 'GE', item, values);
    const up = b.and(open, b.not(stop));
    high = b.select(b.and(open, stop), middle, high);
    low = b.select(up, b.add(middle, b.fill(low, 1)), low);
  }
  return low;
}
for (const name of ['aten::searchsorted.Tensor', 'aten::searchsorted.Scalar'] as const) {
  rule(name, ({ b, out }, { sorted_sequence, self, right, side, sorter }) => {
    const last = sorted_sequence.shape.length - 1;
    const sequence = sorter === undefined ? sorted_sequence : gatherDim(b, sorted_sequence, last, sorter);
    const dtype = resultType(sequence, self as Op);
    const values = spread(b, self as Op, { shape: out.shape, dtype });
    return b.convert(search(b, b.convert(sequence, dtype), values, right || side === 'right'), out.dtype);
  });
}
for (const name of ['aten::bucketize.Tensor', 'aten::bucketize.Scalar'] as const) {
  rule(name, ({ b, out }, { self, boundaries, right }) => {
    const dtype = resultType(boundaries, self as Op);
    const values = spread(b, self as Op, { shape: out.shape, dtype });
    return b.convert(search(b, b.convert(boundaries, dtype), values, right), out.dtype);
  });
}
