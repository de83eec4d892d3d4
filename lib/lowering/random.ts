/** @file Random operators from counter-based bits: seeded by manual_seed, fresh at every run, torch's distributions but not its numbers. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, type Op, range } from '../stablehlo/types.js';
import { type DType, isComplex, isFloating, realOf } from '../torch/dtype.js';
import { isOp, limit, num, spread, sumOver } from './common.js';
import { normalFrom, type RandomStream } from './random-stream.js';
import { NoLowering, type RuleContext, rule, rules } from './registry.js';
import { scan } from './scan.js';
import { search, sortDim } from './sort.js';

/** Where a distribution is computed. */
const wide = (d: DType): 'float32' | 'float64' => (realOf(d) === 'float64' ? 'float64' : 'float32');

/** Of a real or complex dtype: `draw` gives real numbers, a complex one takes two. */
function parts({ b, out }: RuleContext, draw: (dtype: DType) => Op): Op {
  if (isComplex(out.dtype)) return b.complex(draw(realOf(out.dtype)), draw(realOf(out.dtype)));
  if (!isFloating(out.dtype)) throw new NoLowering(`${out.dtype} has no such distribution`);
  return draw(out.dtype);
}
const uniform = (ctx: RuleContext, low = 0, high = 1): Op =>
  parts(ctx, (dtype) => {
    const { b } = ctx;
    const u = ctx.random.uniform(ctx.out.shape, dtype);
    return low === 0 && high === 1 ? u : b.add(b.multiply(u, b.fill(u, high - low)), b.fill(u, low));
  });
/** A complex number's parts share the variance. */
const normal = (ctx: RuleContext, mean: Op | number = 0, std: Op | number = 1): Op => {
  const { b, out } = ctx;
  const z = parts(ctx, (dtype) => {
    const x = ctx.random.normal(out.shape, wide(dtype));
    return b.convert(isComplex(out.dtype) ? b.multiply(x, b.fill(x, Math.SQRT1_2)) : x, dtype);
  });
  const scaled = std === 1 ? z : b.multiply(z, spread(b, std, z));
  return mean === 0 ? scaled : b.add(scaled, spread(b, mean, z));
};
rules(['aten::rand', 'aten::rand.generator', 'aten::rand_like', 'aten::rand_like.generator'], (ctx) => uniform(ctx));
rules(['aten::randn', 'aten::randn.generator', 'aten::randn_like', 'aten::randn_like.generator'], (ctx) => normal(ctx));
rule('aten::uniform', (ctx, { from, to }) => uniform(ctx, from, to));
rules(
  ['aten::normal_functional', 'aten::normal.float_float', 'aten::normal.Tensor_float', 'aten::normal.float_Tensor'],
  (ctx, { mean, std }) => normal(ctx, mean, std),
);
rule('aten::normal.Tensor_Tensor', (ctx, { mean, std }) => normal(ctx, mean, std));

/** Distributions that are a function of one uniform number on (0, 1). */
function transformed({ b, out, random }: RuleContext, of: (u: Op) => Op): Op {
  return b.convert(of(random.uniform(out.shape, wide(out.dtype), true)), out.dtype);
}
rule('aten::exponential', (ctx, { lambd }) =>
  transformed(ctx, (u) => ctx.b.divide(ctx.b.log(u), ctx.b.fill(u, -lambd))),
);
rule('aten::cauchy', (ctx, { median, sigma }) =>
  transformed(ctx, (u) => {
    const { b } = ctx;
    const t = b.unary('stablehlo.tan', b.multiply(b.subtract(u, b.fill(u, 0.5)), b.fill(u, Math.PI)));
    return b.add(b.multiply(t, b.fill(t, sigma)), b.fill(t, median));
  }),
);
rule('aten::geometric', (ctx, { p }) =>
  transformed(ctx, (u) => ctx.b.ceil(ctx.b.divide(ctx.b.log(u), ctx.b.fill(u, Math.log1p(-p))))),
);
rule('aten::log_normal', ({ b, out, random }, { mean, std }) => {
  const z = random.normal(out.shape, wide(out.dtype));
  return b.convert(b.exp(b.add(b.multiply(z, b.fill(z, std)), b.fill(z, mean))), out.dtype);
});

