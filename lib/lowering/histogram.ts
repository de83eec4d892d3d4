/** @file Histograms with a fixed number of bins; what lies outside the range counts nowhere, the last bin includes its end. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import { num, sumOver } from './common.js';
import { scatterFlat } from './gather.js';
import { extremum } from './reduction.js';
import { NoLowering, rule } from './registry.js';

/** The given bounds, or the data's when both are equal; a range without width is widened on each side. */
function bounds(b: Builder, x: Op, min: number, max: number, widening: number): readonly [Op, Op] {
  const data = min === max && x.shape[0] !== 0;
  const low = data ? extremum(b, x, [0], 'minimum') : b.scalar(min, x.dtype);
  const high = data ? extremum(b, x, [0], 'maximum') : b.scalar(max, x.dtype);
  const flat = b.compare('EQ', low, high);
  const margin = b.scalar(widening, x.dtype);
  return [b.select(flat, b.subtract(low, margin), low), b.select(flat, b.add(high, margin), high)];
}
/** The bin of each element of a vector, `bins` for none. */
function binOf(b: Builder, x: Op, low: Op, high: Op, bins: number): Op {
  const [l, h] = [b.broadcast(low, x.shape), b.broadcast(high, x.shape)];
  const part = b.divide(b.multiply(b.subtract(x, l), b.fill(x, bins)), b.subtract(h, l));
  const inside = b.and(b.compare('GE', x, l), b.compare('LE', x, h));
  const bin = b.convert(b.select(inside, part, b.fill(part, 0)), 'int64');
  return b.select(inside, b.minimum(bin, b.fill(bin, bins - 1)), b.fill(bin, bins));
}
rule('aten::histc', ({ b, out }, { self, bins, min, max }) => {
  if (!isFloating(self.dtype)) throw new NoLowering('histc of integers');
  const x = b.reshape(self, [numel(self.shape)]);
  const [low, high] = bounds(b, x, num(min), num(max), 1);
  return scatterFlat(b, b.fill(out, 0), binOf(b, x, low, high, bins), b.fill(x, 1), (o, u) => b.add(o, u));
});
/** Weights per bin between given edges, the number of edges that are not above an element deciding. */
function between(b: Builder, x: Op, edges: Op, weight: Op): Op {
  const bins = edges.shape[0]! - 1;
  const shape = [x.shape[0]!, bins + 1];
  const over = (v: Op, d: 0 | 1) => b.broadcastInDim(v, shape, [d]);
  const below = sumOver(b, b.convert(b.compare('LE', over(edges, 1), over(x, 0)), 'int64'), [1]);
  const last = b.broadcast(b.reshape(b.sliceDim(edges, 0, bins, bins + 1), []), x.shape);
  const slot = b.select(b.compare('EQ', x, last), b.fill(below, bins), below);
  const bin = b.subtract(slot, b.fill(slot, 1));
  const inside = b.and(b.compare('GE', bin, b.fill(bin, 0)), b.compare('LT', bin, b.fill(bin, bins)));
  const zero = b.constant(0, [bins], x.dtype);
  return scatterFlat(b, zero, b.select(inside, bin, b.fill(bin, bins)), weight, (o, u) => b.add(o, u));
}
const density = (b: Builder, h: Op, edges: Op): Op => {
  const n = h.shape[0]!;
  const width = b.subtract(b.sliceDim(edges, 0, 1, n + 1), b.sliceDim(edges, 0, 0, n));
  return b.divide(h, b.multiply(width, b.broadcast(sumOver(b, h, [0]), h.shape)));
};
const weights = (b: Builder, x: Op, weight: Op | undefined): Op =>
  weight === undefined ? b.fill(x, 1) : b.reshape(weight, x.shape);
rule('aten::histogram.bins_tensor', ({ b }, { self, bins, weight, density: dense }) => {
  const x = b.reshape(self, [numel(self.shape)]);
  const h = between(b, x, bins, weights(b, x, weight));
  return [dense ? density(b, h, bins) : h, bins];
});
rule('aten::histogram.bin_ct', ({ b, outs }, args) => {
  const { self, bins, weight, density: dense } = args;
  const given = args.range;
  const x = b.reshape(self, [numel(self.shape)]);
  const [low, high] = bounds(b, x, given?.[0] ?? 0, given?.[1] ?? 0, 0.5);
  const edges = edgesOf(b, low, high, outs[1]!.shape[0]!);
  const zero = b.constant(0, [bins], x.dtype);
  const h = scatterFlat(b, zero, binOf(b, x, low, high, bins), weights(b, x, weight), (o, u) => b.add(o, u));
  return [dense ? density(b, h, edges) : h, edges];
});
function edgesOf(b: Builder, low: Op, high: Op, n: number): Op {
  const i = b.iota([n], 0, low.dtype);
  const step = b.broadcast(b.divide(b.subtract(high, low), b.fill(low, n - 1)), [n]);
  const up = b.add(b.broadcast(low, [n]), b.multiply(step, i));
  const down = b.subtract(b.broadcast(high, [n]), b.multiply(step, b.subtract(b.fill(i, n - 1), i)));
  return b.select(b.compare('LT', i, b.fill(i, Math.floor(n / 2))), up, down);
}
