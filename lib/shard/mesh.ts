/** @file Meshes: the devices of one machine in a grid whose axes have names. */
import { inspect } from 'node:util';
import type { MeshTarget } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { located, native } from '../runtime/load.js';
import { pluginFromEnvironment } from '../runtime/locate.js';

/** XLA makes a thread for each device of a CPU, and every one of them waits for the others in collectives. */
const MOST_VIRTUAL = 256;

export interface MeshOptions {
  /** Which devices: `'cpu'` (the default) makes as many virtual ones as the mesh needs, each a thread of this process. */
  readonly device?: 'cpu' | 'cuda';
}

/** A grid of devices. Made by mesh(). */
export class Mesh {
  constructor(
    /** Devices along each axis. */
    readonly shape: readonly number[],
    readonly mesh_dim_names: readonly string[],
    readonly device_type: 'cpu' | 'cuda',
  ) {}

  get ndim(): number {
    return this.shape.length;
  }

  /** Devices along one axis (by name or position), or of the whole mesh. */
  size(dim?: number | string): number {
    if (dim === undefined) return this.shape.reduce((n, d) => n * d, 1);
    const size = this.shape.at(typeof dim === 'string' ? this.axis(dim) : dim);
    if (size === undefined)
      throw new JorchError('BAD_ARGUMENT', `mesh.size: dimension ${dim} of a mesh with ${this.ndim} dimensions`);
    return size;
  }

  /** The position of an axis. @throws JorchError BAD_ARGUMENT for a name that is none of its axes. */
  axis(name: string, where = 'mesh'): number {
    const at = this.mesh_dim_names.indexOf(name);
    if (at < 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${where}: the mesh has no axis ${inspect(name)}; its axes are ${this.mesh_dim_names.map((n) => `'${n}'`).join(', ')}`,
      );
    return at;
  }

  /** Whether both name the same devices in the same way. */
  equals(other: Mesh): boolean {
    return this === other || this.toString() === other.toString();
  }

  toString(): string {
    const axes = this.shape.map((n, i) => `${this.mesh_dim_names[i]}=${n}`);
    return `Mesh(${this.device_type}: ${axes.join(', ')})`;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * Devices in a grid: `mesh([4, 2], ['data', 'model'])`. Tensors are spread over it by shard(), programs by compile(f, { mesh }).
 * @throws JorchError BAD_ARGUMENT for sizes or names that do not fit, TOO_LARGE for more devices than there can be.
 * @see https://docs.pytorch.org/docs/stable/distributed.html#torch.distributed.device_mesh.DeviceMesh
 * @example const m = mesh([8], ['data']);
 */
export const mesh = (
  shape: readonly number[],
  axisNames: readonly string[],
  { device = 'cpu' }: MeshOptions = {},
): Mesh => {
  if (!Array.isArray(shape) || shape.length === 0 || !shape.every((n) => Number.isSafeInteger(n) && n > 0))
    throw new JorchError('BAD_ARGUMENT', `mesh: expected a shape like [4, 2], got ${inspect(shape)}`);
  if (
    !Array.isArray(axisNames) ||
    !axisNames.every((n) => typeof n === 'string' && /^[A-Za-z_]\w*$/.test(n)) ||
    new Set(axisNames).size !== axisNames.length
  )
    throw new JorchError(
      'BAD_ARGUMENT',
      `mesh: expected different names for the axes, like ['data', 'model'], got ${inspect(axisNames)}`,
    );
  if (axisNames.length !== shape.length)
    throw new JorchError('BAD_ARGUMENT', `mesh: ${shape.length} dimensions but ${axisNames.length} axis names`);
  if (device !== 'cpu' && device !== 'cuda')
    throw new JorchError('BAD_ARGUMENT', `mesh: device is 'cpu' or 'cuda', got ${inspect(device)}`);
  const made = new Mesh([...shape], [...axisNames], device);
  if (device === 'cpu' && made.size() > MOST_VIRTUAL)
    throw new JorchError(
      'TOO_LARGE',
      `mesh: ${made.size()} devices; a CPU's mesh has at most ${MOST_VIRTUAL} virtual ones`,
    );
  return made;
};

/** The mesh that `toString` has written. */
export const meshFrom = (text: string): Mesh => {
  const [, type, axes] = /^Mesh\((cpu|cuda): (.*)\)$/.exec(text)!;
  const parts = axes!.split(', ').map((axis) => axis.split('='));
  return new Mesh(
    parts.map(([, n]) => Number(n)),
    parts.map(([name]) => name!),
    type as Mesh['device_type'],
  );
};

/** What the native side takes for the devices of a mesh. @throws JorchError RUNTIME_MISSING, TOO_LARGE */
export const targetOf = (mesh: Mesh, free: readonly boolean[] = []): MeshTarget => {
  const count = mesh.size();
  const plugin = mesh.device_type === 'cpu' ? located().cpuPlugin : pluginFromEnvironment('cuda');
  if (plugin === undefined)
    throw new JorchError('RUNTIME_MISSING', `${mesh}: no XLA plugin for ${mesh.device_type} devices was found`);
  const there = native().meshDevices(plugin, count);
  if (there < count) throw new JorchError('TOO_LARGE', `${mesh} needs ${count} devices, this machine has ${there}`);
  return { plugin, count, devices: Array.from({ length: count }, (_, i) => i), free };
};

let around: Mesh | undefined;

/** Runs `fn`, in which shard() needs no mesh. */
export const withMesh = <T>(mesh: Mesh | undefined, fn: () => T): T => {
  const before = around;
  around = mesh ?? before;
  try {
    return fn();
  } finally {
    around = before;
  }
};

/** The mesh of the function that is being traced. */
export const currentMesh = (): Mesh | undefined => around;
