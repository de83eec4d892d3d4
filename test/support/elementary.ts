/** @file The elementary functions of the CPU on all kinds of float32, against libtorch's float64 kernels. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { compile, type Tensor } from '../../lib/index.js';

type Unary = (x: Tensor) => Tensor;
type Binary = (x: Tensor, y: Tensor) => Tensor;

/** Functions of one float32, as compiled and (in float64) as reference. */
export const ELEMENTARY: Readonly<Record<string, Unary>> = {
  sin: (x) => x.sin(),
  cos: (x) => x.cos(),
  // By bounds that are known: the ways of usual numbers.
  'sin up to 3200': (x) => x.clamp(-3200, 3200).sin(),
  'cos up to 3200': (x) => x.clamp(-3200, 3200).cos(),
  'sin up to 1.3': (x) => x.clamp(-1.3, 1.3).sin(),
  tan: (x) => x.tan(),
  asin: (x) => x.asin(),
  acos: (x) => x.acos(),
  atan: (x) => x.atan(),
  exp2: (x) => x.exp2(),
  'pow 2.5': (x) => x.pow(2.5),
  'pow -7': (x) => x.pow(-7),
  '1.5 to the': (x) => torch.pow(1.5, x),
  'pow of a tensor': (x) => x.pow(x.mul(0).nan_to_num(0, 0, 0).add(1.25)),
};

const SMALLEST_NORMAL = 2 ** -126;
const LARGEST = 3.4028234663852886e38;

/** One flag for each number and way to be wrong, and errors in units of the last place of float32; subnormal arguments count as zeros, subnormal results may be zeros. */
const judged = (
  got: Tensor,
  exact: Tensor,
  ...given: Tensor[]
): { ulp: Tensor; wrong: Readonly<Record<string, Tensor>> } => {
  const usual = given
    .map((x) => x.abs().ge(SMALLEST_NORMAL).logical_or(x.eq(0)).logical_or(x.isnan()))
    .reduce((a, b) => a.logical_and(b));
  const size = exact.abs();
  const wrong = {
    'NaN on one side': got.isnan().ne(exact.isnan()),
    'the sign of 0': got.eq(0).logical_and(exact.eq(0)).logical_and(got.signbit().ne(exact.signbit())),
    'an infinity': got.isinf().logical_and(size.lt(LARGEST)),
    'not an infinity': exact.isinf().logical_and(got.ne(exact)),
  };
  const counted = usual.logical_and(size.ge(SMALLEST_NORMAL)).logical_and(size.le(LARGEST));
  // The power of two below.
  const unit = exact
    .view('int64')
    .bitwise_and(0x7ff0000000000000n)
    .view('float64')
    .mul(2 ** -23);
  return {
    ulp: torch.where(counted, got.sub(exact).abs().div(unit), 0),
    wrong: Object.fromEntries(Object.entries(wrong).map(([what, at]) => [what, at.logical_and(usual)])),
  };
};
/** The largest error, or infinity where something is wrong: one pass over the numbers. */
const worst = compile((got: Tensor, exact: Tensor, ...given: Tensor[]): Tensor => {
  const { ulp, wrong } = judged(got.double(), exact, ...given);
  return torch
    .where(
      Object.values(wrong).reduce((a, b) => a.logical_or(b)),
      Number.POSITIVE_INFINITY,
      ulp,
    )
    .max();
});

/** Largest error in units of the last place of float32; NaN, signs of zeros and infinities are compared as such. */
const worstUlp = (what: string, got: Tensor, exact: Tensor, ...given: Tensor[]): number => {
  const most = worst(got, exact, ...given).item() as number;
  if (most < Number.POSITIVE_INFINITY) return most;
  for (const [reason, at] of Object.entries(judged(got.double(), exact, ...given).wrong)) {
    if (!at.any().item()) continue;
    const i = Number(at.nonzero().select(0, 0).item());
    assert.fail(
      `${what}(${given.map((x) => x.select(0, i).item()).join(', ')}) is ${got.select(0, i).item()}: ${reason}`,
    );
  }
  return most;
};

/** The float32 with the bit patterns first, first + step, … */
export const bitPatterns = (first: number, count: number, step: number): Tensor =>
  torch.arange(count).mul(step).add(first).to('int32').view('float32');

/** Asserts that a function stays within 2 ulp on these numbers, and gives its largest error. `long`: beside a large one, which decides how all are reduced. */
export const checkElementary = (name: string, numbers: Iterable<Tensor>, long = false): number => {
  const f = ELEMENTARY[name]!;
  const beside = (x: Tensor): Tensor => f(torch.cat([x, x.new_full([1], LARGEST)])).at(':-1');
  const fast = compile(long ? beside : f, { fallback: 'error' });
  let most = 0;
  for (const x of numbers) {
    const error = torch.no_grad(() => worstUlp(name, fast(x), f(x.double()), x));
    assert.ok(error <= 2, `${name}: ${error} ulp among ${x.select(0, 0).item()} …`);
    most = Math.max(most, error);
  }
  fast.dispose();
  return most;
};

