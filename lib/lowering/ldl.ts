/**
 * @file LDL factorisation of symmetric and hermitian matrices, all matrices of a batch at once: diagonal pivoting with
 * blocks of one and two as LAPACK's sytrf and hetrf choose them (J. R. Bunch and L. Kaufman, "Some stable methods for
 * calculating inertia and solving symmetric linear systems", Math. Comp. 31, 1977).
 */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { isComplex, realOf } from '../torch/dtype.js';
import { sumOver } from './common.js';
import { argExtremum } from './reduction.js';
import { rule } from './registry.js';

/** Balances the growth of one step with a block of two against two steps with blocks of one. */
const ALPHA = (1 + Math.sqrt(17)) / 8;

/** The operations on a batch of matrices [batch, n, m] whose rows are chosen by masks. */
class Rows {
  constructor(readonly b: Builder) {}
  /** Where a dimension of `shape` is at the batch's numbers. */
  at(shape: readonly number[], dim: number, i: Op, direction: 'EQ' | 'GT' | 'GE' = 'EQ'): Op {
    const { b } = this;
    return b.compare(direction, b.iota(shape, dim, 'int64'), b.broadcastInDim(i, shape, [0]));
  }
  /** Line `i` along dimension `dim`, one for each of the batch. */
  take(x: Op, dim: number, i: Op): Op {
    const { b } = this;
    return sumOver(b, b.select(this.at(x.shape, dim, i), x, b.fill(x, 0)), [dim]);
  }
  /** The line put at `i` along `dim`. */
  put(x: Op, dim: number, i: Op, line: Op): Op {
    const others = x.shape.map((_, d) => d).filter((d) => d !== dim);
    return this.b.select(this.at(x.shape, dim, i), this.b.broadcastInDim(line, x.shape, others), x);
  }
  exchange(x: Op, dim: number, i: Op, j: Op): Op {
    const [a, c] = [this.take(x, dim, i), this.take(x, dim, j)];
    return this.put(this.put(x, dim, j, a), dim, i, c);
  }
  /** [batch] over [batch, n]. */
  spread(x: Op, shape: readonly number[]): Op {
    return this.b.broadcastInDim(x, shape, [0]);
  }
}
const plus = (b: Builder, i: Op, n: number): Op => b.add(i, b.fill(i, n));
/** LAPACK's size of an entry: |re| + |im|. */
const size = (b: Builder, x: Op): Op => (isComplex(x.dtype) ? b.add(b.abs(b.real(x)), b.abs(b.imag(x))) : b.abs(x));

/** The real part where the matrix is hermitian, in the same dtype. */
const realDiagonal = (b: Builder, x: Op, hermitian: boolean): Op =>
  hermitian && isComplex(x.dtype) ? b.complex(b.real(x), b.fill({ shape: x.shape, dtype: realOf(x.dtype) }, 0)) : x;
const turned = (b: Builder, x: Op, hermitian: boolean): Op => (hermitian && isComplex(x.dtype) ? b.conj(x) : x);
const triangle = (b: Builder, x: Op, direction: 'GE' | 'GT' | 'EQ'): Op =>
  b.compare(direction, b.iota(x.shape, 1, 'int64'), b.iota(x.shape, 2, 'int64'));

/** The pivot row of column `k` and whether it starts a block of two. */
function choose(rows: Rows, x: Op, k: Op, column: Op): { kp: Op; pair: Op; zero: Op } {
  const { b } = rows;
  const sizes = size(b, column);
  const diagonal = rows.take(sizes, 1, k);
  const below = rows.at(sizes.shape, 1, k, 'GT');
  const [largest, imax] = argExtremum(b, b.select(below, sizes, b.fill(sizes, -1)), 1, 'maximum');
  const colmax = b.maximum(largest, b.fill(largest, 0));
  const across = size(b, rows.take(x, 2, imax));
  const others = b.and(rows.at(sizes.shape, 1, k, 'GE'), b.not(rows.at(sizes.shape, 1, imax)));
  const rowmax = b.reduce(b.select(others, across, b.fill(across, 0)), b.scalar(0, across.dtype), 'maximum', [1]);
  const alpha = (y: Op): Op => b.multiply(y, b.fill(y, ALPHA));
  const keep = b.or(
    b.compare('GE', diagonal, alpha(colmax)),
    b.compare('GE', diagonal, alpha(b.multiply(colmax, b.divide(colmax, rowmax)))),
  );
  const single = b.compare('GE', rows.take(across, 1, imax), alpha(rowmax));
  const zero = b.compare('EQ', b.maximum(diagonal, colmax), b.fill(colmax, 0));
  const stay = b.or(zero, keep);
  return { kp: b.select(stay, k, imax), pair: b.not(b.or(stay, single)), zero };
}

