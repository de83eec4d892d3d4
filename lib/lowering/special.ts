/** @file Special functions, by libtorch's own approximations where CHLO has none. */
import type { Builder } from '../stablehlo/builder.js';
import { type Op, range } from '../stablehlo/types.js';
import { opmath, pointwise, renames } from './common.js';
import { takeFlat } from './gather.js';
import { NoLowering, type RuleName, rule } from './registry.js';
import * as C from './special-coefficients.js';

renames({
  'aten::erf': 'chlo.erf',
  'aten::erfc': 'chlo.erfc',
  'aten::lgamma': 'chlo.lgamma',
});

/** In float64: CHLO's float32 series is 1e-5 off near ±1, where erfinv's own gradient magnifies it. */
pointwise('aten::erfinv', ({ b }, { self }) =>
  b.convert(b.unary('chlo.erf_inv', b.convert(self, 'float64')), self.dtype),
);

/** Arithmetic on one dtype and shape, with numbers mixed in: formulas below read like formulas. */
class Formula {
  constructor(
    private readonly b: Builder,
    private readonly like: Op,
  ) {}
  private op(x: Op | number): Op {
    return typeof x === 'number' ? this.b.fill(this.like, x) : x;
  }
  add = (...xs: readonly (Op | number)[]): Op => xs.map((x) => this.op(x)).reduce((p, q) => this.b.add(p, q));
  mul = (...xs: readonly (Op | number)[]): Op => xs.map((x) => this.op(x)).reduce((p, q) => this.b.multiply(p, q));
  sub = (x: Op | number, y: Op | number): Op => this.b.subtract(this.op(x), this.op(y));
  div = (x: Op | number, y: Op | number): Op => this.b.divide(this.op(x), this.op(y));
  lt = (x: Op | number, y: Op | number): Op => this.b.compare('LT', this.op(x), this.op(y));
  le = (x: Op | number, y: Op | number): Op => this.b.compare('LE', this.op(x), this.op(y));
  eq = (x: Op | number, y: Op | number): Op => this.b.compare('EQ', this.op(x), this.op(y));
  when = (p: Op, x: Op | number, y: Op | number): Op => this.b.select(p, this.op(x), this.op(y));
  /** Highest power first. */
  poly = (x: Op, c: readonly number[]): Op => c.slice(1).reduce((y, k) => this.add(this.mul(y, x), k), this.op(c[0]!));
  /** Clenshaw's sum of a Chebyshev series, highest first. */
  chebyshev = (x: Op, c: readonly number[]): Op => {
    let [p, q, a] = [this.op(0), this.op(0), this.op(c[0]!)];
    for (const k of c.slice(1)) {
      [p, q] = [q, a];
      a = this.add(this.sub(this.mul(x, q), p), k);
    }
    return this.mul(0.5, this.sub(a, p));
  };
}
/** A function of one tensor, computed in float32 at least. */
function unary(names: RuleName | readonly RuleName[], body: (f: Formula, x: Op, b: Builder) => Op): void {
  pointwise(names, ({ b }, args) => {
    const { self, x } = args as { self?: Op; x?: Op };
    const v = (self ?? x)!;
    return body(new Formula(b, v), v, b);
  });
}

