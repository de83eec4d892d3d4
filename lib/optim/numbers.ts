/** @file Numbers of an update: plain numbers in eager, 0-d tensors in a traced one, so that their changes need no recompilation. */
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';

/** A hyper-parameter, or what was computed from some: a 0-d float64 tensor while a function is traced. */
export type Quantity = number | Tensor;

export const mul = (a: Quantity, b: Quantity): Quantity =>
  typeof a !== 'number' ? a.mul(b as Tensor) : typeof b === 'number' ? a * b : b.mul(a);
export const add = (a: Quantity, b: Quantity): Quantity =>
  typeof a !== 'number' ? a.add(b as Tensor) : typeof b === 'number' ? a + b : b.add(a);
export const sub = (a: Quantity, b: Quantity): Quantity =>
  typeof a !== 'number' ? a.sub(b as Tensor) : typeof b === 'number' ? a - b : b.neg().add(a);
export const div = (a: Quantity, b: Quantity): Quantity =>
  typeof a !== 'number' ? a.div(b as Tensor) : typeof b === 'number' ? a / b : b.reciprocal().mul(a);
export const pow = (a: Quantity, b: Quantity): Quantity =>
  typeof a !== 'number' ? a.pow(b as Tensor) : typeof b === 'number' ? a ** b : torch.pow(a, b);
export const sqrt = (a: Quantity): Quantity => (typeof a === 'number' ? Math.sqrt(a) : a.sqrt());
export const neg = (a: Quantity): Quantity => (typeof a === 'number' ? -a : a.neg());

/** x += factor · y */
export const addScaled_ = (x: Tensor, y: Tensor, factor: Quantity): Tensor =>
  typeof factor === 'number' ? x.add_(y, { alpha: factor }) : x.add_(y.mul(factor));
/** x + factor · y */
export const addScaled = (x: Tensor, y: Tensor, factor: Quantity): Tensor =>
  typeof factor === 'number' ? x.add(y, { alpha: factor }) : x.add(y.mul(factor));
/** x += value · a · b */
export const addcmul_ = (x: Tensor, a: Tensor, b: Tensor, value: Quantity): Tensor =>
  typeof value === 'number' ? x.addcmul_(a, b, { value }) : x.add_(a.mul(b).mul(value));
/** x += value · a / b */
export const addcdiv_ = (x: Tensor, a: Tensor, b: Tensor, value: Quantity): Tensor =>
  typeof value === 'number' ? x.addcdiv_(a, b, { value }) : x.add_(a.div(b).mul(value));
/** x += weight · (y - x) */
export const lerp_ = (x: Tensor, y: Tensor, weight: Quantity): Tensor =>
  typeof weight === 'number' ? x.lerp_(y, weight) : x.add_(y.sub(x).mul(weight));
/** x *= factor */
export const scale_ = (x: Tensor, factor: Quantity): Tensor => x.mul_(factor as Tensor);
