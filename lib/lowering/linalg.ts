/** @file Triangular systems, Cholesky, and everything that is made of an LU factorisation. */
import type { Node, Value } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, replaceAt, rowMajor, sameShape } from '../stablehlo/types.js';
import { isComplex } from '../torch/dtype.js';
import { sumOver } from './common.js';
import { identity } from './factory.js';
import { takeFlat } from './gather.js';
import { factorLu, permutation } from './lu.js';
import { tril, triu } from './rearrange.js';
import { type RuleContext, rule, rules } from './registry.js';
import { diagonal } from './view.js';

/** Swaps the last two dimensions. */
export const mT = (b: Builder, x: Op): Op => b.swap(x, x.shape.length - 2, x.shape.length - 1);
export const mH = (b: Builder, x: Op): Op => b.conj(mT(b, x));
/** A matrix spread over batch dimensions. */
const batchTo = (b: Builder, x: Op, batch: readonly number[]): Op => b.broadcast(x, [...batch, ...x.shape.slice(-2)]);
export const eye = (b: Builder, batch: readonly number[], n: number, dtype: Op['dtype']): Op =>
  b.broadcast(identity(b, n, dtype), [...batch, n, n]);

interface Triangular {
  readonly upper: boolean;
  readonly left?: boolean;
  readonly unit?: boolean;
  readonly adjoint?: boolean;
}
/** Solves a triangular system with equal batch dimensions; matrices without elements give zeros. */
export function solveTriangular(b: Builder, a: Op, y: Op, { upper, ...o }: Triangular): Op {
  return numel(y.shape) === 0 ? y : b.triangularSolve(a, y, { lower: !upper, ...o });
}
rule('aten::linalg_solve_triangular', ({ b, out }, { self, B, upper, left, unitriangular }) => {
  const batch = out.shape.slice(0, -2);
  return solveTriangular(b, batchTo(b, self, batch), batchTo(b, B, batch), { upper, left, unit: unitriangular });
});
rule('aten::triangular_solve', ({ b, outs }, { self, A, upper, transpose, unitriangular }) => {
  const batch = outs[0]!.shape.slice(0, -2);
  const a = batchTo(b, A, batch);
  const flipped = transpose ? mT(b, a) : a;
  const x = solveTriangular(b, flipped, batchTo(b, self, batch), { upper: upper !== transpose, unit: unitriangular });
  return [x, a];
});

/** The lower factor with zeros above, and 1 + the place of the first pivot that is not positive (0: none). */
function cholesky(b: Builder, self: Op, upper: boolean): readonly [Op, Op] {
  if (numel(self.shape) === 0) return [self, b.constant(0, self.shape.slice(0, -2), 'int32')];
  const l = tril(b, b.cholesky(upper ? mH(b, self) : self, true));
  const pivots = b.isNan(b.real(diagonal(b, l, 0, -2, -1)));
  const last = pivots.shape.length - 1;
  const place = b.add(b.iota(pivots.shape, last, 'int32'), b.constant(1, pivots.shape, 'int32'));
  const bad = b.select(pivots, place, b.fill(place, 0x7fffffff));
  const first = b.reduce(bad, b.scalar(0x7fffffff, 'int32'), 'minimum', [last]);
  return [upper ? mH(b, l) : l, b.select(b.compare('EQ', first, b.fill(first, 0x7fffffff)), b.fill(first, 0), first)];
}
rule('aten::linalg_cholesky_ex', ({ b }, { self, upper }) => cholesky(b, self, upper));
rule('aten::cholesky', ({ b }, { self, upper }) => cholesky(b, self, upper)[0]);
function choleskySolve(b: Builder, y: Op, factor: Op, upper: boolean): Op {
  const l = upper ? mH(b, triu(b, factor)) : tril(b, factor);
  return solveTriangular(b, l, solveTriangular(b, l, y, { upper: false }), { upper: false, adjoint: true });
}
rules(['aten::_cholesky_solve_helper', 'aten::cholesky_solve'], (ctx, args) => {
  const { b, out } = ctx;
  const { self, upper } = args;
  const a = 'A' in args ? args.A : args.input2;
  const batch = out.shape.slice(0, -2);
  return choleskySolve(b, batchTo(b, self, batch), batchTo(b, a, batch), upper);
});
rule('aten::cholesky_inverse', ({ b, out }, { self, upper }) =>
  choleskySolve(b, eye(b, out.shape.slice(0, -2), out.shape.at(-1)!, out.dtype), self, upper),
);

