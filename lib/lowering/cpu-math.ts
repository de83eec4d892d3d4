/**
 * @file Elementary functions for XLA's CPU backend, which calls a scalar routine per element for them: the same in arithmetic that it fuses and makes
 * vector code of. Within 2 ulp, float32 over all numbers; subnormal ones count as 0, as in all of XLA's CPU code.
 */
import { Builder } from '../stablehlo/builder.js';
import { type Literal, numel, type Op, range } from '../stablehlo/types.js';
import { isFloating } from '../torch/dtype.js';
import * as C from './cpu-coefficients.js';
import { keepZero, Reals } from './cpu-reals.js';
import { SMALL, smallSine32, USUAL, usualSine32 } from './cpu-sine32.js';
import { MOST_LINES } from './one-kernel.js';

const negateWhere = (b: Builder, p: Op, x: Op): Op => b.select(p, b.negate(x), x);
/** Whether the sign bit is set. */
const minus = (b: Builder, x: Op): Op => {
  const bits = b.bitcast(x, x.shape, x.dtype === 'float32' ? 'int32' : 'int64');
  return b.compare('LT', bits, b.fill(bits, 0));
};

/** The distance r to the next whole multiple k of the half period, with the parity of k; `shift` in half periods is added to the argument. */
interface Reduced {
  readonly r: Op;
  /** What rounding took from r; float64 only. */
  readonly tail?: Op;
  readonly odd: Op;
}

/** Any float32. The argument in half periods is the exact sum of two products and a small third. */
function reduceAny(b: Builder, x: Op, period: 'turn' | 'half', shift: number): Reduced {
  const d = new Reals(b, x);
  const wide = b.convert(x, 'float64');
  const size = b.abs(x);
  const pieces = C.INVERSE_PERIOD[period];
  const limits = [54, 84, 114].map((e) => b.compare('LT', size, b.fill(x, 2 ** e)));
  /** A multiple of the piece of 1/period that counts for numbers of this size. */
  const piece = (i: 0 | 1 | 2, scale: number): Op =>
    limits.reduceRight((rest, below, k) => d.when(below, pieces[k]![i] * scale, rest), d.op(pieces[3][i] * scale));
  const whole = b.round(d.mul(wide, piece(0, 1)));
  const first = d.sub(d.mul(wide, piece(0, 2)), d.mul(whole, 2));
  const second = d.mul(wide, piece(1, 2));
  const third = d.mul(wide, piece(2, 2));
  const k = b.round(d.add(first, d.add(d.add(second, third), shift)));
  const rest = d.add(d.sub(first, d.sub(k, shift)), second);
  const unit = period === 'turn' ? Math.PI : Math.PI / 2;
  return { r: d.mul(d.add(rest, third), unit), odd: d.odd(k) };
}
/** Numbers up to 2²²: multiples of the half period are taken off, piece by piece. */
function reduceModerate(b: Builder, x: Op, period: 'turn' | 'half', shift: number): Reduced {
  const d = new Reals(b, x);
  const wide = b.convert(x, 'float64');
  const parts = period === 'turn' ? C.PI_PARTS : C.HALF_PI_PARTS;
  const k = b.round(d.add(d.mul(wide, period === 'turn' ? 1 / Math.PI : 2 / Math.PI), shift));
  const steps = shift === 0 ? k : d.sub(k, shift);
  const rest = d.sub(wide, d.mul(steps, parts[0])); // exact
  // A float32 stays farther from the multiples than the last two pieces reach.
  if (x.dtype === 'float32') return { r: d.sub(rest, d.mul(steps, parts[1] + parts[2])), odd: d.odd(k) };
  const second = d.mul(steps, parts[1]);
  const near = d.sub(rest, second);
  const rounded = d.sub(d.sub(rest, near), second);
  const small = d.add(d.mul(steps, parts[2]), d.mul(steps, parts[3]));
  const correction = d.sub(rounded, small);
  const r = d.add(near, correction);
  return { r, tail: d.add(d.sub(near, r), correction), odd: d.odd(k) };
}

