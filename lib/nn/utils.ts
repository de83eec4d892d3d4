/** @file torch.nn.utils */
export {
  clip_grad_norm_,
  clip_grad_value_,
  clip_grads_with_norm_,
  get_total_norm,
  parameters_to_vector,
  vector_to_parameters,
} from './clip-grad.js';
export { fuse_conv_bn_eval, fuse_linear_bn_eval } from './fusion.js';
export * as rnn from './packed-sequence.js';
export * as parametrizations from './parametrizations.js';
export * as parametrize from './parametrize.js';
