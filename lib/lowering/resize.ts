/** @file Interpolation: each place of the result is a weighted sum of a few rows per dimension, its gradient the adjoint. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range, replaceAt } from '../stablehlo/types.js';
import type { DType } from '../torch/dtype.js';
import { opmath } from './common.js';
import { scatterRows, takeRows } from './gather.js';
import { type RuleContext, rule } from './registry.js';

/** The t-th source row and weight of every place along one dimension. */
interface Tap {
  readonly at: readonly number[];
  readonly weight: readonly number[];
}
type Taps = (
  size: number,
  out: number,
  scale: number | undefined,
  align: boolean,
  round: (x: number) => number,
) => readonly Tap[];

/** Source elements per result element, in the precision libtorch computes it. */
const ratio = (size: number, out: number, scale: number | undefined, round: (x: number) => number): number =>
  scale !== undefined && scale > 0 ? round(1 / scale) : round(size / out);
const clampTo = (i: number, size: number): number => Math.min(Math.max(i, 0), size - 1);
const nearestAt =
  (shift: number): Taps =>
  (size, out, scale, _align, round) => {
    const r = ratio(size, out, scale, round);
    const at = range(out).map((o) => clampTo(Math.floor(round(round(o + shift) * r)), size));
    return [{ at, weight: at.map(() => 1) }];
  };
/** Where the centre of place `o` lies in the source. */
function centre(
  o: number,
  size: number,
  out: number,
  scale: number | undefined,
  align: boolean,
  round: (x: number) => number,
): number {
  if (align) return out > 1 ? round(o * round((size - 1) / (out - 1))) : 0;
  return round(round(ratio(size, out, scale, round) * round(o + 0.5)) - 0.5);
}
const linear: Taps = (size, out, scale, align, round) => {
  const source = range(out).map((o) => Math.max(0, centre(o, size, out, scale, align, round)));
  const low = source.map((x) => Math.min(Math.floor(x), size - 1));
  const part = source.map((x, i) => Math.min(Math.max(round(x - low[i]!), 0), 1));
  return [
    { at: low, weight: part.map((p) => round(1 - p)) },
    { at: low.map((i) => Math.min(i + 1, size - 1)), weight: part },
  ];
};
const A = -0.75;
const near = (x: number): number => ((A + 2) * x - (A + 3)) * x * x + 1;
const far = (x: number): number => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
const cubic: Taps = (size, out, scale, align, round) => {
  const source = range(out).map((o) => centre(o, size, out, scale, align, round));
  const low = source.map(Math.floor);
  const part = source.map((x, i) => round(x - low[i]!));
  const weights = [(p: number) => far(p + 1), near, (p: number) => near(1 - p), (p: number) => far(2 - p)];
  return weights.map((w, t) => ({ at: low.map((i) => clampTo(i - 1 + t, size)), weight: part.map(w) }));
};
/** A triangle as wide as the source is denser than the result: antialiasing. */
const antialiased: Taps = (size, out, scale, align) => {
  const r = align ? (out > 1 ? (size - 1) / (out - 1) : 0) : ratio(size, out, scale, (x) => x);
  const support = Math.max(r, 1);
  const rows = range(out).map((o) => {
    const middle = r * (o + 0.5);
    const start = Math.max(Math.trunc(middle - support + 0.5), 0);
    const count = Math.min(Math.trunc(middle + support + 0.5), size) - start;
    const raw = range(count).map((j) => Math.max(0, 1 - Math.abs((j + start - middle + 0.5) / support)));
    const total = raw.reduce((s, w) => s + w, 0);
    return { start, weights: raw.map((w) => w / (total || 1)) };
  });
  return range(Math.max(...rows.map((q) => q.weights.length))).map((t) => ({
    at: rows.map((q) => clampTo(q.start + t, size)),
    weight: rows.map((q) => q.weights[t] ?? 0),
  }));
};