/** sin r for |r| ≤ π/2, as exact as `dtype` asks for. */
function sineOf(b: Builder, r: Op, dtype: 'float32' | 'float64', tail?: Op): Op {
  const d = new Reals(b, r);
  const z = d.mul(r, r);
  const cube = d.mul(r, z);
  if (dtype === 'float64') return d.add(r, d.add(d.mul(cube, d.poly(z, C.SINE.float64)), tail ?? 0));
  // In pairs: in long chains of functions the time is the sum of latencies.
  const [c4, c3, c2, c1, c0] = C.SINE.float32;
  const z2 = d.mul(z, z);
  const high = d.add(d.mul(z2, c4), d.add(d.mul(z, c3), c2));
  return d.add(r, d.mul(cube, d.add(d.mul(z2, high), d.add(d.mul(z, c1), c0))));
}
/** cos r for |r| ≤ π/4. */
function cosineOf(b: Builder, r: Op, tail: Op): Op {
  const d = new Reals(b, r);
  const z = d.mul(r, r);
  const half = d.mul(z, 0.5);
  const most = d.sub(1, half);
  const rest = d.sub(d.mul(d.mul(z, z), d.poly(z, C.COSINE)), d.mul(r, tail));
  return d.add(most, d.add(d.sub(d.sub(1, most), half), rest));
}

type Reduce = typeof reduceAny;
const sineBy = (reduce: Reduce) => (b: Builder, x: Op) => {
  const { r, tail, odd } = reduce(b, x, 'turn', 0);
  return keepZero(b, x, b.convert(negateWhere(b, odd, sineOf(b, r, x.dtype as 'float32' | 'float64', tail)), x.dtype));
};
const cosineBy = (reduce: Reduce) => (b: Builder, x: Op) => {
  const { r, tail, odd } = reduce(b, x, 'turn', 0.5);
  return b.convert(negateWhere(b, odd, sineOf(b, r, x.dtype as 'float32' | 'float64', tail)), x.dtype);
};
const tangentBy = (reduce: Reduce) => (b: Builder, x: Op) => {
  const { r, tail, odd } = reduce(b, x, 'half', 0);
  const d = new Reals(b, r);
  if (tail) {
    const [s, c] = [sineOf(b, r, 'float64', tail), cosineOf(b, r, tail)];
    return keepZero(b, x, d.div(b.select(odd, b.negate(c), s), b.select(odd, s, c)));
  }
  const t = b.convert(d.mul(r, d.poly(d.mul(r, r), C.TANGENT)), 'float32');
  return keepZero(b, x, b.select(odd, b.divide(b.fill(t, -1), t), t));
};

/** The angle of (x, y): the quotient of the smaller and the larger, in the first eighth of the circle, then mirrored into its place. */
export function atan2(b: Builder, y: Op, x: Op): Op {
  const d = new Reals(b, y);
  const narrow = y.dtype === 'float32';
  const [across, up] = [b.abs(b.convert(x, 'float64')), b.abs(b.convert(y, 'float64'))];
  const steep = d.lt(across, up);
  const [small, large] = [b.select(steep, across, up), b.select(steep, up, across)];
  const spoiled = b.or(b.isNan(x), b.isNan(y));
  /** A quotient; of zeros 0, of infinities 1. */
  const quotient = (p: Op, q: Op): Op => {
    const both = d.eq(small, Infinity);
    return d.div(d.when(both, 1, p), d.when(both, 1, d.when(d.eq(large, 0), 1, q)));
  };
  const left = minus(b, x);
  let eighths: Op;
  let angle: Op;
  if (narrow) {
    const q = quotient(small, large);
    angle = d.mul(q, d.poly(d.mul(q, q), C.ARCTANGENT.float32));
    eighths = d.op(0);
  } else {
    // Beyond tan(π/8) the distance to π/4. Halves: sums must not overflow.
    const endless = d.eq(small, Infinity);
    const far = b.or(d.lt(d.mul(large, Math.SQRT2 - 1), small), endless);
    const [p, q] = [d.mul(small, 0.5), d.mul(large, 0.5)];
    const t = b.select(
      endless,
      d.op(0),
      quotient(b.select(far, d.sub(p, q), small), b.select(far, d.add(p, q), large)),
    );
    const z = d.mul(t, t);
    angle = d.add(t, d.mul(d.mul(t, z), d.poly(z, C.ARCTANGENT.float64)));
    eighths = d.when(far, 1, 0);
  }
  const mirrored = negateWhere(b, b.xor(steep, left), angle);
  const upright = d.when(steep, d.sub(2, eighths), eighths);
  const place = d.when(left, d.sub(4, upright), upright);
  const total = d.add(d.mul(place, C.QUARTER_PI[0]), d.add(mirrored, d.mul(place, C.QUARTER_PI[1])));
  const signed = b.convert(negateWhere(b, minus(b, y), total), y.dtype);
  return b.select(spoiled, b.fill(signed, Number.NaN), signed);
}