/** True with probability `p`. */
function coin({ b, out, random }: RuleContext, p: Op | number): Op {
  const dtype = isOp(p) ? wide(p.dtype) : 'float32';
  const u = random.uniform(out.shape, dtype);
  return b.compare('LT', u, spread(b, isOp(p) ? b.convert(p, dtype) : p, u));
}
rule('aten::bernoulli', (ctx, { self }) => ctx.b.convert(coin(ctx, self), ctx.out.dtype));
rules(['aten::bernoulli.p', 'aten::bernoulli.Tensor'], (ctx, { p }) => ctx.b.convert(coin(ctx, p), ctx.out.dtype));
rule('aten::native_dropout', (ctx, { input, p, train }) => {
  const { b } = ctx;
  if (train === false) return [input, b.constant(true, input.shape, 'bool')];
  const kept = coin(ctx, 1 - p);
  const scaled = b.multiply(input, b.fill(input, p === 1 ? 0 : 1 / (1 - p)));
  return [b.select(kept, scaled, b.fill(input, 0)), kept];
});
rule('aten::rrelu_with_noise_functional', ({ b, out, random }, { self, noise, lower, upper, training }) => {
  const [low, high] = [num(lower), num(upper)];
  const positive = b.compare('GT', self, b.fill(self, 0));
  const drawn = random.uniform(out.shape, out.dtype);
  const inside = b.add(b.multiply(drawn, b.fill(drawn, high - low)), b.fill(drawn, low));
  const slope = b.select(positive, b.fill(self, 1), training ? inside : b.fill(self, (low + high) / 2));
  return [b.multiply(self, slope), training ? slope : noise];
});

/** Whole numbers from `low` to before `high`. */
const integers = ({ b, out, random }: RuleContext, low: Literal, high: Literal): Op => {
  const x = random.below(out.shape, BigInt(high as number) - BigInt(low as number));
  return b.convert(b.add(x, b.fill(x, low)), out.dtype);
};
/** What `random_()` draws up to: all values of an integer, all whole numbers that a float holds exactly. */
const beyond = (dtype: DType): bigint => {
  const digits = { float64: 53n, float32: 24n, float16: 11n, bfloat16: 8n }[dtype as 'float64'];
  return digits === undefined ? BigInt(limit(dtype, 'highest') as bigint) + 1n : (1n << digits) + 1n;
};
rules(['aten::randint', 'aten::randint.generator'], (ctx, { high }) => integers(ctx, 0, high));
rules(['aten::randint.low', 'aten::randint.low_generator'], (ctx, { low, high }) => integers(ctx, low, high));
rule('aten::random', (ctx) => integers(ctx, 0, beyond(ctx.out.dtype)));
rule('aten::random.to', (ctx, { to }) => integers(ctx, 0, to));
rule('aten::random.from', (ctx, { from, to }) => integers(ctx, from, to ?? beyond(ctx.out.dtype)));
rules(['aten::randperm', 'aten::randperm.generator'], ({ b, out, random }) => {
  const order = [random.bits(out.shape, 'uint64'), b.iota(out.shape, 0, 'int64')];
  return b.convert(b.sort(order, 0, ([p], [q]) => b.compare('LT', p!, q!))[1]!, out.dtype);
});

/** With replacement by inverting the distribution function; without, the largest of p divided by exponential numbers. */
rule('aten::multinomial', ({ b, out, random }, { self, num_samples, replacement }) => {
  const last = self.shape.length - 1;
  if (!replacement) {
    const u = random.uniform(self.shape, wide(self.dtype), true);
    const race = b.divide(b.convert(self, u.dtype), b.negate(b.log(u)));
    return b.sliceDim(sortDim(b, race, last, true)[1], last, 0, num_samples);
  }
  const p = b.convert(self, 'float64');
  const [total] = scan(b, [p], last, [0], ([x], [y]) => [b.add(x!, y!)]);
  const sum = b.sliceDim(total!, last, self.shape[last]! - 1, self.shape[last]!);
  const cdf = b.divide(total!, b.broadcast(sum, self.shape));
  return search(b, cdf, random.uniform(out.shape, 'float64'), true);
});

