/** @file Pooling over the last dimensions, forward and backward; libtorch's result shape decides about ceil_mode. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, numel, type Op, range, replaceAt } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import { expandList, limit, opmath } from './common.js';
import { scatterDim, takeRows } from './gather.js';
import { type RuleContext, rule, rules } from './registry.js';

interface Pool {
  readonly n: number;
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
}
function pool(
  n: number,
  kernel: readonly number[],
  stride: readonly number[],
  padding: readonly number[],
  dilation: readonly number[] = [1],
): Pool {
  const size = expandList(kernel, n);
  return {
    n,
    kernel: size,
    stride: expandList(stride, n, size),
    padding: expandList(padding, n),
    dilation: expandList(dilation, n),
  };
}
/** Window attributes over the last `n` dimensions; the upper padding is what the result's size needs. */
function windowOf(p: Pool, shape: readonly number[], out: readonly number[]) {
  const lead = shape.length - p.n;
  const ones = range(lead).map(() => 1);
  const padding = range(p.n).map((d) => {
    const need = (out[lead + d]! - 1) * p.stride[d]! + (p.kernel[d]! - 1) * p.dilation[d]! + 1;
    return [p.padding[d]!, need - shape[lead + d]! - p.padding[d]!] as const;
  });
  return {
    size: [...ones, ...p.kernel],
    strides: [...ones, ...p.stride],
    dilation: [...ones, ...p.dilation],
    padding: [...range(lead).map(() => [0, 0] as const), ...padding],
  };
}
/** Row-major place of each element in its plane of the last `n` dimensions. */
function planeIndex(b: Builder, shape: readonly number[], n: number): Op {
  const plane = shape.slice(-n);
  return b.broadcast(b.reshape(b.iota([numel(plane)], 0, 'int64'), plane), shape);
}
/** The larger value, NaN before all; of equal ones the first. */
export function larger(b: Builder, [v, i]: readonly Op[], [w, j]: readonly Op[]): readonly Op[] {
  const above = b.compare('GT', v!, w!);
  const keep = isFloating(v!.dtype) ? b.and(b.or(above, b.isNan(v!)), b.not(b.isNan(w!))) : above;
  const tie = b.and(b.compare('EQ', v!, w!), b.compare('LT', i!, j!));
  const first = b.or(keep, tie);
  return [b.select(first, v!, w!), b.select(first, i!, j!)];
}
const FAR = 0x7fffffffffffn;
export const planeInits = (b: Builder, x: Op): Op[] => [
  b.scalar(limit(x.dtype, 'lowest'), x.dtype),
  b.scalar(FAR, 'int64'),
];
const maxPool = (n: number) => (ctx: RuleContext, self: Op, p: Pool) => {
  const { b, outs } = ctx;
  const xs = [self, planeIndex(b, self.shape, n)];
  if (numel(outs[0]!.shape) === 0) return outs.map((o) => b.fill(o!, 0));
  return b.reduceWindowMany(xs, planeInits(b, self), windowOf(p, self.shape, outs[0]!.shape), (a, c) =>
    larger(b, a, c),
  );
};
rule('aten::max_pool2d_with_indices', (ctx, a) =>
  maxPool(2)(ctx, a.self, pool(2, a.kernel_size, a.stride, a.padding, a.dilation)),
);
rule('aten::max_pool3d_with_indices', (ctx, a) =>
  maxPool(3)(ctx, a.self, pool(3, a.kernel_size, a.stride, a.padding, a.dilation)),
);
/** Adds each element of `src` at the place in its plane that `indices` names. */
function intoPlanes(ctx: RuleContext, src: Op, indices: Op, n: number, add: boolean): Op {
  const { b, out } = ctx;
  const lead = numel(out.shape.slice(0, -n));
  const flat = (x: Op) => b.reshape(x, [lead, numel(x.shape.slice(-n))]);
  const zeros = flat(b.fill(out, 0));
  if (numel(src.shape) === 0) return b.fill(out, 0);
  const y = scatterDim(b, zeros, 1, flat(indices), flat(src), (o, u) => (add ? b.add(o, u) : u));
  return b.reshape(y, out.shape);
}
rules(
  [
    'aten::max_pool2d_with_indices_backward',
    'aten::adaptive_max_pool2d_backward',
    'aten::fractional_max_pool2d_backward',
  ],
  (ctx, { grad_output, indices }) => intoPlanes(ctx, grad_output, indices, 2, true),
);
rules(
  [
    'aten::max_pool3d_with_indices_backward',
    'aten::adaptive_max_pool3d_backward',
    'aten::fractional_max_pool3d_backward',
  ],
  (ctx, { grad_output, indices }) => intoPlanes(ctx, grad_output, indices, 3, true),
);
rule('aten::max_unpool2d', (ctx, { self, indices }) => intoPlanes(ctx, self, indices, 2, false));
rule('aten::max_unpool3d', (ctx, { self, indices }) => intoPlanes(ctx, self, indices, 3, false));

