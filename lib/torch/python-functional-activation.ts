/** @file nn.functional: activations, softmax, dropout. Argument names and defaults are Python's (generated); these rows say what each does. */
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import { bad, define } from './python-functional-common.js';
import type { DType, Tensor } from './python-types.js';

export const relu = define('relu', ({ input, inplace }) => (inplace ? torch.relu_(input) : torch.relu(input)));
export const relu6 = define('relu6', ({ input, inplace }) => (inplace ? nn.relu6_(input) : nn.relu6(input)));
export const elu = define('elu', ({ input, alpha, inplace }) =>
  inplace ? nn.elu_(input, alpha) : nn.elu(input, alpha),
);
export const selu = define('selu', ({ input, inplace }) => (inplace ? torch.selu_(input) : torch.selu(input)));
export const celu = define('celu', ({ input, alpha, inplace }) =>
  inplace ? torch.celu_(input, alpha) : torch.celu(input, alpha),
);
export const hardsigmoid = define('hardsigmoid', ({ input, inplace }) =>
  inplace ? nn.hardsigmoid_(input) : nn.hardsigmoid(input),
);
export const hardswish = define('hardswish', ({ input, inplace }) =>
  inplace ? nn.hardswish_(input) : nn.hardswish(input),
);
export const silu = define('silu', ({ input, inplace }) => (inplace ? nn.silu_(input) : nn.silu(input)));
export const mish = define('mish', ({ input, inplace }) => (inplace ? nn.mish_(input) : nn.mish(input)));
export const tanh = define('tanh', ({ input }) => input.tanh());
export const sigmoid = define('sigmoid', ({ input }) => input.sigmoid());
export const tanhshrink = define('tanhshrink', ({ input }) => input.sub(input.tanh()));
export const softsign = define('softsign', ({ input }) => input.div(input.abs().add(1)));

export const leaky_relu = define('leaky_relu', ({ input, negative_slope, inplace }) =>
  inplace ? nn.leaky_relu_(input, negative_slope) : nn.leaky_relu(input, negative_slope),
);
export const rrelu = define('rrelu', ({ input, lower, upper, training, inplace }) =>
  inplace ? torch.rrelu_(input, lower, upper, training) : torch.rrelu(input, lower, upper, training),
);
export const threshold = define('threshold', ({ input, threshold, value, inplace }) =>
  inplace ? torch.threshold_(input, threshold, value) : torch.threshold(input, threshold, value),
);
export const hardtanh = define('hardtanh', ({ input, min_val, max_val, inplace }) => {
  if (min_val > max_val) bad('hardtanh', `min_val ${min_val} is greater than max_val ${max_val}`);
  return inplace ? nn.hardtanh_(input, min_val, max_val) : nn.hardtanh(input, min_val, max_val);
});
export const glu = define('glu', ({ input, dim }) => {
  if (input.shape.length === 0) bad('glu', 'needs a dimension of even size to halve, got a 0-d tensor');
  return nn.glu(input, dim);
});

/** Without `dim`, the oldest rule: dimension 0 of 0-, 1- and 3-d inputs, else 1. */
const softmaxDim = (input: Tensor, dim: number | null): number =>
  dim ?? ([0, 1, 3].includes(input.shape.length) ? 0 : 1);
const typed = (dtype: DType | null) => (dtype === null ? {} : { dtype });

export const softmax = define('softmax', ({ input, dim, dtype }) =>
  input.softmax(softmaxDim(input, dim), typed(dtype)),
);
export const softmin = define('softmin', ({ input, dim, dtype }) =>
  input.neg().softmax(softmaxDim(input, dim), typed(dtype)),
);
export const log_softmax = define('log_softmax', ({ input, dim, dtype }) =>
  input.log_softmax(softmaxDim(input, dim), typed(dtype)),
);

/** Samples of the Gumbel-softmax distribution; `hard` ones are one-hot, with the soft ones' gradient. */
export const gumbel_softmax = define('gumbel_softmax', ({ logits, tau, hard, dim }) => {
  const gumbels = torch.empty_like(logits, { memory_format: 'contiguous_format' }).exponential_().log().neg();
  const soft = logits.add(gumbels).div(tau).softmax(dim);
  if (!hard) return soft;
  const index = soft.max(dim, true)[1];
  const oneHot = torch.zeros_like(logits, { memory_format: 'contiguous_format' }).scatter_(dim, index, 1);
  return oneHot.sub(soft.detach()).add(soft);
});

function probability(name: string, p: number): void {
  if (!(p >= 0 && p <= 1)) bad(name, `dropout probability has to be between 0 and 1, got ${p}`);
}

export const dropout = define('dropout', ({ input, p, training, inplace }) => {
  probability('dropout', p);
  return inplace ? torch.dropout_(input, p, training) : torch.dropout(input, p, training);
});
export const alpha_dropout = define('alpha_dropout', ({ input, p, training, inplace }) => {
  probability('alpha_dropout', p);
  return inplace ? torch.alpha_dropout_(input, p, training) : torch.alpha_dropout(input, p, training);
});
export const feature_alpha_dropout = define('feature_alpha_dropout', ({ input, p, training, inplace }) => {
  probability('feature_alpha_dropout', p);
  return inplace ? torch.feature_alpha_dropout_(input, p, training) : torch.feature_alpha_dropout(input, p, training);
});

const channels = (input: Tensor, p: number, training: boolean, inplace: boolean): Tensor =>
  inplace ? torch.feature_dropout_(input, p, training) : torch.feature_dropout(input, p, training);

/** Whole channels, of an input that may lack its batch dimension: `ndim` is the number of dimensions with it. */
function batchedDropout(
  name: string,
  ndim: number,
  input: Tensor,
  p: number,
  training: boolean,
  inplace: boolean,
): Tensor {
  probability(name, p);
  if (input.shape.length === ndim) return channels(input, p, training, inplace);
  const batched = inplace ? input.unsqueeze_(0) : input.unsqueeze(0);
  const result = channels(batched, p, training, inplace);
  return inplace ? result.squeeze_(0) : result.squeeze(0);
}

export const dropout1d = define('dropout1d', ({ input, p, training, inplace }) => {
  if (input.shape.length !== 2 && input.shape.length !== 3)
    bad('dropout1d', `needs a 2- or 3-d input, got shape [${input.shape.join(', ')}]`);
  return batchedDropout('dropout1d', 3, input, p, training, inplace);
});
/** A 3-d input is (N, C, L) here, as in torch, which has not made it (C, H, W) yet. */
export const dropout2d = define('dropout2d', ({ input, p, training, inplace }) => {
  probability('dropout2d', p);
  return channels(input, p, training, inplace);
});
export const dropout3d = define('dropout3d', ({ input, p, training, inplace }) =>
  batchedDropout('dropout3d', 5, input, p, training, inplace),
);
