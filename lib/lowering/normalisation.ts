/** @file Softmax, layer, group and batch normalisation, forward and backward. All compute in float32 at least. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { inOpmath, keepShape, opmath, sumOver, wrapDim } from './common.js';
import { normalisesImages } from './prefer.js';
import { extremum, mean } from './reduction.js';
import { type RuleContext, rule, rules } from './registry.js';

const spreadTo = (b: Builder, x: Op, shape: readonly number[]): Op => b.broadcast(x, shape);
/** The dimension of a softmax; a 0-d tensor is one row of one element. */
function rows(b: Builder, x: Op, dim: number): { x: Op; d: number } {
  const y = x.shape.length === 0 ? b.reshape(x, [1]) : x;
  return { x: y, d: wrapDim(dim, y.shape.length) };
}
/** x minus its largest element along `d`. */
function centred(b: Builder, x: Op, d: number): Op {
  const top = b.reshape(extremum(b, x, [d], 'maximum'), keepShape(x.shape, [d]));
  return b.subtract(x, spreadTo(b, top, x.shape));
}
export function softmax(b: Builder, self: Op, dim: number): Op {
  const { x, d } = rows(b, self, dim);
  const e = b.exp(centred(b, x, d));
  return b.reshape(b.divide(e, spreadTo(b, sumOver(b, e, [d], true), x.shape)), self.shape);
}
export function logSoftmax(b: Builder, self: Op, dim: number): Op {
  const { x, d } = rows(b, self, dim);
  const c = centred(b, x, d);
  const total = b.log(sumOver(b, b.exp(c), [d], true));
  return b.reshape(b.subtract(c, spreadTo(b, total, x.shape)), self.shape);
}
rule('aten::_softmax', (ctx, { self, dim }) => inOpmath(ctx, [self], ([x]) => softmax(ctx.b, x!, dim)));
rule('aten::_log_softmax', (ctx, { self, dim }) => inOpmath(ctx, [self], ([x]) => logSoftmax(ctx.b, x!, dim)));
/** Rows that are -inf everywhere give 0, not NaN. */
rule('aten::_safe_softmax', (ctx, { self, dim }) => {
  const { b, out } = ctx;
  const { x, d } = rows(b, b.convert(self, opmath(out.dtype)), dim);
  const finite = b.compare('NE', x, b.fill(x, -Infinity));
  const any = b.reshape(b.reduce(finite, b.scalar(false, 'bool'), 'or', [d]), keepShape(x.shape, [d]));
  const y = b.select(spreadTo(b, any, x.shape), softmax(b, x, d), b.fill(x, 0));
  return b.reshape(b.convert(y, out.dtype), out.shape);
});
rule('aten::_softmax_backward_data', (ctx, { grad_output, output, dim }) =>
  inOpmath(ctx, [grad_output, output], ([g, y]) => {
    const { b } = ctx;
    const { x: gy, d } = rows(b, b.multiply(g!, y!), dim);
    const total = b.reshape(spreadTo(b, sumOver(b, gy, [d], true), gy.shape), y!.shape);
    return b.subtract(b.multiply(g!, y!), b.multiply(y!, total));
  }),
);
rule('aten::_log_softmax_backward_data', (ctx, { grad_output, output, dim }) =>
  inOpmath(ctx, [grad_output, output], ([g, y]) => {
    const { b } = ctx;
    const { x, d } = rows(b, g!, dim);
    const total = b.reshape(spreadTo(b, sumOver(b, x, [d], true), x.shape), y!.shape);
    return b.subtract(g!, b.multiply(b.exp(y!), total));
  }),
);

/** Mean and 1/√(variance + eps) over `dims`, kept as dimensions of 1. */
function statistics(b: Builder, x: Op, dims: readonly number[], eps: number): readonly [Op, Op, Op] {
  const m = mean(b, x, dims, true);
  const d = b.subtract(x, spreadTo(b, m, x.shape));
  const v = mean(b, b.multiply(d, d), dims, true);
  return [m, b.rsqrt(b.add(v, b.fill(v, eps))), d];
}
const wide = (b: Builder, x: Op | undefined, dtype: Op['dtype']): Op | undefined =>
  x === undefined ? undefined : b.convert(x, dtype);
