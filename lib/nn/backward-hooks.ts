/** @file What lets a module's backward hooks see and change gradients: identities around its arguments and results. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { zeros_like } from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { dispatch, type Operator } from '../transforms/operator.js';
import type { Gradients, Hook } from './hooks.js';
import type { Module } from './module.js';

/** The inputs as they are; their gradients go through `pass`, all at once. */
class Through implements Operator {
  readonly name = 'BackwardHook';
  constructor(private readonly pass: (gradients: (Tensor | null)[]) => (Tensor | null)[]) {}
  run(inputs: Tensor[]): Tensor[] {
    return inputs;
  }
  batch(inputs: Tensor[], batched: boolean[]) {
    return { outputs: dispatch(this, inputs), batched };
  }
  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    return { outputs: dispatch(this, inputs), tangents };
  }
  backward(_: Tensor[], __: Tensor[], cotangents: (Tensor | null)[]): (Tensor | null)[] {
    return this.pass(cotangents);
  }
}

/** The tensors of a list that were put in by `watch`. */
interface Watched {
  readonly list: unknown[];
  /** Where the list has tensors, none of them if there is nothing to differentiate. */
  readonly tensors: ReadonlyMap<number, Tensor>;
}

/** Replaces the tensors of a list that require grad by what comes out of an identity; `pass` sees their gradients by place. */
const watch = (
  list: readonly unknown[],
  pass: (gradients: (Tensor | null)[], watched: Watched) => (Tensor | null)[],
): Watched => {
  const n = native();
  const tensors = new Map(list.flatMap((value, i) => (n.isTensor(value) ? [[i, value] as const] : [])));
  const places = [...tensors.keys()].filter((i) => tensors.get(i)!.requires_grad);
  const changed = [...list];
  if (!n.gradEnabled() || places.length === 0) return { list: changed, tensors: new Map() };
  const watched: Watched = { list: changed, tensors };
  const through = new Through((gradients) => {
    const all = list.map((): Tensor | null => null);
    places.forEach((place, i) => {
      all[place] = gradients[i] ?? null;
    });
    const passed = pass(all, watched);
    return places.map((place) => passed[place] ?? null);
  });
  const made = dispatch(
    through,
    places.map((i) => tensors.get(i)!),
  );
  places.forEach((place, i) => {
    changed[place] = made[i];
  });
  return watched;
};

const given = (what: string, returned: unknown, length: number): Gradients | undefined => {
  if (returned === undefined || returned === null) return undefined;
  const list = Array.isArray(returned) ? (returned as Gradients) : [returned as Tensor];
  if (list.length !== length)
    throw new JorchError('BAD_ARGUMENT', `${what}: the hook returned ${list.length} gradients, there are ${length}`);
  return list;
};

/** The backward hooks of one call of a module. */
export class BackwardHooks {
  private gradOutput: Gradients = [];
  private inputs = { differentiable: false, length: 0 };

  private constructor(
    private readonly module: Module,
    private readonly hooks: readonly Hook['backward'][],
    private readonly preHooks: readonly Hook['backwardPre'][],
  ) {}
  static of(
    module: Module,
    hooks: readonly Hook['backward'][],
    preHooks: readonly Hook['backwardPre'][],
  ): BackwardHooks | undefined {
    return hooks.length + preHooks.length === 0 ? undefined : new BackwardHooks(module, hooks, preHooks);
  }

  watchInputs(args: readonly unknown[]): readonly unknown[] {
    const { list, tensors } = watch(args, (gradients, { tensors: all }) =>
      // As in torch, a tensor that nothing flows to has zeros.
      this.run(gradients.map((g, i) => g ?? (all.has(i) ? zeros_like(all.get(i)!) : null))),
    );
    this.inputs = { differentiable: tensors.size > 0, length: args.length };
    return list;
  }

  watchOutputs(output: unknown): unknown {
    const several = Array.isArray(output);
    const { list } = watch(several ? output : [output], (gradients) => {
      let now: Gradients = gradients;
      for (const hook of this.preHooks)
        now = given('register_full_backward_pre_hook', hook(this.module, now), now.length) ?? now;
      this.gradOutput = now;
      // Without an argument to differentiate nothing comes back to the module: this is the moment.
      if (!this.inputs.differentiable) this.runWithoutInputs();
      return [...now];
    });
    return several ? list : list[0];
  }

  private run(gradInput: Gradients): (Tensor | null)[] {
    let now = gradInput;
    for (const hook of this.hooks)
      now = given('register_full_backward_hook', hook(this.module, now, this.gradOutput), now.length) ?? now;
    return [...now];
  }
  private runWithoutInputs(): void {
    const none = Array.from({ length: this.inputs.length }, () => null);
    for (const hook of this.hooks) {
      const returned = hook(this.module, none, this.gradOutput) ?? null;
      if (returned !== null && !(Array.isArray(returned) && returned.every((g) => g === null)))
        throw new JorchError(
          'BAD_ARGUMENT',
          'register_full_backward_hook: no argument of the module requires a gradient; the hook cannot give one',
        );
    }
  }
}
