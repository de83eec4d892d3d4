/** @file What Python's torch adds in Python at its top level: variadic forms, other argument orders, results that depend on flags. Exported over ATen's functions of the same name. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as linalg from './generated/linalg.js';
import * as torch from './generated/ops.js';
import { isKeywords, pyfn } from './python-call.js';
import { norm } from './python-norm.js';
import type { Options, Results, Tensor } from './python-types.js';
import { op } from './runtime-ops.js';
import { isTensor } from './tensor.js';

export { norm };

function bad(name: string, message: string): never {
  throw new JorchError('BAD_ARGUMENT', `${name}: ${message}`);
}

/** Tensors given one by one or as one list. */
type Tensors = readonly Tensor[] | readonly [readonly Tensor[]];
/** The argument, if it is a tensor; these functions read its shape before any operator could refuse it. */
function needTensor(name: string, argument: string, value: unknown): Tensor {
  if (!isTensor(value))
    bad(name, `argument '${argument}' must be Tensor, not ${value === null ? 'null' : typeof value}`);
  return value as Tensor;
}

function tensorList(name: string, tensors: Tensors): readonly Tensor[] {
  const [first] = tensors;
  const list = (tensors.length === 1 && Array.isArray(first) ? first : tensors) as readonly unknown[];
  list.forEach((t, i) => {
    if (!isTensor(t)) bad(name, `argument ${i} must be a tensor, got ${t === null ? 'null' : typeof t}`);
  });
  return list as readonly Tensor[];
}

/** Views of the tensors in their common shape. https://docs.pytorch.org/docs/stable/generated/torch.broadcast_tensors.html */
export const broadcast_tensors = (...tensors: Tensors): Tensor[] =>
  torch.broadcast_tensors(tensorList('broadcast_tensors', tensors));
/** All combinations of the elements of 1-d tensors. https://docs.pytorch.org/docs/stable/generated/torch.cartesian_prod.html */
export const cartesian_prod = (...tensors: Tensors): Tensor =>
  torch.cartesian_prod(tensorList('cartesian_prod', tensors));
/** https://docs.pytorch.org/docs/stable/generated/torch.block_diag.html */
export const block_diag = (...tensors: Tensors): Tensor => torch.block_diag(tensorList('block_diag', tensors));

/** The shape that shapes broadcast to. https://docs.pytorch.org/docs/stable/generated/torch.broadcast_shapes.html */
export function broadcast_shapes(...shapes: readonly (number | readonly number[])[]): number[] {
  const lists = shapes.map((s) => (typeof s === 'number' ? [s] : s));
  for (const s of lists)
    if (!Array.isArray(s) || !s.every(Number.isInteger))
      bad('broadcast_shapes', 'shapes must be integers or arrays of integers');
  const result: number[] = Array.from({ length: Math.max(0, ...lists.map((s) => s.length)) }, () => 1);
  for (const shape of lists) {
    shape.forEach((n, i) => {
      const at = result.length - shape.length + i;
      if (n < 0) bad('broadcast_shapes', `sizes must not be negative, got [${shape.join(', ')}]`);
      if (n === 1 || n === result[at]) return;
      if (result[at] !== 1)
        bad('broadcast_shapes', `shapes do not broadcast: ${lists.map((s) => `[${s.join(', ')}]`).join(' and ')}`);
      result[at] = n;
    });
  }
  return result;
}

/** One tensor gives a tensor, several give a list. */
interface AtLeast {
  (tensor: Tensor): Tensor;
  (...tensors: Tensors): Tensor[];
}
const atLeast = (name: string, run: typeof torch.atleast_1d): AtLeast =>
  ((...tensors: Tensors) => {
    const [first] = tensors;
    return tensors.length === 1 && isTensor(first) ? run(first) : run(tensorList(name, tensors));
  }) as AtLeast;
/** https://docs.pytorch.org/docs/stable/generated/torch.atleast_1d.html */
export const atleast_1d = atLeast('atleast_1d', torch.atleast_1d);
/** https://docs.pytorch.org/docs/stable/generated/torch.atleast_2d.html */
export const atleast_2d = atLeast('atleast_2d', torch.atleast_2d);
/** https://docs.pytorch.org/docs/stable/generated/torch.atleast_3d.html */
export const atleast_3d = atLeast('atleast_3d', torch.atleast_3d);

