/** @file A layer and the batch norm behind it as one layer, for inference. */
import { JorchError } from '../runtime/errors.js';
import { zeros_like } from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import type { Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.js';
import { deepcopy } from './copy.js';
import type { Linear } from './linear.js';
import type { BatchNorm1d, BatchNorm2d, BatchNorm3d } from './norm.js';
import { Parameter } from './parameter.js';

type AnyConv = Conv1d | Conv2d | Conv3d | ConvTranspose1d | ConvTranspose2d | ConvTranspose3d;
type AnyNorm = BatchNorm1d | BatchNorm2d | BatchNorm3d;

/** The weight and bias of `(w · x + b − mean) / √(variance + eps) · weight + bias`; outputs are in dimension `dim` of `w`. */
const fused = (w: Tensor, b: Tensor | null, bn: AnyNorm, dim: number): [Tensor, Tensor] => {
  const { running_mean: mean, running_var: variance } = bn;
  if (bn.training || mean === null || variance === null)
    throw new JorchError('BAD_ARGUMENT', 'fusing needs a batch norm with running statistics, in eval mode');
  const factor = variance.add(bn.eps).rsqrt();
  const scale = bn.weight === null ? factor : factor.mul(bn.weight);
  const shape = Array.from({ length: w.ndim }, (_, d) => (d === dim ? -1 : 1));
  const shifted = (b ?? zeros_like(mean)).sub(mean).mul(scale);
  return [w.mul(scale.reshape(shape)), bn.bias === null ? shifted : shifted.add(bn.bias)];
};

const fuse = <L extends AnyConv | Linear>(layer: L, bn: AnyNorm, dim: number): L => {
  if (layer.training) throw new JorchError('BAD_ARGUMENT', 'fusing is for layers in eval mode');
  const copy: AnyConv | Linear = deepcopy<AnyConv | Linear>(layer);
  const [weight, bias] = no_grad(() => fused(layer.weight, layer.bias, bn, dim));
  copy.weight = new Parameter(weight, layer.weight.requires_grad);
  copy.bias = new Parameter(bias, layer.bias?.requires_grad ?? layer.weight.requires_grad);
  return copy as L;
};

/** A convolution that computes `bn.forward(conv.forward(x))`. @param transpose the convolution is a transposed one. */
export const fuse_conv_bn_eval = <L extends AnyConv>(conv: L, bn: AnyNorm, transpose = false): L =>
  fuse(conv, bn, transpose ? 1 : 0);
/** A Linear that computes `bn.forward(linear.forward(x))`. */
export const fuse_linear_bn_eval = (linear: Linear, bn: BatchNorm1d): Linear => fuse(linear, bn, 0);
