/** @file The case files of shared/opinfo as types (format 1; the README beside the files is the specification). */
import type { DType } from '../../lib/torch/dtype.js';

/** JSON, or an object with one `$` key for what JSON cannot say (`$float`, `$t`, `$dtype`, …). */
export type Encoded = null | boolean | number | string | readonly Encoded[] | { readonly [key: string]: Encoded };

/** Where a value is: an input, a call's result, or a part of one. */
export interface Ref {
  readonly $t?: number;
  readonly $r?: number;
  readonly path?: readonly (number | string)[];
}

export interface Call {
  readonly fn: string;
  readonly kind: 'function' | 'method' | 'property' | 'aten';
  readonly args: readonly Encoded[];
  readonly kwargs: Readonly<Record<string, Encoded>>;
}

/** A tensor of the safetensors file. */
export interface Entry {
  /** null: only dtype and shape are known (undefined values, or no gradient). */
  readonly key: string | null;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly stride?: readonly number[];
  readonly offset?: number;
}

export interface Input extends Entry {
  readonly requires_grad?: boolean;
}

export interface Expected extends Entry {
  /** torch's own float32 error on this sample. */
  readonly ref64?: {
    readonly abs?: number;
    readonly rel?: number;
    readonly differ?: number;
    readonly nonfinite_differ?: number;
  };
}

export interface ExpectedAt extends Expected {
  readonly ref: Ref;
}

export interface ExpectedInput extends Expected {
  readonly input: number;
}

export interface Sample {
  readonly id: string;
  readonly dtype: DType;
  readonly variant: 'function' | 'inplace' | 'strided';
  readonly compare: 'values' | 'post' | 'seeded' | 'meta';
  readonly inputs: readonly Input[];
  readonly program: readonly Call[];
  readonly output: Encoded;
  readonly expect: readonly ExpectedAt[];
  readonly seed?: number;
  readonly mutated?: readonly ExpectedInput[];
  readonly post?: readonly Call[];
  readonly post_expect?: readonly ExpectedAt[];
  readonly grad?: { readonly cotangents: readonly ExpectedAt[]; readonly wrt: readonly ExpectedInput[] };
  readonly grad_error?: string;
  readonly expanded?: { readonly program: readonly Call[]; readonly refs: readonly Ref[] };
  readonly ties?: boolean;
  readonly broadcasts_input?: boolean;
}

export interface CaseFile {
  readonly format: number;
  readonly op: string;
  readonly fn: string;
  readonly samples: readonly Sample[];
}

/** What the manifest says of an operator, as far as the runner asks. */
export interface ManifestEntry {
  readonly op: string;
  readonly file?: string;
  readonly flags?: Readonly<Record<string, boolean>>;
  readonly variants?: { readonly inplace?: string | null };
}