/** Functions of two. */
export const OF_PAIRS: Readonly<Record<string, Binary>> = {
  pow: (x, y) => x.pow(y),
  atan2: (x, y) => torch.atan2(x, y),
};

const anyBits = (n: number): Tensor => torch.randint(-(2 ** 31), 2 ** 31, [n], { dtype: 'int32' }).view('float32');
const between = (low: number, high: number, n: number): Tensor =>
  torch
    .rand([n], { dtype: 'float64' })
    .mul(high - low)
    .add(low);
const sign = (n: number): Tensor => torch.randint(0, 2, [n]).mul(2).sub(1);
const whole = (low: number, high: number, n: number): Tensor => torch.randint(low, high, [n]);
/** 1 and up to 2¹² units of the last place beside it. */
const nearOne = (n: number): Tensor =>
  whole(-(2 ** 12), 2 ** 12, n)
    .add(0x3f800000)
    .to('int32')
    .view('float32');

const EDGES = [
  ...[
    0,
    0.25,
    0.5,
    1,
    1.5,
    2,
    2.5,
    3,
    4,
    7,
    24,
    126,
    127,
    128,
    149,
    150,
    2 ** 23 - 0.5,
    2 ** 23 + 1,
    2 ** 24 - 1,
    2 ** 24 + 2,
  ],
  ...[2 ** 31, 2 ** 62, 1 - 2 ** -24, 1 + 2 ** -23, Math.SQRT2, Math.SQRT1_2, Math.PI, 1e-3, 1e-30, 1e30],
  ...[SMALLEST_NORMAL, SMALLEST_NORMAL * 2, LARGEST, LARGEST / 2, Infinity, NaN],
].flatMap((v) => [v, -v]);

/** How the arguments of a pair are drawn: so that their function is neither always 0 nor always infinite, and where digits cancel. */
const DRAWS: Readonly<Record<string, readonly ((n: number) => readonly [Tensor, Tensor])[]>> = {
  pow: [
    (n) => [anyBits(n), anyBits(n)],
    // Every power of two that a result may have, and some beyond.
    (n) => {
      const x = anyBits(n).abs();
      return [x, between(-152, 130, n).div(x.double().log2()).float()];
    },
    (n) => {
      const x = nearOne(n);
      return [x, between(-152, 130, n).div(x.double().log2()).float()];
    },
    (n) => {
      const y = whole(-40, 40, n);
      return [between(-152, 130, n).div(y).exp2().mul(sign(n)).float(), y.float()];
    },
    (n) => [between(0, 4, n).mul(sign(n)).float(), whole(-60, 60, n).div(2).float()],
  ],
  atan2: [
    (n) => [anyBits(n), anyBits(n)],
    (n) => {
      const y = anyBits(n);
      return [
        y,
        y
          .double()
          .mul(between(-40, 40, n).exp2())
          .mul(sign(n))
          .float(),
      ];
    },
    // Next to the diagonals and to the borders of its reduction.
    (n) => {
      const y = anyBits(n);
      return [y, y.double().mul(nearOne(n)).mul(sign(n)).float()];
    },
    (n) => {
      const y = anyBits(n);
      return [
        y,
        y
          .double()
          .mul(whole(1, 33, n))
          .div(whole(1, 33, n))
          .mul(nearOne(n))
          .mul(sign(n))
          .float(),
      ];
    },
    (n) => [between(-4, 4, n).float(), between(-4, 4, n).float()],
  ],
};

/** Asserts that a function of two float32 stays within 2 ulp for all pairs of edge cases and this many drawn ones, and gives its largest error. */
export const checkPairs = (name: string, count: number, atOnce: number): number => {
  const f = OF_PAIRS[name]!;
  const fast = compile(f, { fallback: 'error' });
  let most = 0;
  const check = (x: Tensor, y: Tensor): void => {
    const error = torch.no_grad(() => worstUlp(name, fast(x, y), f(x.double(), y.double()), x, y));
    assert.ok(error <= 2, `${name}: ${error} ulp`);
    most = Math.max(most, error);
  };
  const edges = torch.tensor(EDGES, { dtype: 'float32' });
  const [x, y] = torch.meshgrid([edges, edges], { indexing: 'ij' }) as [Tensor, Tensor];
  check(x.flatten(), y.flatten());
  for (let done = 0; done < count; done += atOnce * DRAWS[name]!.length)
    for (const draw of DRAWS[name]!) check(...(draw(atOnce) as [Tensor, Tensor]));
  fast.dispose();
  return most;
};
