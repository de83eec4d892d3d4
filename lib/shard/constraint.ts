/** @file shard() and shard_(): spreading tensors over a mesh, and saying inside a compiled function how a value is to be spread. */
import { recordControl } from '../compile/trace.js';
import type { Level } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { dispatch, type Operator } from '../transforms/operator.js';
import { currentMesh, Mesh } from './mesh.js';
import { type Sharding, shardingFor, shardingOf } from './sharding.js';
import { PartitionSpec, type SpecLike } from './spec.js';

/** The input itself, spread over a mesh; so is what flows back through it. */
class Constraint implements Operator {
  readonly name = 'Shard';
  constructor(private readonly sharding: Sharding) {}

  run([input]: Tensor[]): Tensor[] {
    if (native().isTracing()) return recordControl({ kind: 'sharding', sharding: this.sharding }, [input!], [input!]);
    return [native().putOnDevices(input!, this.sharding.placement)];
  }
  batch(inputs: Tensor[], batched: boolean[], _: Level) {
    const { mesh, spec } = this.sharding;
    const outer = new PartitionSpec([null, ...spec.entries]);
    return { outputs: dispatch(new Constraint(shardingFor(mesh, outer, inputs[0]!.shape, 'shard')), inputs), batched };
  }
  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    return { outputs: dispatch(this, inputs), tangents: tangents.map((t) => t && dispatch(this, [t])[0]!) };
  }
  backward(_: Tensor[], __: Tensor[], cotangents: (Tensor | null)[]): (Tensor | null)[] {
    return cotangents.map((c) => c && dispatch(this, [c])[0]!);
  }
}

const checkTensor = (what: string, value: unknown): void => {
  if (!native().isTensor(value))
    throw new JorchError('BAD_ARGUMENT', `${what}: expected a tensor, got ${value === null ? 'null' : typeof value}`);
};

const meshFor = (what: string, tensor: Tensor, mesh: Mesh | undefined): Mesh => {
  const around = currentMesh();
  if (mesh !== undefined && !(mesh instanceof Mesh))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${what}: expected a mesh, made with mesh([8], ['data']), as the third argument`,
    );
  if (mesh !== undefined && around !== undefined && !mesh.equals(around))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${what}: the function is compiled for ${around}, the tensor is to be spread over ${mesh}`,
    );
  const found = mesh ?? around ?? shardingOf(tensor)?.mesh;
  if (found === undefined)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${what}: over which mesh? Give one as the third argument: ${what}(t, spec, mesh); only a function that is compiled for a mesh knows it`,
    );
  return found;
};

/**
 * The tensor spread over the devices of a mesh: each holds its part only. In a function compiled for a mesh: the value, with the promise that
 * XLA spreads it that way there; without a mesh a compiled function takes no notice. Differentiable; the gradient is spread alike.
 * Operators outside compile() gather the values in host memory first.
 * @param mesh default: that of the function being compiled, or the one that the tensor is spread over already.
 * @throws JorchError BAD_ARGUMENT for a spec that does not fit the mesh or the shape.
 * @example const w = shard(torch.randn([1024, 1024]), P('model', null), mesh([8], ['model']));
 */
export const shard = (t: Tensor, spec: SpecLike, mesh?: Mesh): Tensor => {
  checkTensor('shard', t);
  if (mesh === undefined && currentMesh() === undefined && native().isTracing()) return t;
  const over = meshFor('shard', t, mesh);
  return dispatch(new Constraint(shardingFor(over, spec, t.shape, 'shard')), [t])[0]!;
};

/**
 * Spreads the memory of a tensor (a parameter, say) over a mesh, in place; its `.grad` likewise. Values stay the same.
 * @throws JorchError BAD_ARGUMENT as shard(), for views, and inside a compiled function.
 * @example for (const p of model.parameters()) shard_(p, P('data'), m);
 */
export const shard_ = (t: Tensor, spec: SpecLike, mesh?: Mesh): Tensor => {
  checkTensor('shard_', t);
  if (native().isTracing() || native().currentLevel() !== null)
    throw new JorchError(
      'BAD_ARGUMENT',
      'shard_: where a tensor lies cannot change inside a compiled or transformed function; use shard(), which gives the value spread',
    );
  const sharding = shardingFor(meshFor('shard_', t, mesh), spec, t.shape, 'shard_');
  native().moveToDevices(t, sharding.placement);
  if (t.requires_grad && t.is_leaf && t.grad) native().moveToDevices(t.grad, sharding.placement);
  return t;
};
