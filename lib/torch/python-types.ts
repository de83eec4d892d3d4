/** @file The types that the signatures of torch's functions are made of. */
import type { DType } from './dtype.js';
import type { Generator } from './generator.js';
import type { Scalar } from './scalar.js';
import type { Tensor } from './tensor.js';

export type { DType, Generator, Scalar, Tensor };

/** A number operand: a safe integer (not -0) is an integer scalar, any other number floating, a bigint int64; `Scalar` says what JavaScript cannot. */
export type Num = number | bigint | boolean | Scalar;

/** A device, or its name: `'cpu'`, `'cuda:0'`. */
export type DeviceLike = string | { readonly type: string; readonly index?: number | null };

export type Layout = 'strided' | 'sparse_coo' | 'sparse_csr' | 'sparse_csc' | 'sparse_bsr' | 'sparse_bsc';
export type MemoryFormat = 'contiguous_format' | 'preserve_format' | 'channels_last' | 'channels_last_3d';

/** Keywords. A tensor or a list in their place is a type error: neither passes for an options object. */
export type Options<T> = T & { readonly [Symbol.iterator]?: never };

type Places<T> = Extract<keyof T, `${number}`>;

/** Several results as one value: by place, by name, and iterable. `const [v, i] = x.max(1)`; `const { values, indices } = x.max(1)`. */
export type Results<T extends readonly unknown[], N extends readonly string[] = []> = {
  readonly [K in Places<T>]: T[K];
} & {
  readonly length: T['length'];
  [Symbol.iterator](): ArrayIterator<T[number]>;
} & { readonly [K in Places<N> as N[K]]: T[K & keyof T] };
