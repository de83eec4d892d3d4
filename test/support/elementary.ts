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

/** Largest error in units of the last place of float32; NaN, signs of zeros and infinities are compared as such. */
export const worstUlp = (what: string, actual: Tensor, exact: Tensor, x: Tensor): number => {
  const got = actual.double();
  // Subnormal arguments count as zeros, subnormal results may be zeros.
  const usual = x.abs().ge(SMALLEST_NORMAL).logical_or(x.eq(0)).logical_or(x.isnan());
  const fail = (wrong: Tensor, reason: string): void => {
    const at = wrong.logical_and(usual);
    if (!at.any().item()) return;
    const i = at.nonzero().select(0, 0);
    assert.fail(
      `${what}(${x.select(0, Number(i.item())).item()}) is ${got.select(0, Number(i.item())).item()}: ${reason}`,
    );
  };
  fail(got.isnan().ne(exact.isnan()), 'NaN on one side');
  fail(got.eq(0).logical_and(exact.eq(0)).logical_and(got.signbit().ne(exact.signbit())), 'the sign of 0');
  fail(got.isinf().logical_and(exact.abs().lt(LARGEST)), 'an infinity');
  fail(exact.isinf().logical_and(got.ne(exact)), 'not an infinity');
  const counted = usual.logical_and(exact.abs().ge(SMALLEST_NORMAL)).logical_and(exact.abs().le(LARGEST));
  const [, exponent] = exact.frexp() as unknown as [Tensor, Tensor];
  const ulp = torch.ldexp(torch.ones_like(exact), exponent.sub(24));
  return Number(torch.where(counted, got.sub(exact).abs().div(ulp), 0).max().item());
};

/** The float32 with the bit patterns first, first + step, … */
export const bitPatterns = (first: number, count: number, step: number): Tensor => {
  const bits = Uint32Array.from({ length: count }, (_, i) => first + i * step);
  return torch.tensor(new Float32Array(bits.buffer));
};

/** Asserts that every function stays within 2 ulp on these numbers. */
export const checkElementary = (name: string, numbers: Iterable<Tensor>): void => {
  const f = ELEMENTARY[name]!;
  const fast = compile(f, { fallback: 'error' });
  for (const x of numbers) {
    const worst = torch.no_grad(() => worstUlp(name, fast(x), f(x.double()), x));
    assert.ok(worst <= 2, `${name}: ${worst} ulp among ${x.select(0, 0).item()} …`);
  }
  fast.dispose();
};
