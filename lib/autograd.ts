/** @file torch.autograd: reverse mode on libtorch's own engine. */
import { JorchError } from './runtime/errors.js';
import { native } from './runtime/load.js';
import { accumulate, flag, gradients, list, type Many } from './torch/accumulate.js';
import { bindArguments } from './torch/python-call.js';
import type { Tensor } from './torch/tensor.js';

export interface BackwardOptions {
  retain_graph?: boolean | null | undefined;
  create_graph?: boolean | undefined;
  /** Only these accumulate. */
  inputs?: Many | null | undefined;
}

/**
 * Accumulates the gradients of `tensors` into the `grad` of the leaves they were computed from.
 * @param grad_tensors one per tensor, of its shape; may be left out for one-element tensors.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html
 */
export function backward(
  tensors: Many,
  grad_tensors?: Tensor | readonly (Tensor | null)[] | null | undefined,
  options?: BackwardOptions,
): void;
export function backward(
  tensors: Many,
  options: BackwardOptions & { grad_tensors?: Tensor | readonly (Tensor | null)[] | null },
): void;
export function backward(...args: unknown[]): void {
  const given = bindArguments(
    'backward',
    [['tensors'], ['grad_tensors', null], ['retain_graph', null], ['create_graph', false], '*', ['inputs', null]],
    args,
  );
  accumulate(given['tensors'] as Many, given['grad_tensors'], given);
}

export interface GradOptions {
  grad_outputs?: Tensor | readonly (Tensor | null)[] | null | undefined;
  retain_graph?: boolean | null | undefined;
  create_graph?: boolean | undefined;
  /** An input that was not used is no error and has null. */
  allow_unused?: boolean | null | undefined;
  /** An input that was not used has zeros. */
  materialize_grads?: boolean | undefined;
}

/**
 * Gradients of `outputs` with respect to `inputs`, one per input, of its shape; null where there is none and `allow_unused`.
 * @throws JorchError BAD_ARGUMENT when an input was not used and neither `allow_unused` nor `materialize_grads` is true.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
 */
export function grad(outputs: Many, inputs: Many, options: GradOptions & { allow_unused: true }): (Tensor | null)[];
export function grad(outputs: Many, inputs: Many, options?: GradOptions): Tensor[];
export function grad(
  outputs: Many,
  inputs: Many,
  grad_outputs: Tensor | readonly (Tensor | null)[] | null | undefined,
  options: Omit<GradOptions, 'grad_outputs'> & { allow_unused: true },
): (Tensor | null)[];
export function grad(
  outputs: Many,
  inputs: Many,
  grad_outputs?: Tensor | readonly (Tensor | null)[] | null,
  options?: Omit<GradOptions, 'grad_outputs'>,
): Tensor[];
export function grad(...args: unknown[]): (Tensor | null)[] {
  const given = bindArguments(
    'grad',
    [
      ['outputs'],
      ['inputs'],
      ['grad_outputs', null],
      ['retain_graph', null],
      ['create_graph', false],
      '*',
      ['allow_unused', null],
      ['materialize_grads', false],
    ],
    args,
  );
  const inputs = list(given['inputs'] as Many);
  const materialize = flag('grad: materialize_grads', given['materialize_grads']) ?? false;
  const unused = flag('grad: allow_unused', given['allow_unused']);
  if (materialize && unused === false)
    throw new JorchError(
      'BAD_ARGUMENT',
      'grad: allow_unused must be true or not given where materialize_grads is true',
    );
  const made = native().grad(
    list(given['outputs'] as Many),
    inputs,
    gradients('grad: grad_outputs', given['grad_outputs']),
    flag('grad: retain_graph', given['retain_graph']),
    flag('grad: create_graph', given['create_graph']) ?? false,
    unused ?? materialize,
  );
  return materialize ? made.map((g, i) => g ?? (native().packet('aten::zeros_like')(inputs[i]!) as Tensor)) : made;
}