/** Grids of coordinates; `indexing` is 'ij' (default) or 'xy'. https://docs.pytorch.org/docs/stable/generated/torch.meshgrid.html */
export interface Meshgrid {
  (tensors: readonly Tensor[], options?: Options<{ indexing?: 'ij' | 'xy' | null | undefined }>): Tensor[];
  (...tensors: readonly Tensor[]): Tensor[];
  (...tensors: readonly [...Tensor[], Options<{ indexing?: 'ij' | 'xy' | null | undefined }>]): Tensor[];
}
export const meshgrid = ((...args: readonly unknown[]): Tensor[] => {
  const last = args.at(-1);
  const given = isKeywords(last) ? args.slice(0, -1) : args;
  const { indexing = 'ij', ...rest } = isKeywords(last) ? last : {};
  const unknown = Object.keys(rest);
  if (unknown.length > 0) bad('meshgrid', `unknown keyword '${unknown[0]}'; it takes indexing`);
  return torch.meshgrid(tensorList('meshgrid', given as Tensors), { indexing: (indexing as string | null) ?? 'ij' });
}) as Meshgrid;

/** Letters of einsum's index lists: 0 is A, 26 is a. */
function subscript(index: number | '...'): string {
  if (index === '...') return index;
  if (!Number.isInteger(index) || index < 0 || index >= 52)
    bad('einsum', `subscripts must lie in [0, 52), got ${index}`);
  return String.fromCharCode(index < 26 ? 65 + index : 97 + index - 26);
}

type Subscripts = readonly (number | '...')[];
/** Sums of products by index names. https://docs.pytorch.org/docs/stable/generated/torch.einsum.html */
export interface Einsum {
  (equation: string, ...operands: readonly Tensor[]): Tensor;
  (equation: string, operands: readonly Tensor[]): Tensor;
  /** Operands each followed by their subscripts, then perhaps the result's. */
  (operand: Tensor, subscripts: Subscripts, ...rest: readonly (Tensor | Subscripts)[]): Tensor;
}
export const einsum = ((...args: readonly unknown[]): Tensor => {
  if (args.length < 2) bad('einsum', 'needs an equation and operands, or operands each followed by their subscripts');
  if (typeof args[0] === 'string')
    return torch.einsum(args[0], tensorList('einsum', args.slice(1) as unknown as Tensors));
  const named = args.length - (args.length % 2);
  const operands = args.slice(0, named).filter((_, i) => i % 2 === 0) as Tensor[];
  const names = args.filter((_, i) => i % 2 === 1 || i === named) as Subscripts[];
  const letters = names.map((list) => list.map(subscript).join(''));
  const equation = letters.slice(0, operands.length).join(',') + (args.length % 2 === 1 ? `->${letters.at(-1)}` : '');
  return torch.einsum(equation, tensorList('einsum', operands));
}) as Einsum;

interface Splitting {
  tensor: Tensor;
  split_size_or_sections: number | readonly number[];
  dim: number;
}
/** Pieces of one size, or of the sizes given. https://docs.pytorch.org/docs/stable/generated/torch.split.html */
export interface Split {
  (tensor: Tensor, split_size_or_sections: number | readonly number[], dim?: number | undefined): Tensor[];
  (
    tensor: Tensor,
    split_size_or_sections: number | readonly number[],
    options: Options<{ dim?: number | undefined }>,
  ): Tensor[];
  (
    tensor: Tensor,
    options: Options<{ split_size_or_sections: number | readonly number[]; dim?: number | undefined }>,
  ): Tensor[];
}
export const split = pyfn<Splitting>(
  'split',
  [['tensor'], ['split_size_or_sections'], ['dim', 0]],
  ({ tensor, split_size_or_sections: size, dim }) =>
    typeof size === 'number' ? torch.split(tensor, size, dim) : torch.split_with_sizes(tensor, size, dim),
) as Split;

interface Rolling {
  input: Tensor;
  shifts: number | readonly number[];
  dims: number | readonly number[] | null;
}
/**
 * Without dims the tensor is rolled as if it were flat. Under a transform it is made flat here: libtorch's batching rule for that reads the sizes of a
 * tensor that is gone.
 */
export const roll = pyfn<Rolling>('roll', [['input'], ['shifts'], ['dims', null]], ({ input, shifts, dims }) => {
  if (dims !== null && (typeof dims === 'number' || dims.length > 0)) return torch.roll(input, shifts, dims);
  if (native().currentLevel() === null) return torch.roll(input, shifts);
  return torch.roll(input.reshape([-1]), shifts, 0).reshape([...input.shape]);
}) as typeof torch.roll;