/** y·weight + bias, each optional and spread over `shape`. */
function affine(b: Builder, y: Op, weight: Op | undefined, bias: Op | undefined, place: (p: Op) => Op): Op {
  const scaled = weight === undefined ? y : b.multiply(y, place(weight));
  return bias === undefined ? scaled : b.add(scaled, place(bias));
}

rule('aten::native_layer_norm', (ctx, { input, normalized_shape, weight, bias, eps }) =>
  inOpmath(ctx, [input, weight, bias], ([x, w, c]) => {
    const { b, outs } = ctx;
    const first = x!.shape.length - normalized_shape.length;
    const [m, r, d] = statistics(b, x!, range(x!.shape.length).slice(first), eps);
    const y = b.multiply(d, spreadTo(b, r, x!.shape));
    const stat = (s: Op, i: number) => b.reshape(s, outs[i]!.shape);
    const place = (p: Op) => spreadTo(b, b.convert(p, x!.dtype), x!.shape);
    return [affine(b, y, w, c, place), stat(m, 1), stat(r, 2)];
  }),
);
/** d x = r·(g·w - mean(g·w) - x̂·mean(g·w·x̂)) over `dims`. */
function normGrad(b: Builder, gw: Op, hat: Op, r: Op, dims: readonly number[]): Op {
  const m1 = mean(b, gw, dims, true);
  const m2 = mean(b, b.multiply(gw, hat), dims, true);
  const inner = b.subtract(b.subtract(gw, spreadTo(b, m1, gw.shape)), b.multiply(hat, spreadTo(b, m2, gw.shape)));
  return b.multiply(inner, spreadTo(b, r, gw.shape));
}
rule('aten::native_layer_norm_backward', (ctx, args) => {
  const { b, outs } = ctx;
  const { grad_out, input, normalized_shape, mean: m, rstd, weight } = args;
  const dtype = opmath(input.dtype);
  const [g, x] = [b.convert(grad_out, dtype), b.convert(input, dtype)];
  const rank = x.shape.length;
  const first = rank - normalized_shape.length;
  const stat = (s: Op) =>
    b.reshape(b.convert(s, dtype), [...x.shape.slice(0, first), ...normalized_shape.map(() => 1)]);
  const hat = b.multiply(b.subtract(x, spreadTo(b, stat(m), x.shape)), spreadTo(b, stat(rstd), x.shape));
  const w = wide(b, weight, dtype);
  const gw = w === undefined ? g : b.multiply(g, spreadTo(b, w, x.shape));
  const grads = [
    () => normGrad(b, gw, hat, stat(rstd), range(rank).slice(first)),
    () => sumOver(b, b.multiply(g, hat), range(first)),
    () => sumOver(b, g, range(first)),
  ];
  return outs.map((o, i) => (o === undefined ? undefined : b.convert(grads[i]!(), o.dtype)));
});

/** Splits channels into groups: [N, group, C/group, HxW]. */
const grouped = (b: Builder, x: Op, n: number, c: number, hw: number, group: number): Op =>
  b.reshape(x, [n, group, c / group, hw]);
rule('aten::native_group_norm', (ctx, { input, weight, bias, N, C, HxW, group, eps }) =>
  inOpmath(ctx, [input, weight, bias], ([x, w, c]) => {
    const { b, outs } = ctx;
    const z = grouped(b, x!, N, C, HxW, group);
    const [m, r, d] = statistics(b, z, [2, 3], eps);
    const y = b.reshape(b.multiply(d, spreadTo(b, r, z.shape)), [N, C, HxW]);
    const place = (p: Op) => b.broadcastInDim(b.convert(p, x!.dtype), [N, C, HxW], [1]);
    return [b.reshape(affine(b, y, w, c, place), x!.shape), b.reshape(m, outs[1]!.shape), b.reshape(r, outs[2]!.shape)];
  }),
);
rule('aten::native_group_norm_backward', (ctx, { grad_out, input, mean: m, rstd, weight, N, C, HxW, group }) => {
  const { b, outs } = ctx;
  const dtype = opmath(input.dtype);
  const z = grouped(b, b.convert(input, dtype), N, C, HxW, group);
  const stat = (s: Op) => b.reshape(b.convert(s, dtype), [N, group, 1, 1]);
  const hat = b.multiply(b.subtract(z, spreadTo(b, stat(m), z.shape)), spreadTo(b, stat(rstd), z.shape));
  const g = grouped(b, b.convert(grad_out, dtype), N, C, HxW, group);
  const scale = weight && spreadTo(b, b.reshape(b.convert(weight, dtype), [group, C / group, 1]), z.shape);
  const perChannel = (x: Op) => b.reshape(sumOver(b, x, [0, 3]), [C]);
  const grads = [
    () => b.reshape(normGrad(b, scale ? b.multiply(g, scale) : g, hat, stat(rstd), [2, 3]), input.shape),
    () => perChannel(b.multiply(g, hat)),
    () => perChannel(g),
  ];
  return outs.map((o, i) => (o === undefined ? undefined : b.convert(grads[i]!(), o.dtype)));
});

