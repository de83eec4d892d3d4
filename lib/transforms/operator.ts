/** @file Operators of our own and how they pass through the open levels of torch.func: the counterpart of libtorch's interpreters. */
import type { Level } from '../native.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { isDifferentiable, withGradMode } from './levels.js';

/** Tells tangents and cotangents that are there. */
export const isSome = <T>(x: T | null | undefined): x is T => x !== null && x !== undefined;

/** An operator with rules of its own. Every method is called below the level it is about, with that level's wrappers taken off. */
export interface Operator {
  /** For messages and `grad_fn`. */
  readonly name: string;
  /** Runs with no level open and autograd off. */
  run(inputs: Tensor[]): Tensor[];
  /** Runs for a batch: `batched` inputs have the examples in dimension 0, and so have the `batched` results. */
  batch(inputs: Tensor[], batched: boolean[], level: Level): { outputs: Tensor[]; batched: boolean[] };
  /** Values and derivatives along `tangents`; null is zero. */
  dual(inputs: Tensor[], tangents: (Tensor | null)[]): { outputs: Tensor[]; tangents: (Tensor | null)[] };
  /** The operator to run when the backward will be needed: the same results first, then what `backward` wants to find. */
  saving?(needed: readonly boolean[]): Operator;
  /** Gradients of the `needed` inputs. `outputs` are all of those of the operator that was run. */
  backward(inputs: Tensor[], outputs: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[];
}

/** Runs `run` and, if an input requires grad, gives the results their history. */
const recorded = (
  op: Operator,
  variables: readonly Tensor[],
  requires: readonly boolean[],
  run: (op: Operator) => Tensor[],
): Tensor[] => {
  const n = native();
  if (!n.gradEnabled() || !requires.some((r) => r)) return run(op);
  const used = op.saving?.(requires) ?? op;
  const outputs = run(used);
  const inputs = [...variables];
  // Integers, such as a counter that is carried, have no history.
  const floats = outputs.map(isDifferentiable);
  const roots = outputs.filter((_, i) => floats[i]);
  if (roots.length === 0) return outputs;
  n.attach(op.name, inputs, roots, [...inputs, ...outputs], (saved, given, needed) => {
    const left = [...given];
    const cotangents = floats.map((f) => (f ? left.shift()! : null));
    return used.backward(saved.slice(0, inputs.length), saved.slice(inputs.length), cotangents, needed);
  });
  return outputs;
};

/** Calls an operator of our own at the innermost open level, whichever that is. May return more results than the operator has: what it saved. */
export const dispatch = (op: Operator, given: readonly Tensor[]): Tensor[] => {
  const n = native();
  const inputs = given.map((t) => n.unwrapDead(t));
  const level = n.currentLevel();
  if (level === null) {
    return recorded(
      op,
      inputs,
      inputs.map((t) => t.requires_grad),
      // Detached: a result may be an input, which has a history of its own.
      (used) => withGradMode(false, () => used.run(inputs)).map((t) => t.detach()),
    );
  }
  switch (level.kind) {
    case 'grad': {
      const values = inputs.map((t) => n.unwrapGrad(t, level.level));
      const variables = inputs.map((t, i) => (values[i] === t ? n.wrapGrad(t, level.level, false) : t));
      return recorded(
        op,
        variables,
        variables.map((t) => t.requires_grad),
        (used) => n.lower(() => dispatch(used, values)).map((t) => n.wrapGrad(t, level.level, false)),
      );
    }
    case 'jvp': {
      const pairs = inputs.map((t): [Tensor, Tensor | null] => {
        if (!t.is_floating_point() && !t.is_complex()) return [n.unwrapGrad(t, level.level), null];
        const [primal, tangent] = n.unpackDual(t);
        return [n.unwrapGrad(primal, level.level), tangent === null ? null : n.unwrapGrad(tangent, level.level)];
      });
      const primals = pairs.map(([p]) => p);
      const tangents = pairs.map(([, t]) => t);
      if (tangents.every((t) => t === null)) return n.lower(() => dispatch(op, primals));
      const made = n.lower(() => op.dual(primals, tangents));
      return made.outputs.map((t, i) => {
        const tangent = made.tangents[i];
        return tangent === null || tangent === undefined ? t : n.makeDual(t, tangent);
      });
    }
    case 'vmap': {
      const parts = inputs.map((t) => n.removeBatch(t, level.level));
      const batched = parts.map(([, dim]) => dim >= 0);
      const made = n.lower(() => {
        const values = parts.map(([t, dim]) => (dim > 0 ? t.movedim(dim, 0) : t));
        if (!batched.includes(true)) return { outputs: dispatch(op, values), batched: [] };
        return op.batch(values, batched, level);
      });
      return made.outputs.map((t, i) => (made.batched[i] ? n.addBatch(t, 0, level.level) : t));
    }
  }
};
