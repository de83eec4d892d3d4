/** @file Pytrees that go round in loops: what they must be made of, and words for what does not fit. */
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/tensor.js';
import { synchronous } from '../transforms/arguments.js';
import { flatten, type Structure, structureKey, unflatten } from '../tree.js';

export interface Tree {
  readonly leaves: Tensor[];
  readonly structure: Structure;
}

const describe = (value: unknown): string => (value === null ? 'null' : `a ${typeof value}`);

const paths = (s: Structure, path: string): string[] => {
  if (s.kind === 'tensor') return [path];
  if (s.kind === 'static') return [];
  return s.items.flatMap((item, i) =>
    paths(item, s.kind === 'array' ? `${path}[${i}]` : `${path}.${String(s.keys[i])}`),
  );
};

/** A pytree that holds nothing but tensors. */
export const treeOf = (name: string, what: string, value: unknown): Tree => {
  const flat = flatten(synchronous(name, value));
  const check = (s: Structure, path: string): void => {
    if (s.kind === 'static' && s.value !== null && s.value !== undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: ${path} is ${describe(s.value)}, not a tensor: what goes round in a loop is made of tensors; write torch.tensor(…)`,
      );
    if (!('items' in s)) return;
    const keys = s.kind === 'array' ? undefined : s.keys;
    for (const [i, item] of s.items.entries())
      check(item, keys === undefined ? `${path}[${i}]` : `${path}.${String(keys[i])}`);
  };
  check(flat.structure, what);
  return flat;
};

export const treeFrom = ({ structure }: Tree, leaves: readonly Tensor[]): unknown => unflatten(structure, leaves);

const typeOf = (t: Tensor): string => `${t.dtype}[${t.shape.join(', ')}]`;

/** Refuses a value that differs from another in structure, shapes or dtypes, naming the leaf. */
export const checkSame = (name: string, what: string, before: Tree, after: Tree, why: string): void => {
  if (structureKey(before.structure) !== structureKey(after.structure)) {
    const [was, is] = [paths(before.structure, what), paths(after.structure, what)];
    const missing = was.find((p) => !is.includes(p));
    const added = is.find((p) => !was.includes(p));
    const detail =
      missing !== undefined
        ? `${missing} is missing`
        : added !== undefined
          ? `${added} is new`
          : `it holds ${is.length} tensors in another order`;
    throw new JorchError('BAD_ARGUMENT', `${name}: ${what} changes its structure: ${detail}; ${why}`);
  }
  const names = paths(before.structure, what);
  before.leaves.forEach((t, i) => {
    const now = after.leaves[i]!;
    if (typeOf(t) !== typeOf(now))
      throw new JorchError('BAD_ARGUMENT', `${name}: ${names[i]} changes from ${typeOf(t)} to ${typeOf(now)}; ${why}`);
  });
};