type Scales = readonly (number | undefined)[];
const rounding = (d: DType) => (opmath(d) === 'float64' ? (x: number) => x : Math.fround);
function resize(ctx: RuleContext, self: Op, n: number, taps: Taps, scales: Scales, align: boolean): Op {
  const { b, out } = ctx;
  const lead = out.shape.length - n;
  const y = range(n).reduce(
    (x, k) => {
      const d = lead + k;
      const parts = taps(x.shape[d]!, out.shape[d]!, scales[k], align, rounding(self.dtype)).map(({ at, weight }) => {
        const rows = takeRows(b, x, d, b.constant(at, [at.length], 'int64'));
        return weighted(b, rows, weight, d);
      });
      return parts.reduce((p, q) => b.add(p, q));
    },
    b.convert(self, opmath(self.dtype)),
  );
  return b.convert(y, out.dtype);
}
function resizeBackward(ctx: RuleContext, grad: Op, n: number, taps: Taps, scales: Scales, align: boolean): Op {
  const { b, out } = ctx;
  const lead = out.shape.length - n;
  const y = range(n).reduce(
    (g, k) => {
      const d = lead + k;
      const zeros = b.constant(0, replaceAt(g.shape, d, out.shape[d]!), g.dtype);
      return taps(out.shape[d]!, g.shape[d]!, scales[k], align, rounding(grad.dtype)).reduce(
        (acc, { at, weight }) =>
          scatterRows(b, acc, d, b.constant(at, [at.length], 'int64'), weighted(b, g, weight, d), (o, u) =>
            b.add(o, u),
          ),
        zeros,
      );
    },
    b.convert(grad, opmath(grad.dtype)),
  );
  return b.convert(y, out.dtype);
}
const weighted = (b: Builder, rows: Op, weight: readonly number[], d: number): Op =>
  weight.every((w) => w === 1)
    ? rows
    : b.multiply(rows, b.broadcastInDim(b.constant(weight, [weight.length], rows.dtype), rows.shape, [d]));

interface Scaled {
  readonly scales?: number | undefined;
  readonly scales_d?: number | undefined;
  readonly scales_h?: number | undefined;
  readonly scales_w?: number | undefined;
  readonly align_corners?: boolean;
}
const scalesOf = (a: Scaled, n: number): Scales =>
  n === 1 ? [a.scales] : [a.scales_d, a.scales_h, a.scales_w].slice(3 - n);

const KINDS = [
  ['upsample_nearest1d', 1, nearestAt(0)],
  ['upsample_nearest2d', 2, nearestAt(0)],
  ['upsample_nearest3d', 3, nearestAt(0)],
  ['_upsample_nearest_exact1d', 1, nearestAt(0.5)],
  ['_upsample_nearest_exact2d', 2, nearestAt(0.5)],
  ['_upsample_nearest_exact3d', 3, nearestAt(0.5)],
  ['upsample_linear1d', 1, linear],
  ['upsample_bilinear2d', 2, linear],
  ['upsample_trilinear3d', 3, linear],
  ['upsample_bicubic2d', 2, cubic],
  ['_upsample_bilinear2d_aa', 2, antialiased],
] as const;
for (const [name, n, taps] of KINDS) {
  rule(`aten::${name}`, (ctx, a) => resize(ctx, a.self, n, taps, scalesOf(a, n), (a as Scaled).align_corners ?? false));
  rule(`aten::${name}_backward`, (ctx, a) =>
    resizeBackward(ctx, a.grad_output, n, taps, scalesOf(a, n), (a as Scaled).align_corners ?? false),
  );
}
rule('aten::upsample_nearest2d.vec', (ctx, { input, scale_factors }) =>
  resize(ctx, input, 2, nearestAt(0), scale_factors ?? [], false),
);
rule('aten::upsample_bilinear2d.vec', (ctx, { input, scale_factors, align_corners }) =>
  resize(ctx, input, 2, linear, scale_factors ?? [], align_corners),
);
