/** @file The state dict of scripts/references/states_torch.py: tied, transposed and strided weights, a buffer of every dtype. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { nn } = torch;
export const DTYPES = [
  'float64',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
  'complex64',
  'complex128',
] as const;
export const FORMATS = ['pt', 'safetensors', 'npz'] as const;

export class Holder extends nn.Module {
  first = new nn.Linear(3, 4);
  second = new nn.Linear(3, 4);
  constructor() {
    super();
    const waves = torch.arange(12).mul(1.7).sin();
    this.first.weight = new nn.Parameter(waves.reshape([3, 4]).t());
    this.first.bias = new nn.Parameter(waves.at('::3'));
    this.second.weight = this.first.weight;
    this.second.bias = new nn.Parameter(waves.at('1::3').half());
    for (const dtype of DTYPES) {
      const values = torch
        .arange(6)
        .sub(dtype === 'uint8' ? 0 : 2)
        .to(dtype)
        .reshape([2, 3]);
      this.register_buffer(`b_${dtype}`, dtype === 'complex64' ? values.mul(torch.Scalar.complex(1, -2)) : values);
    }
    this.register_buffer('scalar', torch.tensor(2.5));
    this.register_buffer('empty', torch.zeros(0, 2));
  }
}

/** What a format holds of the state: safetensors has no complex128, numpy no bfloat16. */
export const stateFor = (format: (typeof FORMATS)[number]): Record<string, Tensor> => {
  const lacks = { pt: '', safetensors: 'b_complex128', npz: 'b_bfloat16' }[format];
  return Object.fromEntries(Object.entries(new Holder().state_dict()).filter(([name]) => name !== lacks));
};