/** Draws again where `attempt` did not succeed; gives up on the few left after `LIMIT` attempts. */
const LIMIT = 10_000;
function repeat(
  { b, random }: { b: Builder; random: RandomStream },
  constants: readonly Op[],
  settled: Op,
  start: Op,
  attempt: (ctx: { constants: readonly Op[]; u: Op; v: Op; k: Op; carry: Op }) => { done: Op; value: Op; carry: Op },
): Op {
  const { shape, dtype } = start;
  const size = constants.length;
  const result = b.while(
    [b.scalar(0, 'int64'), settled, start, b.fill(start, 1), random.seed(), random.seed(), ...constants],
    ([k, done]) => {
      const open = b.reduce(b.not(done!), b.scalar(false, 'bool'), 'or', range(shape.length));
      return b.and(open, b.compare('LT', k!, b.scalar(LIMIT, 'int64')));
    },
    ([k, done, value, carry, seed1, seed2, ...rest]) => {
      const u = random.uniform(shape, dtype, true, seed1, k);
      const v = random.uniform(shape, dtype, true, seed2, k);
      const count = b.convert(b.broadcast(k!, shape), dtype);
      const next = attempt({ constants: rest.slice(0, size), u, v, k: count, carry: carry! });
      const taken = b.select(b.and(next.done, b.not(done!)), next.value, value!);
      return [b.add(k!, b.scalar(1, 'int64')), b.or(done!, next.done), taken, next.carry, seed1!, seed2!, ...rest];
    },
  );
  return result[2]!;
}

/** Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000). */
function gamma(b: Builder, random: RandomStream, alpha: Op): Op {
  const small = b.compare('LT', alpha, b.fill(alpha, 1));
  const a = b.select(small, b.add(alpha, b.fill(alpha, 1)), alpha);
  const d0 = b.subtract(a, b.fill(a, 1 / 3));
  const hopeless = b.not(b.compare('GT', alpha, b.fill(alpha, 0)));
  const start = b.select(hopeless, b.multiply(alpha, b.fill(alpha, 0)), b.fill(alpha, 0));
  const drawn = repeat({ b, random }, [d0], hopeless, start, ({ constants: [d], u, v, carry }) => {
    const x = normalFrom(b, v);
    const t = b.add(b.fill(x, 1), b.divide(x, b.sqrt(b.multiply(d!, b.fill(x, 9)))));
    const cube = b.multiply(t, b.multiply(t, t));
    const bound = b.add(
      b.multiply(b.multiply(x, x), b.fill(x, 0.5)),
      b.multiply(d!, b.add(b.subtract(b.fill(x, 1), cube), b.log(cube))),
    );
    const done = b.and(b.compare('GT', cube, b.fill(x, 0)), b.compare('LT', b.log(u), bound));
    return { done, value: b.multiply(d!, cube), carry };
  });
  const u = random.uniform(alpha.shape, wide(alpha.dtype), true);
  const boost = b.power(u, b.divide(b.fill(alpha, 1), alpha));
  return b.select(b.and(small, b.not(hopeless)), b.multiply(drawn, boost), drawn);
}
rule('aten::_standard_gamma', ({ b, out, random }, { self }) =>
  b.convert(gamma(b, random, b.convert(self, wide(out.dtype))), out.dtype),
);
rule('aten::_sample_dirichlet', ({ b, out, random }, { self }) => {
  const g = gamma(b, random, b.convert(self, 'float64'));
  const last = g.shape.length - 1;
  return b.convert(b.divide(g, b.broadcast(sumOver(b, g, [last], true), g.shape)), out.dtype);
});

/** Hörmann's transformed rejection: the whole number that a uniform one proposes, and that one's distance from the ends. */
function proposal(b: Builder, first: Op, a: Op, scale: Op, centre: Op): { us: Op; k: Op } {
  const half = b.fill(first, 0.5);
  const u = b.subtract(first, half);
  const us = b.subtract(half, b.abs(u));
  const slope = b.add(b.divide(b.multiply(b.fill(a, 2), a), us), scale);
  return { us, k: b.floor(b.add(b.multiply(slope, u), centre)) };
}