/** arcsin s + the complement: both arc functions from one polynomial on [0, 1/2]; beyond, from √((1 - |x|)/2). */
function arc(b: Builder, x: Op, kind: 'sine' | 'cosine'): Op {
  const d = new Reals(b, x);
  const wide = b.convert(x, 'float64');
  const size = b.abs(wide);
  const far = d.lt(0.5, size);
  const z = b.select(far, d.mul(d.sub(1, size), 0.5), d.mul(size, size));
  const s = b.select(far, b.sqrt(z), size);
  const rest = d.mul(d.mul(s, z), d.poly(z, C.ARCSINE[x.dtype as 'float32' | 'float64']));
  const angle = d.add(s, rest);
  const negative = minus(b, x);
  const [high, low] = [2 * C.QUARTER_PI[0], 2 * C.QUARTER_PI[1]];
  const twice = d.mul(angle, 2);
  if (kind === 'sine') {
    const y = b.select(far, d.add(d.sub(high, d.mul(s, 2)), d.sub(low, d.mul(rest, 2))), angle);
    return keepZero(b, x, b.convert(negateWhere(b, negative, y), x.dtype));
  }
  const beyond = b.select(negative, d.add(d.sub(2 * high, twice), 2 * low), twice);
  const near = d.add(high, d.sub(low, negateWhere(b, negative, angle)));
  return b.convert(b.select(far, beyond, near), x.dtype);
}

/** log₂ of a positive float32 in float64, to 2⁻⁴⁴. */
function log2(b: Builder, x: Op): Op {
  const d = new Reals(b, x);
  const bits = b.bitcast(x, x.shape, 'int32');
  // Exponent and mantissa so that the latter lies between √½ and √2.
  const e = b.shiftRight(b.subtract(bits, b.fill(bits, 0x3f3504f3)), b.fill(bits, 23));
  const m = b.convert(b.bitcast(b.subtract(bits, b.shiftLeft(e, b.fill(e, 23))), x.shape, 'float32'), 'float64');
  const s = d.div(d.sub(m, 1), d.add(m, 1));
  return d.add(b.convert(e, 'float64'), d.mul(s, d.poly(d.mul(s, s), C.LOG2)));
}
/** 2^t as a float32; 0 and infinity beyond its range. */
function exp2(b: Builder, t: Op): Op {
  const d = new Reals(b, t);
  const held = b.minimum(b.maximum(t, d.op(-200)), d.op(200));
  const k = b.round(held);
  // The sum has the biased exponent in its last bits.
  const biased = b.bitcast(d.add(k, 2 ** 52 + 1023), t.shape, 'int64');
  const scale = b.bitcast(b.shiftLeft(biased, b.fill(biased, 52)), t.shape, 'float64');
  return b.convert(d.mul(d.poly(d.sub(held, k), C.EXP2), scale), 'float32');
}
/** x^y of float32, by IEEE 754's list of special cases; `base` and `exponent` where they are one number. */
function power(b: Builder, x: Op, y: Op, base: number | undefined, exponent: number | undefined): Op {
  const d = new Reals(b, x);
  const wide = b.convert(y, 'float64');
  if (base !== undefined && base > 0 && base !== 1 && Number.isFinite(base))
    return exp2(b, d.mul(wide, Math.log2(base)));
  const size = b.abs(x);
  const [zero, one, inf] = [b.fill(x, 0), b.fill(x, 1), b.fill(x, Infinity)];
  const finite = b.compare('LT', size, inf);
  const log = b.select(finite, log2(b, size), b.convert(size, 'float64'));
  const product = d.mul(wide, d.when(b.compare('EQ', size, zero), -Infinity, log));
  if (exponent !== undefined && Number.isFinite(exponent) && exponent !== 0) {
    const y0 = exp2(b, product);
    const signed = Math.abs(exponent % 2) === 1 ? negateWhere(b, minus(b, x), y0) : y0;
    if (Number.isInteger(exponent)) return signed;
    return b.select(b.and(b.compare('LT', x, zero), finite), b.fill(x, Number.NaN), signed);
  }
  const endless = b.compare('EQ', b.abs(y), inf);
  const certain = b.or(b.compare('EQ', y, zero), b.compare('EQ', x, one));
  const unit = b.or(certain, b.and(b.compare('EQ', size, one), endless));
  const y0 = exp2(b, d.when(unit, 0, product));
  const half = b.multiply(y, b.fill(y, 0.5));
  const whole = b.compare('EQ', y, b.floor(y));
  const odd = b.and(whole, b.compare('NE', half, b.floor(half)));
  const signed = negateWhere(b, b.and(odd, minus(b, x)), y0);
  const undefinedHere = b.and(b.and(b.compare('LT', x, zero), finite), b.not(whole));
  return b.select(undefinedHere, b.fill(x, Number.NaN), signed);
}