/** One block: matrix [batch, n, n] full from `k` on and factored before, pivots, info and the next column of each. */
function step(b: Builder, [x0, pivots, info, k]: readonly [Op, Op, Op, Op], hermitian: boolean): readonly Op[] {
  const rows = new Rows(b);
  const { shape } = x0;
  const [batch, n] = shape as [number, number];
  const line = [batch, n];
  const open = b.compare('LT', k, b.fill(k, n));
  const { kp, pair, zero } = choose(rows, x0, k, rows.take(x0, 2, k));
  const last = b.select(pair, plus(b, k, 1), k);
  // Rows and columns `last` and kp change places, factored columns keep their order.
  const rowsSwapped = b.select(rows.at(shape, 2, k, 'GE'), rows.exchange(x0, 1, last, kp), x0);
  const x = b.select(rows.at(shape, 1, k, 'GE'), rows.exchange(rowsSwapped, 2, last, kp), rowsSwapped);

  const [u, v] = [rows.take(x, 2, k), rows.take(x, 2, plus(b, k, 1))];
  const a = rows.take(u, 1, k);
  const [e, c] = [rows.take(u, 1, plus(b, k, 1)), rows.take(v, 1, plus(b, k, 1))];
  const f = turned(b, e, hermitian);
  const [ae, ce] = [b.divide(a, f), b.divide(c, e)];
  const t = b.divide(b.fill(a, 1), b.subtract(b.multiply(ce, ae), b.fill(a, 1)));
  const wide = (y: Op) => rows.spread(y, line);
  const first = b.multiply(wide(b.divide(t, f)), b.subtract(b.multiply(wide(ce), u), v));
  const second = b.multiply(wide(b.divide(t, e)), b.subtract(b.multiply(wide(ae), v), u));
  const alone = b.multiply(u, wide(b.divide(b.fill(a, 1), b.select(zero, b.fill(a, 1), a))));
  const after = rows.at(line, 1, last, 'GT');
  const masked = (y: Op, where: Op) => b.select(where, y, b.fill(y, 0));
  const isPair = wide(pair);
  const l = masked(b.select(isPair, first, alone), after);
  const l2 = masked(second, b.and(after, isPair));

  const outer = (p: Op, q: Op) =>
    b.multiply(b.broadcastInDim(p, shape, [0, 1]), b.broadcastInDim(turned(b, q, hermitian), shape, [0, 2]));
  const change = b.add(outer(masked(u, after), l), outer(masked(v, b.and(after, isPair)), l2));
  const inside = b.and(rows.at(shape, 1, last, 'GT'), rows.at(shape, 2, last, 'GT'));
  const reduced = b.select(inside, b.subtract(x, change), x);
  const real = b.select(triangle(b, x, 'EQ'), realDiagonal(b, reduced, hermitian), reduced);
  const withFirst = rows.put(real, 2, k, b.select(after, l, u));
  const withBoth = rows.put(withFirst, 2, plus(b, k, 1), b.select(after, l2, v));
  const next = b.select(b.broadcastInDim(pair, shape, [0]), withBoth, withFirst);

  const place = b.convert(plus(b, kp, 1), 'int32');
  const noted = rows.put(pivots, 1, k, b.select(pair, b.negate(place), place));
  const notedBoth = rows.put(noted, 1, last, b.select(pair, b.negate(place), place));
  const here = b.convert(plus(b, k, 1), 'int32');
  const failed = b.select(b.and(zero, b.compare('EQ', info, b.fill(info, 0))), here, info);
  return [
    b.select(b.broadcastInDim(open, shape, [0]), next, x0),
    b.select(wide(open), notedBoth, pivots),
    b.select(open, failed, info),
    b.select(open, plus(b, last, 1), k),
  ];
}

rule('aten::linalg_ldl_factor_ex', ({ b }, { self, hermitian }) => {
  const lead = self.shape.slice(0, -2);
  const n = self.shape.at(-1)!;
  const batch = numel(lead);
  if (numel(self.shape) === 0)
    return [self, b.constant(0, self.shape.slice(0, -1), 'int32'), b.constant(0, lead, 'int32')];
  const given = b.reshape(self, [batch, n, n]);
  const upper = turned(b, b.transpose(given, [0, 2, 1]), hermitian);
  const full = b.select(triangle(b, given, 'GE'), given, upper);
  const start = b.select(triangle(b, given, 'EQ'), realDiagonal(b, full, hermitian), full);
  const zeros = (shape: readonly number[], dtype: 'int32' | 'int64') => b.constant(0, shape, dtype);
  const carry = [start, zeros([batch, n], 'int32'), zeros([batch], 'int32'), zeros([batch], 'int64')];
  // At most one step a column: matrices with blocks of two are done sooner.
  const [x, pivots, info] = b.forLoop(n, carry, (_, [m, p, i, k]) => step(b, [m!, p!, i!, k!], hermitian));
  const factor = b.select(triangle(b, x!, 'GE'), x!, b.fill(x!, 0));
  return [b.reshape(factor, self.shape), b.reshape(pivots!, [...lead, n]), b.reshape(info!, lead)];
});

/** Each element's neighbour `by` places on along dimension 1, 0 beyond the ends. */
const shifted = (b: Builder, x: Op, by: 1 | -1): Op => b.padDim(x, 1, b.scalar(0, x.dtype), -by, by);

