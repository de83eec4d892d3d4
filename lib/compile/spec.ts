/** @file spec(): a shape and a dtype that stand for a tensor where only those matter. */
import { inspect } from 'node:util';
import { JorchError } from '../runtime/errors.js';
import type { DType } from '../torch/dtype.js';
import { factory } from '../torch/python-factory.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';

export interface SpecOptions {
  /** Default: the default dtype. */
  readonly dtype?: DType;
  readonly requires_grad?: boolean;
}

/** Stands for a tensor in `warmup`, `lower`, `explain` and `export`. Made by spec(). */
export class Spec {
  constructor(
    readonly shape: readonly number[],
    readonly options: SpecOptions,
  ) {}
}

/**
 * A contiguous tensor of this shape and dtype, without data: for `warmup`, `lower`, `explain` and `export`.
 * @throws JorchError BAD_ARGUMENT for a shape that is not a list of integers ≥ 0.
 * @example await fast.warmup(spec([8, 3], { dtype: 'float64' }));
 */
export const spec = (shape: readonly number[], options: SpecOptions = {}): Spec => {
  if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw new JorchError('BAD_ARGUMENT', `spec: expected a shape like [8, 3], got ${inspect(shape)}`);
  return new Spec([...shape], options);
};

/** A pytree type in which specs may stand for its tensors. */
export type WithSpecs<T> = T extends Tensor
  ? T | Spec
  : T extends (...args: never[]) => unknown
    ? T
    : T extends object
      ? { [K in keyof T]: WithSpecs<T[K]> }
      : T;

const empty = factory('aten::empty');

const standIns = (s: Structure): Structure => {
  switch (s.kind) {
    case 'static':
      // Memory that nothing writes to is address space only.
      return s.value instanceof Spec ? { kind: 'static', value: empty(s.value.shape, { ...s.value.options }) } : s;
    case 'tensor':
      return s;
    default:
      return { ...s, items: s.items.map(standIns) };
  }
};

const hasSpec = (s: Structure): boolean =>
  s.kind === 'static' ? s.value instanceof Spec : s.kind !== 'tensor' && s.items.some(hasSpec);

/** The arguments with a tensor for every spec. */
export const materialize = (args: unknown[]): unknown[] =>
  args.map((arg) => {
    const { structure, leaves } = flatten(arg);
    return hasSpec(structure) ? unflatten(standIns(structure), leaves) : arg;
  });
