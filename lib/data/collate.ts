/** @file default_collate: samples to a batch. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';

/**
 * Samples of one structure as a batch: tensors and typed arrays are stacked, numbers (float32), bigints (int64) and booleans become a
 * tensor, texts an array; arrays and plain objects are collated place by place.
 * @see https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
 */
export const default_collate = (samples: readonly unknown[]): unknown => {
  const [first] = samples;
  if (native().isTensor(first)) return torch.stack(samples as Tensor[]);
  if (ArrayBuffer.isView(first)) return torch.stack(samples.map((s) => tensor(s as Float32Array)));
  switch (typeof first) {
    case 'number':
    case 'bigint':
    case 'boolean':
      return tensor(samples as number[]);
    case 'string':
      return [...samples];
  }
  if (Array.isArray(first)) {
    if (samples.some((s) => (s as unknown[]).length !== first.length))
      throw new JorchError(
        'BAD_ARGUMENT',
        'default_collate: samples are lists of different lengths; give a collate_fn',
      );
    return first.map((_, i) => default_collate(samples.map((s) => (s as unknown[])[i])));
  }
  if (typeof first === 'object' && first !== null && Object.getPrototypeOf(first) === Object.prototype)
    return Object.fromEntries(
      Object.keys(first).map((key) => [key, default_collate(samples.map((s) => (s as Record<string, unknown>)[key]))]),
    );
  throw new JorchError(
    'BAD_ARGUMENT',
    `default_collate: samples hold ${first === null ? 'null' : typeof first}, which has no batch; give a collate_fn`,
  );
};
