/** @file PartitionSpec: which mesh axes each dimension of a tensor is spread over. */
import { inspect } from 'node:util';
import { JorchError } from '../runtime/errors.js';
import type { Mesh } from './mesh.js';

/** One dimension: an axis, several (the first varies slowest), or null for a dimension that is whole on every device. */
export type SpecEntry = string | readonly string[] | null;

/** Per dimension the axes that it is spread over; dimensions behind the last entry are whole. Made by P(). */
export class PartitionSpec {
  constructor(readonly entries: readonly SpecEntry[]) {}

  toString(): string {
    const one = (entry: SpecEntry): string =>
      entry === null ? 'null' : typeof entry === 'string' ? `'${entry}'` : `[${entry.map(one).join(', ')}]`;
    return `P(${this.entries.map(one).join(', ')})`;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

const isEntry = (entry: unknown): entry is SpecEntry =>
  entry === null || typeof entry === 'string' || (Array.isArray(entry) && entry.every((a) => typeof a === 'string'));

/**
 * How a tensor is spread over a mesh, one entry a dimension: `P('data', null)` cuts the rows over the axis `data`, `P()` gives every device
 * the whole, `P(['data', 'model'])` cuts the first dimension over two axes.
 * @see https://docs.jax.dev/en/latest/jax.sharding.html#jax.sharding.PartitionSpec
 */
export const P = (...entries: SpecEntry[]): PartitionSpec => {
  if (!entries.every(isEntry))
    throw new JorchError(
      'BAD_ARGUMENT',
      `P: an entry is an axis name, an array of them or null, got ${inspect(entries)}`,
    );
  return new PartitionSpec(entries);
};

/** A spec, or the same as an array. */
export type SpecLike = PartitionSpec | readonly SpecEntry[];

export const isSpecLike = (value: unknown): value is SpecLike =>
  value instanceof PartitionSpec || (Array.isArray(value) && value.every(isEntry));

/**
 * The axes (by position) of each dimension of a tensor of this shape.
 * @throws JorchError BAD_ARGUMENT for a spec that does not fit; `where` names the tensor.
 */
export const axesOf = (
  spec: SpecLike,
  mesh: Mesh,
  shape: readonly number[],
  where: string,
): readonly (readonly number[])[] => {
  if (!isSpecLike(spec))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${where}: expected a spec like P('${mesh.mesh_dim_names[0]}', null), got ${inspect(spec)}`,
    );
  const made = spec instanceof PartitionSpec ? spec : new PartitionSpec(spec);
  const entries = made.entries;
  if (entries.length > shape.length)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${where}: ${made} has ${entries.length} entries, the tensor has ${shape.length} dimension${shape.length === 1 ? '' : 's'} ([${shape.join(', ')}])`,
    );
  const used = new Set<number>();
  return shape.map((size, d) => {
    const entry = entries[d] ?? null;
    const names = entry === null ? [] : typeof entry === 'string' ? [entry] : entry;
    const axes = names.map((name) => mesh.axis(name, where));
    for (const axis of axes) {
      if (used.has(axis))
        throw new JorchError('BAD_ARGUMENT', `${where}: ${made} uses the axis '${mesh.mesh_dim_names[axis]}' twice`);
      used.add(axis);
    }
    const parts = axes.reduce((n, axis) => n * mesh.shape[axis]!, 1);
    if (size % parts !== 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${where}: dimension ${d} has size ${size}, which cannot be cut into ${parts} equal parts (${names.map((n) => `'${n}'`).join(', ')} of ${mesh}); pad it, or leave the dimension whole`,
      );
    return axes;
  });
};
