/** @file Which operators run faster as libtorch's own kernel than as XLA's code for the same, on the CPU. */

import type { Node, Value } from '../compile/graph.js';
import { rowMajor, type TensorType } from '../stablehlo/types.js';

/** `auto`: what was measured to be faster; `xla`: the lowering wherever there is one; `aten`: libtorch's kernels for all heavy operators. */
export type Optimize = 'auto' | 'xla' | 'aten';

// XLA's CPU backend expands factorisations into loops of small kernels: Cholesky of a 100×100 float64 matrix takes
// 100 times as long as LAPACK's (figures in docs/PERFORMANCE.md). A call of libtorch's kernel costs 2 µs.
const FACTORISATIONS: readonly string[] = [
  'aten::linalg_cholesky_ex',
  'aten::cholesky',
  'aten::cholesky_inverse',
  'aten::cholesky_solve',
  'aten::linalg_solve_triangular',
  'aten::triangular_solve',
  'aten::linalg_lu',
  'aten::linalg_lu_factor_ex',
  'aten::linalg_lu_solve',
  'aten::_linalg_solve_ex',
  'aten::_linalg_det',
  'aten::_linalg_slogdet',
  'aten::linalg_inv_ex',
  'aten::linalg_qr',
  'aten::geqrf',
  'aten::linalg_householder_product',
  'aten::_linalg_eigh',
  'aten::_linalg_svd',
  'aten::linalg_lstsq',
  'aten::linalg_ldl_factor_ex',
  'aten::linalg_ldl_solve',
];

// Every element repeats its attempts until the last one is done.
const REJECTION: readonly string[] = ['aten::poisson', 'aten::binomial'];

const PRODUCTS: readonly string[] = [
  'aten::convolution',
  'aten::convolution_backward',
  'aten::mm',
  'aten::bmm',
  'aten::addmm',
  'aten::baddbmm',
];

const numel = (arg: unknown): number => (arg as TensorType | undefined)?.shape?.reduce((n, d) => n * d, 1) ?? 0;

// XLA's sort compares pair by pair through a function (2 times libtorch's time), and whatever selects or counts is a sort (12 to 100 times).
const SORTS: readonly string[] = [
  'aten::sort',
  'aten::sort.stable',
  'aten::argsort',
  'aten::argsort.stable',
  'aten::topk',
  'aten::kthvalue',
  'aten::median',
  'aten::median.dim',
  'aten::nanmedian',
  'aten::nanmedian.dim',
  'aten::mode',
];
// Running sums are windows of growing reach (3 to 30 times), an extremum with its place is a fold of pairs (5 times), one without a place takes
// a second pass for NaN (2 to 4 times).
const FOLDS: readonly string[] = [
  'aten::cumsum',
  'aten::cumprod',
  'aten::cummax',
  'aten::cummin',
  'aten::logcumsumexp',
  'aten::_logcumsumexp',
  'aten::argmax',
  'aten::argmin',
  'aten::max',
  'aten::min',
  'aten::max.dim',
  'aten::min.dim',
  'aten::amax',
  'aten::amin',
  'aten::aminmax',
];
/** Fewer elements are done before a call has begun. */
const FEWEST: Readonly<Record<string, number>> = Object.fromEntries([
  ...SORTS.map((op) => [op, 128]),
  ...FOLDS.map((op) => [op, 4096]),
]);

