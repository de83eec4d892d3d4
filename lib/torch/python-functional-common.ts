/** @file What the parts of nn.functional share: the table's `define`, reduction codes, argument checks. */
import { JorchError } from '../runtime/errors.js';
import { FUNCTIONAL, type FunctionalArguments, type FunctionalPython } from './generated/python-signatures.js';
import { pythonModule } from './python-call.js';
import type { Tensor } from './python-types.js';

/** `define('relu', ({ input, inplace }) => …)`: one row of nn.functional, typed by Python's own signature. */
export const define = pythonModule<FunctionalPython, FunctionalArguments>('nn.functional', FUNCTIONAL);

export type Ints = number | readonly number[];

export function bad(name: string, message: string): never {
  throw new JorchError('BAD_ARGUMENT', `nn.functional.${name}: ${message}`);
}

/** The deprecated `size_average` and `reduce`, where given, decide. */
export interface Reduction {
  readonly reduction: string;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
}

export function reductionName({ reduction, size_average, reduce }: Reduction): string {
  if ((size_average ?? null) === null && (reduce ?? null) === null) return reduction;
  if ((reduce ?? true) === false) return 'none';
  return (size_average ?? true) ? 'mean' : 'sum';
}

/** ATen's code of a reduction. */
export function reductionCode(name: string, given: Reduction): number {
  const code = ['none', 'mean', 'sum'].indexOf(reductionName(given));
  return code >= 0 ? code : bad(name, `reduction must be 'none', 'mean' or 'sum', got '${given.reduction}'`);
}

export function reduceLoss(name: string, loss: Tensor, given: Reduction): Tensor {
  const code = reductionCode(name, given);
  return code === 1 ? loss.mean() : code === 2 ? loss.sum() : loss;
}

/** One number or a list, as `n` numbers. */
export const tuple = (value: Ints, n: number): readonly number[] =>
  typeof value === 'number' ? Array.from({ length: n }, () => value) : value;

export const sameShape = (a: Tensor, b: Tensor): boolean =>
  a.shape.length === b.shape.length && a.shape.every((n, i) => n === b.shape[i]);

export const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
