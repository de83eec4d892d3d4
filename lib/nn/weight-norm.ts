/** @file weight_norm as a parametrization: magnitude `original0` times direction `original1`. */
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { Module } from './module.js';
import { type Parametrization, register_parametrization } from './parametrize.js';

class _WeightNorm extends Module implements Parametrization {
  constructor(readonly dim: number) {
    super();
  }
  override forward(g: Tensor, v: Tensor): Tensor {
    return torch._weight_norm(v, g, this.dim);
  }
  right_inverse(weight: Tensor): Tensor[] {
    return [torch.norm_except_dim(weight, 2, this.dim), weight];
  }
}

/** `weight = g · v / ‖v‖`, the norm over all dimensions but `dim` (null: over all). @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.weight_norm.html */
export const weight_norm = <M extends Module>(module: M, name = 'weight', dim: number | null = 0): M =>
  register_parametrization(module, name, new _WeightNorm(dim ?? -1), { unsafe: true });
