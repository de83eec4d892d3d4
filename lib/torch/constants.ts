/** @file The constants of torch's namespace, and the limits of dtypes. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { type DType, ITEM_BYTES, isInteger, realOf } from './dtype.js';

export const pi = Math.PI;
export const e = Math.E;
export const inf = Number.POSITIVE_INFINITY;
export const nan = Number.NaN;
/** A new dimension in `x.at(…)`. */
export const newaxis = null;
export const strided = 'strided' as const;
export const contiguous_format = 'contiguous_format' as const;
export const preserve_format = 'preserve_format' as const;
export const channels_last = 'channels_last' as const;
export const channels_last_3d = 'channels_last_3d' as const;

/** Limits of a floating dtype. */
export interface FInfo {
  readonly bits: number;
  readonly dtype: DType;
  /** The distance from 1 to the next number. */
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  /** The least positive number with all its digits. */
  readonly smallest_normal: number;
  readonly tiny: number;
  /** The decimal digits that are always kept, as a number: 1e-6 for float32. */
  readonly resolution: number;
}

/** Limits of an integer dtype: bigints where the dtype has 64 bits. */
export interface IInfo<D extends DType = DType> {
  readonly bits: number;
  readonly dtype: D;
  readonly max: D extends 'int64' | 'uint64' ? bigint : number;
  readonly min: D extends 'int64' | 'uint64' ? bigint : number;
}

/** Digits of the significand, the leading one among them, and the largest exponent. */
const FORMATS: Partial<Record<DType, readonly [digits: number, exponent: number]>> = {
  float16: [11, 15],
  bfloat16: [8, 127],
  float32: [24, 127],
  float64: [53, 1023],
};

/**
 * What a floating dtype can hold, of a complex one its parts. @throws JorchError BAD_ARGUMENT for other dtypes
 * @see https://docs.pytorch.org/docs/stable/type_info.html
 */
export const finfo = (dtype: DType = native().defaultDtype()): FInfo => {
  const real = realOf(dtype);
  const format = FORMATS[real];
  if (format === undefined)
    throw new JorchError('BAD_ARGUMENT', `finfo: only floating and complex dtypes, not ${String(dtype)}; see iinfo`);
  const [digits, exponent] = format;
  const eps = 2 ** (1 - digits);
  // (2 − eps) · 2^exponent, in this order: 2^(exponent + 1) is infinite.
  const max = (2 - eps) * 2 ** exponent;
  const smallest_normal = 2 ** (1 - exponent);
  const resolution = Number(`1e-${Math.floor((digits - 1) * Math.log10(2))}`);
  return {
    bits: 8 * ITEM_BYTES[real],
    dtype: real,
    eps,
    max,
    min: -max,
    smallest_normal,
    tiny: smallest_normal,
    resolution,
  };
};

/** What an integer dtype can hold. @throws JorchError BAD_ARGUMENT for other dtypes @see https://docs.pytorch.org/docs/stable/type_info.html */
export const iinfo = <D extends DType>(dtype: D): IInfo<D> => {
  if (!(dtype in ITEM_BYTES) || !isInteger(dtype))
    throw new JorchError('BAD_ARGUMENT', `iinfo: only integer dtypes, not ${String(dtype)}; see finfo`);
  const bits = 8 * ITEM_BYTES[dtype];
  const [min, max] = dtype.startsWith('u')
    ? [0n, (1n << BigInt(bits)) - 1n]
    : [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n];
  return (bits === 64 ? { bits, dtype, max, min } : { bits, dtype, max: Number(max), min: Number(min) }) as IInfo<D>;
};