type Bounds = readonly [low: number, high: number];
const EVERYTHING: Bounds = [-Infinity, Infinity];
/** Larger bounds are not worth knowing. */
const LARGEST = 1e30;

/** Fewer elements are not worth the instructions. */
const FEWEST = 32;
/** Arguments of this number are looked through for large ones: those of float32 need a longer reduction, those of float64 keep XLA's routine. */
const MANY = { float32: 16384, float64: 1024 };
/** Up to here whole multiples of π/2 are exact products of its pieces. */
const MODERATE = 2 ** 22;

/** A periodic function of arguments up to a bound: what `usual` covers, up to MODERATE, all float32. */
interface Periodic {
  readonly usual32: (b: Builder, x: Op) => Op;
  readonly moderate: (b: Builder, x: Op) => Op;
  readonly any32: (b: Builder, x: Op) => Op;
}
const PERIODIC: Readonly<Record<string, Periodic>> = {
  'stablehlo.sine': {
    usual32: (b, x) => usualSine32(b, x, 0),
    moderate: sineBy(reduceModerate),
    any32: sineBy(reduceAny),
  },
  'stablehlo.cosine': {
    usual32: (b, x) => usualSine32(b, x, 1),
    moderate: cosineBy(reduceModerate),
    any32: cosineBy(reduceAny),
  },
  'stablehlo.tan': {
    usual32: tangentBy(reduceModerate),
    moderate: tangentBy(reduceModerate),
    any32: tangentBy(reduceAny),
  },
};
const WITHIN_ONE = new Set(['stablehlo.sine', 'stablehlo.cosine', 'stablehlo.tanh', 'chlo.erf']);

/** A builder that knows what is slow on the CPU, and between which bounds values lie (NaN aside). */
export class CpuBuilder extends Builder {
  /** Whether a function was written out. */
  arithmetic = false;
  /** Arguments that are looked through for large numbers, each with a branch of its own. */
  readonly looks: Op[] = [];
  /** Whether one is inside a region. */
  looksInside = false;
  /** What is known of all of them in the part that is being written (two-versions.ts). */
  private assumed: 'usual' | 'any' | undefined;

  /** Writes a part in which arguments are not looked at. */
  assuming<T>(assumed: 'usual' | 'any', write: () => T): T {
    this.assumed = assumed;
    try {
      return write();
    } finally {
      this.assumed = undefined;
    }
  }
  /**
   * Whether the short way holds for all arguments: float32 up to USUAL, float64 up to MODERATE. Where a sum of even powers is small enough every number is; of all looks at
   * an array XLA makes a sum fastest, in the time of reading it. Eighth powers let more numbers be large: of a million 500 and more, of squares 3.
   */
  isUsual(x: Op): Op {
    const square = this.multiply(x, x);
    const narrow = x.dtype === 'float32';
    const fourth = this.multiply(square, square);
    const power = narrow ? this.multiply(fourth, fourth) : square;
    // Not quite the bound: powers are rounded, sums never to less than one of their terms.
    const most = narrow ? (USUAL - 1) ** 8 : (MODERATE / 2) ** 2;
    const sum = this.reduce(power, this.scalar(0, x.dtype), 'add', range(x.shape.length));
    return this.compare('LT', sum, this.scalar(most, x.dtype));
  }

