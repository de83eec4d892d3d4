/** @file backward(), which torch.autograd and tensors have: its arguments once they are bound. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from './tensor.js';

export type Many = Tensor | readonly Tensor[];
export const list = (value: Many): readonly Tensor[] =>
  Array.isArray(value) ? (value as readonly Tensor[]) : [value as Tensor];

export const gradients = (name: string, given: unknown): readonly (Tensor | null)[] => {
  if (given === null || given === undefined) return [];
  if (Array.isArray(given)) return given as readonly (Tensor | null)[];
  if (native().isTensor(given)) return [given];
  throw new JorchError('BAD_ARGUMENT', `${name} must be a Tensor or an array of Tensors, not ${typeof given}`);
};

export const flag = (name: string, value: unknown): boolean | undefined => {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'boolean') return value;
  throw new JorchError('BAD_ARGUMENT', `${name} must be true or false, not ${typeof value}`);
};

/** Accumulates gradients of `tensors`, given `grads`, into leaves. */
export const accumulate = (tensors: Many, grads: unknown, options: Readonly<Record<string, unknown>>): void =>
  native().backward(
    list(tensors),
    gradients('backward: grad_tensors', grads),
    flag('backward: retain_graph', options['retain_graph']),
    flag('backward: create_graph', options['create_graph']) ?? false,
    options['inputs'] === null ? [] : list(options['inputs'] as Many),
  );
