/** @file Tensor types: the value a builder hands around, and how a dtype and a shape are spelled in MLIR. */
import type { DType } from '../torch/dtype.js';

/** A shape with a dtype. */
export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** One SSA value of the program under construction. `type` is its printed MLIR type. */
export interface Op extends TensorType {
  readonly name: string;
  readonly type: string;
  /** Between which numbers its values lie, NaN aside, where a builder keeps account of that (lowering/cpu-math.ts). */
  bounds?: readonly [low: number, high: number] | undefined;
  /** Whether they are sums of products, kept account of there too. */
  products?: boolean;
}

/** A number as it is written into a program. */
export type Literal = number | bigint | boolean | { readonly re: number; readonly im: number };

/** A malformed program: names the StableHLO operation and the offending types. Always a bug in a rule. */
export class BuilderError extends Error {
  override readonly name: string = 'BuilderError';
}
/** An operation that StableHLO does not have for this dtype: libtorch's kernel takes it, or says that it does not either. */
export class DtypeError extends BuilderError {
  override readonly name = 'DtypeError';
}

const ELEMENT: Readonly<Record<DType, string>> = {
  float32: 'f32',
  float64: 'f64',
  float16: 'f16',
  bfloat16: 'bf16',
  int8: 'i8',
  int16: 'i16',
  int32: 'i32',
  int64: 'i64',
  uint8: 'ui8',
  uint16: 'ui16',
  uint32: 'ui32',
  uint64: 'ui64',
  bool: 'i1',
  complex64: 'complex<f32>',
  complex128: 'complex<f64>',
};

/** `tensor<2x3xf32>` */
export function typeText(shape: readonly number[], dtype: DType): string {
  return shape.length === 0 ? `tensor<${ELEMENT[dtype]}>` : `tensor<${shape.join('x')}x${ELEMENT[dtype]}>`;
}

export const names = (ops: readonly Op[]): string => ops.map((o) => o.name).join(', ');
/** `tensor<2xf32>, tensor<f32>` */
export const typesOf = (ops: readonly Op[]): string => ops.map((o) => o.type).join(', ');
/** `%arg0: tensor<2xf32>, %arg1: tensor<f32>` */
export const declared = (ops: readonly Op[]): string => ops.map((o) => `${o.name}: ${o.type}`).join(', ');

export const numel = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);
/** `[0, 1, …, n-1]` */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
/** A copy of `list` whose entry `at` is `value`. */
export function replaceAt<T>(list: readonly T[], at: number, value: T): T[] {
  const copy = [...list];
  copy[at] = value;
  return copy;
}
/** Strides of a row-major layout, in elements. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}
