/** @file Prints numbers and element lists as MLIR attributes, exactly: no value changes between JavaScript and XLA. */
import type { DType } from '../torch/dtype.js';
import { isComplex, isFloating, realOf } from '../torch/dtype.js';
import { BuilderError, type Literal } from './types.js';

/** Bit patterns of NaN, +inf and -inf: MLIR has no words for them. */
const SPECIAL: Readonly<Record<string, readonly [string, string, string]>> = {
  float32: ['0x7FC00000', '0x7F800000', '0xFF800000'],
  float64: ['0x7FF8000000000000', '0x7FF0000000000000', '0xFFF0000000000000'],
  float16: ['0x7E00', '0x7C00', '0xFC00'],
  bfloat16: ['0x7FC0', '0x7F80', '0xFF80'],
};
/** Rounding up from here gives infinity, which MLIR's parser refuses to do by itself. */
const OVERFLOWS: Readonly<Record<string, number>> = {
  float32: 3.4028235677973366e38,
  float16: 65520,
  bfloat16: 3.3961775292304601e38,
  float64: Infinity,
};

function float(value: number, dtype: DType): string {
  if (Number.isNaN(value)) return SPECIAL[dtype]![0];
  if (Math.abs(value) >= OVERFLOWS[dtype]!) return SPECIAL[dtype]![value > 0 ? 1 : 2];
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  if (text.includes('.')) return text;
  const e = text.indexOf('e');
  return e < 0 ? `${text}.0` : `${text.slice(0, e)}.0${text.slice(e)}`;
}

const BITS: Readonly<Record<string, number>> = {
  int8: 8,
  int16: 16,
  int32: 32,
  int64: 64,
  uint8: 8,
  uint16: 16,
  uint32: 32,
  uint64: 64,
};

/** An integer wraps to the dtype's width and a float is truncated, as a C++ cast does. */
function integer(value: number | bigint | boolean, dtype: DType): string {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new BuilderError(`stablehlo.constant: ${value} is not a value of ${dtype}.`);
  }
  const whole = typeof value === 'number' ? BigInt(Math.trunc(value)) : BigInt(value);
  const wrap = dtype.startsWith('u') ? BigInt.asUintN : BigInt.asIntN;
  return String(wrap(BITS[dtype]!, whole));
}

/** One element of `dtype`. A complex number for a real dtype gives its real part; for bool, whether it is not zero. */
export function elementText(value: Literal, dtype: DType): string {
  const re = typeof value === 'object' ? value.re : value;
  const im = typeof value === 'object' ? value.im : 0;
  if (isComplex(dtype)) return `(${float(Number(re), realOf(dtype))}, ${float(im, realOf(dtype))})`;
  if (isFloating(dtype)) return float(Number(re), dtype);
  if (dtype === 'bool') return String(Boolean(re) || im !== 0 || Number.isNaN(re));
  return integer(re, dtype);
}

/** `dense<…>` for one value everywhere. */
export const splatText = (value: Literal, dtype: DType): string => `dense<${elementText(value, dtype)}>`;

/** `dense<[…]>` for row-major elements of `shape`; a splat when all are equal. */
export function denseText(data: readonly Literal[], shape: readonly number[], dtype: DType): string {
  const parts = data.map((v) => elementText(v, dtype));
  if (parts.length > 0 && parts.every((p) => p === parts[0])) return `dense<${parts[0]}>`;
  if (parts.length === 0) return 'dense<>';
  let level = parts;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const width = shape[axis]!;
    const next: string[] = [];
    for (let i = 0; i < level.length; i += width) next.push(`[${level.slice(i, i + width).join(', ')}]`);
    level = next;
  }
  return `dense<${level.join(', ')}>`;
}
