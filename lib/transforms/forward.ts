/** @file jvp and linearize: forward mode on functorch's jvp levels. */
import { isJorchError, JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, map, structureKey, unflatten } from '../tree.js';
import { type AnyFunction, checkFunction, choose, flattenResult, splitAux, synchronous } from './arguments.js';
import { isDifferentiable } from './levels.js';
import { type VjpFunction, vjp } from './reverse.js';

const checkTangents = (primals: readonly Tensor[], tangents: readonly Tensor[]): void => {
  primals.forEach((p, i) => {
    const t = tangents[i]!;
    if (t.shape.length !== p.shape.length || t.shape.some((s, d) => s !== p.shape[d]))
      throw new JorchError(
        'BAD_ARGUMENT',
        `jvp: tangent ${i} has shape [${t.shape.join(', ')}], its primal has [${p.shape.join(', ')}]`,
      );
    if (t.dtype !== p.dtype)
      throw new JorchError('BAD_ARGUMENT', `jvp: tangent ${i} is ${t.dtype}, its primal is ${p.dtype}`);
  });
};

/** The tangent with an example for each of the primal's: libtorch refuses to write a batched tangent into one that is not, as `y.mul_(x)` would. */
const spread = (tangent: Tensor, primal: Tensor): Tensor =>
  native().isBatched(primal) && isDifferentiable(primal) ? zeros_like(primal).add(tangent) : tangent;

// biome-ignore lint/suspicious/noExplicitAny: the result has whatever structure the function gives it
type Pushed = any;

/**
 * The result of `f(...primals)` and its derivative along `tangents`: `[output, output_tangent]`, or `[output, output_tangent, aux]`.
 * @param primals the arguments, an array. @param tangents as many, of the same structures, shapes and dtypes.
 * @throws JorchError BAD_ARGUMENT when they do not fit.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.jvp.html
 * @example const [y, dy] = func.jvp((x: Tensor) => x.sin(), [x], [torch.ones_like(x)]);
 */
export function jvp<F extends AnyFunction>(
  f: F,
  primals: Parameters<F>,
  tangents: readonly unknown[],
  options: { has_aux: true },
): [Pushed, Pushed, Pushed];
export function jvp<F extends AnyFunction>(
  f: F,
  primals: Parameters<F>,
  tangents: readonly unknown[],
  options?: { has_aux?: boolean },
): [ReturnType<F>, Pushed];
export function jvp(
  f: AnyFunction,
  primals: readonly unknown[],
  tangents: readonly unknown[],
  { has_aux = false }: { has_aux?: boolean } = {},
): unknown[] {
  checkFunction('jvp', f);
  if (!Array.isArray(primals) || !Array.isArray(tangents))
    throw new JorchError('BAD_ARGUMENT', 'jvp: primals and tangents must be arrays with one entry per argument');
  const n = native();
  const chosen = choose(
    'jvp',
    primals,
    primals.map((_, i) => i),
  );
  const given = flatten(tangents);
  if (structureKey(given.structure) !== structureKey(chosen.structure))
    throw new JorchError('BAD_ARGUMENT', 'jvp: the tangents must have the structure of the primals');
  checkTangents(chosen.leaves, given.leaves);
  return n.withLevel('jvp', 0, 'error', (level) => {
    const duals = chosen.leaves.map((p, i) => n.makeDual(p, spread(given.leaves[i]!, p)));
    const returned = synchronous('jvp', f(...chosen.with(duals)));
    const [value, aux] = has_aux ? splitAux('jvp', returned) : [returned, undefined];
    const { leaves, structure } = flattenResult('jvp', value);
    const pairs = leaves.map((t) => {
      const [primal, tangent] = isDifferentiable(t) ? n.unpackDual(t) : [t, null];
      const down = n.unwrapGrad(primal, level);
      return { primal: down, tangent: tangent === null ? null : n.unwrapGrad(tangent, level) };
    });
    const down = (t: Tensor): Tensor => n.unwrapGrad(isDifferentiable(t) ? n.unpackDual(t)[0] : t, level);
    const result = [
      unflatten(
        structure,
        pairs.map((p) => p.primal),
      ),
      unflatten(
        structure,
        pairs.map((p) => p.tangent ?? n.unwrapGrad(zeros_like(p.primal), level)),
      ),
    ];
    return has_aux ? [...result, map(down, aux)] : result;
  });
}

/**
 * The result of `f(...primals)` and the linear function that maps tangents to the result's derivative along them. `f` runs once: the function is
 * the transpose of the transpose, vjp of the cotangents of vjp. Where reverse mode cannot go (a compiled while_loop) each call runs `f` again, in
 * forward mode.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.linearize.html
 */
export const linearize = <F extends AnyFunction>(
  f: F,
  ...primals: Parameters<F>
): [ReturnType<F>, (...tangents: unknown[]) => Pushed] => {
  checkFunction('linearize', f);
  const chosen = choose(
    'linearize',
    primals,
    primals.map((_, i) => i),
  );
  const { leaves: points } = chosen;
  let like: ReturnType<typeof flattenResult> | undefined;
  const flat = (...leaves: Tensor[]): Tensor[] => {
    like = flattenResult('linearize', synchronous('linearize', f(...(chosen.with(leaves) as unknown[]))));
    return like.leaves;
  };
  const [outputs, pull] = vjp(flat as AnyFunction, ...points) as unknown as [Tensor[], VjpFunction];
  const { structure } = like!;
  const value = unflatten(structure, outputs) as ReturnType<F>;
  let transpose: VjpFunction | undefined;
  try {
    const zeros = outputs.map((t) => zeros_like(t));
    transpose = vjp(((...u: Tensor[]) => pull(u)) as AnyFunction, ...zeros)[1];
  } catch (error) {
    if (!isJorchError(error)) throw error;
  }
  const push = (...tangents: unknown[]): Pushed => {
    if (transpose === undefined) return jvp(f, primals, tangents)[1];
    const given = flatten(tangents);
    if (structureKey(given.structure) !== structureKey(chosen.structure))
      throw new JorchError('BAD_ARGUMENT', 'linearize: the tangents must have the structure of the primals');
    checkTangents(points, given.leaves);
    return unflatten(structure, transpose(given.leaves) as Tensor[]);
  };
  return [value, push];
};
