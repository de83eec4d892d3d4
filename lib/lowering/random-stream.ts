/** @file Counter-based random numbers inside a program: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
import type { Builder } from '../stablehlo/builder.js';
import type { Literal, Op } from '../stablehlo/types.js';
import type { DType } from '../torch/dtype.js';

/** Bits of a float's significand, the implicit one included. */
const DIGITS: Partial<Record<DType, number>> = { float64: 53, float32: 24, float16: 11, bfloat16: 8 };

/** A standard normal number from a uniform one on (0, 1): √2·erf⁻¹(2u - 1). */
export function normalFrom(b: Builder, u: Op): Op {
  const centred = b.subtract(b.multiply(u, b.fill(u, 2)), b.fill(u, 1));
  return b.multiply(b.unary('chlo.erf_inv', centred), b.fill(u, Math.SQRT2));
}

/** A key for the functions of a loop or branch, from the seed they were given, one for each part and round. */
export function keyFrom(b: Builder, seed: Op, part: number, round?: Op): Op {
  const [first, counter] = [b.convert(seed, 'uint64'), b.scalar(BigInt(part) << 32n, 'uint64')];
  const counted = round === undefined ? counter : b.add(counter, b.convert(round, 'uint64'));
  const state = b.concatenate(
    [first, counted].map((x) => b.reshape(x, [1])),
    0,
  );
  return b.reshape(b.rngBits(state, [1], 'uint64', 'PHILOX')[1]!, []);
}

/**
 * The random numbers of one call. The key is a parameter of the program, drawn from a generator at every run; the counter's upper half is the
 * number of the call, so that calls draw different numbers from one key, and the same ones in every program that contains them.
 */
export class RandomStream {
  private draws = 0;
  constructor(
    private readonly b: Builder,
    private readonly key: () => Op,
    private readonly call: number,
  ) {}

  /** A seed for draws inside a loop: what `bits` takes with the number of the repetition. */
  seed(): Op {
    const { b } = this;
    const part = (x: Op) => b.reshape(x, [1]);
    const call = (BigInt(this.call) << 32n) | BigInt(this.draws++);
    return b.concatenate([part(this.key()), b.constant([0n, call], [2], 'uint64')], 0);
  }
  /** Independent random bits; each draw is new. */
  bits(shape: readonly number[], dtype: 'uint32' | 'uint64', seed = this.seed(), repetition?: Op): Op {
    const { b } = this;
    if (shape.includes(0)) return b.constant(0, shape, dtype);
    // 2³² blocks of numbers for each repetition of a loop.
    const zero = b.scalar(0n, 'uint64');
    const low = repetition && b.shiftLeft(b.convert(repetition, 'uint64'), b.scalar(32n, 'uint64'));
    const state = low
      ? b.add(
          seed,
          b.concatenate(
            [zero, low, zero].map((x) => b.reshape(x, [1])),
            0,
          ),
        )
      : seed;
    return b.rngBits(state, shape, dtype, 'PHILOX')[1]!;
  }
  /** Uniform on [0, 1) with every bit of the dtype's significand random, as libtorch's; `open` leaves 0 out: (0, 1). */
  uniform(shape: readonly number[], dtype: DType, open = false, seed?: Op, repetition?: Op): Op {
    const { b } = this;
    const wide = dtype === 'float64';
    const digits = DIGITS[dtype]! - (open ? 1 : 0);
    const bits = this.bits(shape, wide ? 'uint64' : 'uint32', seed, repetition);
    const top = b.shiftRightLogical(bits, b.fill(bits, (wide ? 64 : 32) - digits));
    // Signed integers convert faster, and none of these is large.
    const x = b.convert(b.bitcast(top, shape, wide ? 'int64' : 'int32'), wide ? 'float64' : 'float32');
    const centred = open ? b.add(x, b.fill(x, 0.5)) : x;
    return b.convert(b.multiply(centred, b.fill(x, 2 ** -digits)), dtype);
  }
  /** Standard normal. */
  normal(shape: readonly number[], dtype: 'float32' | 'float64', seed?: Op, repetition?: Op): Op {
    return normalFrom(this.b, this.uniform(shape, dtype, true, seed, repetition));
  }
  /** Integers from 0 to `bound` - 1. */
  below(shape: readonly number[], bound: Literal): Op {
    const { b } = this;
    const bits = this.bits(shape, 'uint64');
    // Few values: the high half of a product of 32 bits, else a remainder of 64; either way a bias below 2⁻¹⁶ of the probability.
    if (BigInt(bound as number) > 0x10000n) return b.convert(b.remainder(bits, b.fill(bits, bound)), 'int64');
    const half = b.shiftRightLogical(bits, b.fill(bits, 32));
    return b.convert(b.shiftRightLogical(b.multiply(half, b.fill(bits, bound)), b.fill(bits, 32)), 'int64');
  }
}
