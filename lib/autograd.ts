/** @file torch.autograd: reverse mode on libtorch's own engine. */
import { JorchError } from './runtime/errors.js';
import { native } from './runtime/load.js';
import type { Tensor } from './torch/tensor.js';

type Many = Tensor | readonly Tensor[];
const list = (value: Many): readonly Tensor[] =>
  Array.isArray(value) ? (value as readonly Tensor[]) : [value as Tensor];

const checkKeys = (name: string, options: unknown, known: readonly string[]): void => {
  if (typeof options !== 'object' || options === null)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: options must be an object with ${known.join(', ')}, not ${options === null ? 'null' : typeof options}`,
    );
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw new JorchError('BAD_ARGUMENT', `${name}: got an unexpected keyword '${key}'; it takes ${known.join(', ')}`);
  }
};

/**
 * Accumulates the gradients of `tensors` into the `grad` of the leaves they were computed from.
 * @param grad_tensors one per tensor, of its shape; may be left out for one-element tensors.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html
 */
export const backward = (
  tensors: Many,
  grad_tensors?: Tensor | readonly (Tensor | null)[] | undefined,
  options: { retain_graph?: boolean; create_graph?: boolean; inputs?: Many } = {},
): void => {
  checkKeys('backward', options, ['retain_graph', 'create_graph', 'inputs']);
  const gradients =
    grad_tensors === undefined
      ? []
      : Array.isArray(grad_tensors)
        ? (grad_tensors as readonly (Tensor | null)[])
        : [grad_tensors as Tensor];
  native().backward(
    list(tensors),
    gradients,
    options.retain_graph,
    options.create_graph ?? false,
    options.inputs === undefined ? [] : list(options.inputs),
  );
};

export interface GradOptions {
  grad_outputs?: Tensor | readonly (Tensor | null)[] | undefined;
  retain_graph?: boolean | undefined;
  create_graph?: boolean | undefined;
  allow_unused?: boolean | undefined;
}

/**
 * Gradients of `outputs` with respect to `inputs`, one per input, of its shape; null where there is none and `allow_unused`.
 * @throws JorchError BAD_ARGUMENT when an input was not used and `allow_unused` is false.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
 */
export function grad(outputs: Many, inputs: Many, options: GradOptions & { allow_unused: true }): (Tensor | null)[];
export function grad(outputs: Many, inputs: Many, options?: GradOptions): Tensor[];
export function grad(
  outputs: Many,
  inputs: Many,
  grad_outputs?: Tensor | readonly (Tensor | null)[] | null,
  options?: GradOptions,
): Tensor[];
export function grad(
  outputs: Many,
  inputs: Many,
  third?: GradOptions | Tensor | readonly (Tensor | null)[] | null,
  fourth?: GradOptions,
): (Tensor | null)[] {
  const positional = third === null || Array.isArray(third) || (third !== undefined && native().isTensor(third));
  const options: GradOptions = (positional ? fourth : (third as GradOptions | undefined)) ?? {};
  checkKeys('grad', options, ['grad_outputs', 'retain_graph', 'create_graph', 'allow_unused']);
  const given = (positional ? third : options.grad_outputs) ?? [];
  const gradOutputs = Array.isArray(given) ? (given as readonly (Tensor | null)[]) : [given as Tensor];
  return native().grad(
    list(outputs),
    list(inputs),
    gradOutputs,
    options.retain_graph,
    options.create_graph ?? false,
    options.allow_unused ?? false,
  );
}
