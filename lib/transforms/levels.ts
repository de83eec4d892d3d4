/** @file Functions of flat lists of tensors run at one more level of functorch: what every transform is made of. */
import type { Randomness } from '../native.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';

/** A function of tensors to tensors. */
export type Flat = (inputs: Tensor[]) => Tensor[];

export const isDifferentiable = (t: Tensor): boolean => t.is_floating_point() || t.is_complex();

/** Runs `fn` with operators recording for autograd or not. */
export const withGradMode = <T>(enabled: boolean, fn: () => T): T => {
  const n = native();
  const before = n.setGradEnabled(enabled);
  try {
    return fn();
  } finally {
    n.setGradEnabled(before);
  }
};

/** `fn` of one example run once for all of a batch. `batched` inputs have the examples in dimension 0, and so have the results that depend on them. */
export const runBatched = (
  fn: Flat,
  inputs: readonly Tensor[],
  batched: readonly boolean[],
  { size, randomness }: { readonly size: number; readonly randomness: Randomness },
): { outputs: Tensor[]; batched: boolean[] } => {
  const n = native();
  const parts = n.withLevel('vmap', size, randomness, (level) =>
    fn(inputs.map((t, i) => (batched[i] ? n.addBatch(t, 0, level) : t))).map((t) => n.removeBatch(t, level)),
  );
  return {
    outputs: parts.map(([t, dim]) => (dim > 0 ? t.movedim(dim, 0) : t)),
    batched: parts.map(([, dim]) => dim >= 0),
  };
};

/** The values of `fn` and their derivatives along `tangents` (null is zero); a result's tangent is null where it is known to be zero. */
export const runDual = (
  fn: Flat,
  primals: readonly Tensor[],
  tangents: readonly (Tensor | null)[],
): { outputs: Tensor[]; tangents: (Tensor | null)[] } => {
  const n = native();
  const pairs = n.withLevel('jvp', 0, 'error', (level) => {
    const duals = primals.map((p, i) => {
      const tangent = tangents[i];
      return tangent === null || tangent === undefined ? p : n.makeDual(p, tangent);
    });
    return fn(duals).map((t): [Tensor, Tensor | null] => {
      if (!isDifferentiable(t)) return [n.unwrapGrad(t, level), null];
      const [primal, tangent] = n.unpackDual(t);
      return [n.unwrapGrad(primal, level), tangent === null ? null : n.unwrapGrad(tangent, level)];
    });
  });
  return { outputs: pairs.map(([p]) => p), tangents: pairs.map(([, t]) => t) };
};

/** Gradients with respect to `inputs`; null where there is none. Outputs without history or cotangent count for nothing. */
export const pullback = (
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly (Tensor | null)[],
  retain: boolean,
  /** Whether the level that they belong to is open. */
  open: boolean,
): (Tensor | null)[] => {
  const roots = outputs.flatMap((t, i) => {
    const cotangent = cotangents[i];
    return cotangent !== null && cotangent !== undefined && t.requires_grad ? [{ t, cotangent }] : [];
  });
  if (roots.length === 0 || inputs.length === 0) return inputs.map(() => null);
  const n = native();
  // With levels around this one the backward must be recorded for them, whatever becomes of this level's own graph.
  return n.grad(
    roots.map((r) => r.t),
    inputs,
    roots.map((r) => r.cotangent),
    retain,
    n.gradEnabled(),
    true,
    open,
  );
};

/** Results of `fn`, and the gradients of <results, cotangents> with respect to the inputs that are `wanted`. */
export const runGrad = (
  fn: Flat,
  inputs: readonly Tensor[],
  wanted: readonly boolean[],
  cotangentsOf: (outputs: Tensor[]) => readonly (Tensor | null)[],
): { outputs: Tensor[]; gradients: (Tensor | null)[] } => {
  const n = native();
  return n.withLevel('grad', 0, 'error', (level) => {
    const variables = inputs.map((t, i) => (wanted[i] ? n.wrapGrad(t, level, true) : t));
    const outputs = fn(variables);
    const gradients = pullback(
      outputs,
      variables.filter((_, i) => wanted[i]),
      cotangentsOf(outputs),
      false,
      true,
    );
    let next = 0;
    return {
      outputs: outputs.map((t) => n.unwrapGrad(t, level)),
      gradients: wanted.map((w) => {
        const gradient = w ? gradients[next++]! : null;
        return gradient === null ? null : n.unwrapGrad(gradient, level);
      }),
    };
  });
};
