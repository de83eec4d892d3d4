/** @file nn.functional: normalization, embedding, distances of vectors. */

import { avg_pool2d, avg_pool3d } from './generated/functional.js';
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import { no_grad } from './modes.js';
import { bad, define, product } from './python-functional-common.js';
import { norm } from './python-norm.js';
import type { Tensor } from './python-types.js';

/** ATen's last argument of the normalizations: torch's Python passes whether cuDNN may be used. */
const CUDNN = true;

/** Statistics of one element have no variance. `size` is [batch, channels, ...spatial]. */
function moreThanOne(name: string, size: readonly number[]): void {
  if ((size[0] ?? 1) * product(size.slice(2)) === 1)
    bad(name, `needs more than 1 value per channel when training, got input shape [${size.join(', ')}]`);
}

export const batch_norm = define(
  'batch_norm',
  ({ input, running_mean, running_var, weight, bias, training, momentum, eps }) => {
    if (training) moreThanOne('batch_norm', input.shape);
    if (!(eps > 0)) bad('batch_norm', `eps must be positive, got ${eps}`);
    return torch.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, CUDNN);
  },
);
export const instance_norm = define(
  'instance_norm',
  ({ input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps }) => {
    if (use_input_stats && product(input.shape.slice(2)) === 1)
      bad(
        'instance_norm',
        `needs more than 1 spatial element when training, got input shape [${input.shape.join(', ')}]`,
      );
    return torch.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, CUDNN);
  },
);
export const layer_norm = define('layer_norm', ({ input, normalized_shape, weight, bias, eps }) =>
  torch.layer_norm(input, normalized_shape, weight, bias, eps, CUDNN),
);
export const rms_norm = define('rms_norm', ({ input, normalized_shape, weight, eps }) =>
  torch.rms_norm(input, normalized_shape, weight, eps),
);
export const group_norm = define('group_norm', ({ input, num_groups, weight, bias, eps }) => {
  if (input.shape.length < 2) bad('group_norm', `needs at least 2 dimensions, got shape [${input.shape.join(', ')}]`);
  const [batch, channels, ...spatial] = [...input.shape] as [number, number, ...number[]];
  moreThanOne('group_norm', [Math.floor((batch * channels) / num_groups), num_groups, ...spatial]);
  return torch.group_norm(input, num_groups, weight, bias, eps, CUDNN);
});

/** Divides by a power of the mean square over `size` neighbouring channels. */
export const local_response_norm = define('local_response_norm', ({ input, size, alpha, beta, k }) => {
  const { shape } = input;
  if (shape.length < 3) bad('local_response_norm', `needs at least 3 dimensions, got shape [${shape.join(', ')}]`);
  if (product(shape) === 0) return input;
  const before = Math.floor(size / 2);
  const after = Math.floor((size - 1) / 2);
  const square = input.mul(input);
  const mean =
    shape.length === 3
      ? avg_pool2d(nn.pad(square.unsqueeze(1), [0, 0, before, after]), [size, 1], 1).squeeze(1)
      : avg_pool3d(
          nn.pad(square.reshape([shape[0]!, 1, shape[1]!, shape[2]!, -1]), [0, 0, 0, 0, before, after]),
          [size, 1, 1],
          1,
        )
          .squeeze(1)
          .reshape(shape);
  return input.div(mean.mul(alpha).add(k).pow(beta));
});

export const normalize = define('normalize', ({ input, p, dim, eps, out }) => {
  const length = norm(input, p, dim, true).clamp_min(eps).expand_as(input);
  return out === null ? input.div(length) : torch.div(input, length, { out });
});

/** Rows longer than `maxNorm` are shortened in place, unseen by autograd. */
function renormalize(weight: Tensor, input: Tensor, maxNorm: number, normType: number): void {
  no_grad(() => torch.embedding_renorm_(weight.detach(), input, maxNorm, normType));
}

export const embedding = define(
  'embedding',
  ({ input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse }) => {
    const rows = weight.shape[0] as number;
    if (padding_idx !== null && (padding_idx >= rows || padding_idx < -rows))
      bad('embedding', `padding_idx ${padding_idx} is outside the ${rows} rows of weight`);
    const padding = padding_idx === null ? -1 : padding_idx < 0 ? rows + padding_idx : padding_idx;
    if (max_norm !== null) renormalize(weight, input, max_norm, norm_type);
    return torch.embedding(weight, input, padding, scale_grad_by_freq, sparse);
  },
);

export const embedding_bag = define('embedding_bag', (a) => {
  const { weight, mode, per_sample_weights } = a;
  let { input, offsets, include_last_offset } = a;
  let samples = per_sample_weights;
  if (samples !== null && samples.shape.join() !== input.shape.join()) {
    bad(
      'embedding_bag',
      `per_sample_weights needs the shape of input, got [${samples.shape.join(', ')}] and [${input.shape.join(', ')}]`,
    );
  }
  if (weight.shape.length !== 2) bad('embedding_bag', `weight must be 2-d, got shape [${weight.shape.join(', ')}]`);
  if (input.shape.length === 2) {
    if (offsets !== null) bad('embedding_bag', 'a 2-d input is a batch of bags of one length and takes no offsets');
    offsets = torch.arange(0, product(input.shape), input.shape[1] as number, {
      dtype: input.dtype,
      device: input.device,
    });
    include_last_offset = false;
    input = input.reshape([-1]);
    samples = samples?.reshape([-1]) ?? null;
  } else if (input.shape.length !== 1)
    bad('embedding_bag', `input must be 1- or 2-d, got shape [${input.shape.join(', ')}]`);
  if (offsets === null || offsets.shape.length !== 1) bad('embedding_bag', 'a 1-d input needs 1-d offsets');
  const code = ['sum', 'mean', 'max'].indexOf(mode);
  if (code < 0) bad('embedding_bag', `mode must be 'sum', 'mean' or 'max', got '${mode}'`);
  if (mode === 'max' && (a.scale_grad_by_freq || a.sparse))
    bad('embedding_bag', "mode 'max' supports neither scale_grad_by_freq nor sparse");
  if (samples !== null && mode !== 'sum') bad('embedding_bag', `per_sample_weights needs mode 'sum', got '${mode}'`);
  if (a.max_norm !== null) renormalize(weight, input, a.max_norm, a.norm_type);
  return torch.embedding_bag(
    weight,
    input,
    offsets,
    a.scale_grad_by_freq,
    code,
    a.sparse,
    samples,
    include_last_offset,
    a.padding_idx,
  )[0];
});
