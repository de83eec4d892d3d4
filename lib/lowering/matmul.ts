/** @file Matrix products. Factors are multiplied in the result's dtype; 16-bit floats accumulate in float32 by XLA itself. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, type Op, range, type TensorType } from '../stablehlo/types.js';
import { num, opmath, spread, sumOver } from './common.js';
import { type RuleContext, rule, rules } from './registry.js';

/**
 * [n, k] · [k, m], with a leading batch dimension when there are three. A factor that is the same for the whole batch (vmap makes such) would be written out
 * as often by XLA: then one product with the batch among the free dimensions does it.
 */
export function matmul(b: Builder, x: Op, y: Op): Op {
  if (x.shape.length === 2) return b.dot(x, y, { contract: [[1], [0]] });
  const [same, other] = [b.withoutDim(x, 0), b.withoutDim(y, 0)];
  if (same !== undefined) return b.transpose(b.dot(same, y, { contract: [[1], [1]] }), [1, 0, 2]);
  if (other !== undefined) return b.dot(x, other, { contract: [[2], [0]] });
  return b.dot(x, y, { batch: [[0], [0]], contract: [[2], [1]] });
}
/** Matrix products over any leading batch dimensions, equal in both. */
export function batchMatmul(b: Builder, x: Op, y: Op): Op {
  const batch = x.shape.slice(0, -2).map((_, i) => i);
  const n = batch.length;
  return b.dot(x, y, { batch: [batch, batch], contract: [[n + 1], [n]] });
}
const dot = (b: Builder, x: Op, y: Op): Op => b.dot(x, y, { contract: [[0], [0]] });

/** Where a factor has no elements libtorch does not compare dtypes. */
const isEmpty = (x: Op): boolean => x.shape.includes(0);
rules(['aten::mm', 'aten::bmm'], ({ b, out }, { self, mat2 }) =>
  isEmpty(self) || isEmpty(mat2) ? b.fill(out, 0) : matmul(b, self, mat2),
);
/** A transpose is read as the matrix it is of, the vector first: XLA would write it out before (500×30: 15 µs of 19). */
rule('aten::mv', ({ b, out }, { self, vec }) => {
  if (isEmpty(self)) return b.fill(out, 0);
  const matrix = b.transposedFrom(self);
  return matrix ? b.dot(vec, matrix, { contract: [[0], [0]] }) : b.dot(self, vec, { contract: [[1], [0]] });
});
rule('aten::dot', ({ b }, { self, tensor }) => dot(b, self, tensor));
rule('aten::vdot', ({ b }, { self, other }) => dot(b, b.conj(self), other));
rules(['aten::mm.dtype', 'aten::bmm.dtype'], ({ b, out }, { self, mat2 }) =>
  matmul(b, b.convert(self, out.dtype), b.convert(mat2, out.dtype)),
);

/** beta·self + alpha·product; beta 0 ignores `self`, even NaN in it. */
function blend(ctx: RuleContext, self: Op, product: (wide: (x: Op) => Op) => Op, beta: Literal, alpha: Literal): Op {
  const { b, out } = ctx;
  const like: TensorType = { shape: out.shape, dtype: opmath(out.dtype) };
  const times = (x: Op, v: Literal) => (num(v) === 1 && typeof v !== 'object' ? x : b.multiply(x, b.fill(like, v)));
  const right = times(
    product((x) => b.convert(x, like.dtype)),
    alpha,
  );
  const none = num(beta) === 0 && typeof beta !== 'object';
  return b.convert(none ? right : b.add(times(spread(b, self, like), beta), right), out.dtype);
}
rule('aten::addmm', (ctx, { self, mat1, mat2, beta, alpha }) =>
  blend(ctx, self, (wide) => matmul(ctx.b, wide(mat1), wide(mat2)), beta, alpha),
);
rule('aten::baddbmm', (ctx, { self, batch1, batch2, beta, alpha }) =>
  blend(ctx, self, (wide) => matmul(ctx.b, wide(batch1), wide(batch2)), beta, alpha),
);
rule('aten::addbmm', (ctx, { self, batch1, batch2, beta, alpha }) =>
  blend(
    ctx,
    self,
    (wide) =>
      ctx.b.dot(wide(batch1), wide(batch2), {
        contract: [
          [0, 2],
          [0, 1],
        ],
      }),
    beta,
    alpha,
  ),
);
rule('aten::addmv', (ctx, { self, mat, vec, beta, alpha }) =>
  blend(ctx, self, (wide) => ctx.b.dot(wide(mat), wide(vec), { contract: [[1], [0]] }), beta, alpha),
);
rule('aten::addr', (ctx, { self, vec1, vec2, beta, alpha }) =>
  blend(ctx, self, (wide) => ctx.b.dot(wide(vec1), wide(vec2), { contract: [[], []] }), beta, alpha),
);
/** Σ i1·i2·i3 over `sumdim`, after inserting the dimensions that each lacks. */
rule('aten::_trilinear', ({ b, out }, { i1, i2, i3, expand1, expand2, expand3, sumdim }) => {
  const rank = i1.shape.length + expand1.length;
  const full = (x: Op, expand: readonly number[]) =>
    [...expand].sort((p, q) => p - q).reduce((y, d) => b.unsqueeze(y, d), x);
  const parts = [full(i1, expand1), full(i2, expand2), full(i3, expand3)];
  const shape = range(rank).map((d) => parts.map((p) => p.shape[d]!).reduce((n, size) => (n === 1 ? size : n)));
  const [x, y, z] = parts.map((p) => b.broadcast(p, shape)) as [Op, Op, Op];
  return b.reshape(sumOver(b, b.multiply(b.multiply(x, y), z), sumdim), out.shape);
});
rule('aten::linalg_cross', ({ b, out }, { self, other, dim }) => {
  const d = dim < 0 ? dim + out.shape.length : dim;
  const [x, y] = [spread(b, self, out), spread(b, other, out)];
  const turn = (v: Op, k: number) => b.concatenate([b.sliceDim(v, d, k, 3), b.sliceDim(v, d, 0, k)], d);
  return b.subtract(b.multiply(turn(x, 1), turn(y, 2)), b.multiply(turn(x, 2), turn(y, 1)));
});
