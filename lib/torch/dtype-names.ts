/** @file `torch.float32` and its siblings: each dtype constant is its own name. */

export const float32 = 'float32' as const;
export const float64 = 'float64' as const;
export const float16 = 'float16' as const;
export const bfloat16 = 'bfloat16' as const;
export const int8 = 'int8' as const;
export const int16 = 'int16' as const;
export const int32 = 'int32' as const;
export const int64 = 'int64' as const;
export const uint8 = 'uint8' as const;
export const uint16 = 'uint16' as const;
export const uint32 = 'uint32' as const;
export const uint64 = 'uint64' as const;
export const bool = 'bool' as const;
export const complex64 = 'complex64' as const;
export const complex128 = 'complex128' as const;
export const float = float32;
export const double = float64;
export const half = float16;
export const short = int16;
export const int = int32;
export const long = int64;
export const cfloat = complex64;
export const cdouble = complex128;
export type { DType } from './dtype.js';
