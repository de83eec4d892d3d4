/** @file grad, grad_and_value, vjp: reverse mode on functorch's grad levels. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { ones_like, zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, map, structureKey, unflatten } from '../tree.js';
import {
  type AnyFunction,
  checkFunction,
  choose,
  flattenResult,
  readOptions,
  splitAux,
  synchronous,
} from './arguments.js';
import { throughCompile } from './compiled.js';
import { isDifferentiable, pullback } from './levels.js';

export interface GradOptions {
  /** Which argument, or arguments, to differentiate by. Default 0. */
  argnums?: number | readonly number[] | undefined;
  /** The function returns `[output, aux]`; aux is handed on. Default false. */
  has_aux?: boolean | undefined;
}

const scalar = (name: string, output: unknown): Tensor => {
  if (!native().isTensor(output))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function must return a scalar tensor, it returned ${typeof output}`,
    );
  if (output.numel() !== 1 || output.ndim !== 0)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: the function must return a scalar tensor (shape []), it returned shape [${output.shape.join(', ')}]; see vjp or jacrev`,
    );
  return output;
};

const NAMES = ['argnums', 'has_aux'] as const;

const gradAndValue = (name: string, f: AnyFunction, { argnums = 0, has_aux = false }: GradOptions): AnyFunction => {
  return (...args: unknown[]) => {
    const n = native();
    const chosen = choose(name, args, argnums);
    return n.withLevel('grad', 0, 'error', (level) => {
      const variables = chosen.leaves.map((t) => n.wrapGrad(t, level, true));
      const returned = synchronous(name, f(...chosen.with(variables)));
      const [value, aux] = has_aux ? splitAux(name, returned) : [returned, undefined];
      const output = scalar(name, value);
      const gradients = pullback([output], variables, [ones_like(output)], false, true);
      const down = (t: Tensor): Tensor => n.unwrapGrad(t, level);
      const grads = unflatten(
        chosen.structure,
        gradients.map((g, i) => (g === null ? zeros_like(chosen.leaves[i]!) : down(g))),
      );
      return { grads, value: down(output), aux: has_aux ? map(down, aux) : undefined };
    });
  };
};

/** The value of `argnums`'s type: one gradient or an array of them, each of the argument's structure. */
// biome-ignore lint/suspicious/noExplicitAny: which argument it is, is a run-time number
type Gradient = any;

/**
 * The gradient of a function with a scalar result with respect to its first argument (or `argnums`), of that argument's structure and shapes.
 * Arguments are pytrees. Nests with every other transform.
 * @returns (...args) → gradients, or `[gradients, aux]` with `has_aux`.
 * @throws JorchError BAD_ARGUMENT for a result that is no scalar, integer tensors to differentiate, async functions.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html
 * @example func.grad((x: Tensor) => x.sin().sum())(x)   // x.cos()
 */
export function grad<F extends AnyFunction>(
  f: F,
  argnums?: number | readonly number[] | GradOptions,
  has_aux?: boolean,
): (...args: Parameters<F>) => Gradient {
  checkFunction('grad', f);
  const options = readOptions<GradOptions>('grad', NAMES, [argnums, has_aux]);
  return throughCompile(f, (g) => {
    const run = gradAndValue('grad', g, options);
    return (...args: unknown[]) => {
      const { grads, aux } = run(...args);
      return options.has_aux ? [grads, aux] : grads;
    };
  });
}

/**
 * The gradient and the value, from one run: `[gradients, value]`, or `[gradients, [value, aux]]` with `has_aux`.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.grad_and_value.html
 */
export function grad_and_value<F extends AnyFunction>(
  f: F,
  argnums?: number | readonly number[] | GradOptions,
  has_aux?: boolean,
): (...args: Parameters<F>) => [Gradient, Gradient] {
  checkFunction('grad_and_value', f);
  const options = readOptions<GradOptions>('grad_and_value', NAMES, [argnums, has_aux]);
  return throughCompile(f, (g) => {
    const run = gradAndValue('grad_and_value', g, options);
    return (...args: unknown[]) => {
      const { grads, value, aux } = run(...args);
      return options.has_aux ? [grads, [value, aux]] : [grads, value];
    };
  });
}

