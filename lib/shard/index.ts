/** @file Several devices: meshes, shardings, tensors spread over them. */
export { shard, shard_ } from './constraint.js';
export { Mesh, type MeshOptions, mesh } from './mesh.js';
export type { ShardingTree } from './partitioner.js';
export { Sharding } from './sharding.js';
export { P, PartitionSpec, type SpecEntry, type SpecLike } from './spec.js';
