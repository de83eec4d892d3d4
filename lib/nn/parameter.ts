/** @file Parameters and buffers: tensors that a module owns, told apart by identity. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { empty } from '../torch/generated/ops.js';
import { keep } from '../torch/memory.js';
import type { DeviceLike, DType } from '../torch/python-types.js';
import type { Tensor } from '../torch/tensor.js';

/** A tensor that a module learns: found by `parameters()` in the fields of modules. */
export type Parameter = Tensor;
/** A tensor that belongs to a module's state without being learned. */
export type Buffer = Tensor;

interface TensorOptions {
  readonly device?: DeviceLike | undefined;
  readonly dtype?: DType | undefined;
}

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

const uninitialized = new WeakSet<object>();
/** Whether a parameter or buffer of a lazy layer waits for its shape. */
export const isUninitialized = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && uninitialized.has(value);

const without = (options: TensorOptions): Tensor => empty([0], options);

/** A parameter of a lazy layer: without elements until `materialize` gives it a shape. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedParameter.html */
export const UninitializedParameter = function UninitializedParameter({
  requires_grad = true,
  ...made
}: TensorOptions & { readonly requires_grad?: boolean } = {}): Parameter {
  const own = new Parameter(without(made), requires_grad);
  uninitialized.add(own);
  return own;
} as unknown as new (
  options?: TensorOptions & { readonly requires_grad?: boolean },
) => Parameter;

/** A buffer of a lazy layer. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedBuffer.html */
export const UninitializedBuffer = function UninitializedBuffer(made: TensorOptions = {}): Buffer {
  const own = new Buffer(without(made));
  uninitialized.add(own);
  return own;
} as unknown as new (
  options?: TensorOptions,
) => Buffer;

/** Gives an uninitialised parameter or buffer memory of this shape, values undefined; it stays the same object. */
export const materialize = (tensor: Tensor, shape: readonly number[]): void => {
  tensor.data = empty(shape, { dtype: tensor.dtype, device: tensor.device });
  uninitialized.delete(tensor);
};
/** A copy of an uninitialised tensor waits too. */
export const copyUninitialized = <T extends Tensor>(from: Tensor, to: T): T => {
  if (uninitialized.has(from)) uninitialized.add(to);
  return to;
};

export const isParameter = (value: unknown): value is Parameter => parameters.has(value as Tensor);
/** How a tensor was made a buffer; undefined for one that is none. */
export const bufferKind = (value: unknown): { readonly persistent: boolean } | undefined =>
  typeof value === 'object' && value !== null ? buffers.get(value as Tensor) : undefined;
