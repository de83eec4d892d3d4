/** @file vmap: a function of one example, run once for all of a batch. */
import type { Randomness } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { cat } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';
import {
  type AnyFunction,
  checkFunction,
  flattenResult,
  isPlainObject,
  readOptions,
  synchronous,
} from './arguments.js';
import { throughCompile } from './compiled.js';

/** A dimension, null for none, or one of these per part of a pytree. */
export type Dims = number | null | readonly Dims[] | { readonly [key: string]: Dims };

export interface VmapOptions {
  /** The batch dimension of the arguments: one for all, or an array with one entry per argument. Default 0; null: not batched. */
  in_dims?: Dims | undefined;
  /** Where the batch dimension goes in the results. Default 0. */
  out_dims?: Dims | undefined;
  /** What random operators do: `error` (default), `same` for all examples, or `different`. */
  randomness?: Randomness | undefined;
  /** Examples per run; default: all at once. */
  chunk_size?: number | null | undefined;
}

/** `dims` spread over the leaves of a structure; a number stands for everything below it. */
const spread = (what: string, dims: Dims, structure: Structure): (number | null)[] => {
  if (structure.kind === 'tensor') {
    if (dims !== null && !Number.isInteger(dims))
      throw new JorchError('BAD_ARGUMENT', `vmap: ${what} must be an integer or null for a tensor`);
    return [dims as number | null];
  }
  if (structure.kind === 'static') return [];
  if (dims === null || typeof dims === 'number') return structure.items.flatMap((item) => spread(what, dims, item));
  if (structure.kind === 'array') {
    if (!Array.isArray(dims) || dims.length !== structure.items.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `vmap: ${what} must have one entry for each of the ${structure.items.length} parts, or be one integer`,
      );
    return structure.items.flatMap((item, i) => spread(what, (dims as readonly Dims[])[i]!, item));
  }
  return structure.items.flatMap((item, i) => {
    const key = String(structure.keys[i]);
    const own = isPlainObject(dims) ? (dims as Record<string, Dims>)[key] : undefined;
    if (own === undefined) throw new JorchError('BAD_ARGUMENT', `vmap: ${what} lacks an entry for '${key}'`);
    return spread(what, own, item);
  });
};

const batchSize = (leaves: readonly Tensor[], dims: readonly (number | null)[]): number => {
  let size: number | undefined;
  leaves.forEach((t, i) => {
    const dim = dims[i];
    if (dim === null || dim === undefined) return;
    if (dim < -t.ndim || dim >= t.ndim)
      throw new JorchError(
        'BAD_ARGUMENT',
        `vmap: in_dim ${dim} of leaf ${i} is out of range for a tensor with ${t.ndim} dimension${t.ndim === 1 ? '' : 's'}`,
      );
    const own = t.shape.at(dim)!;
    if (size !== undefined && own !== size)
      throw new JorchError(
        'BAD_ARGUMENT',
        `vmap: the batch dimensions have sizes ${size} and ${own}, they must be equal`,
      );
    size = own;
  });
  if (size === undefined)
    throw new JorchError('BAD_ARGUMENT', 'vmap: no argument is batched: in_dims is null for all of them');
  if (size === 0) throw new JorchError('BAD_ARGUMENT', 'vmap: the batch dimension has size 0');
  return size;
};

interface Plan {
  readonly randomness: Randomness;
  readonly outDims: Dims;
}

