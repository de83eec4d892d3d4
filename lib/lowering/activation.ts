/** @file Activations and their derivatives. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { inOpmath, num, pointwise, spread, wrapDim } from './common.js';
import { rule } from './registry.js';

const sigmoid = (b: Builder, x: Op): Op => b.logistic(x);
const SQRT_2_PI = Math.sqrt(2 / Math.PI);
/** √(2/π)·(x + 0.044715·x³), inside gelu's tanh form. */
const geluInner = (b: Builder, x: Op): Op =>
  b.multiply(b.fill(x, SQRT_2_PI), b.add(x, b.multiply(b.fill(x, 0.044715), b.multiply(b.multiply(x, x), x))));
const erf = (b: Builder, x: Op): Op => b.unary('chlo.erf', x);

pointwise('aten::gelu', ({ b, out }, { self: x, approximate }) => {
  const t = approximate === 'tanh' ? b.tanh(geluInner(b, x)) : erf(b, b.multiply(x, b.fill(out, Math.SQRT1_2)));
  return b.multiply(b.multiply(b.fill(out, 0.5), x), b.add(b.fill(out, 1), t));
});
pointwise('aten::gelu_backward', ({ b, out }, { grad_output: g, self: x, approximate }) => {
  const c = (v: number) => b.fill(out, v);
  if (approximate !== 'tanh') {
    const cdf = b.multiply(c(0.5), b.add(c(1), erf(b, b.multiply(x, c(Math.SQRT1_2)))));
    const pdf = b.multiply(c(1 / Math.sqrt(2 * Math.PI)), b.exp(b.multiply(c(-0.5), b.multiply(x, x))));
    return b.multiply(g, b.add(cdf, b.multiply(x, pdf)));
  }
  const t = b.tanh(geluInner(b, x));
  const slope = b.multiply(c(SQRT_2_PI), b.add(c(1), b.multiply(c(3 * 0.044715), b.multiply(x, x))));
  const right = b.multiply(b.multiply(b.multiply(c(0.5), x), b.subtract(c(1), b.multiply(t, t))), slope);
  return b.multiply(g, b.add(b.multiply(c(0.5), b.add(c(1), t)), right));
});
pointwise('aten::silu', ({ b }, { self }) => b.multiply(self, sigmoid(b, self)));
pointwise('aten::silu_backward', ({ b, out }, { grad_output, self }) => {
  const s = sigmoid(b, self);
  const one = b.fill(out, 1);
  return b.multiply(b.multiply(grad_output, s), b.add(one, b.multiply(self, b.subtract(one, s))));
});
/** log(1 + e^x) without overflow. */
export const softplus = (b: Builder, x: Op): Op =>
  b.add(b.maximum(x, b.fill(x, 0)), b.log1p(b.exp(b.negate(b.abs(x)))));
pointwise('aten::mish', ({ b }, { self }) => b.multiply(self, b.tanh(softplus(b, self))));
pointwise('aten::mish_backward', ({ b, out }, { grad_output, self }) => {
  const t = b.tanh(softplus(b, self));
  const slope = b.multiply(b.multiply(self, sigmoid(b, self)), b.subtract(b.fill(out, 1), b.multiply(t, t)));
  return b.multiply(grad_output, b.add(t, slope));
});
pointwise('aten::tanh_backward', ({ b, out }, { grad_output, output }) => {
  const y = b.conj(output);
  return b.multiply(grad_output, b.subtract(b.fill(out, 1), b.multiply(y, y)));
});
pointwise('aten::sigmoid_backward', ({ b, out }, { grad_output, output }) => {
  const y = b.conj(output);
  return b.multiply(grad_output, b.multiply(b.subtract(b.fill(out, 1), y), y));
});
pointwise('aten::logit_backward', ({ b, out }, { grad_output: g, self: x, eps }) => {
  const c = (v: number) => b.fill(out, v);
  const slope = b.divide(g, b.multiply(x, b.subtract(c(1), x)));
  const [low, high] = [eps ?? 0, 1 - (eps ?? 0)];
  const beyond = b.or(b.compare('LT', x, c(low)), b.compare('GT', x, c(high)));
  return b.select(beyond, eps === undefined ? c(NaN) : c(0), slope);
});
const positive = (b: Builder, x: Op): Op => b.compare('GT', x, b.fill(x, 0));