const COMPUTE_MODES = [
  'use_mm_for_euclid_dist_if_necessary',
  'use_mm_for_euclid_dist',
  'donot_use_mm_for_euclid_dist',
] as const;
type ComputeMode = (typeof COMPUTE_MODES)[number];
/** p-norm distances of all pairs of rows. https://docs.pytorch.org/docs/stable/generated/torch.cdist.html */
export interface Cdist {
  (x1: Tensor, x2: Tensor, p?: number | undefined, compute_mode?: ComputeMode | undefined): Tensor;
  (
    x1: Tensor,
    x2: Tensor,
    options: Options<{ p?: number | undefined; compute_mode?: ComputeMode | undefined }>,
  ): Tensor;
}
interface Distances {
  x1: Tensor;
  x2: Tensor;
  p: number;
  compute_mode: ComputeMode;
}
export const cdist = pyfn<Distances>(
  'cdist',
  [['x1'], ['x2'], ['p', 2], ['compute_mode', COMPUTE_MODES[0]]],
  ({ x1, x2, p, compute_mode }) => {
    const mode = COMPUTE_MODES.indexOf(compute_mode);
    if (mode < 0) bad('cdist', `compute_mode must be one of ${COMPUTE_MODES.join(', ')}, got '${compute_mode}'`);
    return torch.cdist(x1, x2, p, mode === 0 ? null : mode);
  },
) as Cdist;

type Contracted = number | readonly [readonly number[], readonly number[]];
/** Contracts the last dimensions of `a` with the first of `b`, or the pairs listed. https://docs.pytorch.org/docs/stable/generated/torch.tensordot.html */
export interface Tensordot {
  (a: Tensor, b: Tensor, dims?: Contracted | undefined, options?: Options<{ out?: Tensor | null | undefined }>): Tensor;
  (a: Tensor, b: Tensor, options: Options<{ dims?: Contracted | undefined; out?: Tensor | null | undefined }>): Tensor;
}
interface Contraction {
  a: Tensor;
  b: Tensor;
  dims: Contracted;
  out: Tensor | null;
}
export const tensordot = pyfn<Contraction>(
  'tensordot',
  [['a'], ['b'], ['dims', 2], ['out', null]],
  ({ a, b, dims, out }) => {
    const options = out === null ? {} : { out };
    if (typeof dims !== 'number') return torch.tensordot(a, b, dims[0], dims[1], options);
    const most = Math.min(a.shape.length, b.shape.length);
    if (!(dims >= 0 && dims <= most)) bad('tensordot', `dims must lie in [0, ${most}], got ${dims}`);
    const range = Array.from({ length: dims }, (_, i) => i);
    return torch.tensordot(
      a,
      b,
      range.map((i) => i - dims),
      range,
      options,
    );
  },
) as Tensordot;

/** https://docs.pytorch.org/docs/stable/generated/torch.chain_matmul.html */
export const chain_matmul = (
  ...args: readonly (Tensor | readonly Tensor[] | Options<{ out?: Tensor | null | undefined }>)[]
): Tensor => {
  const last = args.at(-1);
  const options = isKeywords(last) ? (last as { out?: Tensor }) : undefined;
  const matrices = tensorList('chain_matmul', (options ? args.slice(0, -1) : args) as Tensors);
  return options?.out ? torch.chain_matmul(matrices, { out: options.out }) : torch.chain_matmul(matrices);
};

/** Which of the further results are asked for. */
export type Flags<Inverse extends boolean, Counts extends boolean> = (Inverse extends true
  ? { return_inverse: true }
  : { return_inverse?: false | undefined }) &
  (Counts extends true ? { return_counts: true } : { return_counts?: false | undefined });