/** One run for the whole batch. The results' leaves have the examples where out_dims says. */
const runOnce = (
  f: AnyFunction,
  structure: Structure,
  leaves: readonly Tensor[],
  dims: readonly (number | null)[],
  size: number,
  { randomness, outDims }: Plan,
): { leaves: Tensor[]; structure: Structure; dims: number[] } => {
  const n = native();
  const made = n.withLevel('vmap', size, randomness, (level) => {
    const inside = leaves.map((t, i) => {
      const dim = dims[i];
      return dim === null || dim === undefined ? t : n.addBatch(t, dim < 0 ? dim + t.ndim : dim, level);
    });
    const result = flattenResult('vmap', f(...(unflatten(structure, inside) as unknown[])));
    return { structure: result.structure, parts: result.leaves.map((t) => n.removeBatch(t, level)) };
  });
  const targets = spread('out_dims', outDims, made.structure);
  return {
    structure: made.structure,
    dims: targets.map((d) => d ?? 0),
    leaves: made.parts.map(([t, dim], i) => {
      const target = targets[i]!;
      if (target === null) {
        if (dim >= 0)
          throw new JorchError(
            'BAD_ARGUMENT',
            `vmap: out_dims is null for result ${i}, which differs between examples`,
          );
        return t;
      }
      if (dim < 0) {
        const rank = t.ndim + 1;
        const at = target < 0 ? target + rank : target;
        return t.unsqueeze(at).expand([...t.shape.slice(0, at), size, ...t.shape.slice(at)]);
      }
      if (target < -t.ndim || target >= t.ndim)
        throw new JorchError(
          'BAD_ARGUMENT',
          `vmap: out_dim ${target} is out of range for result ${i}, which has ${t.ndim} dimensions with the batch`,
        );
      return target === dim ? t : t.movedim(dim, target);
    }),
  };
};

/**
 * `f`, written for one example, for a batch: every argument (a pytree) gets a batch dimension, `in_dims`, that `f` does not see,
 * and so do the results. Options by position or as an object.
 * @returns a function of the batched arguments.
 * @throws JorchError BAD_ARGUMENT for sizes that differ, dimensions out of range, results that are no tensors, async functions.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html
 * @example func.vmap((x: Tensor, w: Tensor) => x.dot(w), [0, null])(batch, w)
 */
export function vmap<F extends AnyFunction>(
  f: F,
  in_dims?: Dims | VmapOptions,
  out_dims?: Dims | VmapOptions,
  randomness?: Randomness | VmapOptions,
  options?: VmapOptions,
): (...args: Parameters<F>) => ReturnType<F> {
  checkFunction('vmap', f);
  const read = readOptions<VmapOptions>(
    'vmap',
    ['in_dims', 'out_dims', 'randomness', 'chunk_size'],
    [in_dims, out_dims, randomness, options],
  );
  const { in_dims: inDims = 0, out_dims: outDims = 0, randomness: random = 'error', chunk_size: chunk = null } = read;
  if (!['error', 'same', 'different'].includes(random))
    throw new JorchError(
      'BAD_ARGUMENT',
      `vmap: randomness must be 'error', 'same' or 'different', not ${String(random)}`,
    );
  if (chunk !== null && (!Number.isInteger(chunk) || chunk < 1))
    throw new JorchError('BAD_ARGUMENT', `vmap: chunk_size must be a positive integer, not ${String(chunk)}`);
  return throughCompile(f, (g) => (...args: unknown[]) => {
    const { leaves, structure } = flatten(args);
    const dims = spread('in_dims', inDims, structure);
    const size = batchSize(leaves, dims);
    const plan: Plan = { randomness: random, outDims };
    const run = (parts: readonly Tensor[], n: number) =>
      runOnce((...inner) => synchronous('vmap', g(...inner)), structure, parts, dims, n, plan);
    if (chunk === null || chunk >= size) {
      const made = run(leaves, size);
      return unflatten(made.structure, made.leaves);
    }
    const runs: ReturnType<typeof runOnce>[] = [];
    for (let start = 0; start < size; start += chunk) {
      const length = Math.min(chunk, size - start);
      const parts = leaves.map((t, i) => {
        const dim = dims[i];
        return dim === null || dim === undefined ? t : t.narrow(dim, start, length);
      });
      runs.push(run(parts, length));
    }
    const { structure: made, leaves: first, dims: targets } = runs[0]!;
    return unflatten(
      made,
      first.map((_, i) =>
        cat(
          runs.map((r) => r.leaves[i]!),
          targets[i]!,
        ),
      ),
    );
  }) as (...args: Parameters<F>) => ReturnType<F>;
}
