/** @file Samplers: the order in which samples are taken. */
import { JorchError } from '../runtime/errors.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import type { Generator } from '../torch/python-types.js';
import { permutation } from './dataset.js';

/** Numbers of samples, anew each time it is iterated. */
export interface Sampler extends Iterable<number> {
  readonly length: number;
}

export class SequentialSampler implements Sampler {
  constructor(private readonly source: { readonly length: number }) {}
  get length(): number {
    return this.source.length;
  }
  *[Symbol.iterator](): globalThis.Generator<number> {
    for (let i = 0; i < this.source.length; i++) yield i;
  }
}

/** Every sample once, in random order; with `replacement`, `num_samples` draws. */
export class RandomSampler implements Sampler {
  constructor(
    private readonly source: { readonly length: number },
    private readonly options: { replacement?: boolean; num_samples?: number; generator?: Generator | undefined } = {},
  ) {}
  get length(): number {
    return this.options.num_samples ?? this.source.length;
  }
  *[Symbol.iterator](): globalThis.Generator<number> {
    const { replacement = false, generator } = this.options;
    const n = this.source.length;
    if (!replacement) yield* permutation(n, generator).slice(0, this.length);
    else
      for (const i of torch
        .randint(0, n, [this.length], (generator === undefined ? {} : { generator }) as object)
        .toTypedArray())
        yield Number(i);
  }
}

/** The given numbers, each once, in random order. */
export class SubsetRandomSampler implements Sampler {
  constructor(
    private readonly indices: readonly number[],
    private readonly options: { generator?: Generator | undefined } = {},
  ) {}
  get length(): number {
    return this.indices.length;
  }
  *[Symbol.iterator](): globalThis.Generator<number> {
    for (const i of permutation(this.indices.length, this.options.generator)) yield this.indices[i]!;
  }
}

/** Draws with the given weights. */
export class WeightedRandomSampler implements Sampler {
  constructor(
    private readonly weights: readonly number[],
    readonly length: number,
    private readonly options: { replacement?: boolean; generator?: Generator | undefined } = {},
  ) {}
  *[Symbol.iterator](): globalThis.Generator<number> {
    const { replacement = true, generator } = this.options;
    const p = tensor(this.weights as number[], { dtype: 'float64' });
    const seeded = generator === undefined ? {} : { generator };
    for (const i of torch.multinomial(p, this.length, replacement, seeded).toTypedArray()) yield Number(i);
  }
}

/** Numbers in groups of `batch_size`; the last, smaller one is left out with `drop_last`. */
export class BatchSampler implements Iterable<number[]> {
  constructor(
    private readonly sampler: Sampler,
    readonly batch_size: number,
    readonly drop_last: boolean,
  ) {
    if (!Number.isInteger(batch_size) || batch_size <= 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `batch_size should be a positive integer value, but got batch_size=${batch_size}`,
      );
  }
  get length(): number {
    const n = this.sampler.length / this.batch_size;
    return this.drop_last ? Math.floor(n) : Math.ceil(n);
  }
  *[Symbol.iterator](): globalThis.Generator<number[]> {
    let batch: number[] = [];
    for (const i of this.sampler) {
      batch.push(i);
      if (batch.length === this.batch_size) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0 && !this.drop_last) yield batch;
  }
}