/** Takes cotangents of the result's structure to gradients: one value per primal, of its structure; for a single primal that value itself in an array. */
export type VjpFunction = (cotangents: unknown, options?: { retain_graph?: boolean }) => Gradient[];

const checkCotangents = (cotangents: unknown, key: string, outputs: readonly Tensor[]): Tensor[] => {
  const given = flatten(cotangents);
  if (structureKey(given.structure) !== key)
    throw new JorchError('BAD_ARGUMENT', "vjp: the cotangents must have the structure of the function's result");
  given.leaves.forEach((t, i) => {
    const { shape } = outputs[i]!;
    if (t.shape.length !== shape.length || t.shape.some((s, d) => s !== shape[d]))
      throw new JorchError(
        'BAD_ARGUMENT',
        `vjp: cotangent ${i} has shape [${t.shape.join(', ')}], the result has [${shape.join(', ')}]`,
      );
  });
  return given.leaves;
};

const runVjp = (f: AnyFunction, primals: unknown[], hasAux: boolean): unknown[] => {
  const n = native();
  const chosen = choose(
    'vjp',
    primals,
    primals.map((_, i) => i),
  );
  let isOpen = true;
  const made = n.withLevel('grad', 0, 'error', (level) => {
    const variables = chosen.leaves.map((t) => n.wrapGrad(t, level, true));
    const returned = synchronous('vjp', f(...chosen.with(variables)));
    const [value, aux] = hasAux ? splitAux('vjp', returned) : [returned, undefined];
    const { leaves: outputs, structure } = flattenResult('vjp', value);
    const key = structureKey(structure);
    const down = (t: Tensor): Tensor => n.unwrapGrad(t, level);
    const pull: VjpFunction = (cotangents, { retain_graph = true } = {}) => {
      const given = checkCotangents(cotangents, key, outputs);
      // The level may be over by now, and another have its number: its variables then stand for what they hold.
      const live = isOpen ? n.currentLevel() : undefined;
      const after = (t: Tensor): Tensor => {
        const open = n.unwrapDead(t);
        return live?.kind === 'grad' && live.level === level ? n.unwrapGrad(open, level) : open;
      };
      const gradients = pullback(outputs, variables, given, retain_graph, isOpen);
      return unflatten(
        chosen.structure,
        gradients.map((g, i) => (g === null ? zeros_like(chosen.leaves[i]!) : after(g))),
      ) as unknown[];
    };
    const result = unflatten(structure, outputs.map(down));
    return hasAux ? [result, pull, map(down, aux)] : [result, pull];
  });
  isOpen = false;
  return made;
};

/**
 * The result of `f(...primals)` and the function that pulls cotangents back to gradients, one per primal.
 * @param primals the arguments; a last `{ has_aux: true }` says that `f` returns `[output, aux]`.
 * @returns `[output, vjp_fn]`, or `[output, vjp_fn, aux]`.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.vjp.html
 * @example const [y, pull] = func.vjp((x: Tensor) => x.sin(), x); const [g] = pull(torch.ones_like(y));
 */
export function vjp<F extends AnyFunction>(
  f: F,
  ...primals: [...Parameters<F>, { has_aux: true }]
): [Gradient, VjpFunction, Gradient];
export function vjp<F extends AnyFunction>(f: F, ...primals: Parameters<F>): [ReturnType<F>, VjpFunction];
export function vjp(f: AnyFunction, ...primals: unknown[]): unknown[] {
  checkFunction('vjp', f);
  const { args, has_aux } = trailingAux(primals);
  return runVjp(f, args, has_aux);
}

/** Arguments that may end in `{ has_aux }`, which no pytree of tensors looks like. */
export const trailingAux = (given: readonly unknown[]): { args: unknown[]; has_aux: boolean } => {
  const last = given.at(-1);
  const named = typeof last === 'object' && last !== null && 'has_aux' in last && typeof last.has_aux === 'boolean';
  return { args: named ? given.slice(0, -1) : [...given], has_aux: named && last.has_aux === true };
};

/** Whether every leaf can be differentiated. */
export const allDifferentiable = (leaves: readonly Tensor[]): boolean => leaves.every(isDifferentiable);
