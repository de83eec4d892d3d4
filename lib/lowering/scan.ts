/** @file Running totals along a dimension, in log₂ n steps: each step combines every element with the one 1, 2, 4 … before it. */
import type { Builder } from '../stablehlo/builder.js';
import type { Literal, Op } from '../stablehlo/types.js';
import { isComplex, isFloating } from '../torch/dtype.js';
import { limit, opmath, wrapDim } from './common.js';
import { logAddExp } from './pointwise.js';
import { NoLowering, type RuleContext, rule } from './registry.js';

/** `combine(earlier, later)` must be associative; `identities` leave the other operand as it is. */
export function scan(
  b: Builder,
  xs: readonly Op[],
  dim: number,
  identities: readonly Literal[],
  combine: (earlier: readonly Op[], later: readonly Op[]) => readonly Op[],
): readonly Op[] {
  const n = xs[0]!.shape[dim]!;
  let ys = xs;
  for (let step = 1; step < n; step *= 2) {
    const earlier = ys.map((y, i) => b.padDim(y, dim, b.scalar(identities[i]!, y.dtype), step, -step));
    ys = combine(earlier, ys);
  }
  return ys;
}
/** A 0-d tensor scans to itself. */
function scanOne(ctx: RuleContext, self: Op, dim: number, identity: Literal, combine: (x: Op, y: Op) => Op): Op {
  const { b, out } = ctx;
  const x = b.convert(self, opmath(out.dtype));
  if (x.shape.length === 0) return b.convert(x, out.dtype);
  const [y] = scan(b, [x], wrapDim(dim, x.shape.length), [identity], ([p], [q]) => [combine(p!, q!)]);
  return b.convert(y!, out.dtype);
}
rule('aten::cumsum', (ctx, { self, dim }) => scanOne(ctx, self, dim, 0, (x, y) => ctx.b.add(x, y)));
rule('aten::cumprod', (ctx, { self, dim }) => scanOne(ctx, self, dim, 1, (x, y) => ctx.b.multiply(x, y)));
rule('aten::_logcumsumexp', (ctx, { self, dim }) => {
  // The phase depends on the order of the additions, by whole turns: only libtorch's own order gives libtorch's answer.
  if (isComplex(self.dtype)) throw new NoLowering('complex logcumsumexp');
  return scanOne(ctx, self, dim, -Infinity, (x, y) => logAddExp(ctx.b, x, y));
});
/** The latest of equal extrema wins, and a NaN from its place on. */
for (const [name, side] of [
  ['aten::cummax', 'lowest'],
  ['aten::cummin', 'highest'],
] as const) {
  rule(name, ({ b }, { self, dim }) => {
    if (self.shape.length === 0) return [self, b.scalar(0, 'int64')];
    const d = wrapDim(dim, self.shape.length);
    const direction = side === 'lowest' ? 'GE' : 'LE';
    const places = b.iota(self.shape, d, 'int64');
    return scan(b, [self, places], d, [limit(self.dtype, side), 0], ([v, i], [w, j]) => {
      const better = b.compare(direction, w!, v!);
      const take = isFloating(self.dtype) ? b.or(b.isNan(w!), b.and(better, b.not(b.isNan(v!)))) : better;
      return [b.select(take, w!, v!), b.select(take, j!, i!)];
    });
  });
}
