/** @file The condition of a branch or a loop, as JavaScript's true or false. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';

export const isTrue = (name: string, pred: Tensor | boolean): boolean => {
  if (typeof pred === 'boolean') return pred;
  if (!native().isTensor(pred) || pred.numel() !== 1)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the condition must be a boolean or a tensor with one element, not ${native().isTensor(pred) ? `a tensor of shape [${pred.shape.join(', ')}]` : typeof pred}`,
    );
  return Boolean(pred.item());
};
