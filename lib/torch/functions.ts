/** @file The functions of the top-level namespace: ATen's, Python's own, and those where JavaScript's one number type asks for a rule. */
import { JorchError } from '../runtime/errors.js';
import { type DType, isComplex, isFloating } from './dtype.js';
import * as aten from './generated/ops.js';
import { is_tensor } from './python.js';
import type { Num, Tensor } from './python-types.js';
import { Scalar } from './scalar.js';

export * as nn from '../nn/index.js';
export * as fft from './generated/fft.js';
export * as linalg from './generated/linalg.js';
export * from './generated/ops.js';
export * as special from './generated/special.js';
export * as signal from './namespaces/signal.js';
export {
  _segment_reduce,
  atleast_1d,
  atleast_2d,
  atleast_3d,
  block_diag,
  broadcast_shapes,
  broadcast_tensors,
  cartesian_prod,
  cdist,
  chain_matmul,
  einsum,
  is_tensor,
  lu,
  meshgrid,
  nonzero,
  norm,
  numel,
  pca_lowrank,
  roll,
  split,
  svd_lowrank,
  tensordot,
  unique,
  unique_consecutive,
  unravel_index,
} from './python.js';
export * as masked from './python-masked.js';

/** JavaScript's 1 is 1.0 where no tensor decides the dtype; bigints and booleans keep theirs. */
const floating = (value: unknown): unknown => (typeof value === 'number' ? Scalar.float(value) : value);

/** A tensor of `size` filled with `fill_value`. A number gives the default dtype (float32), a bigint int64, a boolean bool. @see https://docs.pytorch.org/docs/stable/generated/torch.full.html */
export const full: typeof aten.full = ((size: unknown, fillValue: unknown, ...rest: unknown[]) =>
  (aten.full as (...args: unknown[]) => Tensor)(
    typeof size === 'number' ? [size] : size,
    floating(fillValue),
    ...rest,
  )) as typeof aten.full;

/** `input` where `condition` is true, else `other`. Two numbers give the default dtype. @see https://docs.pytorch.org/docs/stable/generated/torch.where.html */
export const where: typeof aten.where = ((condition: unknown, ...rest: unknown[]) => {
  const [input, other, ...options] = rest;
  const plain = (v: unknown): v is Num =>
    typeof v === 'number' || typeof v === 'bigint' || typeof v === 'boolean' || v instanceof Scalar;
  const args = plain(input) && plain(other) ? [floating(input), floating(other), ...options] : rest;
  return (aten.where as (...args: unknown[]) => unknown)(condition, ...args);
}) as typeof aten.where;

const dtypeOf = (name: string, input: Tensor): DType => {
  if (!is_tensor(input))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}(): argument 'input' must be Tensor, not ${input === null ? 'null' : typeof input}`,
    );
  return input.dtype;
};
export const is_floating_point = (input: Tensor): boolean => isFloating(dtypeOf('is_floating_point', input));
export const is_complex = (input: Tensor): boolean => isComplex(dtypeOf('is_complex', input));