const channelDims = (x: Op): number[] => range(x.shape.length).filter((d) => d !== 1);
const perChannel = (b: Builder, p: Op, x: Op): Op => b.broadcastInDim(b.convert(p, x.dtype), x.shape, [1]);
interface BatchNormArgs {
  readonly input: Op;
  readonly weight: Op | undefined;
  readonly bias: Op | undefined;
  readonly eps: number;
  readonly running_mean?: Op | undefined;
  readonly running_var?: Op | undefined;
}
/**
 * Mean and biased variance of each channel of a batch of images, by libtorch's kernel: XLA's sums want channels far apart in memory, convolutions want
 * them together, and between the two every image would be laid out anew.
 */
function imageStatistics({ kernel }: RuleContext, x: Op): readonly Op[] | undefined {
  if (kernel === undefined || !normalisesImages(x)) return undefined;
  const channel = { shape: [x.shape[1]!], dtype: x.dtype };
  return kernel('aten::batch_norm_update_stats', { input: x, running_mean: null, running_var: null, momentum: 0 }, [
    channel,
    channel,
  ]);
}
/** y, mean, 1/√(var + eps) and the biased variance: of the batch, or from the running statistics. */
function batchNorm(ctx: RuleContext, a: BatchNormArgs, training: boolean) {
  const { b } = ctx;
  const x = b.convert(a.input, opmath(a.input.dtype));
  const dims = channelDims(x);
  const flat = (s: Op) => b.reshape(s, [x.shape[1]!]);
  const batch = training || a.running_mean === undefined;
  const called = batch ? imageStatistics(ctx, x) : undefined;
  const m = called?.[0] ?? (batch ? flat(mean(b, x, dims, true)) : b.convert(a.running_mean!, x.dtype));
  const d = b.subtract(x, perChannel(b, m, x));
  const v = called?.[1] ?? (batch ? flat(mean(b, b.multiply(d, d), dims, true)) : b.convert(a.running_var!, x.dtype));
  const r = b.rsqrt(b.add(v, b.fill(v, a.eps)));
  const y = affine(b, b.multiply(d, perChannel(b, r, x)), a.weight, a.bias, (p) => perChannel(b, p, x));
  return { y, m, r, v, x };
}
const cast = (ctx: RuleContext, ys: readonly (Op | undefined)[]) =>
  ctx.outs.map((o, i) => {
    if (o === undefined) return undefined;
    const y = ys[i];
    return y === undefined || o.shape[0] === 0 ? ctx.b.fill(o, 0) : ctx.b.convert(y, o.dtype);
  });
