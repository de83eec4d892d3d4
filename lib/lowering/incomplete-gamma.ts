/** @file The regularised incomplete gamma functions, computed in float64: a series below, a continued fraction above. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { pointwise } from './common.js';

const EPSILON = 1.1e-16;
const STEPS = 2000;
const BIG = 4503599627370496;

/** Repeats `body` on the elements that are not `done` yet. The first carried value is the change that decides. */
function iterate(b: Builder, inits: readonly Op[], body: (xs: readonly Op[], k: Op) => readonly Op[]): readonly Op[] {
  const dims = range(inits[0]!.shape.length);
  const busy = (change: Op) => b.compare('GT', change, b.fill(change, EPSILON));
  const result = b.while(
    [b.scalar(1, 'float64'), ...inits],
    ([k, change]) =>
      b.and(
        b.compare('LT', k!, b.scalar(STEPS, 'float64')),
        b.reduce(busy(change!), b.scalar(false, 'bool'), 'or', dims),
      ),
    ([k, ...xs]) => {
      const active = busy(xs[0]!);
      const next = body(xs, b.broadcast(k!, xs[0]!.shape));
      return [b.add(k!, b.scalar(1, 'float64')), ...next.map((y, i) => b.select(active, y, xs[i]!))];
    },
  );
  return result.slice(1);
}
/** x^a·e^-x / Γ(a) */
const front = (b: Builder, a: Op, x: Op): Op =>
  b.exp(b.subtract(b.subtract(b.multiply(a, b.log(x)), x), b.unary('chlo.lgamma', a)));
function series(b: Builder, a: Op, x: Op): Op {
  const one = b.fill(a, 1);
  const [, , sum] = iterate(b, [one, one, one, a, x], ([, c, s, r, v]) => {
    const next = b.add(r!, b.fill(r!, 1));
    const term = b.multiply(c!, b.divide(v!, next));
    const total = b.add(s!, term);
    return [b.divide(term, total), term, total, next, v!];
  });
  return b.divide(b.multiply(sum!, front(b, a, x)), a);
}
function fraction(b: Builder, a: Op, x: Op): Op {
  const one = b.fill(a, 1);
  const y0 = b.subtract(one, a);
  const z0 = b.add(b.add(x, y0), one);
  const p1 = b.add(x, one);
  const q1 = b.multiply(z0, x);
  const start = [one, b.divide(p1, q1), y0, z0, one, x, p1, q1];
  const [, answer] = iterate(b, start, ([, ans, y, z, p2, q2, p, q], k) => {
    const [ny, nz] = [b.add(y!, b.fill(y!, 1)), b.add(z!, b.fill(z!, 2))];
    const yc = b.multiply(ny, k);
    const pk = b.subtract(b.multiply(p!, nz), b.multiply(p2!, yc));
    const qk = b.subtract(b.multiply(q!, nz), b.multiply(q2!, yc));
    const zero = b.compare('EQ', qk, b.fill(qk, 0));
    const r = b.select(zero, ans!, b.divide(pk, qk));
    const change = b.select(zero, b.fill(r, 1), b.abs(b.divide(b.subtract(ans!, r), r)));
    const large = b.compare('GT', b.abs(pk), b.fill(pk, BIG));
    const small = (v: Op) => b.select(large, b.multiply(v, b.fill(v, 1 / BIG)), v);
    return [change, r, ny, nz, small(p!), small(q!), small(pk), small(qk)];
  });
  return b.multiply(answer!, front(b, a, x));
}
/** P(a, x), or Q = 1 - P when `upper`, with libtorch's limits. */
function gamma(b: Builder, a32: Op, x32: Op, upper: boolean): Op {
  const [a, x] = [b.convert(a32, 'float64'), b.convert(x32, 'float64')];
  const [zero, one, inf] = [b.fill(a, 0), b.fill(a, 1), b.fill(a, Infinity)];
  const low = b.or(b.compare('LE', x, one), b.compare('LE', x, a));
  // Each branch gets harmless values where the other one decides, so that its loop does not wait for them.
  const ordinary = b.and(
    b.and(b.isFinite(a), b.isFinite(x)),
    b.and(b.compare('GT', a, zero), b.compare('GT', x, zero)),
  );
  const pick = (p: Op, v: Op, other: number) => b.select(b.and(p, ordinary), v, b.fill(v, other));
  const s = series(b, pick(low, a, 1), pick(low, x, 0.5));
  const f = fraction(b, pick(b.not(low), a, 1), pick(b.not(low), x, 2));
  const y = upper ? b.select(low, b.subtract(one, s), f) : b.select(low, s, b.subtract(one, f));
  const [atZero, atInf] = upper ? [one, zero] : [zero, one];
  const nan = b.fill(a, NaN);
  const is = (v: Op, w: Op) => b.compare('EQ', v, w);
  const limits: [Op, Op][] = [
    [is(x, inf), atInf],
    [is(a, inf), b.select(is(x, inf), nan, atZero)],
    [is(x, zero), atZero],
    [is(a, zero), b.select(b.compare('GT', x, zero), atInf, nan)],
    [b.or(b.compare('LT', x, zero), b.compare('LT', a, zero)), nan],
    [b.or(b.isNan(a), b.isNan(x)), nan],
  ];
  return b.convert(
    limits.reduce((v, [p, limit]) => b.select(p, limit, v), y),
    a32.dtype,
  );
}
pointwise('aten::igamma', ({ b }, { self, other }) => gamma(b, self, other, false));
pointwise('aten::igammac', ({ b }, { self, other }) => gamma(b, self, other, true));
