/** @file Orthogonal polynomials of element-wise degree, by their three-term recurrences. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { pointwise } from './common.js';
import type { RuleName } from './registry.js';

/** One step: from p(k-1) and p(k) to p(k+1). */
type Step = (b: Builder, x: Op, k: Op, q: Op, p: Op) => Op;
/** p(n) for every element: the loop runs to the largest degree, each element stops at its own. */
function recurrence(b: Builder, x: Op, degrees: Op, first: Op, step: Step): Op {
  // Eager refuses more (native/dispatch/guards.cc): the loop would run for ever. Data are not looked at here, so the answer is NaN.
  const beyond = b.compare('GT', degrees, b.fill(degrees, 2 ** 24));
  const n = b.select(beyond, b.fill(degrees, 0), degrees);
  const one = b.fill(x, 1);
  const dims = range(x.shape.length);
  const [, , , , q] = b.while(
    [b.scalar(1, x.dtype), x, n, one, first],
    ([k, , d]) => {
      const top = b.reduce(d!, b.scalar(-Infinity, x.dtype), 'maximum', dims);
      return b.compare('LT', k!, top);
    },
    ([k, y, d, p, q]) => {
      const wide = b.broadcast(k!, y!.shape);
      const active = b.compare('LT', wide, d!);
      const next = step(b, y!, wide, q!, p!);
      return [b.add(k!, b.scalar(1, k!.dtype)), y!, d!, b.select(active, q!, p!), b.select(active, next, q!)];
    },
  );
  const atZero = b.select(b.compare('EQ', n, b.fill(n, 0)), one, q!);
  const result = b.select(b.compare('LT', n, b.fill(n, 0)), b.fill(x, 0), atZero);
  return b.select(beyond, b.fill(x, Number.NaN), result);
}
/** Degrees are whole: a float is truncated, one that is not finite counts as negative. */
const degree = (b: Builder, n: Op): Op => {
  const whole = b.select(b.compare('LT', n, b.fill(n, 0)), b.ceil(n), b.floor(n));
  return b.select(b.isFinite(n), whole, b.fill(n, -1));
};
const twice = (b: Builder, x: Op): Op => b.add(x, x);
const plus = (b: Builder, x: Op, v: number): Op => b.add(x, b.fill(x, v));
const chebyshevStep: Step = (b, x, _k, q, p) => b.subtract(b.multiply(twice(b, x), q), p);

/** T, U, V and W differ in p(1) and in the closed form inside (-1, 1), which serves for high degrees. */
const CHEBYSHEV = {
  t: {
    first: (_b: Builder, x: Op) => x,
    from: 6,
    closed: (b: Builder, a: Op, n: Op) => b.cosine(b.multiply(n, a)),
  },
  u: {
    first: (b: Builder, x: Op) => twice(b, x),
    from: 8,
    closed: (b: Builder, a: Op, n: Op) => b.divide(b.sine(b.multiply(plus(b, n, 1), a)), b.sine(a)),
  },
  v: {
    first: (b: Builder, x: Op) => plus(b, twice(b, x), -1),
    from: 8,
    closed: (b: Builder, a: Op, n: Op) =>
      b.divide(b.cosine(b.multiply(plus(b, n, 0.5), a)), b.cosine(b.multiply(a, b.fill(a, 0.5)))),
  },
  w: {
    first: (b: Builder, x: Op) => plus(b, twice(b, x), 1),
    from: 8,
    closed: (b: Builder, a: Op, n: Op) =>
      b.divide(b.sine(b.multiply(plus(b, n, 0.5), a)), b.sine(b.multiply(a, b.fill(a, 0.5)))),
  },
} as const;
/** The shifted ones leave the recurrence earlier. */
const SHIFTED_FROM = { t: 6, u: 6, v: 6, w: 4 } as const;
for (const [kind, c] of Object.entries(CHEBYSHEV) as [keyof typeof CHEBYSHEV, (typeof CHEBYSHEV)['t']][]) {
  const body = (b: Builder, x: Op, order: Op, from: number): Op => {
    const n = degree(b, order);
    const inside = b.compare('LT', b.abs(x), b.fill(x, 1));
    const high = b.and(inside, b.compare('GT', n, b.fill(n, from)));
    // Elements with a closed form need no recurrence: their degree must not lengthen the loop.
    const low = recurrence(b, x, b.select(high, b.fill(n, 1), n), c.first(b, x), chebyshevStep);
    return b.select(high, c.closed(b, b.unary('chlo.acos', x), n), low);
  };
  pointwise(`aten::special_chebyshev_polynomial_${kind}` as RuleName, ({ b }, args) => {
    const { x, n } = args as { x: Op; n: Op };
    return body(b, x, n, c.from);
  });
  pointwise(`aten::special_shifted_chebyshev_polynomial_${kind}` as RuleName, ({ b }, args) => {
    const { x, n } = args as { x: Op; n: Op };
    return body(b, plus(b, twice(b, x), -1), n, SHIFTED_FROM[kind]);
  });
}
const LIMIT = { float32: 128, float64: 512 } as const;
/** libtorch answers NaN above a degree that would overflow. */
const bounded = (b: Builder, n: Op, y: (n: Op) => Op): Op => {
  const d = degree(b, n);
  const over = b.compare('GT', d, b.fill(d, LIMIT[d.dtype as keyof typeof LIMIT] ?? 1024));
  return b.select(over, b.fill(d, NaN), y(b.select(over, b.fill(d, 1), d)));
};
pointwise('aten::special_hermite_polynomial_h', ({ b }, { x, n }) =>
  bounded(b, n, (d) =>
    recurrence(b, x, d, twice(b, x), (c, y, k, q, p) =>
      c.subtract(c.multiply(twice(c, y), q), c.multiply(twice(c, k), p)),
    ),
  ),
);
pointwise('aten::special_hermite_polynomial_he', ({ b }, { x, n }) =>
  bounded(b, n, (d) => recurrence(b, x, d, x, (c, y, k, q, p) => c.subtract(c.multiply(y, q), c.multiply(k, p)))),
);
pointwise('aten::special_laguerre_polynomial_l', ({ b, out }, { x, n }) =>
  recurrence(b, x, degree(b, n), b.subtract(b.fill(out, 1), x), (c, y, k, q, p) => {
    const front = c.add(twice(c, k), c.subtract(c.fill(y, 1), y));
    return c.divide(c.subtract(c.multiply(front, q), c.multiply(k, p)), plus(c, k, 1));
  }),
);
pointwise('aten::special_legendre_polynomial_p', ({ b }, { x, n }) =>
  recurrence(b, x, degree(b, n), x, (c, y, k, q, p) => {
    const front = c.multiply(c.multiply(plus(c, twice(c, k), 1), y), q);
    return c.divide(c.subtract(front, c.multiply(k, p)), plus(c, k, 1));
  }),
);
