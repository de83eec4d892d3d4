/** @file torch.nn.utils: gradients clipped, parameters as one vector. All of it works inside compiled functions. */
import { JorchError } from '../runtime/errors.js';
import { vector_norm } from '../torch/generated/linalg.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';

type Many = Tensor | Iterable<Tensor>;
const listOf = (tensors: Many): Tensor[] => ('dtype' in tensors ? [tensors as Tensor] : [...tensors]);
const gradsOf = (parameters: Many): Tensor[] =>
  listOf(parameters)
    .map((p) => p.grad)
    .filter((g) => g !== null);

/** The norm of all tensors as one vector, 0-d. @param norm_type p, or Infinity. */
export const get_total_norm = (
  tensors: Many,
  norm_type = 2,
  { error_if_nonfinite = false }: { error_if_nonfinite?: boolean } = {},
): Tensor => {
  const all = listOf(tensors);
  if (all.length === 0) return torch.zeros([]);
  const norms = all.map((t) => vector_norm(t, norm_type));
  const total = vector_norm(torch.stack(norms), norm_type);
  if (error_if_nonfinite && !Number.isFinite(total.item()))
    throw new JorchError('BAD_ARGUMENT', `the total norm of order ${norm_type} of the gradients is not finite`);
  return total;
};

/** Scales the gradients so that their total norm is at most the one of `total_norm` clipped to `max_norm`. */
export const clip_grads_with_norm_ = (parameters: Many, max_norm: number, total_norm: Tensor): void =>
  no_grad(() => {
    const factor = total_norm.add(1e-6).reciprocal().mul(max_norm).clamp({ max: 1 });
    for (const grad of gradsOf(parameters)) grad.mul_(factor);
  });

/**
 * Scales the gradients, in place, so that their norm as one vector is at most `max_norm`. Returns the norm before, 0-d.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
 */
export const clip_grad_norm_ = (
  parameters: Many,
  max_norm: number,
  norm_type = 2,
  options: { error_if_nonfinite?: boolean } = {},
): Tensor => {
  const all = listOf(parameters);
  const total = no_grad(() => get_total_norm(gradsOf(all), norm_type, options));
  clip_grads_with_norm_(all, max_norm, total);
  return total;
};

/** Clamps every gradient's elements to [-clip_value, clip_value], in place. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html */
export const clip_grad_value_ = (parameters: Many, clip_value: number): void =>
  no_grad(() => {
    for (const grad of gradsOf(parameters)) grad.clamp_({ min: -clip_value, max: clip_value });
  });

/** All elements of all parameters, one after the other. */
export const parameters_to_vector = (parameters: Iterable<Tensor>): Tensor =>
  torch.cat([...parameters].map((p) => p.reshape([-1])));

/** Puts the elements of a vector back into the parameters' shapes. */
export const vector_to_parameters = (vector: Tensor, parameters: Iterable<Tensor>): void => {
  let from = 0;
  for (const p of parameters) {
    const count = p.numel();
    p.data = vector.narrow(0, from, count).view_as(p).data;
    from += count;
  }
};