/** Rows of [..., n, m] in the order `order` [..., n] says. */
function permuteRows(b: Builder, x: Op, order: Op): Op {
  const [n, m] = x.shape.slice(-2) as [number, number];
  const lead = numel(x.shape.slice(0, -2));
  const shape = [lead, n, m];
  const base = b.multiply(b.iota(shape, 0, 'int64'), b.constant(n * m, shape, 'int64'));
  const rowAt = b.broadcastInDim(b.reshape(b.convert(order, 'int64'), [lead, n]), shape, [0, 1]);
  const at = b.add(b.add(base, b.multiply(rowAt, b.fill(rowAt, m))), b.iota(shape, 2, 'int64'));
  return b.reshape(takeFlat(b, b.reshape(x, [numel(x.shape)]), at), x.shape);
}
/** The inverse of permutations [..., n]: places sorted by where they go. */
const inverseOrder = (b: Builder, order: Op): Op =>
  b.sort([order, b.iota(order.shape, order.shape.length - 1, order.dtype)], order.shape.length - 1, ([p], [q]) =>
    b.compare('LT', p!, q!),
  )[1]!;

/** Solves with a packed LU: A = P·L·U. */
export function luSolve(b: Builder, lu: Op, pivots: Op, y: Op, left: boolean, adjoint: boolean): Op {
  if (!left) return mH(b, luSolve(b, lu, pivots, mH(b, y), true, !adjoint));
  if (numel(y.shape) === 0) return y;
  const order = permutation(b, pivots, lu.shape.at(-2)!);
  const lower = { upper: false, unit: true, adjoint };
  const upper = { upper: true, adjoint };
  if (!adjoint) return solveTriangular(b, lu, solveTriangular(b, lu, permuteRows(b, y, order), lower), upper);
  const z = solveTriangular(b, lu, solveTriangular(b, lu, y, upper), lower);
  return permuteRows(b, z, inverseOrder(b, order));
}
rule('aten::linalg_lu_solve', ({ b, out }, { LU, pivots, B, left, adjoint }) => {
  const batch = out.shape.slice(0, -2);
  const p = b.broadcast(pivots, [...batch, pivots.shape.at(-1)!]);
  return luSolve(b, batchTo(b, LU, batch), p, batchTo(b, B, batch), left, adjoint);
});
/** For determinants libtorch factors the transpose of a real row-major matrix, and its backward counts on that. */
function usesTranspose(node: Node): boolean {
  const a = node.args.A as Value;
  const rowed = rowMajor(a.shape).every((s, d) => a.shape[d] === 1 || s === a.strides[d]);
  return rowed && !isComplex(a.dtype);
}
const factored = ({ b, node }: RuleContext, a: Op) => factorLu(b, usesTranspose(node) ? mT(b, a) : a);

