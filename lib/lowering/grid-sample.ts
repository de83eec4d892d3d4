/** @file Sampling at given coordinates: a weighted sum of neighbouring elements per output place, and both derivatives. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { inOpmath, sumOver } from './common.js';
import { gatherDim, scatterDim } from './gather.js';
import { type RuleContext, rule } from './registry.js';

const [BILINEAR, NEAREST] = [0, 1];
const [BORDER, REFLECTION] = [1, 2];
/** One neighbour along an axis: its place (a whole number), its weight, and the weight's derivative by the coordinate. */
interface Tap {
  readonly at: Op;
  readonly weight: Op;
  readonly slope: Op;
}
interface Options {
  readonly mode: number;
  readonly padding: number;
  readonly align: boolean;
}
const mul = (b: Builder, x: Op, v: number): Op => b.multiply(x, b.fill(x, v));
const add = (b: Builder, x: Op, v: number): Op => b.add(x, b.fill(x, v));

/** Cuts to [0, size - 1]; the factor of the derivative is 0 where it cuts. */
function clip(b: Builder, x: Op, size: number): readonly [Op, Op] {
  const [zero, top] = [b.fill(x, 0), b.fill(x, size - 1)];
  const inside = b.and(b.compare('GT', x, zero), b.compare('LT', x, top));
  return [b.clamp(zero, x, top), b.convert(inside, x.dtype)];
}
/** Mirrors at the outer elements (align) or at their edges, as often as needed. */
function reflect(b: Builder, x: Op, size: number, align: boolean): readonly [Op, Op] {
  const [low, span] = align ? [0, size - 1] : [-0.5, size];
  if (span === 0) return [b.fill(x, 0), b.fill(x, 0)];
  const d = add(b, x, -low);
  const far = b.abs(d);
  const extra = b.remainder(far, b.fill(far, span));
  const flips = b.floor(mul(b, far, 1 / span));
  const odd = b.compare('NE', b.remainder(flips, b.fill(flips, 2)), b.fill(flips, 0));
  const y = add(b, b.select(odd, b.subtract(b.fill(extra, span), extra), extra), low);
  const negative = b.compare('LT', d, b.fill(d, 0));
  const backwards = b.compare('NE', odd, negative);
  return [y, b.select(backwards, b.fill(y, -1), b.fill(y, 1))];
}
function padded(b: Builder, x: Op, size: number, { padding, align }: Options): readonly [Op, Op] {
  if (padding === BORDER) return clip(b, x, size);
  if (padding !== REFLECTION) return [x, b.fill(x, 1)];
  const [y, sign] = reflect(b, x, size, align);
  const [z, inside] = clip(b, y, size);
  return [z, b.multiply(sign, inside)];
}
const A = -0.75;
const near = (b: Builder, t: Op): Op => add(b, b.multiply(add(b, mul(b, t, A + 2), -(A + 3)), b.multiply(t, t)), 1);
const far = (b: Builder, t: Op): Op =>
  add(b, b.multiply(add(b, b.multiply(add(b, mul(b, t, A), -5 * A), t), 8 * A), t), -4 * A);
const nearSlope = (b: Builder, t: Op): Op => b.multiply(add(b, mul(b, t, 3 * (A + 2)), -2 * (A + 3)), t);
const farSlope = (b: Builder, t: Op): Op => add(b, b.multiply(add(b, mul(b, t, 3 * A), -10 * A), t), 8 * A);

/** The neighbours of every coordinate in [-1, 1] along an axis of `size` elements. */
function taps(b: Builder, coordinate: Op, size: number, o: Options): readonly Tap[] {
  const factor = o.align ? (size - 1) / 2 : size / 2;
  const raw = o.align
    ? mul(b, add(b, coordinate, 1), factor)
    : mul(b, add(b, mul(b, add(b, coordinate, 1), size), -1), 0.5);
  const cubic = o.mode !== BILINEAR && o.mode !== NEAREST;
  const [x, slope] = cubic ? [raw, b.fill(raw, 1)] : padded(b, raw, size, o);
  const scale = mul(b, slope, factor);
  const [zero, one] = [b.fill(x, 0), b.fill(x, 1)];
  if (o.mode === NEAREST) return [{ at: b.round(x), weight: one, slope: zero }];
  const low = b.floor(x);
  const t = b.subtract(x, low);
  if (!cubic) {
    return [
      { at: low, weight: b.subtract(one, t), slope: b.negate(scale) },
      { at: add(b, low, 1), weight: t, slope: scale },
    ];
  }
  const [t1, u, u1] = [add(b, t, 1), b.subtract(one, t), b.subtract(b.fill(t, 2), t)];
  const weights = [far(b, t1), near(b, t), near(b, u), far(b, u1)];
  const slopes = [farSlope(b, t1), nearSlope(b, t), b.negate(nearSlope(b, u)), b.negate(farSlope(b, u1))];
  return weights.map((weight, k) => ({
    at: padded(b, add(b, low, k - 1), size, o)[0],
    weight,
    slope: b.multiply(slopes[k]!, scale),
  }));
}
/** One tap per axis, for every combination. */
const combinations = (axes: readonly (readonly Tap[])[]): (readonly Tap[])[] =>
  axes.reduce<(readonly Tap[])[]>((all, axis) => all.flatMap((c) => axis.map((t) => [...c, t])), [[]]);