/** ψ: at 0 an infinity of the opposite sign, at negative integers NaN. */
const digamma = (b: Builder, x: Op): Op => {
  const f = new Formula(b, x);
  return f.when(f.eq(x, 0), f.div(-1, x), b.unary('chlo.digamma', x));
};
pointwise('aten::digamma', ({ b }, { self }) => digamma(b, self));
/** Terms summed one by one below 0; farther down only the distance to the next pole counts. */
const FARTHEST = -1e6;
/** Hurwitz's ζ(x, q): infinite at q = 0, -1, -2 …, for odd x too. CHLO's holds for q > 0, so the terms below are added first. */
const zeta = (b: Builder, x: Op, q: Op): Op => {
  const f = new Formula(b, q);
  const pole = b.and(f.le(q, 0), f.eq(b.floor(q), q));
  const near = f.when(f.lt(q, FARTHEST), f.add(f.sub(q, b.floor(q)), FARTHEST), q);
  const [rest, , below] = b.while(
    [f.when(pole, 1, near), x, f.mul(x, 0)],
    ([a]) => b.reduce(new Formula(b, a!).lt(a!, 0), b.scalar(false, 'bool'), 'or', range(a!.shape.length)),
    ([a, s, sum]) => {
      const g = new Formula(b, a!);
      const low = g.lt(a!, 0);
      return [g.when(low, g.add(a!, 1), a!), s!, g.when(low, g.add(sum!, b.power(a!, g.mul(-1, s!))), sum!)];
    },
  );
  return f.when(b.and(pole, f.lt(1, x)), Infinity, f.add(below!, b.binary('chlo.zeta', x, rest!)));
};
pointwise('aten::special_zeta', ({ b }, { self, other }) => zeta(b, self, other));
/** ψ', reflected below 1/2 and pushed up until its asymptotic series holds. */
const trigamma = (b: Builder, v: Op): Op => {
  const f = new Formula(b, v);
  const low = f.lt(v, 0.5);
  const sine = b.sine(f.mul(Math.PI, v));
  let x = f.when(low, f.sub(1, v), v);
  let sum = f.mul(v, 0);
  for (let k = 0; k < 6; k++) {
    sum = f.add(sum, f.div(1, f.mul(x, x)));
    x = f.add(x, 1);
  }
  const w = f.div(1, f.mul(x, x));
  const tail = f.add(1, f.div(0.5, x), f.mul(w, f.sub(1 / 6, f.mul(w, f.sub(1 / 30, f.div(w, 42))))));
  const y = f.add(sum, f.div(tail, x));
  return f.when(low, f.sub(f.div(Math.PI * Math.PI, f.mul(sine, sine)), y), y);
};
const factorial = (n: number): number => range(n).reduce((p, k) => p * (k + 1), 1);
pointwise('aten::polygamma', ({ b, out }, { n, self }) => {
  if (n < 0) throw new NoLowering(`derivative number ${n}`);
  if (n === 0) return digamma(b, self);
  if (n === 1) return trigamma(b, self);
  return b.multiply(b.fill(out, (n % 2 ? 1 : -1) * factorial(n)), zeta(b, b.fill(out, n + 1), self));
});
pointwise('aten::mvlgamma', ({ b, out }, { self, p }) => {
  if (p < 1) throw new NoLowering(`mvlgamma of ${p} dimensions`);
  const terms = range(p).map((j) => b.unary('chlo.lgamma', b.add(self, b.fill(out, -j / 2))));
  return b.add(
    terms.reduce((x, y) => b.add(x, y)),
    b.fill(out, ((p * (p - 1)) / 4) * Math.log(Math.PI)),
  );
});

/** e^-|x| times a modified Bessel function: one series up to 8, one in 32/x beyond. */
const scaledBessel = (
  f: Formula,
  b: Builder,
  size: Op,
  c: { readonly A: readonly number[]; readonly B: readonly number[] },
  odd: boolean,
): Op => {
  const inner = f.chebyshev(f.sub(f.mul(size, 0.5), 2), c.A);
  const outer = f.div(f.chebyshev(f.sub(f.div(32, size), 2), c.B), b.sqrt(size));
  return f.when(f.le(size, 8), odd ? f.mul(inner, size) : inner, outer);
};
const i0e = (f: Formula, x: Op, b: Builder): Op => scaledBessel(f, b, b.abs(x), C.I0, false);
const i1e = (f: Formula, x: Op, b: Builder): Op => {
  const y = scaledBessel(f, b, b.abs(x), C.I1, true);
  return f.when(f.lt(x, 0), b.negate(y), y);
};
const i0 = (f: Formula, x: Op, b: Builder): Op => f.mul(b.exp(b.abs(x)), i0e(f, x, b));
const i1 = (f: Formula, x: Op, b: Builder): Op => f.mul(b.exp(b.abs(x)), i1e(f, x, b));
/** The modified Bessel function I₀. */
export const besselI0 = (b: Builder, x: Op): Op => i0(new Formula(b, x), x, b);
unary('aten::special_i0e', i0e);
unary('aten::special_i1e', i1e);
unary(['aten::i0', 'aten::special_modified_bessel_i0'], i0);
unary(['aten::special_i1', 'aten::special_modified_bessel_i1'], i1);

