/** @file spectral_norm as a parametrization: a weight divided by an estimate of its largest singular value. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import { normalize } from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.js';
import { Module } from './module.js';
import { Buffer } from './parameter.js';
import { type Parametrization, register_parametrization } from './parametrize.js';

class _SpectralNorm extends Module implements Parametrization {
  /** Estimates of the singular vectors that belong to the largest singular value. */
  private _u: Tensor | undefined;
  private _v: Tensor | undefined;

  constructor(
    weight: Tensor,
    private readonly iterations: number,
    private readonly dim: number,
    private readonly eps: number,
  ) {
    super();
    if (dim >= weight.ndim || dim < 0)
      throw new JorchError('BAD_ARGUMENT', `spectral_norm: dimension ${dim} of a tensor with ${weight.ndim}`);
    if (!Number.isInteger(iterations) || iterations <= 0)
      throw new JorchError('BAD_ARGUMENT', `spectral_norm: n_power_iterations must be positive, got ${iterations}`);
    if (weight.ndim === 1) return;
    no_grad(() => {
      const matrix = this.matrix(weight);
      const [rows, columns] = matrix.shape;
      const draw = (n: number): Tensor => {
        const random = torch.empty([n], { dtype: weight.dtype }).normal_(0, 1);
        return new Buffer(normalize(random, { dim: 0, eps }));
      };
      this._u = draw(rows);
      this._v = draw(columns!);
      this.iterate(matrix, 15);
    });
  }
  private matrix(weight: Tensor): Tensor {
    return (this.dim === 0 ? weight : weight.movedim(this.dim, 0)).flatten(1);
  }
  private iterate(matrix: Tensor, times: number): void {
    const [u, v] = [this._u!, this._v!];
    no_grad(() => {
      for (let i = 0; i < times; i++) {
        u.copy_(normalize(torch.mv(matrix, v), { dim: 0, eps: this.eps }));
        v.copy_(normalize(torch.mv(matrix.t().conj(), u), { dim: 0, eps: this.eps }));
      }
    });
  }
  override forward(weight: Tensor): Tensor {
    if (this._u === undefined) return normalize(weight, { dim: 0, eps: this.eps });
    const matrix = this.matrix(weight);
    if (this.training) this.iterate(matrix, this.iterations);
    // Copies: the next iteration changes the vectors in place.
    const [u, v] = [this._u.clone(), this._v!.clone()];
    return weight.div(torch.vdot(u, torch.mv(matrix, v)));
  }
  right_inverse(weight: Tensor): Tensor {
    return weight;
  }
}

export interface SpectralNormOptions {
  /** Steps of the power iteration at every forward in training. Default 1. */
  n_power_iterations?: number;
  /** Added to norms. Default 1e-12. */
  eps?: number;
  /** The dimension of the outputs: 1 for transposed convolutions, else 0. */
  dim?: number | null;
}

/** `weight / σ(weight)`, σ by power iteration in training. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.spectral_norm.html */
export const spectral_norm = <M extends Module>(
  module: M,
  name = 'weight',
  { n_power_iterations = 1, eps = 1e-12, dim = null }: SpectralNormOptions = {},
): M => {
  const weight = (module as unknown as Record<string, Tensor>)[name];
  if (weight === undefined)
    throw new JorchError('BAD_ARGUMENT', `spectral_norm: ${module._get_name()} has no '${name}'`);
  const transposed = [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d].some((c) => module instanceof c);
  const axis = dim ?? (transposed ? 1 : 0);
  const own = new _SpectralNorm(weight, n_power_iterations, axis < 0 ? axis + weight.ndim : axis, eps);
  return register_parametrization(module, name, own);
};