interface Average extends Pool {
  readonly includePad: boolean;
  readonly divisor: number | undefined;
}
/** How many elements each window of one dimension counts; what lies beyond the padding never counts. */
function counts(p: Average, d: number, size: number, out: number): number[] {
  return range(out).map((o) => {
    const start = o * p.stride[d]! - p.padding[d]!;
    const end = Math.min(start + p.kernel[d]!, size + p.padding[d]!);
    return p.includePad ? end - start : Math.max(0, Math.min(end, size) - Math.max(start, 0));
  });
}
/** Divides every window's sum by its count. */
function divideByCounts(b: Builder, y: Op, p: Average, shape: readonly number[]): Op {
  if (p.divisor !== undefined) return b.divide(y, b.fill(y, p.divisor));
  const lead = y.shape.length - p.n;
  const all = range(p.n).map((d) => counts(p, d, shape[lead + d]!, y.shape[lead + d]!));
  const factor = all.map((c, d) => b.broadcastInDim(b.constant(c, [c.length], y.dtype), y.shape, [lead + d]));
  return b.divide(
    y,
    factor.reduce((f, g) => b.multiply(f, g)),
  );
}
type AverageArgs = {
  kernel_size: readonly number[];
  stride: readonly number[];
  padding: readonly number[];
  count_include_pad: boolean;
  divisor_override?: number | undefined;
};
const average = (n: number, a: AverageArgs): Average => ({
  ...pool(n, a.kernel_size, a.stride, a.padding),
  includePad: a.count_include_pad,
  divisor: a.divisor_override,
});
function averagePool(ctx: RuleContext, self: Op, p: Average): Op {
  const { b, out } = ctx;
  if (numel(out.shape) === 0) return b.fill(out, 0);
  const x = b.convert(self, opmath(self.dtype));
  const sum = b.reduceWindow(x, b.scalar(0, x.dtype), 'add', windowOf(p, x.shape, out.shape));
  return b.convert(divideByCounts(b, sum, p, x.shape), out.dtype);
}
/** The windows' gradients, spread apart by the stride, are summed over the windows that cover an element. */
function averagePoolBackward(ctx: RuleContext, grad: Op, p: Average): Op {
  const { b, out } = ctx;
  if (numel(grad.shape) === 0) return b.fill(out, 0);
  const g = divideByCounts(b, b.convert(grad, opmath(grad.dtype)), p, out.shape);
  const lead = out.shape.length - p.n;
  const ones = range(lead).map(() => 1);
  const padding = range(p.n).map((d) => {
    const low = p.kernel[d]! - 1 - p.padding[d]!;
    const span = (g.shape[lead + d]! - 1) * p.stride[d]! + 1;
    return [low, out.shape[lead + d]! + p.kernel[d]! - 1 - span - low] as const;
  });
  const spread = b.pad(
    g,
    b.scalar(0, g.dtype),
    [...range(lead).map(() => 0), ...padding.map((q) => q[0])],
    [...range(lead).map(() => 0), ...padding.map((q) => q[1])],
    [...range(lead).map(() => 0), ...p.stride.map((s) => s - 1)],
  );
  return b.convert(b.reduceWindow(spread, b.scalar(0, g.dtype), 'add', { size: [...ones, ...p.kernel] }), out.dtype);
}
rule('aten::avg_pool1d', (ctx, a) => averagePool(ctx, a.self, average(1, a)));
rule('aten::avg_pool2d', (ctx, a) => averagePool(ctx, a.self, average(2, a)));
rule('aten::avg_pool3d', (ctx, a) => averagePool(ctx, a.self, average(3, a)));
rule('aten::avg_pool2d_backward', (ctx, a) => averagePoolBackward(ctx, a.grad_output, average(2, a)));
rule('aten::avg_pool3d_backward', (ctx, a) => averagePoolBackward(ctx, a.grad_output, average(3, a)));

