/** @file associative_scan: all prefixes in a logarithmic number of rounds. */
import { JorchError } from '../runtime/errors.js';
import { cat, flip, stack } from '../torch/functions.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';
import { checkFunction, readOptions } from '../transforms/arguments.js';
import { vmap } from '../transforms/vmap.js';
import { checkSame, treeFrom, treeOf } from './carry.js';

export interface AssociativeScanOptions {
  /** Default 0. */
  dim?: number | undefined;
  /** From the last slice to the first. Default false. */
  reverse?: boolean | undefined;
  /** Accepted as in torch: `pointwise` and `generic` run the same here. */
  combine_mode?: 'pointwise' | 'generic' | undefined;
}

const slice = op('aten::slice') as (
  t: Tensor,
  dim: number,
  start: number,
  end?: number | null,
  step?: number,
) => Tensor;

/** x₀, y₀, x₁, y₁, …; there may be one x more. */
const interleave = (x: Tensor, y: Tensor): Tensor => {
  const n = y.shape[0];
  const pairs = stack([slice(x, 0, 0, n), y], 1).reshape([2 * n, ...y.shape.slice(1)]);
  return x.shape[0] > n ? cat([pairs, slice(x, 0, n)]) : pairs;
};

/**
 * All prefixes of `xs` (a pytree) along a dimension under an associative function: y₀ = x₀, yₖ = combineFn(yₖ₋₁, xₖ). `combineFn` takes two slices
 * (pytrees without that dimension) and must be associative; it runs O(log n) times, vmapped over all pairs (Blelloch, "Prefix sums and their
 * applications", 1990). Differentiable and usable in every transform.
 * @throws JorchError BAD_ARGUMENT when `combineFn` returns something of another structure, shape or dtype.
 * @see https://docs.pytorch.org/docs/main/higher_order_ops/associative_scan.html
 * @example associative_scan((a, b) => a.mul(b), x)   // cumprod
 */
export const associative_scan = <X>(combineFn: (a: X, b: X) => X, xs: X, options: AssociativeScanOptions = {}): X => {
  checkFunction('associative_scan', combineFn);
  const { dim = 0, reverse = false } = readOptions<AssociativeScanOptions>(
    'associative_scan',
    ['dim', 'reverse', 'combine_mode'],
    [options],
  );
  const given = treeOf('associative_scan', 'xs', xs);
  const lengths = new Set(given.leaves.map((t) => t.shape.at(dim)));
  if (lengths.size !== 1 || lengths.has(undefined))
    throw new JorchError(
      'BAD_ARGUMENT',
      `associative_scan: the tensors of xs must have equally many slices along dimension ${dim}`,
    );
  const combine = vmap((a: Tensor[], b: Tensor[]): Tensor[] => {
    const slices = treeOf('associative_scan', 'xs', treeFrom(given, a));
    const made = treeOf('associative_scan', 'the result', combineFn(treeFrom(given, a) as X, treeFrom(given, b) as X));
    checkSame('associative_scan', 'the result', slices, made, 'it must be like a slice of xs');
    return made.leaves;
  });
  const prefixes = (x: Tensor[]): Tensor[] => {
    const n = x[0]!.shape[0];
    if (n < 2) return x;
    const part = (list: Tensor[], start: number, end?: number, step = 1): Tensor[] =>
      list.map((t) => slice(t, 0, start, end ?? null, step));
    const odd = prefixes(combine(part(x, 0, n - 1, 2), part(x, 1, undefined, 2)));
    const rest = part(x, 2, undefined, 2);
    const even = rest[0]!.shape[0] === 0 ? [] : combine(part(odd, 0, rest[0]!.shape[0]), rest);
    return x.map((t, i) =>
      interleave(even.length === 0 ? slice(t, 0, 0, 1) : cat([slice(t, 0, 0, 1), even[i]!]), odd[i]!),
    );
  };
  const front = given.leaves.map((t) => t.movedim(dim, 0)).map((t) => (reverse ? flip(t, [0]) : t));
  const made = prefixes(front)
    .map((t) => (reverse ? flip(t, [0]) : t))
    .map((t) => t.movedim(0, dim));
  return treeFrom(given, made) as X;
};