/** Products of uniform numbers below a mean of 10; above, PTRS: Hörmann, "The transformed rejection method for generating Poisson random variables", 1993. */
rule('aten::poisson', ({ b, out, random }, { self }) => {
  const mean = b.convert(self, 'float64');
  const c = (x: number) => b.fill({ shape: out.shape, dtype: 'float64' }, x);
  const settled = b.not(b.and(b.compare('GT', mean, c(0)), b.isFinite(mean)));
  const drawn = repeat({ b, random }, [mean], settled, mean, ({ constants, u: first, v, k: count, carry }) => {
    const m = constants[0]!;
    const product = b.multiply(carry, first);
    const low = { done: b.compare('LE', product, b.exp(b.negate(m))), value: count };
    const scale = b.add(c(0.931), b.multiply(c(2.53), b.sqrt(m)));
    const a = b.add(c(-0.059), b.multiply(c(0.02483), scale));
    const inverse = b.add(c(1.1239), b.divide(c(1.1328), b.subtract(scale, c(3.4))));
    const squeeze = b.subtract(c(0.9277), b.divide(c(3.6224), b.subtract(scale, c(2))));
    const { us, k } = proposal(b, first, a, scale, b.add(m, c(0.43)));
    const quick = b.and(b.compare('GE', us, c(0.07)), b.compare('LE', v, squeeze));
    const outside = b.or(b.compare('LT', k, c(0)), b.and(b.compare('LT', us, c(0.013)), b.compare('GT', v, us)));
    const left = b.log(b.divide(b.multiply(v, inverse), b.add(b.divide(a, b.multiply(us, us)), scale)));
    const right = b.subtract(b.subtract(b.multiply(k, b.log(m)), m), b.unary('chlo.lgamma', b.add(k, c(1))));
    const fits = b.and(b.not(outside), b.compare('LE', left, right));
    const small = b.compare('LT', m, c(10));
    return {
      done: b.or(b.and(small, low.done), b.and(b.not(small), b.or(quick, fits))),
      value: b.select(small, low.value, k),
      carry: product,
    };
  });
  return b.convert(b.select(settled, b.multiply(mean, c(0)), drawn), out.dtype);
});

/** Sums of geometric numbers below an expectation of 10; above, BTRS: Hörmann, "The generation of binomial random variates", 1993. */
rule('aten::binomial', ({ b, out, random }, { count, prob }) => {
  const like = { shape: out.shape, dtype: 'float64' as const };
  const c = (x: number) => b.fill(like, x);
  const [n0, p0] = [spread(b, count, like), spread(b, prob, like)];
  const flipped = b.compare('GT', p0, c(0.5));
  const q0 = b.select(flipped, b.subtract(c(1), p0), p0);
  const settled = b.not(b.and(b.compare('GT', q0, c(0)), b.compare('GT', n0, c(0))));
  const drawn = repeat({ b, random }, [n0, q0], settled, c(0), ({ constants, u: first, v, k: tries, carry }) => {
    const [n, p] = [constants[0]!, constants[1]!];
    const sum = b.add(carry, b.ceil(b.divide(b.log(first), b.unary('stablehlo.log_plus_one', b.negate(p)))));
    // The carry starts at 1.
    const low = { done: b.compare('GT', b.subtract(sum, c(1)), n), value: tries };
    const np = b.multiply(n, p);
    const deviation = b.sqrt(b.multiply(np, b.subtract(c(1), p)));
    const scale = b.add(c(1.15), b.multiply(c(2.53), deviation));
    const a = b.add(c(-0.0873), b.add(b.multiply(c(0.0248), scale), b.multiply(c(0.01), p)));
    const alpha = b.multiply(b.add(c(2.83), b.divide(c(5.1), scale)), deviation);
    const { us, k } = proposal(b, first, a, scale, b.add(np, c(0.5)));
    const squeeze = b.subtract(c(0.92), b.divide(c(4.2), scale));
    const quick = b.and(b.compare('GE', us, c(0.07)), b.compare('LE', v, squeeze));
    const mode = b.floor(b.multiply(b.add(n, c(1)), p));
    const ways = (x: Op) =>
      b.add(b.unary('chlo.lgamma', b.add(x, c(1))), b.unary('chlo.lgamma', b.add(b.subtract(n, x), c(1))));
    const odds = b.log(b.divide(p, b.subtract(c(1), p)));
    const right = b.add(b.subtract(ways(mode), ways(k)), b.multiply(b.subtract(k, mode), odds));
    const left = b.log(b.divide(b.multiply(v, alpha), b.add(b.divide(a, b.multiply(us, us)), scale)));
    const inside = b.and(b.compare('GE', k, c(0)), b.compare('LE', k, n));
    const small = b.compare('LT', np, c(10));
    const fits = b.and(inside, b.or(quick, b.compare('LE', left, right)));
    return {
      done: b.or(b.and(small, low.done), b.and(b.not(small), fits)),
      value: b.select(small, low.value, k),
      carry: sum,
    };
  });
  const successes = b.select(settled, b.multiply(b.multiply(n0, q0), c(0)), drawn);
  return b.convert(b.select(flipped, b.subtract(n0, successes), successes), out.dtype);
});
