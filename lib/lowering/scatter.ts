/** @file scatter and its reductions: each element of the source goes to the place its index names. */
import type { Builder } from '../stablehlo/builder.js';
import type { Literal, Op } from '../stablehlo/types.js';
import { isInteger } from '../torch/dtype.js';
import { limit, opmath, wrapDim } from './common.js';
import { scatterDim, scatterRows } from './gather.js';
import { floorDivide } from './pointwise.js';
import { NoLowering, type RuleContext, rule } from './registry.js';

const vector = (b: Builder, x: Op): Op => (x.shape.length === 0 ? b.reshape(x, [1]) : x);
type Combine = (old: Op, update: Op) => Op;

/** Runs `into(base, updates, combine)` so that each reduction mode of torch comes out right. */
function reduceInto(
  b: Builder,
  self: Op,
  mode: string,
  includeSelf: boolean,
  into: (base: Op, updates: (like: Op) => Op, combine: Combine) => Op,
  source: Op,
): Op {
  const combines: Record<string, readonly [Combine, () => Literal]> = {
    sum: [(o, u) => b.add(o, u), () => 0],
    add: [(o, u) => b.add(o, u), () => 0],
    mean: [(o, u) => b.add(o, u), () => 0],
    prod: [(o, u) => b.multiply(o, u), () => 1],
    multiply: [(o, u) => b.multiply(o, u), () => 1],
    amax: [(o, u) => b.maximum(o, u), () => limit(self.dtype, 'lowest')],
    amin: [(o, u) => b.minimum(o, u), () => limit(self.dtype, 'highest')],
  };
  const entry = combines[mode];
  if (entry === undefined) throw new NoLowering(`reduce mode ${mode}`);
  const [combine, identity] = entry;
  const ones = (like: Op) => b.fill(like, 1);
  const counts = () => into(b.fill(self, includeSelf ? 1 : 0), ones, (o, u) => b.add(o, u));
  const touched = () =>
    into(
      b.constant(false, self.shape, 'bool'),
      (like) => b.constant(true, like.shape, 'bool'),
      (o, u) => b.or(o, u),
    );
  const base = includeSelf ? self : b.select(touched(), b.fill(self, identity()), self);
  const total = into(base, () => source, combine);
  if (mode !== 'mean') return total;
  const n = b.maximum(counts(), b.fill(self, 1));
  return isInteger(self.dtype) ? floorDivide(b, total, n) : b.divide(total, n);
}
/** Of the source only the part that `index` covers is used. */
function place(
  ctx: RuleContext,
  self: Op,
  dim: number,
  index: Op,
  src: Op | Literal,
  mode: string,
  includeSelf = true,
): Op {
  const { b } = ctx;
  const dtype = mode === '' ? self.dtype : opmath(self.dtype);
  const x = vector(b, b.convert(self, dtype));
  const at = vector(b, index);
  const source =
    typeof src === 'object' && 'type' in src
      ? b.slice(
          vector(b, b.convert(src, dtype)),
          at.shape.map(() => 0),
          at.shape,
        )
      : b.constant(src, at.shape, dtype);
  const into = (base: Op, updates: (like: Op) => Op, combine: Combine) =>
    scatterDim(b, base, wrapDim(dim, x.shape.length), at, updates(source), combine);
  const y =
    mode === ''
      ? into(
          x,
          () => source,
          (_, u) => u,
        )
      : reduceInto(b, x, mode, includeSelf, into, source);
  return b.reshape(b.convert(y, self.dtype), self.shape);
}
rule('aten::scatter.src', (ctx, { self, dim, index, src }) => place(ctx, self, dim, index, src, ''));
rule('aten::scatter.value', (ctx, { self, dim, index, value }) => place(ctx, self, dim, index, value, ''));
rule('aten::scatter.reduce', (ctx, { self, dim, index, src, reduce }) => place(ctx, self, dim, index, src, reduce));
rule('aten::scatter.value_reduce', (ctx, { self, dim, index, value, reduce }) =>
  place(ctx, self, dim, index, value, reduce),
);
rule('aten::scatter_add', (ctx, { self, dim, index, src }) => place(ctx, self, dim, index, src, 'sum'));
rule('aten::scatter_reduce.two', (ctx, { self, dim, index, src, reduce, include_self }) =>
  place(ctx, self, dim, index, src, reduce, include_self),
);
/** index_reduce works on whole rows. */
rule('aten::index_reduce', ({ b }, { self, dim, index, source, reduce, include_self }) => {
  const x = vector(b, b.convert(self, opmath(self.dtype)));
  const d = wrapDim(dim, x.shape.length);
  const rows = vector(b, b.convert(source, x.dtype));
  const into = (base: Op, updates: (like: Op) => Op, combine: Combine) =>
    scatterRows(b, base, d, vector(b, index), updates(rows), combine);
  return b.reshape(b.convert(reduceInto(b, x, reduce, include_self, into, rows), self.dtype), self.shape);
});
