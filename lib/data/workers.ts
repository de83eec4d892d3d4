/** @file Worker threads of a DataLoader: they load the dataset's module, and send batches as bytes that change hands without a copy. */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { fromBytes } from '../io/bytes.js';
import { JorchError } from '../runtime/errors.js';
import { packageRoot } from '../runtime/parts.js';
import type { DType } from '../torch/dtype.js';
import { type Structure, unflatten } from '../tree.js';
import type { Dataset } from './dataset.js';

/** A dataset that every thread makes for itself. */
export interface DatasetModule<T> {
  readonly path: string;
  readonly name: string;
  readonly data: unknown;
  readonly length: number;
  load(): Dataset<T>;
}

/** What a worker is told. */
export interface WorkerTask {
  readonly path: string;
  readonly name: string;
  readonly data: unknown;
}
export interface WorkerRequest {
  readonly id: number;
  readonly indices: readonly number[];
}
export interface WireTensor {
  readonly bytes: ArrayBuffer;
  readonly dtype: DType;
  readonly shape: readonly number[];
}
export type WorkerReply = { readonly id: number } & (
  | { readonly structure: Structure; readonly tensors: readonly WireTensor[] }
  | { readonly error: string; readonly code: string | undefined }
);

const brand = Symbol('jorch.datasetModule');

/** Loads `exports[name](data)` of a CommonJS module: the dataset. */
export const loadDataset = <T>({ path, name, data }: WorkerTask): Dataset<T> => {
  const exported = (createRequire(path)(path) as Record<string, unknown>)[name];
  if (typeof exported !== 'function')
    throw new JorchError('BAD_ARGUMENT', `datasetModule: ${path} exports no function '${name}'`);
  return (exported as (data: unknown) => Dataset<T>)(data);
};

/**
 * A dataset by the module that makes it, for worker threads, which share no objects.
 * @param path of a module whose export `name` (default `dataset`) is a function of `data` that gives the dataset.
 * @param options.data any value that `postMessage` can send.
 */
export const datasetModule = <T>(
  path: string,
  { name = 'dataset', data }: { name?: string; data?: unknown } = {},
): DatasetModule<T> => {
  const absolute = resolve(path);
  let loaded: Dataset<T> | undefined;
  const load = (): Dataset<T> => {
    loaded ??= loadDataset<T>({ path: absolute, name, data });
    return loaded;
  };
  return {
    [brand]: true,
    path: absolute,
    name,
    data,
    load,
    get length() {
      return load().length;
    },
  } as DatasetModule<T>;
};
export const isDatasetModule = (value: object): value is DatasetModule<never> => brand in value;

export class WorkerPool {
  private readonly threads: Worker[];
  private readonly waiting = new Map<number, { done: (value: unknown) => void; fail: (error: Error) => void }>();
  private next = 0;
  /** Why no more batches can come. */
  private failure: Error | undefined;

  constructor(task: WorkerTask, count: number) {
    const workerData: WorkerTask = { path: task.path, name: task.name, data: task.data };
    this.threads = Array.from({ length: count }, () => {
      const thread = new Worker(join(packageRoot, 'dist', 'lib', 'data', 'worker.js'), { workerData });
      thread.on('message', (reply: WorkerReply) => this.receive(reply));
      thread.on('error', (error) => this.failAll(error as Error));
      // A worker never ends by itself: something in it has called process.exit, or ended it.
      thread.on('exit', (code) =>
        this.failAll(
          new JorchError('BAD_ARGUMENT', `DataLoader: a worker ended with code ${code}, its batches are lost`),
        ),
      );
      return thread;
    });
  }

  private receive(reply: WorkerReply): void {
    const promise = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if (promise === undefined) return;
    if ('error' in reply) promise.fail(new JorchError('BAD_ARGUMENT', `DataLoader: a worker failed: ${reply.error}`));
    else {
      const tensors = reply.tensors.map(({ bytes, dtype, shape }) => fromBytes(new Uint8Array(bytes), dtype, shape));
      promise.done(unflatten(reply.structure, tensors));
    }
  }
  private failAll(error: Error): void {
    this.failure ??= error;
    for (const { fail } of this.waiting.values()) fail(error);
    this.waiting.clear();
  }

  private request(indices: readonly number[]): Promise<unknown> {
    if (this.failure !== undefined) {
      const failed = Promise.reject(this.failure);
      failed.catch(() => {});
      return failed;
    }
    const id = this.next++;
    const thread = this.threads[id % this.threads.length]!;
    const promise = new Promise<unknown>((done, fail) => void this.waiting.set(id, { done, fail }));
    // Whoever leaves the loop early never looks at what is under way.
    promise.catch(() => {});
    thread.postMessage({ id, indices } satisfies WorkerRequest);
    return promise;
  }

  /** The batches in order, `ahead` of them under way. */
  async *run(batches: Iterable<readonly number[]>, ahead: number): AsyncGenerator<unknown> {
    const underWay: Promise<unknown>[] = [];
    for (const indices of batches) {
      underWay.push(this.request(indices));
      if (underWay.length > ahead) yield await underWay.shift();
    }
    while (underWay.length > 0) yield await underWay.shift();
  }

  async close(): Promise<void> {
    await Promise.all(
      this.threads.map((thread) => {
        thread.removeAllListeners('exit');
        return thread.terminate();
      }),
    );
  }
}