/** Multiplications of a convolution. */
const work = ({ args }: Node): number => {
  const output = (args.grad_output ?? args.input) as Value | undefined;
  return (numel(output) / Math.max(1, output?.shape[1] ?? 1)) * numel(args.weight);
};
/** Arguments are undefined where only the operator is asked about. */
const isImage = (x: TensorType | undefined): boolean => x?.shape.length === 4 && x.dtype === 'float32';
/** The derivatives of convolutions in a program: there are none, XLA computes them, or some are calls. */
export type Derivatives = 'none' | 'xla' | 'calls';
/** Derivatives of convolutions with so many multiplications are calls. */
const BACKWARD = 2 ** 26;
/** The same of forward convolutions. */
const FORWARD: Readonly<Record<Derivatives, number>> = { none: 2 ** 24, xla: BACKWARD, calls: 2 ** 22 };
/**
 * Groups of channels become as many small convolutions in XLA (30 times oneDNN's time). Its derivatives of large ones take 1.5 times oneDNN's; those of small
 * ones (20 million multiplications) 0.6 times, because libtorch's threads and XLA's wait for one another at every call. Forward, with what follows as part
 * of the call (convolution-tail.ts), oneDNN is faster; in a program with derivatives, which has nothing of that, only next to derivatives that are calls:
 * an image that is one's result and another's argument need not be laid out anew then, so that smaller ones are calls as well.
 */
const convolves = (node: Node, derivatives: Derivatives): boolean =>
  Number(node.args.groups ?? 1) > 1
    ? work(node) >= 2 ** 14
    : node.op === 'aten::convolution_backward'
      ? work(node) >= BACKWARD
      : isImage(node.args.input as Value | undefined) &&
        node.args.transposed !== true &&
        work(node) >= FORWARD[derivatives];

/** Whether libtorch's kernels for the statistics of a batch norm and for its derivatives are faster next to convolutions that are calls: those of batches of images. */
export const normalisesImages = (input: TensorType): boolean => isImage(input) && numel(input) >= 2 ** 15;
const normalisationOfImages = ({ op, args }: Node): boolean =>
  op === 'aten::native_batch_norm_backward' &&
  args.train === true &&
  normalisesImages(args.input as Value) &&
  [args.grad_out, args.weight].every((v) => v === null || (v as Value).dtype === (args.input as Value).dtype);

const always = new Set([...FACTORISATIONS, ...REJECTION]);
const chosen: Readonly<Record<Optimize, (node: Node, derivatives: Derivatives) => boolean>> = {
  auto: (node, derivatives) =>
    always.has(node.op) ||
    numel(node.args.self) >= (FEWEST[node.op] ?? Number.POSITIVE_INFINITY) ||
    (derivatives === 'calls' && normalisationOfImages(node)) ||
    ((node.op === 'aten::convolution' || node.op === 'aten::convolution_backward') && convolves(node, derivatives)),
  xla: () => false,
  aten: ({ op }) => always.has(op) || op in FEWEST || PRODUCTS.includes(op),
};

// libtorch factors the transpose of a row-major real matrix, and its backward counts on that. The operands of an ATen call
// are always row-major, so of a strided matrix the call would return the wrong factor.
const LAYOUT_SENSITIVE: ReadonlySet<string> = new Set([
  'aten::_linalg_solve_ex',
  'aten::_linalg_det',
  'aten::_linalg_slogdet',
]);
const strided = ({ shape, strides }: Value): boolean =>
  rowMajor(shape).some((s, d) => shape[d] !== 1 && s !== strides[d]);

/** What derivatives of convolutions there are among the nodes. */
export const derivativesOf = (nodes: readonly Node[]): Derivatives => {
  const found = nodes.filter((node) => node.op === 'aten::convolution_backward');
  return found.length === 0 ? 'none' : found.some((node) => convolves(node, 'calls')) ? 'calls' : 'xla';
};

/** Whether the node should run as an ATen call on the CPU although its operator has a lowering. `derivatives`: those of its program. */
export const prefersAten = (node: Node, optimize: Optimize, derivatives: Derivatives): boolean =>
  chosen[optimize](node, derivatives) && !(LAYOUT_SENSITIVE.has(node.op) && strided(node.args.A as Value));

/**
 * Calls that report a failed factorisation in a result of their own: [what they computed, the flag]. Where the flag is set the call gives NaN, as
 * XLA's own factorisations do; libtorch's kernels leave what they had.
 */
export const FAILURE_FLAGS: Readonly<Record<string, readonly [result: number, flag: number]>> = {
  'aten::linalg_cholesky_ex': [0, 1],
  'aten::linalg_inv_ex': [0, 1],
  'aten::_linalg_solve_ex': [0, 3],
};
