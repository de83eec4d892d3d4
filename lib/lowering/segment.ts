/** @file Reductions over segments of one dimension, their lengths or bounds given as a tensor. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, type Op, range } from '../stablehlo/types.js';
import { num, sumOver } from './common.js';
import { NoLowering, rule } from './registry.js';
import { scan } from './scan.js';

interface Segments {
  /** Whether place p belongs to segment s, as [lead…, S, n, rest…]. */
  readonly member: Op;
  /** Elements per segment, [lead…, S]. */
  readonly lengths: Op;
  readonly shape: readonly number[];
  readonly axis: number;
}
function segments(b: Builder, data: Op, lengths: Op | undefined, offsets: Op | undefined, axis: number): Segments {
  const given = lengths ?? offsets;
  if (given === undefined) throw new NoLowering('segment_reduce without lengths or offsets');
  const bounds = b.convert(given, 'int64');
  const last = axis;
  const count = bounds.shape[last]!;
  const [total] = scan(b, [bounds], last, [0], ([p], [q]) => [b.add(p!, q!)]);
  const ends = offsets === undefined ? total! : b.sliceDim(bounds, last, 1, count);
  const starts = offsets === undefined ? b.subtract(ends, bounds) : b.sliceDim(bounds, last, 0, count - 1);
  const lead = data.shape.slice(0, axis);
  const shape = [...lead, ends.shape[last]!, ...data.shape.slice(axis)];
  const over = (x: Op) => b.broadcastInDim(x, shape, range(axis + 1));
  const place = b.iota(shape, axis + 1, 'int64');
  const member = b.and(b.compare('GE', place, over(starts)), b.compare('LT', place, over(ends)));
  return { member, lengths: b.subtract(ends, starts), shape, axis };
}
const COMBINE = {
  sum: ['add', 0],
  mean: ['add', 0],
  prod: ['multiply', 1],
  max: ['maximum', Number.NEGATIVE_INFINITY],
  min: ['minimum', Number.POSITIVE_INFINITY],
} as const;
const kindOf = (reduce: string) => {
  if (!(reduce in COMBINE)) throw new NoLowering(`segment_reduce ${reduce}`);
  return COMBINE[reduce as keyof typeof COMBINE];
};
/** Every element of data, seen from every segment. */
const seen = (b: Builder, x: Op, s: Segments): Op =>
  b.broadcastInDim(x, s.shape, [...range(s.axis), ...range(x.shape.length - s.axis).map((d) => d + s.axis + 1)]);
/** A value per segment, spread over the elements. */
const perSegment = (b: Builder, x: Op, s: Segments): Op =>
  b.broadcastInDim(x, s.shape, [
    ...range(s.axis + 1),
    ...range(x.shape.length - s.axis - 1).map((d) => d + s.axis + 2),
  ]);
const spreadLengths = (b: Builder, s: Segments, like: Op): Op =>
  b.broadcastInDim(b.convert(s.lengths, like.dtype), like.shape, range(s.axis + 1));

/** An empty segment gives `initial`, or the neutral element; of a mean NaN. */
rule('aten::segment_reduce', ({ b }, { data, reduce, lengths, indices, offsets, axis, initial }) => {
  if (indices !== undefined) throw new NoLowering('segment_reduce with indices');
  const s = segments(b, data, lengths, offsets, axis);
  const [combine, neutral] = kindOf(reduce);
  const kept = b.select(s.member, seen(b, data, s), b.constant(neutral, s.shape, data.dtype));
  const folded = b.reduce(kept, b.scalar(neutral, data.dtype), combine, [axis + 1]);
  const total = initial === undefined ? folded : b.binary(`stablehlo.${combine}`, folded, b.fill(folded, initial));
  if (reduce !== 'mean') return total;
  const n = spreadLengths(b, s, total);
  const empty = b.compare('EQ', n, b.fill(n, 0));
  const mean = b.divide(total, b.select(empty, b.fill(n, 1), n));
  return b.select(empty, initial === undefined ? b.fill(mean, NaN) : total, mean);
});
/** The product of the other elements of a segment: a single zero leaves it to the rest. */
function otherProducts(b: Builder, x: Op, s: Segments, initial: Literal): Op {
  const zero = b.and(s.member, b.compare('EQ', x, b.fill(x, 0)));
  const nonzero = b.select(b.and(s.member, b.not(zero)), x, b.fill(x, 1));
  const folded = b.reduce(nonzero, b.scalar(1, x.dtype), 'multiply', [s.axis + 1]);
  const product = perSegment(b, b.multiply(folded, b.fill(folded, initial)), s);
  const zeros = perSegment(b, sumOver(b, b.convert(zero, x.dtype), [s.axis + 1]), s);
  const others = b.subtract(zeros, b.convert(zero, x.dtype));
  const rest = b.select(zero, product, b.divide(product, b.select(zero, b.fill(x, 1), x)));
  return b.select(b.compare('GT', others, b.fill(others, 0)), b.fill(x, 0), rest);
}
rule('aten::_segment_reduce_backward', ({ b }, args) => {
  const { grad, output, data, reduce, lengths, offsets, axis, initial } = args;
  const s = segments(b, data, lengths, offsets, axis);
  kindOf(reduce);
  const [x, g] = [seen(b, data, s), perSegment(b, grad, s)];
  const slope = (): Op => {
    if (reduce === 'sum') return g;
    if (reduce === 'mean') return b.divide(g, b.maximum(spreadLengths(b, s, g), b.fill(g, 1)));
    if (reduce === 'prod') return b.multiply(g, otherProducts(b, x, s, initial === undefined ? 1 : num(initial)));
    const winner = b.and(s.member, b.or(b.isNan(x), b.compare('EQ', x, perSegment(b, output, s))));
    const marks = b.convert(winner, x.dtype);
    const ties = b.maximum(perSegment(b, sumOver(b, marks, [axis + 1]), s), b.fill(x, 1));
    return b.divide(b.multiply(g, marks), ties);
  };
  const y = slope();
  return sumOver(b, b.select(s.member, y, b.fill(y, 0)), [axis]);
});
