/** @file LU factorisation with partial pivoting: one column a step, all matrices of a batch at once. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { isComplex } from '../torch/dtype.js';
import { sumOver } from './common.js';
import { argExtremum } from './reduction.js';

/** LAPACK's measure of a pivot: |re| + |im|. */
const size = (b: Builder, x: Op): Op => (isComplex(x.dtype) ? b.add(b.abs(b.real(x)), b.abs(b.imag(x))) : b.abs(x));
/** Column `k` (or, `row`, row `k`) of [batch, n, m], without its dimension. */
function line(b: Builder, x: Op, k: Op, row: boolean): Op {
  const [batch, n, m] = x.shape as [number, number, number];
  const zero = b.scalar(0, 'int64');
  const part = row
    ? b.dynamicSlice(x, [zero, k, zero], [batch, 1, m])
    : b.dynamicSlice(x, [zero, zero, k], [batch, n, 1]);
  return b.reshape(part, [batch, row ? m : n]);
}
/** Where dimension `dim` of `shape` compares to the 0-d value k. */
const where = (b: Builder, shape: readonly number[], dim: number, direction: 'EQ' | 'GT' | 'GE', k: Op): Op =>
  b.compare(direction, b.iota(shape, dim, 'int64'), b.broadcast(k, shape));

/** Packed factors, LAPACK's row exchanges (from 1), and 1 + the place of the first zero pivot (0: none). */
export function factorLu(b: Builder, a: Op, pivoting = true): { lu: Op; pivots: Op; info: Op } {
  const lead = a.shape.slice(0, -2);
  const [n, m] = a.shape.slice(-2) as [number, number];
  const [batch, steps] = [numel(lead), Math.min(n, m)];
  const start = [b.reshape(a, [batch, n, m]), b.constant(0, [batch, steps], 'int32'), b.constant(0, [batch], 'int32')];
  const done =
    numel(a.shape) === 0 ? start : b.forLoop(steps, start, (k, [x, p, info]) => step(b, k, x!, p!, info!, pivoting));
  return {
    lu: b.reshape(done[0]!, a.shape),
    pivots: b.reshape(done[1]!, [...lead, steps]),
    info: b.reshape(done[2]!, lead),
  };
}
function step(b: Builder, k: Op, x: Op, pivots: Op, info: Op, pivoting: boolean): readonly Op[] {
  const [batch, n] = x.shape as [number, number];
  const shape = x.shape;
  const column = size(b, line(b, x, k, false));
  const below = where(b, column.shape, 1, 'GE', k);
  const chosen = argExtremum(b, b.select(below, column, b.fill(column, -1)), 1, 'maximum')[1];
  const pivot = pivoting ? chosen : b.broadcast(k, [batch]);
  const isPivot = b.compare('EQ', b.iota(shape, 1, 'int64'), b.broadcastInDim(pivot, shape, [0]));
  const isK = where(b, shape, 1, 'EQ', k);
  const pivotRow = sumOver(b, b.select(isPivot, x, b.fill(x, 0)), [1]);
  const spreadRow = (row: Op) => b.broadcastInDim(row, shape, [0, 2]);
  const swapped = b.select(isK, spreadRow(pivotRow), b.select(isPivot, spreadRow(line(b, x, k, true)), x));

  const head = b.reshape(line(b, b.reshape(pivotRow, [batch, 1, shape[2]!]), k, false), [batch]);
  const zero = b.compare('EQ', head, b.fill(head, 0));
  const divisor = b.broadcastInDim(b.select(zero, b.fill(head, 1), head), [batch, n], [0]);
  const under = where(b, [batch, n], 1, 'GT', k);
  const old = line(b, swapped, k, false);
  const factors = b.select(under, b.divide(old, divisor), b.fill(old, 0));
  const outer = b.multiply(b.broadcastInDim(factors, shape, [0, 1]), spreadRow(pivotRow));
  const right = where(b, shape, 2, 'GT', k);
  const atColumn = b.and(where(b, shape, 2, 'EQ', k), b.broadcastInDim(under, shape, [0, 1]));
  const reduced = b.select(right, b.subtract(swapped, outer), swapped);
  const next = b.select(atColumn, b.broadcastInDim(factors, shape, [0, 1]), reduced);

  const place = b.convert(b.add(pivot, b.fill(pivot, 1)), 'int32');
  const recorded = b.select(where(b, pivots.shape, 1, 'EQ', k), b.broadcastInDim(place, pivots.shape, [0]), pivots);
  const here = b.broadcast(b.convert(b.add(k, b.scalar(1, 'int64')), 'int32'), info.shape);
  const first = b.and(zero, b.compare('EQ', info, b.fill(info, 0)));
  return [next, recorded, b.select(first, here, info)];
}
/** LAPACK's exchanges [..., k] as the order of `n` rows: row i of P⁻¹·x is row order[i] of x. */
export function permutation(b: Builder, pivots: Op, n: number): Op {
  const lead = pivots.shape.slice(0, -1);
  const steps = pivots.shape.at(-1)!;
  const batch = numel(lead);
  const start = b.iota([batch, n], 1, 'int32');
  if (batch === 0 || steps === 0) return b.reshape(start, [...lead, n]);
  const [order] = b.forLoop(steps, [start, b.reshape(pivots, [batch, steps])], (k, [o, p]) => {
    const shape = [batch, n];
    const pick = (hit: Op) => b.broadcastInDim(sumOver(b, b.select(hit, o!, b.fill(o!, 0)), [1]), shape, [0]);
    const target = sumOver(b, b.select(where(b, p!.shape, 1, 'EQ', k), p!, b.fill(p!, 0)), [1]);
    const goal = b.broadcastInDim(b.subtract(target, b.fill(target, 1)), shape, [0]);
    const isGoal = b.compare('EQ', b.iota(shape, 1, 'int32'), goal);
    const isK = where(b, shape, 1, 'EQ', k);
    return [b.select(isK, pick(isGoal), b.select(isGoal, pick(isK), o!)), p!];
  });
  return b.reshape(order!, [...lead, n]);
}
