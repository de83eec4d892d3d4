/** @file How XLA has spread the results that nothing was said about: read from its optimized program. */
import { type Root, rootOf } from '../inspect/protobuf.js';
import type { Executable } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { rowMajor } from '../stablehlo/types.js';
import type { Mesh } from './mesh.js';
import { placementOf, type Sharding, type Tiles } from './sharding.js';

/** Field numbers of xla/service/hlo.proto and xla/xla_data.proto (OpSharding). */
const SCHEMA = {
  nested: {
    ModuleWithConfig: { fields: { module: { type: 'Module', id: 1 } } },
    Module: { fields: { outputSharding: { type: 'OpSharding', id: 12 } } },
    OpSharding: {
      fields: {
        type: { type: 'int32', id: 1 },
        dims: { type: 'int64', id: 3, rule: 'repeated' },
        devices: { type: 'int64', id: 4, rule: 'repeated' },
        tuple: { type: 'OpSharding', id: 5, rule: 'repeated' },
        iotaDims: { type: 'int64', id: 9, rule: 'repeated' },
        iotaOrder: { type: 'int32', id: 10, rule: 'repeated' },
      },
    },
  },
} as const;

interface OpSharding {
  readonly type: number;
  readonly dims: readonly number[];
  readonly devices: readonly number[];
  readonly tuple: readonly OpSharding[];
  readonly iotaDims: readonly number[];
  readonly iotaOrder: readonly number[];
}

const REPLICATED = 0;
const TUPLE = 2;
const OTHER = 3;

const WHOLE: OpSharding = { type: REPLICATED, dims: [], devices: [], tuple: [], iotaDims: [], iotaOrder: [] };

let root: Root | undefined;

const decode = (executable: Executable): OpSharding | null => {
  const { format, bytes } = native().optimizedProgram(executable);
  root ??= rootOf(SCHEMA);
  const type = root.lookupType(format === 'hlo' ? 'Module' : 'ModuleWithConfig');
  const plain = type.toObject(type.decode(bytes), { longs: Number, arrays: true, defaults: true });
  return ((format === 'hlo' ? plain : plain.module)?.outputSharding ?? null) as OpSharding | null;
};

/** Devices in the order of the tile assignment: listed, or 0, 1, … reshaped and transposed. */
const order = ({ devices, iotaDims, iotaOrder }: OpSharding): number[] => {
  if (devices.length > 0) return [...devices];
  const sizes = iotaOrder.map((d) => iotaDims[d]!);
  const strides = rowMajor(iotaDims);
  const count = sizes.reduce((n, s) => n * s, 1);
  return Array.from({ length: count }, (_, at) => {
    let rest = at;
    let device = 0;
    for (let d = sizes.length - 1; d >= 0; d--) {
      device += (rest % sizes[d]!) * strides[iotaOrder[d]!]!;
      rest = Math.floor(rest / sizes[d]!);
    }
    return device;
  });
};

const tilesFrom = (sharding: OpSharding, rank: number, devices: number): Tiles | undefined => {
  if (sharding.type === REPLICATED)
    return { tiles: Array.from({ length: rank }, () => 1), tileOf: Array.from({ length: devices }, () => 0) };
  if (sharding.type !== OTHER) return undefined;
  // Behind the tensor's own dimensions: devices that hold the same tile.
  const copies = sharding.dims.slice(rank).reduce((n, s) => n * s, 1);
  const tileOf: number[] = [];
  for (const [at, device] of order(sharding).entries()) tileOf[device] = Math.floor(at / copies);
  return { tiles: sharding.dims.slice(0, rank), tileOf };
};

/**
 * The placement numbers of a program's results.
 * @throws JorchError COMPILE_FAILED when XLA does not say how it spread one that was left to it.
 */
export const resultPlacements = (
  executable: Executable,
  mesh: Mesh,
  wanted: readonly (Sharding | undefined)[],
  ranks: readonly number[],
): number[] => {
  // Nothing is partitioned for a single device.
  const free =
    mesh.size() === 1 ? WHOLE : wanted.some((sharding) => sharding === undefined) ? decode(executable) : null;
  const each = free === null ? [] : free.type === TUPLE ? free.tuple : wanted.map(() => free);
  return wanted.map((sharding, i) => {
    if (sharding !== undefined) return sharding.placement;
    const tiles = each[i] && tilesFrom(each[i], ranks[i]!, mesh.size());
    if (tiles === undefined)
      throw new JorchError(
        'COMPILE_FAILED',
        `the XLA plugin does not say how it spread result ${i}; name its sharding in { out_shardings }`,
      );
    return placementOf(mesh, tiles);
  });
};