/** Divides rows [batch, n, m] by the blocks of D; `first` marks the first rows of blocks of two, `second` the second. */
function divideByBlocks(b: Builder, ld: Op, y: Op, first: Op, second: Op, hermitian: boolean): Op {
  const [batch, n] = ld.shape as [number, number];
  const line = [batch, n];
  const pick = (mask: Op) => sumOver(b, b.select(mask, ld, b.fill(ld, 0)), [2]);
  const rowIs = b.iota(ld.shape, 1, 'int64');
  const diagonal = pick(triangle(b, ld, 'EQ'));
  // Below the diagonal, at the block's first row.
  const under = shifted(b, pick(b.compare('EQ', rowIs, plus(b, b.iota(ld.shape, 2, 'int64'), 1))), 1);
  const one = b.constant(1, line, ld.dtype);
  const onPair = (z: Op) => b.select(first, z, one);
  const [e, a, c] = [onPair(under), onPair(diagonal), onPair(shifted(b, diagonal, 1))];
  const f = turned(b, e, hermitian);
  const wide = (z: Op) => b.broadcastInDim(z, y.shape, [0, 1]);
  const [ae, ce] = [b.divide(a, f), b.divide(c, e)];
  const denominator = wide(b.subtract(b.multiply(ae, ce), one));
  const [y1, y2] = [b.divide(y, wide(f)), b.divide(shifted(b, y, 1), wide(e))];
  const x1 = b.divide(b.subtract(b.multiply(wide(ce), y1), y2), denominator);
  const x2 = b.divide(b.subtract(b.multiply(wide(ae), y2), y1), denominator);
  const alone = b.divide(y, wide(b.select(b.or(first, second), one, diagonal)));
  return b.select(wide(first), x1, b.select(wide(second), shifted(b, x2, -1), alone));
}

rule('aten::linalg_ldl_solve', ({ b, out }, { LD, pivots, B, hermitian }) => {
  if (numel(out.shape) === 0) return b.fill(out, 0);
  const rows = new Rows(b);
  const lead = out.shape.slice(0, -2);
  const [n, m] = out.shape.slice(-2) as [number, number];
  const batch = numel(lead);
  const line = [batch, n];
  const ld = b.reshape(b.broadcast(LD, [...lead, n, n]), [batch, n, n]);
  const p = b.convert(b.reshape(b.broadcast(pivots, [...lead, n]), line), 'int64');
  const y0 = b.reshape(b.broadcast(B, out.shape), [batch, n, m]);
  const negative = b.compare('LT', p, b.fill(p, 0));
  const target = plus(b, b.abs(p), -1);
  const wide = (z: Op, shape: readonly number[]) => b.broadcastInDim(z, shape, [0]);
  const flag = (x: Op, k: Op) =>
    b.compare('NE', rows.take(b.convert(x, 'int32'), 1, k), b.constant(0, [batch], 'int32'));
  /** Rows of column `k` of L below its block, the exchange that belongs to it, and whether it is a block's second. */
  const column = (k: Op, first: Op) => {
    const last = b.select(first, plus(b, k, 1), k);
    const l = rows.take(ld, 2, k);
    return { last, kp: rows.take(target, 1, k), l: b.select(rows.at(line, 1, last, 'GT'), l, b.fill(l, 0)) };
  };
  const exchanged = (y: Op, { last, kp }: { last: Op; kp: Op }, second: Op) =>
    b.select(wide(second, y.shape), y, rows.exchange(y, 1, last, kp));

  // Down the columns: exchanges and L⁻¹. A block of two starts at the first negative pivot that no block has yet.
  const inits = [y0, b.constant(0, line, 'int32'), b.constant(false, [batch], 'bool')];
  const [down, firsts] = b.forLoop(n, inits, (i, [y, marks, isSecond]) => {
    const k = b.broadcast(i, [batch]);
    const first = b.and(flag(negative, k), b.not(isSecond!));
    const at = column(k, first);
    const turnedRows = exchanged(y!, at, isSecond!);
    const head = rows.take(turnedRows, 1, k);
    const part = b.multiply(b.broadcastInDim(at.l, y!.shape, [0, 1]), b.broadcastInDim(head, y!.shape, [0, 2]));
    return [b.subtract(turnedRows, part), rows.put(marks!, 1, k, b.convert(first, 'int32')), first];
  });
  const first = b.compare('NE', firsts!, b.fill(firsts!, 0));
  const second = b.and(negative, b.not(first));
  const divided = divideByBlocks(b, ld, down!, first, second, hermitian);
  // And up again: L⁻ᵀ or L⁻ᴴ, then the exchanges the other way.
  const [solved] = b.forLoop(n, [divided], (i, [y]) => {
    const k = b.broadcast(b.subtract(b.scalar(n - 1, 'int64'), i), [batch]);
    const at = column(k, flag(first, k));
    const l = b.broadcastInDim(turned(b, at.l, hermitian), y!.shape, [0, 1]);
    const head = b.subtract(rows.take(y!, 1, k), sumOver(b, b.multiply(l, y!), [1]));
    return [exchanged(rows.put(y!, 1, k, head), at, flag(second, k))];
  });
  return b.reshape(solved!, out.shape);
});