export type Sorted = { sorted?: boolean | undefined };
export type Where = { dim?: number | null | undefined };
/** Distinct elements, or slices along `dim`; with their inverse and their counts where asked for. https://docs.pytorch.org/docs/stable/generated/torch.unique.html */
export interface Unique {
  (input: Tensor, sorted?: boolean | undefined): Tensor;
  (input: Tensor, options: Options<Sorted & Where & Flags<false, false>>): Tensor;
  (input: Tensor, options: Options<Sorted & Where & Flags<true, false>>): Results<[output: Tensor, inverse: Tensor]>;
  (input: Tensor, options: Options<Sorted & Where & Flags<false, true>>): Results<[output: Tensor, counts: Tensor]>;
  (
    input: Tensor,
    options: Options<Sorted & Where & Flags<true, true>>,
  ): Results<[output: Tensor, inverse: Tensor, counts: Tensor]>;
}
/** The same for runs of equal elements. https://docs.pytorch.org/docs/stable/generated/torch.unique_consecutive.html */
export interface UniqueConsecutive {
  (input: Tensor, options?: Options<Where & Flags<false, false>>): Tensor;
  (input: Tensor, options: Options<Where & Flags<true, false>>): Results<[output: Tensor, inverse: Tensor]>;
  (input: Tensor, options: Options<Where & Flags<false, true>>): Results<[output: Tensor, counts: Tensor]>;
  (
    input: Tensor,
    options: Options<Where & Flags<true, true>>,
  ): Results<[output: Tensor, inverse: Tensor, counts: Tensor]>;
}
interface Distinct {
  input: Tensor;
  sorted: boolean;
  return_inverse: boolean;
  return_counts: boolean;
  dim: number | null;
}
function asked(
  { return_inverse, return_counts }: Distinct,
  [output, inverse, counts]: Iterable<Tensor> & { 0: Tensor; 1: Tensor; 2: Tensor },
) {
  if (!return_inverse && !return_counts) return output;
  return [output, ...(return_inverse ? [inverse] : []), ...(return_counts ? [counts] : [])];
}
const FLAGS = [
  ['return_inverse', false],
  ['return_counts', false],
  ['dim', null],
] as const;
export const unique = pyfn<Distinct>('unique', [['input'], ['sorted', true], ...FLAGS], (a) => {
  const { input, sorted, return_inverse, return_counts, dim } = a;
  return asked(
    a,
    dim === null
      ? torch._unique2(input, sorted, return_inverse, return_counts)
      : torch.unique_dim(input, dim, sorted, return_inverse, return_counts),
  );
}) as Unique;
export const unique_consecutive = pyfn<Distinct>('unique_consecutive', [['input'], ...FLAGS], (a) =>
  asked(a, torch.unique_consecutive(a.input, a.return_inverse, a.return_counts, a.dim)),
) as UniqueConsecutive;

/** Indices of elements that are not zero: one row each, or one tensor per dimension. https://docs.pytorch.org/docs/stable/generated/torch.nonzero.html */
export interface Nonzero {
  (input: Tensor, options?: Options<{ out?: Tensor | null | undefined; as_tuple?: false | undefined }>): Tensor;
  (input: Tensor, options: Options<{ as_tuple: true }>): Tensor[];
}
/** Not bound in Python's torch, which calls it for `as_tuple`. */
const perDimension = op('aten::nonzero_numpy');
export const nonzero = pyfn<{ input: Tensor; out: Tensor | null; as_tuple: boolean }>(
  'nonzero',
  [['input'], '*', ['out', null], ['as_tuple', false]],
  ({ input, out, as_tuple }) => {
    if (as_tuple) return perDimension(input);
    return out === null ? torch.nonzero(input) : torch.nonzero(input, { out });
  },
) as Nonzero;

/** Coordinates of flat indices, one tensor per dimension. https://docs.pytorch.org/docs/stable/generated/torch.unravel_index.html */
export function unravel_index(indices: Tensor, shape: number | readonly number[]): Tensor[] {
  const sizes = typeof shape === 'number' ? [shape] : shape;
  if (!Array.isArray(sizes))
    bad('unravel_index', `shape must be an integer or an array of integers, got ${typeof shape}`);
  if (!/^u?int/.test(needTensor('unravel_index', 'indices', indices).dtype))
    bad('unravel_index', `indices must be integers, got ${indices.dtype}`);
  if (sizes.some((n) => n < 0)) bad('unravel_index', `shape must not be negative, got [${sizes.join(', ')}]`);
  return sizes.map((n, i) => indices.floor_divide(sizes.slice(i + 1).reduce((a, b) => a * b, 1)).remainder(n));
}

interface Factorization {
  A: Tensor;
  pivot: boolean;
  get_infos: boolean;
  out: readonly Tensor[] | null;
}
/** The old LU factorization; torch.linalg.lu_factor is its successor. https://docs.pytorch.org/docs/stable/generated/torch.lu.html */
export interface Lu {
  (A: Tensor, pivot?: boolean | undefined, get_infos?: false | undefined): Results<[LU: Tensor, pivots: Tensor]>;
  (
    A: Tensor,
    options: Options<{
      pivot?: boolean | undefined;
      get_infos?: false | undefined;
      out?: readonly Tensor[] | null | undefined;
    }>,
  ): Results<[LU: Tensor, pivots: Tensor]>;
  (
    A: Tensor,
    options: Options<{ pivot?: boolean | undefined; get_infos: true; out?: readonly Tensor[] | null | undefined }>,
  ): Results<[LU: Tensor, pivots: Tensor, infos: Tensor]>;
}
export const lu = pyfn<Factorization>(
  'lu',
  [['A'], ['pivot', true], ['get_infos', false], ['out', null]],
  ({ A, pivot, get_infos, out }) => {
    const [LU, pivots, infos] = torch._lu_with_info(A, pivot, !get_infos);
    const results = get_infos ? [LU, pivots, infos] : [LU, pivots];
    if (out === null) return results;
    if (out.length !== results.length) bad('lu', `out needs ${results.length} tensors, got ${out.length}`);
    results.forEach((r, i) => void (out[i] as Tensor).resize_as_(r).copy_(r));
    return out;
  },
) as Lu;

