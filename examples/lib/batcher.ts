/** @file Dynamic batching: requests of about one length that arrive while a batch runs go together into a next one, padded to a few fixed shapes. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

/** Shapes that are compiled: a request is padded to the next. */
export const LENGTHS = [16, 32, 64, 128, 256];
export const SIZES = [1, 8, 32];
const next = (buckets: readonly number[], n: number): number => buckets.find((b) => b >= n) ?? buckets.at(-1)!;

interface Request {
  readonly ids: readonly number[];
  readonly done: (embedding: Float32Array) => void;
  readonly fail: (error: unknown) => void;
}

/** Token lists padded to `size` × `length`. */
export const pad = (
  lists: readonly (readonly number[])[],
  size: number,
  length: number,
): [ids: Tensor, mask: Tensor] => {
  const ids = new BigInt64Array(size * length);
  const mask = new Uint8Array(size * length);
  for (let row = 0; row < size; row++) {
    // Rows that nobody asked for hold one token, so that their softmax is defined.
    const list = lists[row] ?? [0];
    list.forEach((id, i) => {
      ids[row * length + i] = BigInt(id);
      mask[row * length + i] = 1;
    });
  }
  return [torch.tensor(ids).reshape([size, length]), torch.tensor(mask).reshape([size, length]).to('bool')];
};

export class Batcher {
  private readonly waiting: Request[] = [];
  private running: Promise<void> | undefined;

  constructor(
    private readonly run: (ids: Tensor, mask: Tensor) => Tensor | Promise<Tensor>,
    private readonly options: {
      readonly most: number;
      readonly onBatch?: (sentences: number, seconds: number) => void;
    },
  ) {}

  embed(ids: readonly number[]): Promise<Float32Array> {
    return new Promise((done, fail) => {
      this.waiting.push({ ids, done, fail });
      this.running ??= this.work();
    });
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    await this.running;
  }

  /** The request that waits longest, and others that are padded to the same length: a long one among short ones would make all of them long. */
  private take(): { batch: Request[]; length: number } {
    const length = next(LENGTHS, this.waiting[0]!.ids.length);
    const batch: Request[] = [];
    for (let i = 0; i < this.waiting.length && batch.length < this.options.most; )
      if (next(LENGTHS, this.waiting[i]!.ids.length) === length) batch.push(...this.waiting.splice(i, 1));
      else i++;
    return { batch, length };
  }

  private async work(): Promise<void> {
    // What arrives in the same turn of the event loop goes together.
    await new Promise((done) => setImmediate(done));
    while (this.waiting.length > 0) {
      const { batch, length } = this.take();
      const began = performance.now();
      try {
        const [ids, mask] = pad(
          batch.map((r) => r.ids),
          next(SIZES, batch.length),
          length,
        );
        const embeddings = await this.run(ids, mask);
        const width = embeddings.shape[1];
        const all = embeddings.toTypedArray() as Float32Array;
        batch.forEach(({ done }, i) => void done(all.subarray(i * width, (i + 1) * width)));
      } catch (error) {
        for (const { fail } of batch) fail(error);
      }
      this.options.onBatch?.(batch.length, (performance.now() - began) / 1000);
      // Answers go out, and requests come in, between two batches that run on this thread.
      await new Promise((done) => setImmediate(done));
    }
    this.running = undefined;
  }
}