/** e^x·K(x): a logarithmic singularity at 0, NaN below. */
const scaledK = (f: Formula, x: Op, b: Builder, order: 0 | 1): Op => {
  const c = order === 0 ? C.K0 : C.K1;
  const series = f.chebyshev(f.sub(f.mul(x, x), 2), c.A);
  const log = b.log(f.mul(0.5, x));
  const small = order === 0 ? f.sub(series, f.mul(log, i0(f, x, b))) : f.add(f.mul(log, i1(f, x, b)), f.div(series, x));
  const large = f.div(f.chebyshev(f.sub(f.div(8, x), 2), c.B), b.sqrt(x));
  const y = f.when(f.le(x, 2), f.mul(small, b.exp(x)), large);
  return f.when(f.eq(x, 0), Infinity, f.when(f.lt(x, 0), NaN, y));
};
for (const order of [0, 1] as const) {
  unary(`aten::special_scaled_modified_bessel_k${order}`, (f, x, b) => scaledK(f, x, b, order));
  unary(`aten::special_modified_bessel_k${order}`, (f, x, b) => f.mul(scaledK(f, x, b, order), b.exp(b.negate(x))));
}

/** √(2/πx)·(P·cos(x - φ) ∓ 5/x·Q·sin(x - φ)), for x > 5. */
function besselFar(
  f: Formula,
  x: Op,
  b: Builder,
  c: typeof C.J0 | typeof C.J1 | typeof C.Y0 | typeof C.Y1,
  phase: number,
  second: boolean,
): Op {
  const z = f.div(25, f.mul(x, x));
  const p = f.div(f.poly(z, c.PP), f.poly(z, c.PQ));
  const q = f.mul(f.div(5, x), f.div(f.poly(z, c.QP), f.poly(z, c.QQ)));
  const t = f.sub(x, phase);
  const wave = second
    ? f.add(f.mul(p, b.sine(t)), f.mul(q, b.cosine(t)))
    : f.sub(f.mul(p, b.cosine(t)), f.mul(q, b.sine(t)));
  return f.div(f.mul(wave, Math.sqrt(2 / Math.PI)), b.sqrt(x));
}
const j0 = (f: Formula, v: Op, b: Builder): Op => {
  const x = b.abs(v);
  const z = f.mul(x, x);
  const roots = f.mul(f.sub(z, 5.783185962946784), f.sub(z, 30.471262343662087));
  const near = f.div(f.mul(roots, f.poly(z, C.J0.RP)), f.poly(z, C.J0.RQ));
  const tiny = f.sub(1, f.mul(z, 0.25));
  return f.when(f.le(x, 5), f.when(f.lt(x, 1e-5), tiny, near), besselFar(f, x, b, C.J0, Math.PI / 4, false));
};
const j1 = (f: Formula, v: Op, b: Builder): Op => {
  const x = b.abs(v);
  const z = f.mul(x, x);
  const roots = f.mul(x, f.sub(z, 14.681970642123893), f.sub(z, 49.2184563216946));
  const near = f.mul(f.div(f.poly(z, C.J1.RP), f.poly(z, C.J1.RQ)), roots);
  const y = f.when(f.le(x, 5), near, besselFar(f, x, b, C.J1, (3 * Math.PI) / 4, false));
  return f.when(f.lt(v, 0), b.negate(y), y);
};
const atOrigin = (f: Formula, x: Op, y: Op): Op => f.when(f.eq(x, 0), -Infinity, f.when(f.lt(x, 0), NaN, y));
unary('aten::special_bessel_j0', j0);
unary('aten::special_bessel_j1', j1);
unary('aten::special_bessel_y0', (f, x, b) => {
  const z = f.mul(x, x);
  const near = f.add(f.div(f.poly(z, C.Y0.YP), f.poly(z, C.Y0.YQ)), f.mul(2 / Math.PI, b.log(x), j0(f, x, b)));
  return atOrigin(f, x, f.when(f.le(x, 5), near, besselFar(f, x, b, C.Y0, Math.PI / 4, true)));
});
unary('aten::special_bessel_y1', (f, x, b) => {
  const z = f.mul(x, x);
  const rest = f.mul(2 / Math.PI, f.sub(f.mul(j1(f, x, b), b.log(x)), f.div(1, x)));
  const near = f.add(f.mul(x, f.div(f.poly(z, C.Y1.YP), f.poly(z, C.Y1.YQ))), rest);
  return atOrigin(f, x, f.when(f.le(x, 5), near, besselFar(f, x, b, C.Y1, (3 * Math.PI) / 4, true)));
});
unary('aten::special_spherical_bessel_j0', (f, x, b) => {
  const z = f.mul(x, x);
  const series = f.poly(z, [1 / 6227020800, -1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1]);
  const y = f.when(f.lt(b.abs(x), 0.5), series, f.div(b.sine(x), x));
  return f.when(f.eq(b.abs(x), Infinity), 0, y);
});
/** Asymptotic forms on both sides, a Maclaurin series between. */
unary('aten::special_airy_ai', (f, x, b) => {
  const size = b.abs(x);
  const zeta = f.mul(2 / 3, size, b.sqrt(size));
  const root = b.sqrt(b.sqrt(size));
  const [u, w] = [f.div(1, zeta), f.div(1, f.mul(zeta, zeta))];
  const t = f.add(zeta, Math.PI / 4);
  const even = f.add(1, f.mul(w, f.div(f.poly(w, C.AIRY.AFN), f.poly(w, C.AIRY.AFD))));
  const odd = f.mul(u, f.div(f.poly(w, C.AIRY.AGN), f.poly(w, C.AIRY.AGD)));
  const left = f.div(f.mul(0.5641895835477563, f.sub(f.mul(b.sine(t), even), f.mul(b.cosine(t), odd))), root);
  const decay = f.div(f.poly(u, C.AIRY.AN), f.poly(u, C.AIRY.AD));
  const right = f.div(f.mul(0.5641895835477563, decay), f.mul(2, root, b.exp(zeta)));
  const cube = f.mul(x, x, x);
  let [m, n] = [f.add(f.mul(x, 0), 1), x];
  let [even0, odd0] = [m, n];
  for (let k = 1; k < 60; k += 3) {
    m = f.mul(m, cube, 1 / ((k + 1) * (k + 2)));
    n = f.mul(n, cube, 1 / ((k + 2) * (k + 3)));
    [even0, odd0] = [f.add(even0, m), f.add(odd0, n)];
  }
  const middle = f.sub(f.mul(0.3550280538878172, even0), f.mul(0.2588194037928068, odd0));
  const y = f.when(f.lt(x, -2.09), left, f.when(f.lt(x, 2.09), middle, right));
  return f.when(f.eq(size, Infinity), NaN, f.when(f.lt(103.892, x), 0, y));
});

