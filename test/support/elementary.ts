/** @file The elementary functions of the CPU on all kinds of float32, against libtorch's float64 kernels. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { compile, type Tensor } from '../../lib/index.js';

type Unary = (x: Tensor) => Tensor;

/** Functions of one float32, as compiled and (in float64) as reference. */
export const ELEMENTARY: Readonly<Record<string, Unary>> = {
  sin: (x) => x.sin(),
  cos: (x) => x.cos(),
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
const judged = (got: Tensor, exact: Tensor, x: Tensor): { ulp: Tensor; wrong: Readonly<Record<string, Tensor>> } => {
  const usual = x.abs().ge(SMALLEST_NORMAL).logical_or(x.eq(0)).logical_or(x.isnan());
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
const worst = compile((got: Tensor, exact: Tensor, x: Tensor): Tensor => {
  const { ulp, wrong } = judged(got.double(), exact, x);
  return torch
    .where(
      Object.values(wrong).reduce((a, b) => a.logical_or(b)),
      Number.POSITIVE_INFINITY,
      ulp,
    )
    .max();
});

/** Largest error in units of the last place of float32; NaN, signs of zeros and infinities are compared as such. */
const worstUlp = (what: string, got: Tensor, exact: Tensor, x: Tensor): number => {
  const most = worst(got, exact, x).item() as number;
  if (most < Number.POSITIVE_INFINITY) return most;
  for (const [reason, at] of Object.entries(judged(got.double(), exact, x).wrong)) {
    if (!at.any().item()) continue;
    const i = Number(at.nonzero().select(0, 0).item());
    assert.fail(`${what}(${x.select(0, i).item()}) is ${got.select(0, i).item()}: ${reason}`);
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
