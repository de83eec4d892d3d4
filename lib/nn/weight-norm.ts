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

/**
 * `weight = g · v / ‖v‖`, the norm over all dimensions but `dim` (null: over all). State dicts of PyTorch's older form (`weight_g`, `weight_v`) load too.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.weight_norm.html
 */
export const weight_norm = <M extends Module>(module: M, name = 'weight', dim: number | null = 0): M => {
  const made = register_parametrization(module, name, new _WeightNorm(dim ?? -1), { unsafe: true });
  made.register_load_state_dict_pre_hook((_module, state, prefix) => {
    const [g, v] = [`${prefix}${name}_g`, `${prefix}${name}_v`];
    if (state[g] === undefined || state[v] === undefined) return;
    state[`${prefix}parametrizations.${name}.original0`] = state[g];
    state[`${prefix}parametrizations.${name}.original1`] = state[v];
    delete state[g];
    delete state[v];
  });
  return made;
};