pointwise('aten::elu', ({ b, out }, { self: x, alpha, scale, input_scale }) => {
  const c = (v: number) => b.fill(out, v);
  const low = b.multiply(c(num(alpha) * num(scale)), b.expm1(b.multiply(x, c(num(input_scale)))));
  return b.select(b.compare('LT', x, c(0)), low, b.multiply(x, c(num(scale))));
});
pointwise(
  'aten::elu_backward',
  ({ b, out }, { grad_output: g, alpha, scale, input_scale, is_result, self_or_result: x }) => {
    const c = (v: number) => b.fill(out, v);
    const factor = b.multiply(g, c(num(input_scale)));
    const low = is_result
      ? b.multiply(factor, b.add(x, c(num(alpha) * num(scale))))
      : b.multiply(factor, b.multiply(c(num(alpha) * num(scale)), b.exp(b.multiply(x, c(num(input_scale))))));
    return b.select(b.compare('GT', x, c(0)), b.multiply(g, c(num(scale))), low);
  },
);
pointwise('aten::leaky_relu', ({ b, out }, { self, negative_slope }) =>
  b.select(positive(b, self), self, b.multiply(self, b.fill(out, negative_slope))),
);
pointwise('aten::leaky_relu_backward', ({ b, out }, { grad_output, self, negative_slope }) =>
  b.select(positive(b, self), grad_output, b.multiply(grad_output, b.fill(out, negative_slope))),
);
/** A missing `self` under NaN passes NaN through, as `x > threshold ? x : value` does not: torch tests `<=`. */
pointwise('aten::threshold', ({ b, out }, { self, threshold, value }) =>
  b.select(b.compare('LE', self, b.fill(out, threshold)), b.fill(out, value), self),
);
pointwise('aten::threshold_backward', ({ b, out }, { grad_output, self, threshold }) =>
  b.select(b.compare('LE', self, b.fill(out, threshold)), b.fill(out, 0), grad_output),
);
pointwise('aten::hardtanh', ({ b }, { self, min_val, max_val }) => b.atMost(b.atLeast(self, min_val), max_val));
/** libtorch's vectorized kernels let no gradient through where `x` is NaN. */
const within = (b: Builder, x: Op, low: number, high: number): Op =>
  b.and(b.compare('GT', x, b.fill(x, low)), b.compare('LT', x, b.fill(x, high)));
const beyond = (b: Builder, x: Op, bound: number): Op =>
  b.or(b.compare('LT', x, b.fill(x, -bound)), b.compare('GT', x, b.fill(x, bound)));
