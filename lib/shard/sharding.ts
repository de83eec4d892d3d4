/** @file Sharding: a spec on a mesh, and the placements (tiles on devices) that native code and XLA know it by. */
import { inspect } from 'node:util';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { type Mesh, meshFrom, targetOf } from './mesh.js';
import { axesOf, PartitionSpec, type SpecEntry, type SpecLike } from './spec.js';

/** Into how many tiles each dimension is cut, and which of them (row-major) each device of a mesh holds. */
export interface Tiles {
  readonly tiles: readonly number[];
  readonly tileOf: readonly number[];
}

/** Positions in a row-major grid. */
const coordinates = (shape: readonly number[], index: number): number[] => {
  const result: number[] = [];
  for (let d = shape.length - 1; d >= 0; d--) {
    result[d] = index % shape[d]!;
    index = Math.floor(index / shape[d]!);
  }
  return result;
};

const tilesOf = (mesh: Mesh, axes: readonly (readonly number[])[]): Tiles => {
  const parts = axes.map((list) => list.reduce((n, a) => n * mesh.shape[a]!, 1));
  const tileOf = Array.from({ length: mesh.size() }, (_, device) => {
    const at = coordinates(mesh.shape, device);
    return axes.reduce((tile, list) => list.reduce((t, a) => t * mesh.shape[a]! + at[a]!, tile), 0);
  });
  return { tiles: parts, tileOf };
};

/** How one tensor is spread over a mesh. */
export class Sharding {
  private number: number | undefined;

  constructor(
    readonly mesh: Mesh,
    /** Per dimension, the axes by position. */
    readonly axes: readonly (readonly number[])[],
  ) {}

  get spec(): PartitionSpec {
    const entries = this.axes.map((list): SpecEntry => {
      const names = list.map((a) => this.mesh.mesh_dim_names[a]!);
      return names.length === 0 ? null : names.length === 1 ? names[0]! : names;
    });
    while (entries.length > 0 && entries.at(-1) === null) entries.pop();
    return new PartitionSpec(entries);
  }

  /** Whether every device holds the whole tensor. */
  get is_fully_replicated(): boolean {
    return tilesOf(this.mesh, this.axes).tiles.every((n) => n === 1);
  }

  /** The shape of what one device holds. */
  shard_shape(shape: readonly number[]): number[] {
    const { tiles } = tilesOf(this.mesh, this.axes);
    return shape.map((n, d) => Math.ceil(n / tiles[d]!));
  }

  /** Whether all parts of a tensor of this shape are equal. */
  divides(shape: readonly number[]): boolean {
    const { tiles } = tilesOf(this.mesh, this.axes);
    return shape.every((n, d) => n % tiles[d]! === 0);
  }

  /** Shardy's words for it, behind the mesh's name. */
  get text(): string {
    return `[${this.axes.map((list) => `{${list.map((a) => `"${this.mesh.mesh_dim_names[a]}"`).join(', ')}}`).join(', ')}]`;
  }

  /** Its placement's number. */
  get placement(): number {
    this.number ??= placementOf(this.mesh, tilesOf(this.mesh, this.axes));
    return this.number;
  }

  equals(other: Sharding): boolean {
    return this.mesh.equals(other.mesh) && this.text === other.text;
  }

  toString(): string {
    return `${this.spec} on ${this.mesh}`;
  }

  [inspect.custom](): string {
    return `Sharding(${this})`;
  }
}

/** @throws JorchError BAD_ARGUMENT for a spec that does not fit the mesh or the shape; `where` names the tensor. */
export const shardingFor = (mesh: Mesh, spec: SpecLike, shape: readonly number[], where: string): Sharding =>
  new Sharding(mesh, axesOf(spec, mesh, shape, where));

export const replicated = (mesh: Mesh, rank: number): Sharding =>
  new Sharding(
    mesh,
    Array.from({ length: rank }, () => []),
  );

/** What is known of a placement: its tiles, the mesh whose words describe it, and other meshes' words. */
interface Known {
  readonly mesh: Mesh;
  readonly tiles: Tiles;
  readonly named: Map<string, Sharding | null>;
}
const placements = new Map<number, Known>();

/** Asked for, since another thread may have made it. */
const knownOf = (number: number): Known => {
  let known = placements.get(number);
  if (known === undefined) {
    const { mesh, ...tiles } = native().placementInfo(number);
    known = { mesh: meshFrom(mesh), tiles, named: new Map() };
    placements.set(number, known);
  }
  return known;
};

/** The number of the placement of these tiles on the devices of a mesh. */
export const placementOf = (mesh: Mesh, tiles: Tiles): number => {
  const { plugin, count, devices } = targetOf(mesh);
  return native().placement(plugin, count, devices, tiles.tiles, tiles.tileOf, mesh.toString());
};

/** Lists of different axes whose sizes multiply to `parts`. */
function* choices(mesh: Mesh, parts: number, used: readonly number[]): Generator<number[]> {
  if (parts === 1) yield [];
  for (let a = 0; a < mesh.ndim; a++) {
    const size = mesh.shape[a]!;
    if (size === 1 || used.includes(a) || parts % size !== 0) continue;
    for (const rest of choices(mesh, parts / size, [...used, a])) yield [a, ...rest];
  }
}

/** The axes that give these tiles, if any do. */
const axesFor = (mesh: Mesh, wanted: Tiles): number[][] | null => {
  const search = (d: number, axes: number[][]): number[][] | null => {
    if (d === wanted.tiles.length) return String(tilesOf(mesh, axes).tileOf) === String(wanted.tileOf) ? axes : null;
    for (const list of choices(mesh, wanted.tiles[d]!, axes.flat())) {
      const found = search(d + 1, [...axes, list]);
      if (found) return found;
    }
    return null;
  };
  return search(0, []);
};

/** A placement in the words of `mesh` (default: of its own); null for 0, where there are none, and on other devices. */
export const shardingAt = (number: number, mesh?: Mesh): Sharding | null => {
  if (number === 0) return null;
  const known = knownOf(number);
  const words = mesh ?? known.mesh;
  if (words.device_type !== known.mesh.device_type || words.size() !== known.mesh.size()) return null;
  const key = words.toString();
  if (!known.named.has(key)) {
    const axes = axesFor(words, known.tiles);
    known.named.set(key, axes && new Sharding(words, axes));
  }
  return known.named.get(key)!;
};

/** How a tensor is spread; null for an ordinary one. */
export const shardingOf = (tensor: Tensor, mesh?: Mesh): Sharding | null =>
  shardingAt(native().placementOf(tensor), mesh);
