/** @file Datasets: what a DataLoader takes samples from. */
import { JorchError } from '../runtime/errors.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import type { Generator, Tensor } from '../torch/python-types.js';

/** Samples by number. Any object with these two is a dataset; Python's `__len__` and `__getitem__`. */
export interface Dataset<T> {
  readonly length: number;
  at(index: number): T;
  /** A whole batch at once, already collated, where that is faster. */
  batch?(indices: readonly number[]): unknown;
}

const range = (name: string, index: number, length: number): number => {
  const i = index < 0 ? index + length : index;
  if (!Number.isInteger(index) || i < 0 || i >= length)
    throw new JorchError('BAD_ARGUMENT', `${name}: index ${index} is out of range for ${length} samples`);
  return i;
};

/** Rows of tensors with equal first sizes. @see https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.TensorDataset */
export class TensorDataset<const T extends readonly Tensor[]> implements Dataset<{ [K in keyof T]: Tensor }> {
  readonly tensors: T;
  readonly length: number;
  constructor(...tensors: T) {
    const sizes = tensors.map((t) => t.shape[0]);
    if (sizes.length === 0 || sizes.some((n) => n !== sizes[0]))
      throw new JorchError(
        'BAD_ARGUMENT',
        `TensorDataset: size mismatch between tensors: first sizes ${sizes.join(', ')}`,
      );
    this.tensors = tensors;
    this.length = sizes[0]!;
  }
  at(index: number): { [K in keyof T]: Tensor } {
    const i = range('TensorDataset', index, this.length);
    return this.tensors.map((t) => t.select(0, i)) as { [K in keyof T]: Tensor };
  }
  batch(indices: readonly number[]): Tensor[] {
    const rows = tensor(indices as number[], { dtype: 'int64' });
    return this.tensors.map((t) => t.index_select(0, rows));
  }
}

/** Some samples of another dataset. */
export class Subset<T> implements Dataset<T> {
  constructor(
    readonly dataset: Dataset<T>,
    readonly indices: readonly number[],
  ) {
    if (dataset.batch !== undefined) this.batch = (list) => dataset.batch!(list.map((i) => indices[i]!));
  }
  declare batch?: (indices: readonly number[]) => unknown;
  get length(): number {
    return this.indices.length;
  }
  at(index: number): T {
    return this.dataset.at(this.indices[range('Subset', index, this.length)]!);
  }
}

/** One dataset after the other. */
export class ConcatDataset<T> implements Dataset<T> {
  readonly length: number;
  constructor(readonly datasets: readonly Dataset<T>[]) {
    this.length = datasets.reduce((n, d) => n + d.length, 0);
  }
  at(index: number): T {
    let i = range('ConcatDataset', index, this.length);
    for (const dataset of this.datasets) {
      if (i < dataset.length) return dataset.at(i);
      i -= dataset.length;
    }
    throw new JorchError('BAD_ARGUMENT', `ConcatDataset: a dataset became shorter; index ${index} is gone`);
  }
}

type Stacked<D> = { [K in keyof D]: D[K] extends Dataset<infer T> ? T : never };
/** Datasets of one length side by side: a sample is an array of theirs, or an object for an object of datasets. @see https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.StackDataset */
export class StackDataset<const D extends readonly Dataset<unknown>[] | Readonly<Record<string, Dataset<unknown>>>>
  implements Dataset<Stacked<D>>
{
  readonly length: number;
  constructor(readonly datasets: D) {
    const lengths = Object.values(datasets).map((d: Dataset<unknown>) => d.length);
    if (lengths.length === 0 || lengths.some((n) => n !== lengths[0]))
      throw new JorchError('BAD_ARGUMENT', `StackDataset: size mismatch between datasets: ${lengths.join(', ')}`);
    this.length = lengths[0]!;
  }
  at(index: number): Stacked<D> {
    const i = range('StackDataset', index, this.length);
    if (Array.isArray(this.datasets)) return this.datasets.map((d: Dataset<unknown>) => d.at(i)) as never;
    return Object.fromEntries(
      Object.entries(this.datasets).map(([k, d]) => [k, (d as Dataset<unknown>).at(i)]),
    ) as never;
  }
}

/** Disjoint random subsets of the given lengths, or fractions that sum to 1. @see https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.random_split */
export const random_split = <T>(
  dataset: Dataset<T>,
  lengths: readonly number[],
  { generator }: { generator?: Generator } = {},
): Subset<T>[] => {
  let sizes = [...lengths];
  const total = lengths.reduce((a, b) => a + b, 0);
  if (Math.abs(total - 1) < 1e-9 && lengths.every((n) => n <= 1)) {
    sizes = lengths.map((share) => Math.floor(dataset.length * share));
    const left = dataset.length - sizes.reduce((a, b) => a + b, 0);
    for (let i = 0; i < left; i++) sizes[i % sizes.length]! += 1;
  } else if (total !== dataset.length)
    throw new JorchError('BAD_ARGUMENT', `random_split: lengths sum to ${total}, the dataset has ${dataset.length}`);
  const order = permutation(dataset.length, generator);
  let from = 0;
  return sizes.map((n) => {
    from += n;
    return new Subset(dataset, order.slice(from - n, from));
  });
};

/** A random order of 0 … n-1. */
export const permutation = (n: number, generator?: Generator): number[] =>
  [...torch.randperm(n, (generator === undefined ? {} : { generator }) as object).toTypedArray()].map(Number);