/** An orthonormal basis that nearly spans A's columns, by `niter` rounds of subspace iteration from random vectors. */
function approximateBasis(A: Tensor, q: number, niter: number): Tensor {
  let Q = linalg.qr(A.matmul(torch.randn([A.shape.at(-1) as number, q], { dtype: A.dtype, device: A.device })))[0];
  for (let i = 0; i < niter; i++) {
    Q = linalg.qr(A.mH.matmul(Q))[0];
    Q = linalg.qr(A.matmul(Q))[0];
  }
  return Q;
}

type LowRank = Results<[U: Tensor, S: Tensor, V: Tensor]>;
function lowRank(given: Tensor, q: number, niter: number): readonly [Tensor, Tensor, Tensor] {
  const [m, n] = given.shape.slice(-2) as [number, number];
  const A = m < n ? given.mH : given;
  const Q = approximateBasis(A, q, niter);
  const [U, S, Vh] = linalg.svd(Q.mH.matmul(A), false);
  return m < n ? [Vh.mH, S, Q.matmul(U)] : [Q.matmul(U), S, Vh.mH];
}
/** The largest singular values, by a randomized algorithm. https://docs.pytorch.org/docs/stable/generated/torch.svd_lowrank.html */
export interface SvdLowrank {
  (A: Tensor, q?: number | null | undefined, niter?: number | null | undefined, M?: Tensor | null | undefined): LowRank;
  (
    A: Tensor,
    options: Options<{
      q?: number | null | undefined;
      niter?: number | null | undefined;
      M?: Tensor | null | undefined;
    }>,
  ): LowRank;
}
export const svd_lowrank = pyfn<{ A: Tensor; q: number | null; niter: number | null; M: Tensor | null }>(
  'svd_lowrank',
  [['A'], ['q', 6], ['niter', 2], ['M', null]],
  ({ A, q, niter, M }) =>
    lowRank(M === null ? needTensor('svd_lowrank', 'A', A) : A.sub(M.broadcast_to(A.shape)), q ?? 6, niter ?? 2),
) as SvdLowrank;
/** Principal components, by the same algorithm. https://docs.pytorch.org/docs/stable/generated/torch.pca_lowrank.html */
export interface PcaLowrank {
  (A: Tensor, q?: number | null | undefined, center?: boolean | undefined, niter?: number | undefined): LowRank;
  (
    A: Tensor,
    options: Options<{ q?: number | null | undefined; center?: boolean | undefined; niter?: number | undefined }>,
  ): LowRank;
}
export const pca_lowrank = pyfn<{ A: Tensor; q: number | null; center: boolean; niter: number }>(
  'pca_lowrank',
  [['A'], ['q', null], ['center', true], ['niter', 2]],
  ({ A, q, center, niter }) => {
    const [m, n] = needTensor('pca_lowrank', 'A', A).shape.slice(-2) as [number, number];
    if (q !== null && !(q >= 0 && q <= Math.min(m, n)))
      bad('pca_lowrank', `q must lie in [0, ${Math.min(m, n)}], got ${q}`);
    return lowRank(center ? A.sub(A.mean([-2], true)) : A, q ?? Math.min(6, m, n), niter);
  },
) as PcaLowrank;

/** Python's torch has segment_reduce under this name too. */
export const _segment_reduce = torch.segment_reduce;

/** Whether a value is a tensor. https://docs.pytorch.org/docs/stable/generated/torch.is_tensor.html */
export const is_tensor = (obj: unknown): obj is Tensor => isTensor(obj);
/** Number of elements. https://docs.pytorch.org/docs/stable/generated/torch.numel.html */
export const numel = (input: Tensor): number => needTensor('numel', 'input', input).shape.reduce((a, b) => a * b, 1);