/** Where window o of an adaptive pooling from `size` to `out` elements begins and ends. */
const adaptive = (size: number, out: number, o: number): readonly [number, number] => [
  Math.floor((o * size) / out),
  Math.ceil(((o + 1) * size) / out),
];
/** [out, size]: row o averages window o. */
const averageMatrix = (size: number, out: number): number[] =>
  range(out).flatMap((o) => {
    const [start, end] = adaptive(size, out, o);
    return range(size).map((i) => (i >= start && i < end ? 1 / (end - start) : 0));
  });
/** Averaging is a matrix per dimension; its gradient the transposed one. */
function adaptiveAverage(ctx: RuleContext, x: Op, n: number, transposed: boolean): Op {
  const { b, out } = ctx;
  const wide = b.convert(x, opmath(x.dtype));
  const [input, output] = transposed ? [out.shape, x.shape] : [x.shape, out.shape];
  const y = range(n).reduce((acc, k) => {
    const d = acc.shape.length - n + k;
    const [size, cells] = [input[d]!, output[d]!];
    const matrix = b.constant(averageMatrix(size, cells) as Literal[], [cells, size], wide.dtype);
    const applied = b.dot(acc, matrix, { contract: [[d], [transposed ? 0 : 1]] });
    const last = acc.shape.length - 1;
    return b.transpose(applied, replaceAt([...range(d), last, ...range(last).slice(d)], d, last));
  }, wide);
  return b.convert(y, out.dtype);
}
rule('aten::adaptive_avg_pool1d', (ctx, { self }) => adaptiveAverage(ctx, self, 1, false));
rule('aten::_adaptive_avg_pool2d', (ctx, { self }) => adaptiveAverage(ctx, self, 2, false));
rule('aten::_adaptive_avg_pool3d', (ctx, { self }) => adaptiveAverage(ctx, self, 3, false));
rule('aten::_adaptive_avg_pool2d_backward', (ctx, { grad_output }) => adaptiveAverage(ctx, grad_output, 2, true));
rule('aten::_adaptive_avg_pool3d_backward', (ctx, { grad_output }) => adaptiveAverage(ctx, grad_output, 3, true));

/** Brings every window into dimensions of its own: [..., out₁, w₁, out₂, w₂ …]; short windows repeat their last element. */
function windows(b: Builder, x: Op, tables: readonly (readonly (readonly number[])[])[]): Op {
  const n = tables.length;
  return tables.reduce((y, table, k) => {
    const d = y.shape.length - n + k;
    const at = b.constant(table.flat(), [table.length * table[0]!.length], 'int64');
    const rows = takeRows(b, y, d, at);
    return b.reshape(rows, [...y.shape.slice(0, d), table.length, table[0]!.length, ...y.shape.slice(d + 1)]);
  }, x);
}
function adaptiveMax(ctx: RuleContext, self: Op, n: number): readonly Op[] {
  const { b, outs } = ctx;
  const shape = outs[0]!.shape;
  if (numel(shape) === 0) return outs.map((o) => b.fill(o!, 0));
  const lead = self.shape.length - n;
  const tables = range(n).map((k) => {
    const [size, out] = [self.shape[lead + k]!, shape[lead + k]!];
    const width = Math.max(...range(out).map((o) => adaptive(size, out, o)[1] - adaptive(size, out, o)[0]));
    return range(out).map((o) =>
      range(width).map((i) => Math.min(adaptive(size, out, o)[0] + i, adaptive(size, out, o)[1] - 1)),
    );
  });
  const cut = (x: Op) => windows(b, x, tables);
  const inner = range(n).map((k) => lead + 2 * k + 1);
  return b.reduceMany([cut(self), cut(planeIndex(b, self.shape, n))], planeInits(b, self), inner, (a, c) =>
    larger(b, a, c),
  );
}
rule('aten::adaptive_max_pool2d', (ctx, { self }) => adaptiveMax(ctx, self, 2));
rule('aten::adaptive_max_pool3d', (ctx, { self }) => adaptiveMax(ctx, self, 3));
