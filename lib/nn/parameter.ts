/** @file Parameters and buffers: tensors that a module owns, told apart by identity. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { keep } from '../torch/memory.js';
import type { Tensor } from '../torch/tensor.js';

/** A tensor that a module learns: found by `parameters()` in the fields of modules. */
export type Parameter = Tensor;
/** A tensor that belongs to a module's state without being learned. */
export type Buffer = Tensor;

const parameters = new WeakSet<Tensor>();
const buffers = new WeakMap<Tensor, { readonly persistent: boolean }>();

const checkTensor = (what: string, value: unknown): void => {
  if (!native().isTensor(value))
    throw new JorchError('BAD_ARGUMENT', `${what}: expected a tensor, got ${value === null ? 'null' : typeof value}`);
};

/** Marks a tensor as a parameter; for tensors that stand for one. */
export const markParameter = <T extends Tensor>(tensor: T): T => {
  parameters.add(tensor);
  return tensor;
};

/**
 * A parameter with the memory of `data`. It outlives the `scope` that is open.
 * @example this.weight = new nn.Parameter(torch.randn(3, 4));
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
 */
export const Parameter = function Parameter(data: Tensor, requires_grad = true): Parameter {
  checkTensor('Parameter', data);
  const own = keep(data.detach());
  if (requires_grad) own.requires_grad_(true);
  return markParameter(own);
} as unknown as new (
  data: Tensor,
  requires_grad?: boolean,
) => Parameter;

/**
 * A buffer: part of `state_dict()` unless `persistent` is false, moved by `to()`, not learned. It outlives the `scope` that is open.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html
 */
export const Buffer = function Buffer(data: Tensor, persistent = true): Buffer {
  checkTensor('Buffer', data);
  const own = keep(data.detach());
  buffers.set(own, { persistent });
  return own;
} as unknown as new (
  data: Tensor,
  persistent?: boolean,
) => Buffer;

export const isParameter = (value: unknown): value is Parameter => parameters.has(value as Tensor);
/** How a tensor was made a buffer; undefined for one that is none. */
export const bufferKind = (value: unknown): { readonly persistent: boolean } | undefined =>
  typeof value === 'object' && value !== null ? buffers.get(value as Tensor) : undefined;
