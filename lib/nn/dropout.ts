/** @file Dropout layers: they drop in training mode only. */
import { JorchError } from '../runtime/errors.js';
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { layer } from './layer.js';
import { python } from './repr.js';

const defaults = { p: 0.5, inplace: false };
const describe = (s: typeof defaults): string => `p=${s.p}, inplace=${python(s.inplace)}`;
const names = ['p', 'inplace'] as const;
const check = ({ p }: typeof defaults): void => {
  if (!(p >= 0 && p <= 1))
    throw new JorchError('BAD_ARGUMENT', `dropout probability has to be between 0 and 1, but got ${p}`);
};

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html */
export class Dropout extends layer('Dropout', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.dropout(input, this.p, this.training, this.inplace);
  }
}
/** Whole channels of [N, C, L]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html */
export class Dropout1d extends layer('Dropout1d', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.dropout1d(input, this.p, this.training, this.inplace);
  }
}
/** Whole channels of [N, C, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html */
export class Dropout2d extends layer('Dropout2d', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.dropout2d(input, this.p, this.training, this.inplace);
  }
}
/** Whole channels of [N, C, D, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html */
export class Dropout3d extends layer('Dropout3d', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.dropout3d(input, this.p, this.training, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html */
export class AlphaDropout extends layer('AlphaDropout', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.alpha_dropout(input, this.p, this.training, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.FeatureAlphaDropout.html */
export class FeatureAlphaDropout extends layer('FeatureAlphaDropout', defaults, names, describe, check) {
  override forward(input: Tensor): Tensor {
    return F.feature_alpha_dropout(input, this.p, this.training, this.inplace);
  }
}