/** Quantile of the normal distribution. */
unary('aten::special_ndtri', (f, y0, b) => {
  const edge = 0.1353352832366127;
  const upper = f.lt(1 - edge, y0);
  const y = f.when(upper, f.sub(1, y0), y0);
  const d = f.sub(y, 0.5);
  const d2 = f.mul(d, d);
  const ratio = (v: Op, p: readonly number[], q: readonly number[]) => f.div(f.poly(v, p), f.poly(v, q));
  const central = f.mul(2.5066282746310007, f.add(d, f.mul(d, d2, ratio(d2, C.NDTRI.P0, C.NDTRI.Q0))));
  const x = b.sqrt(f.mul(-2, b.log(y)));
  const z = f.div(1, x);
  const tail = f.mul(z, f.when(f.lt(x, 8), ratio(z, C.NDTRI.P1, C.NDTRI.Q1), ratio(z, C.NDTRI.P2, C.NDTRI.Q2)));
  const far = f.sub(f.sub(x, f.div(b.log(x), x)), tail);
  const value = f.when(f.lt(edge, y), central, f.when(upper, far, b.negate(far)));
  const ends = f.when(f.eq(y0, 0), -Infinity, f.when(f.eq(y0, 1), Infinity, value));
  return f.when(b.or(f.lt(y0, 0), f.lt(1, y0)), NaN, ends);
});
/** e^x²·erfc(x): a hundred polynomials in 400/(4 + x), a rational function far out. */
function erfcx(f: Formula, v: Op, b: Builder): Op {
  const x = b.abs(v);
  const y = f.div(400, f.add(4, x));
  const row = b.convert(b.minimum(b.floor(y), b.fill(y, 99)), 'int64');
  const t = f.sub(f.mul(2, y), f.add(f.mul(2, b.convert(row, y.dtype)), 1));
  const width = C.ERFCX[0]!.length;
  const table = b.constant(C.ERFCX.flat(), [C.ERFCX.length * width], y.dtype);
  const coefficient = (k: number) => takeFlat(b, table, b.add(b.multiply(row, b.fill(row, width)), b.fill(row, k)));
  const near = range(width - 1)
    .reverse()
    .reduce((p, k) => f.add(f.mul(p, t), coefficient(k)), coefficient(width - 1));
  const z = f.mul(x, x);
  const far = f.div(
    f.mul(0.5641895835477563, f.add(f.mul(z, f.add(z, 4.5)), 2)),
    f.mul(x, f.add(f.mul(z, f.add(z, 5)), 3.75)),
  );
  const huge = f.div(0.5641895835477563, x);
  const positive = f.when(f.lt(5e7, x), huge, f.when(f.lt(50, x), far, near));
  const mirrored = f.sub(f.mul(2, b.exp(z)), f.when(f.lt(v, -6.1), 0, positive));
  return f.when(b.isNan(v), v, f.when(f.lt(v, 0), f.when(f.lt(v, -26.7), Infinity, mirrored), positive));
}
unary('aten::special_erfcx', erfcx);
unary('aten::special_log_ndtr', (f, x, b) => {
  const t = f.mul(x, Math.SQRT1_2);
  const low = f.sub(b.log(f.mul(0.5, erfcx(f, b.negate(t), b))), f.mul(t, t));
  return f.when(f.lt(x, -1), low, b.log1p(f.mul(-0.5, b.unary('chlo.erfc', t))));
});

const BITS = { float32: ['int32', 23, 255, 126], float64: ['int64', 52, 2047, 1022] } as const;
/** x = mantissa · 2^exponent with |mantissa| in [0.5, 1). */
rule('aten::frexp.Tensor', ({ b, outs }, { self }) => {
  const x = b.convert(self, opmath(self.dtype));
  const [integer, shift, mask, bias] = BITS[x.dtype as keyof typeof BITS];
  const bits = b.bitcast(x, x.shape, integer);
  const raw = b.and(b.shiftRightLogical(bits, b.fill(bits, shift)), b.fill(bits, mask));
  const ordinary = b.and(b.isFinite(x), b.compare('NE', x, b.fill(x, 0)));
  const cleared = b.and(bits, b.fill(bits, ~(BigInt(mask) << BigInt(shift))));
  const m = b.bitcast(b.or(cleared, b.fill(bits, BigInt(bias) << BigInt(shift))), x.shape, x.dtype);
  const e = b.select(ordinary, b.subtract(raw, b.fill(raw, bias)), b.fill(raw, 0));
  return [b.convert(b.select(ordinary, m, x), outs[0]!.dtype), b.convert(e, 'int32')];
});
