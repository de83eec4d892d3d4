/** @file One-sided Jacobi: columns are rotated in disjoint pairs until all are orthogonal; accurate for small singular values too. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { isComplex, realOf } from '../torch/dtype.js';
import { sumOver } from './common.js';
import { gatherDim } from './gather.js';
import { eye } from './linalg.js';
import { sortDim } from './sort.js';

const SWEEPS = 30;
const EPSILON = { float32: 1e-7, float64: 1e-15 } as const;

/** The columns of x that stand in the first and in the second half. */
const halves = (b: Builder, x: Op): readonly [Op, Op] => {
  const half = x.shape[2]! / 2;
  return [b.sliceDim(x, 2, 0, half), b.sliceDim(x, 2, half, 2 * half)];
};
/** A round-robin step: column 0 stays, the others move one place round the circle. */
function turn(b: Builder, p: Op, q: Op): Op {
  const half = p.shape[2]!;
  if (half === 1) return b.concatenate([p, q], 2);
  const first = [b.sliceDim(p, 2, 0, 1), b.sliceDim(q, 2, 0, 1), b.sliceDim(p, 2, 1, half - 1)];
  const second = [b.sliceDim(q, 2, 1, half), b.sliceDim(p, 2, half - 1, half)];
  return b.concatenate([...first, ...second], 2);
}
/** Turns the phase of complex columns so that their products with their partners are real. */
function inPhase(b: Builder, q: Op, gamma: Op): { q: Op; gamma: Op } {
  if (!isComplex(q.dtype)) return { q, gamma };
  const size = b.abs(gamma);
  const none = b.compare('EQ', size, b.fill(size, 0));
  const unit = b.divide(gamma, b.convert(b.select(none, b.fill(size, 1), size), gamma.dtype));
  const phase = b.select(none, b.fill(gamma, 1), unit);
  return { q: b.multiply(q, b.broadcastInDim(b.conj(phase), q.shape, [0, 2])), gamma: size };
}
/** Rotates every pair (p_i, q_i) of the top `m` rows to orthogonality, the rows below along with it. */
function rotate(b: Builder, x: Op, m: number): readonly [Op, Op] {
  const [p, r] = halves(b, x);
  const top = (y: Op) => b.sliceDim(y, 1, 0, m);
  const inner = (y: Op, z: Op) => sumOver(b, b.multiply(b.conj(top(y)), top(z)), [1]);
  const { q, gamma } = inPhase(b, r, inner(p, r));
  const [alpha, beta] = [b.real(inner(p, p)), b.real(inner(q, q))];
  const zero = b.fill(gamma, 0);
  const size = b.sqrt(b.multiply(alpha, beta));
  const eps = EPSILON[realOf(x.dtype) as keyof typeof EPSILON];
  const off = b.select(b.compare('GT', size, zero), b.divide(b.abs(gamma), size), zero);
  const idle = b.compare('LE', off, b.fill(off, eps));
  const safe = b.select(idle, b.fill(gamma, 1), gamma);
  const zeta = b.divide(b.subtract(beta, alpha), b.multiply(b.fill(safe, 2), safe));
  const one = b.fill(zeta, 1);
  const sign = b.select(b.compare('LT', zeta, zero), b.negate(one), one);
  const t = b.divide(sign, b.add(b.abs(zeta), b.sqrt(b.add(one, b.multiply(zeta, zeta)))));
  const c = b.rsqrt(b.add(one, b.multiply(t, t)));
  const over = (y: Op) => b.broadcastInDim(b.convert(y, p.dtype), p.shape, [0, 2]);
  const cos = over(b.select(idle, one, c));
  const sin = over(b.select(idle, zero, b.multiply(c, t)));
  const rotated = turn(
    b,
    b.subtract(b.multiply(cos, p), b.multiply(sin, q)),
    b.add(b.multiply(sin, p), b.multiply(cos, q)),
  );
  return [rotated, b.reduce(off, b.scalar(0, off.dtype), 'maximum', [0, 1])];
}
/** a [..., m, n] with m ≥ n: u [..., m, n] (null columns for null values), s descending, v [..., n, n]. */
export function jacobiSvd(b: Builder, a: Op): { u: Op; s: Op; v: Op } {
  const lead = a.shape.slice(0, -2);
  const [m, n] = a.shape.slice(-2) as [number, number];
  const batch = numel(lead);
  const even = n + (n % 2);
  const stacked = b.concatenate([b.reshape(a, [batch, m, n]), eye(b, [batch], n, a.dtype)], 1);
  const start = b.padDim(stacked, 2, b.scalar(0, a.dtype), 0, even - n);
  const part = realOf(a.dtype);
  const eps = EPSILON[part as keyof typeof EPSILON];
  const i32 = (v: number) => b.scalar(v, 'int32');
  // A sweep meets every pair once in even - 1 steps; the largest cosine seen in it decides about another.
  const [, , , x] = b.while(
    [i32(0), b.scalar(0, part), b.scalar(1, part), start],
    ([i, , last]) =>
      b.and(b.compare('LT', i!, i32(SWEEPS * Math.max(even - 1, 1))), b.compare('GT', last!, b.scalar(eps, part))),
    ([i, seen, last, y]) => {
      const [next, off] = rotate(b, y!, m);
      const most = b.maximum(seen!, off);
      const count = b.add(i!, i32(1));
      const ends = b.compare('EQ', b.remainder(count, i32(Math.max(even - 1, 1))), i32(0));
      return [count, b.select(ends, b.scalar(0, part), most), b.select(ends, most, last!), next];
    },
  );
  const top = b.sliceDim(x!, 1, 0, m);
  const norms = b.sqrt(sumOver(b, b.real(b.multiply(b.conj(top), top)), [1]));
  const [sorted, order] = sortDim(b, norms, 1, true);
  const pick = (y: Op) => b.sliceDim(gatherDim(b, y, 2, b.broadcastInDim(order, y.shape, [0, 2])), 2, 0, n);
  const s = b.sliceDim(sorted, 1, 0, n);
  const us = pick(top);
  const scale = b.broadcastInDim(b.convert(s, us.dtype), us.shape, [0, 2]);
  const null_ = b.compare('EQ', scale, b.fill(scale, 0));
  const u = b.select(null_, b.fill(us, 0), b.divide(us, b.select(null_, b.fill(scale, 1), scale)));
  const v = pick(b.sliceDim(x!, 1, m, m + n));
  return { u: b.reshape(u, a.shape), s: b.reshape(s, [...lead, n]), v: b.reshape(v, [...lead, n, n]) };
}
