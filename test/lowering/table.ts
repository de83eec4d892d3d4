/** @file Table-driven checks of lowering rules: a function compiled without ATen calls must agree with itself in eager mode. */

import * as torch from '../../lib/index.js';
import { compile, type Tensor, tensor } from '../../lib/index.js';
import { type CloseOptions, close } from '../support/close.js';

export type DTypeName =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'uint8'
  | 'bool'
  | 'complex64';
export const FLOATS: readonly DTypeName[] = ['float32', 'float64', 'bfloat16'];
export const NUMBERS: readonly DTypeName[] = ['float32', 'float64', 'int64', 'int32', 'uint8'];

/** Numbers at which kernels like to differ; they reach the program at run time. */
export const AWKWARD = [
  0,
  -0,
  1,
  -1,
  0.5,
  -2.5,
  3.5,
  100,
  -30,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

/** Whole numbers for integer dtypes, else normal ones. */
export function sample(shape: number[], dtype: DTypeName = 'float32'): Tensor {
  if (dtype === 'bool') return torch.rand(shape).gt(0.5);
  if (dtype === 'complex64' || FLOATS.includes(dtype) || dtype === 'float16') return torch.randn(shape, { dtype });
  return torch.randint(dtype === 'uint8' ? 0 : -4, 5, shape).to(dtype);
}
export const awkward = (dtype: DTypeName = 'float32'): Tensor => tensor(AWKWARD, { dtype });

type Result = Tensor | readonly Tensor[];
const list = (r: Result): readonly Tensor[] => (Array.isArray(r) ? r : [r as Tensor]);

/** Runs `f` eagerly and compiled, without falling back on libtorch's kernels, and compares every result. */
export function agree(
  what: string,
  f: (...xs: Tensor[]) => Result,
  xs: readonly Tensor[],
  options: CloseOptions = {},
): void {
  const expected = list(f(...xs));
  const compiled = compile(f as (...args: Tensor[]) => Tensor[], { fallback: 'error', optimize: 'xla' });
  const actual = list(compiled(...xs) as unknown as Result);
  expected.forEach((e, i) => {
    close(actual[i]!, e, { ...options, what: `${what}, result ${i}` });
  });
}
/** The gradient by every floating-point input, of the sum of the results' squares. */
export function agreeGrad(
  what: string,
  f: (...xs: Tensor[]) => Tensor,
  xs: readonly Tensor[],
  options: CloseOptions = {},
): void {
  const gradient = (...ys: Tensor[]): Tensor[] => {
    const leaves = ys.map((y) => y.detach().requires_grad_(true));
    const out = f(...leaves);
    return [...torch.autograd.grad(out.mul(out).sum(), leaves)] as Tensor[];
  };
  agree(`${what}, gradient`, gradient, xs, options);
}