pointwise('aten::hardtanh_backward', ({ b, out }, { grad_output, self, min_val, max_val }) =>
  b.select(within(b, self, num(min_val), num(max_val)), grad_output, b.fill(out, 0)),
);
const relu6 = (b: Builder, x: Op): Op => b.clamp(b.fill(x, 0), b.add(x, b.fill(x, 3)), b.fill(x, 6));
pointwise('aten::hardsigmoid', ({ b, out }, { self }) => b.divide(relu6(b, self), b.fill(out, 6)));
pointwise('aten::hardsigmoid_backward', ({ b, out }, { grad_output, self }) =>
  b.select(within(b, self, -3, 3), b.divide(grad_output, b.fill(out, 6)), b.fill(out, 0)),
);
pointwise('aten::hardswish', ({ b, out }, { self }) => b.divide(b.multiply(self, relu6(b, self)), b.fill(out, 6)));
pointwise('aten::hardswish_backward', ({ b, out }, { grad_output: g, self: x }) => {
  const c = (v: number) => b.fill(out, v);
  const inner = b.multiply(g, b.add(b.divide(x, c(3)), c(0.5)));
  return b.select(b.compare('LE', x, c(-3)), c(0), b.select(b.compare('LT', x, c(3)), inner, g));
});
pointwise('aten::hardshrink', ({ b, out }, { self, lambd }) => {
  const inside = b.and(b.compare('GE', self, b.fill(out, -num(lambd))), b.compare('LE', self, b.fill(out, num(lambd))));
  return b.select(inside, b.fill(out, 0), self);
});
for (const [name, grad] of [
  ['aten::hardshrink_backward', 'grad_out'],
  ['aten::softshrink_backward', 'grad_output'],
] as const) {
  pointwise(name, ({ b, out }, args) => {
    const { self, lambd, [grad]: g } = args as Record<typeof grad, Op> & typeof args;
    return b.select(beyond(b, self, num(lambd)), g, b.fill(out, 0));
  });
}
/** NaN stays NaN. */
pointwise('aten::softshrink', ({ b, out }, { self: x, lambd }) => {
  const l = b.fill(out, lambd);
  const low = b.select(b.compare('LT', x, b.negate(l)), b.add(x, l), b.multiply(x, b.fill(out, 0)));
  return b.select(b.compare('GT', x, l), b.subtract(x, l), low);
});
/** Linear above `threshold`, where the logarithm has no more to say. */
pointwise('aten::softplus', ({ b, out }, { self: x, beta, threshold }) => {
  const z = b.multiply(x, b.fill(out, beta));
  const y = b.divide(b.log1p(b.exp(z)), b.fill(out, beta));
  return b.select(b.compare('GT', z, b.fill(out, threshold)), x, y);
});
pointwise('aten::softplus_backward', ({ b, out }, { grad_output: g, self, beta, threshold }) => {
  const z = b.multiply(self, b.fill(out, beta));
  const e = b.exp(z);
  const y = b.divide(b.multiply(g, e), b.add(e, b.fill(out, 1)));
  return b.select(b.compare('GT', z, b.fill(out, threshold)), g, y);
});
/** The second result is what the backward reuses: e^-|x|. */
rule('aten::log_sigmoid_forward', (ctx, { self }) =>
  inOpmath(ctx, [self], ([x]) => {
    const { b } = ctx;
    const z = b.exp(b.negate(b.abs(x!)));
    const y = b.subtract(b.minimum(x!, b.fill(x!, 0)), b.log1p(z));
    return [y, ctx.outs[1]?.shape.length === y.shape.length ? z : b.constant(0, ctx.outs[1]!.shape, z.dtype)];
  }),
);
rule('aten::log_sigmoid_backward', (ctx, { grad_output, self }) =>
  inOpmath(ctx, [grad_output, self], ([g, x]) => {
    const { b } = ctx;
    return b.multiply(g!, b.logistic(b.negate(x!)));
  }),
);
/** First half times the sigmoid of the second. */
rule('aten::glu', (ctx, { self, dim }) =>
  inOpmath(ctx, [self], ([x]) => {
    const [a, gate] = halves(ctx.b, x!, wrapDim(dim, x!.shape.length));
    return ctx.b.multiply(a, sigmoid(ctx.b, gate));
  }),
);
rule('aten::glu_backward', (ctx, { grad_output, self, dim }) =>
  inOpmath(ctx, [grad_output, self], ([g, x]) => {
    const { b } = ctx;
    const d = wrapDim(dim, x!.shape.length);
    const [a, gate] = halves(b, x!, d);
    const s = sigmoid(b, gate);
    const right = b.multiply(b.multiply(b.multiply(b.subtract(b.fill(s, 1), s), s), g!), a);
    return b.concatenate([b.multiply(s, g!), right], d);
  }),
);
function halves(b: Builder, x: Op, dim: number): readonly [Op, Op] {
  const half = x.shape[dim]! / 2;
  return [b.sliceDim(x, dim, 0, half), b.sliceDim(x, dim, half, 2 * half)];
}
pointwise('aten::_prelu_kernel', ({ b }, { self, weight }) =>
  b.select(positive(b, self), self, b.multiply(weight, self)),
);
rule('aten::_prelu_kernel_backward', ({ b, out, outs }, { grad_output, self, weight }) => {
  const [g, x, w] = [grad_output, self, weight].map((v) => spread(b, v, out)) as [Op, Op, Op];
  const up = positive(b, x);
  return [b.select(up, g, b.multiply(w, g)), b.convert(b.select(up, b.fill(out, 0), b.multiply(x, g)), outs[1]!.dtype)];
});
