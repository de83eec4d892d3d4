/** @file Checks of hyper-parameters, in PyTorch's words. */
import { JorchError } from '../runtime/errors.js';

export const atLeastZero = (what: string, value: unknown): void => {
  if (typeof value === 'number' && !(value >= 0)) throw new JorchError('BAD_ARGUMENT', `Invalid ${what}: ${value}`);
};
export const betasInRange = (betas: readonly number[]): void => {
  if (!Array.isArray(betas))
    throw new JorchError('BAD_ARGUMENT', `Invalid betas: expected two numbers, got ${typeof betas}`);
  (betas as readonly number[]).forEach((beta, i) => {
    if (!(beta >= 0 && beta < 1)) throw new JorchError('BAD_ARGUMENT', `Invalid beta parameter at index ${i}: ${beta}`);
  });
};
