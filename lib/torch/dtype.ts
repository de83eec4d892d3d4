/** @file torch's dtypes as string constants (`torch.float32 === 'float32'`), with the facts about each that the rest of jorch asks for. */

/** Every dtype of libtorch that jorch handles, by torch's name. */
export const DTYPES = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'complex64',
  'complex128',
] as const;

/** A torch dtype: its name without the `torch.` prefix. */
export type DType = (typeof DTYPES)[number];

/** Bytes of one element. */
export const ITEM_BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  bool: 1,
  complex64: 8,
  complex128: 16,
};

export const isFloating = (d: DType): boolean =>
  d === 'float32' || d === 'float64' || d === 'float16' || d === 'bfloat16';
export const isComplex = (d: DType): boolean => d === 'complex64' || d === 'complex128';
/** Integer dtypes, `bool` not among them. */
export const isInteger = (d: DType): boolean => !isFloating(d) && !isComplex(d) && d !== 'bool';
/** The dtype of a complex tensor's real and imaginary parts; other dtypes are their own. */
export const realOf = (d: DType): DType => (d === 'complex64' ? 'float32' : d === 'complex128' ? 'float64' : d);

/** Elements of each dtype as a typed array: two numbers for a complex one, the bits of 16-bit floats. */
export const ARRAY_OF = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  complex64: Float32Array,
  complex128: Float64Array,
} as const satisfies Readonly<Record<DType, unknown>>;
