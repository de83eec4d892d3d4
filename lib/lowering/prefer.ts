/** @file Which operators run faster as libtorch's own kernel than as XLA's code for the same, on the CPU. */

import type { Node, Value } from '../compile/graph.js';
import { rowMajor } from '../stablehlo/types.js';

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

const chosen: Readonly<Record<Optimize, ReadonlySet<string>>> = {
  auto: new Set([...FACTORISATIONS, ...REJECTION]),
  xla: new Set(),
  aten: new Set([...FACTORISATIONS, ...REJECTION, ...PRODUCTS]),
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

/** Whether the node should run as an ATen call on the CPU although its operator has a lowering. */
export const prefersAten = (node: Node, optimize: Optimize): boolean =>
  chosen[optimize].has(node.op) && !(LAYOUT_SENSITIVE.has(node.op) && strided(node.args.A as Value));

/**
 * Calls that report a failed factorisation in a result of their own: [what they computed, the flag]. Where the flag is set the program gives NaN, as
 * XLA's own factorisations do; libtorch's kernels leave what they had.
 */
export const FAILURE_FLAGS: Readonly<Record<string, readonly [result: number, flag: number]>> = {
  'aten::linalg_cholesky_ex': [0, 1],
  'aten::linalg_inv_ex': [0, 1],
  'aten::_linalg_solve_ex': [0, 3],
};