/** The row-major place [N, P] of a neighbour, and whether it lies inside. */
function locate(b: Builder, corner: readonly Tap[], sizes: readonly number[]) {
  const parts = corner.map(({ at }, d) => {
    const [inside] = [b.and(b.compare('GE', at, b.fill(at, 0)), b.compare('LT', at, b.fill(at, sizes[d]!)))];
    const safe = b.convert(b.select(inside, at, b.fill(at, 0)), 'int64');
    return { inside, safe };
  });
  const at = parts.reduce<Op | undefined>(
    (p, { safe }, d) => (p === undefined ? safe : b.add(b.multiply(p, b.fill(p, sizes[d]!)), safe)),
    undefined,
  )!;
  return { at, inside: parts.map((p) => p.inside).reduce((p, q) => b.and(p, q)) };
}
/** Input as [N, C, S], grid coordinates per spatial axis as [N, P]. */
function prepare(b: Builder, input: Op, grid: Op, o: Options) {
  const [n, c, ...sizes] = input.shape as [number, number, ...number[]];
  const rank = sizes.length;
  const places = numel(grid.shape.slice(1, -1));
  const flatGrid = b.reshape(grid, [n, places, rank]);
  const axes = sizes.map((size, d) => {
    const coordinate = b.reshape(b.sliceDim(flatGrid, 2, rank - 1 - d, rank - d), [n, places]);
    return taps(b, coordinate, size, o);
  });
  const shape = [n, c, places];
  const over = (x: Op) => b.broadcastInDim(x, shape, [0, 2]);
  return { x: b.reshape(input, [n, c, numel(sizes)]), sizes, axes, shape, over };
}
function sample(ctx: RuleContext, input: Op, grid: Op, o: Options) {
  const { b, out } = ctx;
  if (numel(out.shape) === 0) return b.fill(out, 0);
  return inOpmath(ctx, [input, grid], ([wide, g]) => {
    const { x, sizes, axes, over } = prepare(b, wide!, g!, o);
    const terms = combinations(axes).map((corner) => {
      const { at, inside } = locate(b, corner, sizes);
      const weight = corner.map((t) => t.weight).reduce((p, q) => b.multiply(p, q));
      const value = gatherDim(b, x, 2, over(at));
      return b.select(over(inside), b.multiply(value, over(weight)), b.fill(value, 0));
    });
    return b.reshape(
      terms.reduce((p, q) => b.add(p, q)),
      out.shape,
    );
  });
}
function sampleBackward(ctx: RuleContext, grad: Op, input: Op, grid: Op, o: Options) {
  const { b, outs } = ctx;
  return inOpmath(ctx, [grad, input, grid], ([g, wide, wideGrid]) => {
    const { x, sizes, axes, shape, over } = prepare(b, wide!, wideGrid!, o);
    const gy = b.reshape(g!, shape);
    let dx = b.fill(x, 0);
    const dgrid: (Op | undefined)[] = sizes.map(() => undefined);
    for (const corner of combinations(axes)) {
      const { at, inside } = locate(b, corner, sizes);
      const kept = b.select(over(inside), gy, b.fill(gy, 0));
      const weight = corner.map((t) => t.weight).reduce((p, q) => b.multiply(p, q));
      if (outs[0]) dx = scatterDim(b, dx, 2, over(at), b.multiply(kept, over(weight)), (p, q) => b.add(p, q));
      const pull = sumOver(b, b.multiply(kept, gatherDim(b, x, 2, over(at))), [1]);
      sizes.forEach((_, d) => {
        const slope = corner.map((t, k) => (k === d ? t.slope : t.weight)).reduce((p, q) => b.multiply(p, q));
        const part = b.multiply(pull, slope);
        const known = dgrid[d];
        dgrid[d] = known === undefined ? part : b.add(known, part);
      });
    }
    const columns = [...dgrid].reverse().map((v) => b.unsqueeze(v!, 2));
    const grids = () => b.reshape(b.concatenate(columns, 2), grid.shape);
    return [outs[0] ? b.reshape(dx, input.shape) : undefined, outs[1] ? grids() : undefined];
  });
}
for (const n of [2, 3] as const) {
  rule(`aten::grid_sampler_${n}d`, (ctx, a) =>
    sample(ctx, a.input, a.grid, { mode: a.interpolation_mode, padding: a.padding_mode, align: a.align_corners }),
  );
  rule(`aten::grid_sampler_${n}d_backward`, (ctx, a) =>
    sampleBackward(ctx, a.grad_output, a.input, a.grid, {
      mode: a.interpolation_mode,
      padding: a.padding_mode,
      align: a.align_corners,
    }),
  );
}