  private bounds(x: Op): Bounds {
    return x.bounds ?? EVERYTHING;
  }
  private note(x: Op, low: number, high: number): Op {
    if (low >= -LARGEST || high <= LARGEST)
      x.bounds = [low >= -LARGEST ? low : -Infinity, high <= LARGEST ? high : Infinity];
    return x;
  }
  /** `y` has the numbers of `x`. */
  private alike(y: Op, x: Op): Op {
    if (x.products) y.products = true;
    return this.note(y, ...this.bounds(x));
  }
  private only(x: Op): number | undefined {
    const [low, high] = this.bounds(x);
    return low === high ? low : undefined;
  }

  override constant(...[value, shape, dtype]: Parameters<Builder['constant']>): Op {
    const x = super.constant(value, shape, dtype);
    if (typeof value !== 'number') return x;
    const held = dtype === 'float32' ? Math.fround(value) : value;
    return this.note(x, held, held);
  }
  override broadcastInDim(...[x, shape, dims]: Parameters<Builder['broadcastInDim']>): Op {
    return this.alike(super.broadcastInDim(x, shape, dims), x);
  }
  override reshape(...[x, shape]: Parameters<Builder['reshape']>): Op {
    return this.alike(super.reshape(x, shape), x);
  }
  override transpose(...[x, dims]: Parameters<Builder['transpose']>): Op {
    return this.alike(super.transpose(x, dims), x);
  }
  override dot(...operands: Parameters<Builder['dot']>): Op {
    return Object.assign(super.dot(...operands), { products: true });
  }
  override convolution(...operands: Parameters<Builder['convolution']>): Op {
    return Object.assign(super.convolution(...operands), { products: true });
  }
  override select(...[p, x, y]: Parameters<Builder['select']>): Op {
    const [a, c] = [this.bounds(x), this.bounds(y)];
    return this.note(super.select(p, x, y), Math.min(a[0], c[0]), Math.max(a[1], c[1]));
  }

  override atLeast(...[x, low]: Parameters<Builder['atLeast']>): Op {
    return this.bounded('LT', x, low) ?? super.atLeast(x, low);
  }
  override atMost(...[x, high]: Parameters<Builder['atMost']>): Op {
    return this.bounded('GT', x, high) ?? super.atMost(x, high);
  }
  /**
   * Where x is -0 and the bound 0 it is x that stays, as in libtorch's kernels: XLA's maximum of both is 0. Sums of products are never -0 but where all their terms are,
   * and XLA's maximum is one that YNNPACK takes into them.
   */
  private bounded(beyond: 'LT' | 'GT', x: Op, bound: Literal): Op | undefined {
    const limit = Number(bound);
    if (!isFloating(x.dtype) || limit !== 0 || x.products) return undefined;
    const [low, high] = this.bounds(x);
    const edge = this.fill(x, limit);
    const best = beyond === 'LT' ? Math.max : Math.min;
    return this.note(this.select(this.compare(beyond, x, edge), edge, x), best(low, limit), best(high, limit));
  }

