/** @file DataLoader: batches of a dataset, in this thread or prefetched by worker threads. */
import { JorchError } from '../runtime/errors.js';
import { checkKeywords, isKeywords } from '../torch/python-call.js';
import type { Generator } from '../torch/python-types.js';
import { default_collate } from './collate.js';
import type { Dataset } from './dataset.js';
import { BatchSampler, RandomSampler, type Sampler, SequentialSampler } from './sampler.js';
import { type DatasetModule, isDatasetModule, WorkerPool } from './workers.js';

export interface DataLoaderOptions<T, B> {
  batch_size?: number;
  shuffle?: boolean;
  sampler?: Sampler;
  batch_sampler?: Iterable<readonly number[]> & { readonly length: number };
  drop_last?: boolean;
  /** Default: `default_collate`. */
  collate_fn?: (samples: T[]) => B;
  /** For `shuffle`. */
  generator?: Generator;
  /** Threads that load ahead, for a dataset that is a `datasetModule`; iterate with `for await`. */
  num_workers?: number;
  /** Batches that each worker is ahead. Default 2. */
  prefetch_factor?: number;
  /** Accepted as in torch; there is nothing to pin. */
  pin_memory?: boolean;
}

const KNOWN: readonly (keyof DataLoaderOptions<unknown, unknown>)[] = [
  'batch_size',
  'shuffle',
  'sampler',
  'batch_sampler',
  'drop_last',
  'collate_fn',
  'generator',
  'num_workers',
  'prefetch_factor',
  'pin_memory',
];
const checkOptions = (options: object): void => {
  if (!isKeywords(options))
    throw new JorchError(
      'BAD_ARGUMENT',
      `DataLoader: options are an object such as { batch_size: 32 }, not ${typeof options}`,
    );
  checkKeywords('DataLoader', options, KNOWN);
};

/**
 * Batches of a dataset.
 * @example for (const [x, y] of new DataLoader(new TensorDataset(xs, ys), { batch_size: 32, shuffle: true })) step(x, y);
 * @see https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
 */
export class DataLoader<T, B = T> {
  readonly batch_sampler: Iterable<readonly number[]> & { readonly length: number };
  private readonly collate: ((samples: T[]) => B) | undefined;
  private readonly workers: number;
  private readonly ahead: number;

  constructor(
    readonly dataset: Dataset<T> | DatasetModule<T>,
    options: DataLoaderOptions<T, B> = {},
  ) {
    checkOptions(options);
    const { batch_size = 1, shuffle = false, drop_last = false, generator } = options;
    const exclusive = (what: string): never => {
      throw new JorchError('BAD_ARGUMENT', `DataLoader: ${what}`);
    };
    if (options.sampler !== undefined && shuffle) exclusive('sampler option is mutually exclusive with shuffle');
    if (
      options.batch_sampler !== undefined &&
      (options.batch_size !== undefined || shuffle || options.sampler || drop_last)
    )
      exclusive('batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last');
    const order =
      options.sampler ?? (shuffle ? new RandomSampler(dataset, { generator }) : new SequentialSampler(dataset));
    this.batch_sampler = options.batch_sampler ?? new BatchSampler(order, batch_size, drop_last);
    this.collate = options.collate_fn;
    this.workers = options.num_workers ?? 0;
    this.ahead = options.prefetch_factor ?? 2;
    if (!Number.isInteger(this.workers) || this.workers < 0)
      exclusive('num_workers option should be non-negative; use num_workers: 0 to load in this thread');
    if (this.workers > 0 && !isDatasetModule(dataset))
      exclusive(
        'worker threads share no objects: give the dataset as datasetModule(path, …), which they load by themselves',
      );
    if (this.workers > 0 && this.collate !== undefined)
      exclusive('with workers, collate in the dataset module (its batch(indices)); functions do not cross threads');
  }

  /** Batches. */
  get length(): number {
    return this.batch_sampler.length;
  }

  private local(): Dataset<T> {
    return isDatasetModule(this.dataset) ? this.dataset.load() : (this.dataset as Dataset<T>);
  }

  *[Symbol.iterator](): globalThis.Generator<B> {
    if (this.workers > 0)
      throw new JorchError('BAD_ARGUMENT', 'DataLoader: with num_workers, iterate with for await (… of loader)');
    const dataset = this.local();
    for (const indices of this.batch_sampler) {
      if (this.collate === undefined && dataset.batch !== undefined) yield dataset.batch(indices) as B;
      else {
        const samples = indices.map((i) => dataset.at(i));
        yield (this.collate ?? (default_collate as (samples: T[]) => B))(samples);
      }
    }
  }

  /** With workers, batches come in the same order as without. Leaving the loop ends the threads. */
  async *[Symbol.asyncIterator](): AsyncGenerator<B> {
    if (this.workers === 0) {
      yield* this;
      return;
    }
    const pool = new WorkerPool(this.dataset as DatasetModule<T>, this.workers);
    try {
      yield* pool.run(this.batch_sampler, this.workers * this.ahead) as AsyncGenerator<B>;
    } finally {
      await pool.close();
    }
  }
}