rule('aten::_linalg_solve_ex', ({ b, out }, { A, B, left }) => {
  const { lu, pivots, info } = factorLu(b, A);
  // A vector on the right has one dimension less than the matrix, and batches must agree.
  const isVector =
    B.shape.length === 1 || (A.shape.length - 1 === B.shape.length && sameShape(B.shape, A.shape.slice(0, -1)));
  const rhs = isVector ? b.unsqueeze(B, B.shape.length) : B;
  const batch = isVector ? out.shape.slice(0, -1) : out.shape.slice(0, -2);
  const p = b.broadcast(pivots, [...batch, pivots.shape.at(-1)!]);
  const x = luSolve(b, batchTo(b, lu, batch), p, batchTo(b, rhs, batch), left, false);
  return [b.reshape(x, out.shape), lu, pivots, info];
});
rule('aten::linalg_inv_ex', ({ b, out }, { A }) => {
  const { lu, pivots, info } = factorLu(b, A);
  return [luSolve(b, lu, pivots, eye(b, out.shape.slice(0, -2), out.shape.at(-1)!, out.dtype), true, false), info];
});
rule('aten::linalg_lu_factor_ex', ({ b }, { A, pivot }) => {
  const { lu, pivots, info } = factorLu(b, A, pivot);
  return [lu, pivots, info];
});
/** P, L and U apart; `unpack_*` false leaves empty tensors. */
function unpack(b: Builder, lu: Op, pivots: Op) {
  const [n, m] = lu.shape.slice(-2) as [number, number];
  const rank = lu.shape.length;
  const k = Math.min(n, m);
  const l = b.add(
    tril(b, b.sliceDim(lu, rank - 1, 0, k), -1),
    unitDiagonal(b, replaceAt(lu.shape, rank - 1, k), lu.dtype),
  );
  const u = triu(b, b.sliceDim(lu, rank - 2, 0, k));
  const order = permutation(b, pivots, n);
  const shape = [...lu.shape.slice(0, -2), n, n];
  const column = b.broadcastInDim(order, shape, [...range(rank - 2), rank - 1]);
  const p = b.convert(b.compare('EQ', b.iota(shape, rank - 2, order.dtype), column), lu.dtype);
  return { p, l, u };
}
const unitDiagonal = (b: Builder, shape: readonly number[], dtype: Op['dtype']): Op =>
  b.convert(b.compare('EQ', b.iota(shape, shape.length - 2, 'int64'), b.iota(shape, shape.length - 1, 'int64')), dtype);
rule('aten::lu_unpack', ({ b, outs }, { LU_data, LU_pivots }) => {
  const { p, l, u } = unpack(b, LU_data, LU_pivots);
  return [p, l, u].map((x, i) => (sameShape(x.shape, outs[i]!.shape) ? x : b.fill(outs[i]!, 0)));
});
rule('aten::linalg_lu', ({ b, outs }, { A, pivot }) => {
  const { lu, pivots } = factorLu(b, A, pivot);
  const { p, l, u } = unpack(b, lu, pivots);
  return [pivot ? p : b.fill(outs[0]!, 0), l, u];
});

/** The product of the pivots, negative for an odd number of row exchanges. */
function determinant(b: Builder, lu: Op, pivots: Op) {
  const u = diagonal(b, lu, 0, -2, -1);
  const last = u.shape.length - 1;
  const inPlace = b.add(b.iota(pivots.shape, last, 'int32'), b.constant(1, pivots.shape, 'int32'));
  const swaps = sumOver(b, b.convert(b.compare('NE', pivots, inPlace), 'int32'), [last]);
  const odd = b.compare('EQ', b.and(swaps, b.fill(swaps, 1)), b.fill(swaps, 1));
  const one = b.constant(1, swaps.shape, u.dtype);
  return { u, last, parity: b.select(odd, b.negate(one), one) };
}
rule('aten::_linalg_det', (ctx, { A }) => {
  const { b } = ctx;
  const { lu, pivots } = factored(ctx, A);
  const { u, last, parity } = determinant(b, lu, pivots);
  return [b.multiply(parity, b.reduce(u, b.scalar(1, u.dtype), 'multiply', [last])), lu, pivots];
});
/** The sign (or phase) of a singular matrix is 0 and its log-magnitude -inf. */
rule('aten::_linalg_slogdet', (ctx, { A }) => {
  const { b } = ctx;
  const { lu, pivots } = factored(ctx, A);
  const { u, last, parity } = determinant(b, lu, pivots);
  const size = b.abs(u);
  const phase = isComplex(u.dtype) ? b.divide(u, b.convert(size, u.dtype)) : b.sign(u);
  const clean = b.select(b.compare('EQ', size, b.fill(size, 0)), b.fill(u, 0), phase);
  const sign = b.multiply(parity, b.reduce(clean, b.scalar(1, u.dtype), 'multiply', [last]));
  return [sign, sumOver(b, b.log(size), [last]), lu, pivots];
});