  override unary(...[name, x, dtype]: Parameters<Builder['unary']>): Op {
    const [low, high] = this.bounds(x);
    const y = this.fast(name, x) ?? super.unary(name, x, dtype);
    if (WITHIN_ONE.has(name)) return this.note(y, -1, 1);
    if (name === 'stablehlo.logistic') return this.note(y, 0, 1);
    if (name === 'stablehlo.negate') return this.note(y, -high, -low);
    if (name === 'stablehlo.abs') return this.note(y, 0, Math.max(-low, high));
    return y;
  }
  override binary(...[name, x, y]: Parameters<Builder['binary']>): Op {
    const [a, c] = [this.bounds(x), this.bounds(y)];
    const real = x.dtype === 'float32' || x.dtype === 'float64';
    if (real && numel(x.shape) >= FEWEST && x.type === y.type) {
      if (name === 'stablehlo.atan2') return this.written('atan2', [x, y], (p, q) => atan2(this, p!, q!));
      if (name === 'stablehlo.power' && x.dtype === 'float32') {
        const [base, exponent] = [this.only(x), this.only(y)];
        return this.written(`power ${base} ${exponent}`, [x, y], (p, q) => power(this, p!, q!, base, exponent));
      }
    }
    const z = super.binary(name, x, y);
    if (name === 'stablehlo.add' && (x.products || y.products)) z.products = true;
    if (!real) return z;
    if (name === 'stablehlo.add') return this.note(z, a[0] + c[0], a[1] + c[1]);
    if (name === 'stablehlo.subtract') return this.note(z, a[0] - c[1], a[1] - c[0]);
    if (name === 'stablehlo.multiply') {
      if (a === EVERYTHING && c === EVERYTHING) return x === y ? this.note(z, 0, Infinity) : z;
      const [p, q, r, s] = [a[0] * c[0], a[0] * c[1], a[1] * c[0], a[1] * c[1]];
      const high = Math.max(p, q, r, s);
      if (Number.isNaN(high)) return z; // 0 · ∞
      return this.note(z, x === y ? 0 : Math.min(p, q, r, s), high);
    }
    if (name === 'stablehlo.maximum') return this.note(z, Math.max(a[0], c[0]), Math.max(a[1], c[1]));
    if (name === 'stablehlo.minimum') return this.note(z, Math.min(a[0], c[0]), Math.min(a[1], c[1]));
    return z;
  }

  /**
   * A function as arithmetic. In a program that is too long for being one kernel or for two versions, which are found line by line, it is written once and called: `name` says
   * all that it depends on beside types.
   */
  private written(name: string, operands: readonly Op[], write: (...operands: Op[]) => Op): Op {
    this.arithmetic = true;
    return this.depth > 0 || this.lines().length <= MOST_LINES
      ? write(...operands)
      : this.called(name, operands, write);
  }
  /** undefined: XLA's own is as good. */
  private fast(name: string, x: Op): Op | undefined {
    if ((x.dtype !== 'float32' && x.dtype !== 'float64') || numel(x.shape) < FEWEST) return undefined;
    const as = (how: string, write: (b: Builder, x: Op) => Op): Op =>
      this.written(`${how} ${name}`, [x], (own) => write(this, own!));
    if (name === 'chlo.atan') return as('any', (b, y) => atan2(b, y, b.fill(y, 1)));
    if (name === 'chlo.asin') return as('any', (b, y) => arc(b, y, 'sine'));
    if (name === 'chlo.acos') return as('any', (b, y) => arc(b, y, 'cosine'));
    const by = PERIODIC[name];
    if (by === undefined) return undefined;
    const [low, high] = this.bounds(x);
    const most = Math.max(-low, high);
    const { dtype } = x;
    const narrow = dtype === 'float32';
    if (name === 'stablehlo.sine' && narrow && most <= SMALL) return as('small', smallSine32);
    if (name === 'stablehlo.sine' && most <= 1.57)
      return as('near', (b, y) => keepZero(b, y, b.convert(sineOf(b, b.convert(y, 'float64'), dtype), dtype)));
    const usual = (): Op => as('usual', narrow ? by.usual32 : by.moderate);
    if (most <= (narrow ? USUAL : MODERATE)) return usual();
    if (most <= MODERATE) return as('moderate', by.moderate);
    const any = (): Op => (narrow ? as('all', by.any32) : super.unary(name, x));
    if (numel(x.shape) < MANY[x.dtype]) return narrow ? any() : undefined;
    if (this.assumed !== undefined) return this.assumed === 'usual' ? usual() : any();
    this.looks.push(x);
    this.looksInside ||= this.depth > 0;
    return this.if(
      this.isUsual(x),
      () => [usual()],
      () => [this.unselectable(any())],
    )[0]!;
  }
  /** XLA computes both branches and selects where they hold nothing but elementwise operations: here, an element is written over itself. */
  private unselectable(x: Op): Op {
    const zeros = x.shape.map(() => 0);
    const first = this.slice(
      x,
      zeros,
      x.shape.map(() => 1),
    );
    return this.dynamicUpdateSlice(
      x,
      first,
      zeros.map(() => this.scalar(0, 'int32')),
    );
  }
}
