/** @file What compile(f, { mesh }) says about shardings: of every argument, captured tensor and result of one trace. */
import { inspect } from 'node:util';
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/tensor.js';
import type { Structure } from '../tree.js';
import type { Mesh } from './mesh.js';
import { type Partition, usable } from './plan.js';
import { replicated, Sharding, shardingFor, shardingOf } from './sharding.js';
import { isSpecLike, PartitionSpec, type SpecLike } from './spec.js';

/** Shardings for a pytree: a spec or sharding for a tensor or for all tensors of a container, null or undefined where nothing is said. */
export type ShardingTree =
  | SpecLike
  | Sharding
  | null
  | undefined
  | readonly ShardingTree[]
  | { readonly [key: string]: ShardingTree };

export interface PartitionOptions {
  /** The devices that the program runs on, partitioned by XLA. */
  mesh?: Mesh;
  /**
   * One entry an argument: how it comes in. Tensors that are not spread that way are cut and moved at the call. Where nothing is said, and
   * for captured tensors, a tensor comes as it is spread, an ordinary one whole on every device.
   */
  in_shardings?: readonly ShardingTree[];
  /** How the result comes out (a tree like it). Where nothing is said XLA decides; a tensor that the function changes stays spread as it was. */
  out_shardings?: ShardingTree;
}

/** The spec of every leaf, undefined where nothing is said, and the leaf's name for messages. */
interface Leaf {
  readonly spec: SpecLike | Sharding | undefined;
  readonly path: string;
}

const leavesOf = (structure: Structure, tree: unknown, path: string, what: string): Leaf[] => {
  if (structure.kind === 'static') {
    if (tree !== null && tree !== undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${what}: ${path} is no tensor, so that it cannot be spread by ${inspect(tree)}`,
      );
    return [];
  }
  const nothing = tree === null || tree === undefined;
  if (structure.kind === 'tensor') {
    if (!nothing && !(tree instanceof Sharding) && !isSpecLike(tree))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${what}: ${path} is a tensor; expected a spec like P('data', null) for it, got ${inspect(tree)}`,
      );
    return [{ spec: nothing ? undefined : (tree as SpecLike | Sharding), path }];
  }
  const whole = nothing || tree instanceof PartitionSpec || tree instanceof Sharding;
  const { items } = structure;
  if (structure.kind === 'array') {
    if (!whole && (!Array.isArray(tree) || tree.length > items.length))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${what}: ${path} is an array of ${items.length}; expected a spec for all of it or an array of at most as many, got ${inspect(tree)}`,
      );
    return items.flatMap((item, i) => leavesOf(item, whole ? tree : (tree as unknown[])[i], `${path}[${i}]`, what));
  }
  const keys = structure.keys.map(String);
  if (!whole && (typeof tree !== 'object' || Array.isArray(tree)))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${what}: ${path} has keys; expected a spec for all of it or an object, got ${inspect(tree)}`,
    );
  const stray = whole ? undefined : Object.keys(tree as object).find((key) => !keys.includes(key));
  if (stray !== undefined)
    throw new JorchError('BAD_ARGUMENT', `${what}: ${path} has no key '${stray}'; there are: ${keys.join(', ')}`);
  return items.flatMap((item, i) =>
    leavesOf(item, whole ? tree : (tree as Record<string, unknown>)[keys[i]!], `${path}.${keys[i]}`, what),
  );
};

/** Of one compiled function. */
export class Partitioner {
  readonly mesh: Mesh;

  constructor(
    private readonly name: string,
    private readonly options: PartitionOptions & { readonly mesh: Mesh },
  ) {
    this.mesh = options.mesh;
  }

  /** @throws JorchError BAD_ARGUMENT for options that cannot be meant. */
  static for(name: string, { mesh, in_shardings, out_shardings }: PartitionOptions): Partitioner | undefined {
    if (mesh === undefined) {
      const given =
        in_shardings !== undefined ? 'in_shardings' : out_shardings !== undefined ? 'out_shardings' : undefined;
      if (given === undefined) return undefined;
      throw new JorchError('BAD_ARGUMENT', `compile: ${given} needs { mesh }, the devices to spread over`);
    }
    return new Partitioner(name, {
      mesh,
      ...(in_shardings === undefined ? {} : { in_shardings }),
      ...(out_shardings === undefined ? {} : { out_shardings }),
    });
  }

  private fixed({ spec, path }: Leaf, shape: readonly number[], what: string): Sharding | undefined {
    if (spec === undefined) return undefined;
    const where = `${this.name}: ${what} of ${path}`;
    if (!(spec instanceof Sharding)) return shardingFor(this.mesh, spec, shape, where);
    if (!spec.mesh.equals(this.mesh))
      throw new JorchError('BAD_ARGUMENT', `${where}: ${spec} is of another mesh than the function's ${this.mesh}`);
    return shardingFor(this.mesh, spec.spec, shape, where);
  }

  /** How the leaves of the arguments come in, undefined where they decide it themselves. */
  inputs(structure: Structure, leaves: readonly Tensor[]): (Sharding | undefined)[] {
    const { in_shardings = [] } = this.options;
    const args = structure.kind === 'array' ? structure.items : [];
    if (in_shardings.length > args.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.name}: in_shardings has ${in_shardings.length} entries for ${args.length} argument${args.length === 1 ? '' : 's'}`,
      );
    const known = args.flatMap((arg, i) =>
      leavesOf(arg, in_shardings[i], `argument ${i}`, `${this.name}: in_shardings`),
    );
    return known.map((leaf, i) => this.fixed(leaf, leaves[i]!.shape, 'in_shardings'));
  }

  /** How the results come out, undefined where XLA decides. */
  outputs(structure: Structure, shapes: readonly (readonly number[])[]): (Sharding | undefined)[] {
    const known = leavesOf(structure, this.options.out_shardings, 'the result', `${this.name}: out_shardings`);
    return known.map((leaf, i) => this.fixed(leaf, shapes[i]!, 'out_shardings'));
  }

  /** How a tensor comes in that decides it itself. */
  ownOf(tensor: Tensor): Sharding {
    return usable(shardingOf(tensor, this.mesh), tensor.shape) ?? replicated(this.mesh, tensor.ndim);
  }

  /** Of one trace: what its parameters and results are. */
  bind(
    args: Structure,
    leaves: readonly Tensor[],
    results: Structure,
    resultShapes: readonly (readonly number[])[],
  ): Partition {
    const inputs = this.inputs(args, leaves);
    const outputs = this.outputs(results, resultShapes);
    return {
      mesh: this.mesh,
      result: (i) => outputs[i],
      parameter: (place, captured, shape) => {
        if (place.ofStorage) return { sharding: replicated(this.mesh, shape.length), own: false };
        const fixed = place.isArg ? inputs[place.index] : undefined;
        const sharding = fixed ?? this.ownOf(place.isArg ? leaves[place.index]! : captured[place.index]!);
        return { sharding, own: fixed === undefined && !place.ofGrad };
      },
    };
  }
}