for (const name of [
  'aten::native_batch_norm',
  'aten::_native_batch_norm_legit.no_stats',
  'aten::_native_batch_norm_legit_no_training',
] as const) {
  rule(name, (ctx, args) => {
    const training = (args as { training?: boolean }).training ?? false;
    const { y, m, r } = batchNorm(ctx, args, training || !('running_mean' in args));
    return cast(ctx, [y, m, r]);
  });
}
/** Running statistics move towards the batch's, the variance unbiased. */
rules(['aten::_native_batch_norm_legit_functional', 'aten::_batch_norm_with_update_functional'], (ctx, args) => {
  const { b } = ctx;
  const training = (args as { training?: boolean }).training ?? true;
  const { y, m, r, v, x } = batchNorm(ctx, args, training);
  const n = channelDims(x).reduce((p, d) => p * x.shape[d]!, 1);
  const move = (old: Op | undefined, value: Op) => {
    if (old === undefined || !training) return old;
    const o = b.convert(old, x.dtype);
    return b.add(b.multiply(o, b.fill(o, 1 - args.momentum)), b.multiply(value, b.fill(o, args.momentum)));
  };
  const unbiased = b.multiply(v, b.fill(v, n / Math.max(n - 1, 1)));
  const moved = [move(args.running_mean, m), move(args.running_var, unbiased)];
  const reserve = ctx.outs.length === 6 ? [undefined] : [];
  return cast(ctx, [y, m, r, ...reserve, ...moved]);
});
interface BatchNormGradArgs {
  readonly grad_out: Op;
  readonly input: Op;
  readonly weight: Op | undefined;
  readonly running_mean: Op | undefined;
  readonly running_var: Op | undefined;
  readonly save_mean: Op | undefined;
  readonly eps: number;
}
function batchNormBackward(ctx: RuleContext, a: BatchNormGradArgs, saved: Op | undefined, train: boolean) {
  const { b, outs } = ctx;
  const dtype = opmath(a.input.dtype);
  const [g, x] = [b.convert(a.grad_out, dtype), b.convert(a.input, dtype)];
  const dims = channelDims(x);
  const invstd = (v: Op) => b.rsqrt(b.add(b.convert(v, dtype), b.constant(a.eps, v.shape, dtype)));
  const m = b.convert(train ? a.save_mean! : a.running_mean!, dtype);
  const r = train ? b.convert(saved!, dtype) : invstd(a.running_var!);
  const hat = b.multiply(b.subtract(x, perChannel(b, m, x)), perChannel(b, r, x));
  const scale = a.weight === undefined ? r : b.multiply(b.convert(a.weight, dtype), r);
  const [sum, along] = [sumOver(b, g, dims), sumOver(b, b.multiply(g, hat), dims)];
  const count = dims.reduce((n, d) => n * x.shape[d]!, 1);
  /** What is left of the gradient after its parts along the mean and along the normalised input. */
  const rest = () => {
    const mean = (total: Op) => perChannel(b, b.divide(total, b.fill(total, count)), x);
    return b.subtract(b.subtract(g, mean(sum)), b.multiply(hat, mean(along)));
  };
  const grads = [() => b.multiply(train ? rest() : g, perChannel(b, scale, x)), () => along, () => sum];
  return outs.map((o, i) => (o === undefined ? undefined : b.convert(grads[i]!(), o.dtype)));
}
rule('aten::native_batch_norm_backward', (ctx, a) => batchNormBackward(ctx, a, a.save_invstd, a.train));
rule('aten::batch_norm_backward', (ctx, a) => batchNormBackward(ctx, a, a.save_var, a.update));

/** w = v·g/‖v‖ with a norm for each place along `dim`, the first or the last. */
rule('aten::_weight_norm_interface', (ctx, { v, g, dim }) =>
  inOpmath(ctx, [v, g], ([x, scale]) => {
    const { b } = ctx;
    const others = range(x!.shape.length).filter((d) => d !== wrapDim(dim, x!.shape.length));
    const norms = b.sqrt(sumOver(b, b.multiply(x!, x!), others, true));
    return [b.multiply(x!, b.broadcast(b.divide(scale!, norms), x!.shape)), norms];
  }),
);
rule('aten::_weight_norm_interface_backward', (ctx, { grad_w, saved_v, saved_g, saved_norms, dim }) =>
  inOpmath(ctx, [grad_w, saved_v, saved_g, saved_norms], ([grad, v, g, norms]) => {
    const { b } = ctx;
    const wide = (x: Op) => b.broadcast(x, v!.shape);
    const others = range(v!.shape.length).filter((d) => d !== wrapDim(dim, v!.shape.length));
    const along = sumOver(b, b.multiply(grad!, v!), others, true);
    const inside = b.multiply(v!, wide(b.divide(along, b.multiply(norms!, norms!))));
    const gradV = b.multiply(wide(b.divide(g!, norms!)), b.subtract(grad!, inside));
    return [gradV, b.divide(along, norms!)];
  }),
);
