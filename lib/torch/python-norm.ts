/** @file torch.norm, the old norm of vectors and matrices, on top of torch.linalg. */
import { matrix_norm, vector_norm } from './generated/linalg.js';
import { pyfn } from './python-call.js';
import type { DType, Num, Options, Tensor } from './python-types.js';

type P = Num | 'fro' | 'nuc' | null;
type Dim = number | readonly number[] | null;
interface NormOptions {
  keepdim?: boolean | undefined;
  dtype?: DType | null | undefined;
  out?: Tensor | null | undefined;
}

/**
 * `norm(input, p='fro', dim=None, keepdim=False, out=None, dtype=None)`
 * https://docs.pytorch.org/docs/stable/generated/torch.norm.html
 */
export interface Norm {
  (
    input: Tensor,
    p?: P | undefined,
    dim?: Dim | undefined,
    keepdim?: boolean | undefined,
    options?: Options<Omit<NormOptions, 'keepdim'>>,
  ): Tensor;
  (input: Tensor, p: P | undefined, dim: Dim | undefined, options: Options<NormOptions>): Tensor;
  (input: Tensor, p: P | undefined, options: Options<NormOptions & { dim?: Dim | undefined }>): Tensor;
  (input: Tensor, options: Options<NormOptions & { p?: P | undefined; dim?: Dim | undefined }>): Tensor;
}

interface Given {
  input: Tensor;
  p: P;
  dim: Dim;
  keepdim: boolean;
  out: Tensor | null;
  dtype: DType | null;
}

/** `fro` of at most two dimensions, or of everything, is the 2-norm of a vector; strings are matrix norms otherwise. */
export const norm = pyfn<Given>(
  'norm',
  [['input'], ['p', 'fro'], ['dim', null], ['keepdim', false], ['out', null], ['dtype', null]],
  (given) => {
    const { input, p, keepdim, dtype, out } = given;
    const dim = typeof given.dim === 'number' ? [given.dim] : given.dim;
    const options = out === null ? { dtype } : { dtype, out };
    if (typeof p !== 'string') return vector_norm(input, p ?? 2, dim, keepdim, options);
    if (p === 'fro' && (dim === null || dim.length <= 2)) return vector_norm(input, 2, dim, keepdim, options);
    return matrix_norm(input, p, dim ?? input.shape.map((_, i) => i), keepdim, options);
  },
) as Norm;
