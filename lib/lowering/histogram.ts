/** @file Histograms with a fixed number of bins; what lies outside the range counts nowhere, the last bin includes its end. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, rowMajor } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import { num, sumOver } from './common.js';
import { scatterFlat, takeFlat } from './gather.js';
import { extremum } from './reduction.js';
import { NoLowering, rule } from './registry.js';

type Bounds = readonly [low: number, high: number];
/** The given bounds, or the data's, or those for no data; a range without width is widened on each side. */
function bounds(b: Builder, x: Op, given: Bounds | undefined, none: Bounds, widening: number): readonly [Op, Op] {
  const fixed = given ?? (x.shape[0] === 0 ? none : undefined);
  const low = fixed === undefined ? extremum(b, x, [0], 'minimum') : b.scalar(fixed[0], x.dtype);
  const high = fixed === undefined ? extremum(b, x, [0], 'maximum') : b.scalar(fixed[1], x.dtype);
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
  const given = [num(min), num(max)] as const;
  const [low, high] = bounds(b, x, given[0] === given[1] ? undefined : given, given, 1);
  return scatterFlat(b, b.fill(out, 0), binOf(b, x, low, high, bins), b.fill(x, 1), (o, u) => b.add(o, u));
});
/** `n` edges from low to high, counted from the nearer end. */
function edgesOf(b: Builder, low: Op, high: Op, n: number): Op {
  const i = b.iota([n], 0, low.dtype);
  const step = b.broadcast(b.divide(b.subtract(high, low), b.fill(low, n - 1)), [n]);
  const up = b.add(b.broadcast(low, [n]), b.multiply(step, i));
  const down = b.subtract(b.broadcast(high, [n]), b.multiply(step, b.subtract(b.fill(i, n - 1), i)));
  return b.select(b.compare('LT', i, b.fill(i, Math.floor(n / 2))), up, down);
}
/** The bin of each element of a vector among bins of one width: the edges, which are rounded, have the last word. */
function binBetween(b: Builder, x: Op, low: Op, high: Op, edges: Op): Op {
  const bins = edges.shape[0]! - 1;
  const guess = binOf(b, x, low, high, bins);
  const at = b.minimum(guess, b.fill(guess, bins - 1));
  const one = b.fill(at, 1);
  const below = b.compare('LT', x, takeFlat(b, edges, at));
  const inNext = b.compare('GE', x, takeFlat(b, edges, b.add(at, one)));
  const last = b.compare('EQ', at, b.fill(at, bins - 1));
  const moved = b.select(below, b.subtract(at, one), b.select(b.and(inNext, b.not(last)), b.add(at, one), at));
  return b.select(b.compare('EQ', guess, b.fill(guess, bins)), guess, moved);
}
/** The same for edges of any distance: how many of them are not above an element. */
function binAmong(b: Builder, x: Op, edges: Op): Op {
  const bins = edges.shape[0]! - 1;
  const shape = [x.shape[0]!, bins + 1];
  const over = (v: Op, d: 0 | 1) => b.broadcastInDim(v, shape, [d]);
  const below = sumOver(b, b.convert(b.compare('LE', over(edges, 1), over(x, 0)), 'int64'), [1]);
  const last = b.broadcast(b.reshape(b.sliceDim(edges, 0, bins, bins + 1), []), x.shape);
  const slot = b.select(b.compare('EQ', x, last), b.fill(below, bins), below);
  const bin = b.subtract(slot, b.fill(slot, 1));
  const inside = b.and(b.compare('GE', bin, b.fill(bin, 0)), b.compare('LT', bin, b.fill(bin, bins)));
  return b.select(inside, bin, b.fill(bin, bins));
}
/** Weights per cell, from the bin of each point in every dimension; the density is per volume. */
function histogram(b: Builder, places: readonly Op[], edges: readonly Op[], weight: Op, dense: boolean): Op {
  const shape = edges.map((e) => e.shape[0]! - 1);
  const strides = rowMajor(shape);
  const at = places.map((p, d) => b.multiply(p, b.fill(p, strides[d]!))).reduce((p, q) => b.add(p, q));
  const outside = places.map((p, d) => b.compare('EQ', p, b.fill(p, shape[d]!))).reduce((p, q) => b.or(p, q));
  const cells = b.constant(0, [numel(shape)], weight.dtype);
  const flat = scatterFlat(b, cells, b.select(outside, b.fill(at, numel(shape)), at), weight, (o, u) => b.add(o, u));
  const h = b.reshape(flat, shape);
  if (!dense) return h;
  const widths = edges.map((e, d) => {
    const n = shape[d]!;
    return b.broadcastInDim(b.subtract(b.sliceDim(e, 0, 1, n + 1), b.sliceDim(e, 0, 0, n)), shape, [d]);
  });
  return widths.reduce((y, w) => b.divide(y, w), b.divide(h, b.broadcast(sumOver(b, flat, [0]), shape)));
}
const weights = (b: Builder, x: Op, weight: Op | undefined): Op =>
  weight === undefined ? b.fill(x, 1) : b.reshape(weight, x.shape);
rule('aten::histogram.bins_tensor', ({ b }, { self, bins, weight, density }) => {
  const x = b.reshape(self, [numel(self.shape)]);
  return [histogram(b, [binAmong(b, x, bins)], [bins], weights(b, x, weight), density), bins];
});
/** The coordinates of points in the last dimension, one vector for each. */
function coordinates(b: Builder, self: Op): Op[] {
  const dims = self.shape.at(-1)!;
  const points = b.reshape(self, [numel(self.shape.slice(0, -1)), dims]);
  return range(dims).map((d) => b.reshape(b.sliceDim(points, 1, d, d + 1), [points.shape[0]!]));
}
interface Grid {
  readonly self: Op;
  readonly bins: readonly number[];
  readonly range: readonly number[] | undefined;
}
type Axis = Readonly<Record<'x' | 'low' | 'high' | 'edges', Op>>;
const grid = (b: Builder, { self, bins, range: given }: Grid): Axis[] =>
  coordinates(b, self).map((x, d) => {
    const [low, high] = bounds(b, x, given && [given[2 * d]!, given[2 * d + 1]!], [0, 1], 0.5);
    return { x, low, high, edges: edgesOf(b, low, high, bins[d]! + 1) };
  });
rule('aten::histogram.bin_ct', ({ b }, { self, bins, range: given, weight, density }) => {
  const points = b.reshape(self, [numel(self.shape), 1]);
  const [{ x, low, high, edges }] = grid(b, { self: points, bins: [bins], range: given }) as [Axis];
  return [histogram(b, [binBetween(b, x, low, high, edges)], [edges], weights(b, x, weight), density), edges];
});
rule('aten::_histogramdd_bin_edges', ({ b }, args) => grid(b, args).map(({ edges }) => edges));
rule('aten::_histogramdd_from_bin_cts', ({ b }, args) => {
  const axes = grid(b, args);
  const places = axes.map(({ x, low, high, edges }) => binBetween(b, x, low, high, edges));
  const weight = weights(b, axes[0]!.x, args.weight);
  return histogram(
    b,
    places,
    axes.map(({ edges }) => edges),
    weight,
    args.density,
  );
});
rule('aten::_histogramdd_from_bin_tensors', ({ b }, { self, bins, weight, density }) => {
  const xs = coordinates(b, self);
  const places = xs.map((x, d) => binAmong(b, x, bins[d]!));
  return histogram(b, places, bins, weights(b, xs[0]!, weight), density);
});
