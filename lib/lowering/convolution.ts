/** @file Convolutions in any number of dimensions, transposed ones and both derivatives: one StableHLO convolution each. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { isComplex } from '../torch/dtype.js';
import { expandList, sumOver } from './common.js';
import { NoLowering, type RuleContext, rules } from './registry.js';

interface Conv {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly transposed: boolean;
  readonly groups: number;
}
const layout = (lhs: string, rhs: string, out: string, n: number): string => {
  const space = range(n).join(', ');
  const at = (pair: string) => `[${pair[0]}, ${pair[1]}${n ? `, ${space}` : ''}]`;
  return `${at(lhs)}x${at(rhs)}->${at(out)}`;
};
/** [G·i, o, …] to [i, G·o, …]: how grouped weights must lie when input and output channels change places. */
function swapGroups(b: Builder, w: Op, groups: number): Op {
  const [gi, o, ...k] = w.shape as [number, number, ...number[]];
  const split = b.reshape(w, [groups, gi / groups, o, ...k]);
  const dims = [1, 0, 2, ...range(k.length).map((d) => d + 3)];
  return b.reshape(b.transpose(split, dims), [gi / groups, groups * o, ...k]);
}
const pairs = (n: number, low: (d: number) => number, high: (d: number) => number) =>
  range(n).map((d) => [low(d), high(d)] as const);

/** The plain convolution: x [N, C, …] with w [O, C/groups, …]. */
function forward(b: Builder, x: Op, w: Op, shape: readonly number[], c: Conv): Op {
  const n = shape.length - 2;
  // As the adjoint of a transposed one with output padding it must not go on to the end of what it reads.
  const needed = (d: number) =>
    (shape[d + 2]! - 1) * c.stride[d]! + c.dilation[d]! * (w.shape[d + 2]! - 1) + 1 - x.shape[d + 2]! - c.padding[d]!;
  return b.convolution(x, w, {
    layout: layout('bf', 'oi', 'bf', n),
    shape,
    strides: c.stride,
    padding: pairs(
      n,
      (d) => c.padding[d]!,
      (d) => (c.padding[d]! - needed(d) < c.stride[d]! ? c.padding[d]! : needed(d)),
    ),
    rhsDilation: c.dilation,
    featureGroups: c.groups,
  });
}
/** The adjoint in x: y [N, O, …] with w [O, C/groups, …] gives `shape` [N, C, …]. */
function adjointInput(b: Builder, y: Op, w: Op, shape: readonly number[], c: Conv): Op {
  const n = shape.length - 2;
  const reach = (d: number) => c.dilation[d]! * (w.shape[d + 2]! - 1);
  const span = (d: number) => (y.shape[d + 2]! - 1) * c.stride[d]! + 1;
  const low = (d: number) => reach(d) - c.padding[d]!;
  return b.convolution(
    y,
    b.reverse(
      swapGroups(b, w, c.groups),
      range(n).map((d) => d + 2),
    ),
    {
      layout: layout('bf', 'io', 'bf', n),
      shape,
      strides: range(n).map(() => 1),
      padding: pairs(n, low, (d) => shape[d + 2]! + reach(d) - span(d) - low(d)),
      lhsDilation: c.stride,
      rhsDilation: c.dilation,
      featureGroups: c.groups,
    },
  );
}
/** The adjoint in w: x [N, C, …] against y [N, O, …] gives `shape` [O, C/groups, …]. */
function adjointWeight(b: Builder, x: Op, y: Op, shape: readonly number[], c: Conv): Op {
  const n = shape.length - 2;
  const reach = (d: number) => c.dilation[d]! * (shape[d + 2]! - 1) + (y.shape[d + 2]! - 1) * c.stride[d]! + 1;
  return b.convolution(x, y, {
    layout: layout('fb', 'io', 'fb', n),
    shape,
    strides: c.dilation,
    padding: pairs(
      n,
      (d) => c.padding[d]!,
      (d) => reach(d) - x.shape[d + 2]! - c.padding[d]!,
    ),
    rhsDilation: c.stride,
    batchGroups: c.groups,
  });
}
function options(
  a: {
    stride: readonly number[];
    padding: readonly number[];
    dilation: readonly number[];
    transposed: boolean;
    groups: number;
  },
  n: number,
): Conv {
  const list = (l: readonly number[]) => expandList(l, n);
  return { ...a, stride: list(a.stride), padding: list(a.padding), dilation: list(a.dilation) };
}
/** An unbatched input gets a batch of one. */
const batched = (b: Builder, x: Op, rank: number): Op => (x.shape.length < rank ? b.unsqueeze(x, 0) : x);
function real(ctx: RuleContext): void {
  if (ctx.outs.some((o) => o !== undefined && isComplex(o.dtype))) throw new NoLowering('complex convolution');
}

rules(['aten::convolution', 'aten::convolution_overrideable', 'aten::_convolution'], (ctx, args) => {
  real(ctx);
  const { b, out } = ctx;
  const { input, weight, bias } = args;
  const n = weight.shape.length - 2;
  const c = options(args, n);
  const x = batched(b, input, n + 2);
  const shape = out.shape.length < n + 2 ? [1, ...out.shape] : out.shape;
  if (shape.includes(0) || x.shape.includes(0)) return b.fill(out, 0);
  const y = c.transposed ? adjointInput(b, x, weight, shape, c) : forward(b, x, weight, shape, c);
  return b.reshape(bias === undefined ? y : b.add(y, b.broadcastInDim(bias, shape, [1])), out.shape);
});
rules(['aten::convolution_backward', 'aten::convolution_backward_overrideable'], (ctx, args) => {
  real(ctx);
  const { b, outs } = ctx;
  const { grad_output, input, weight } = args;
  const n = weight.shape.length - 2;
  const c = options(args, n);
  const [g, x] = [batched(b, grad_output, n + 2), batched(b, input, n + 2)];
  const grads = [
    () => (c.transposed ? forward(b, g, weight, x.shape, c) : adjointInput(b, g, weight, x.shape, c)),
    () => (c.transposed ? adjointWeight(b, g, x, weight.shape, c) : adjointWeight(b, x, g, weight.shape, c)),
    () =>
      sumOver(
        b,
        g,
        range(n + 2).filter((d) => d !== 1),
      ),
  ];
  const empty = g.shape.includes(0) || x.shape.includes(0);
  return outs.map((o, i) => (o === undefined ? undefined : empty ? b.fill(o, 0) : b.reshape(grads[i]!(), o.shape)));
});
