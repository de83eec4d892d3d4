/** @file jacrev, jacfwd, hessian: derivatives of every result by every argument, a row or a column per vmapped example. */
import type { Randomness } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { zeros } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { type Structure, unflatten } from '../tree.js';
import { type AnyFunction, checkFunction, choose, flattenResult, readOptions, splitAux } from './arguments.js';
import { throughCompile } from './compiled.js';
import { jvp } from './forward.js';
import { vjp } from './reverse.js';
import { vmap } from './vmap.js';

export interface JacobianOptions {
  /** Which argument, or arguments, to differentiate by. Default 0. */
  argnums?: number | readonly number[] | undefined;
  /** The function returns `[output, aux]`; aux is handed on. Default false. */
  has_aux?: boolean | undefined;
  /** Rows (jacrev) computed at a time; default: all at once. */
  chunk_size?: number | null | undefined;
  /** Columns are vmapped: what random operators do. Default `error`. */
  randomness?: Randomness | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: the structure of the results around the structure of the arguments
type Jacobian = any;

/** Unit vectors for a list of tensors: for each, a block of shape [elements of all, ...its shape]. */
const unitVectors = (tensors: readonly Tensor[]): Tensor[] => {
  const sizes = tensors.map((t) => t.numel());
  const total = sizes.reduce((a, b) => a + b, 0);
  let start = 0;
  return tensors.map((t, i) => {
    const rows = zeros([total, sizes[i]!], { dtype: t.dtype });
    rows.diagonal(0 - start).fill_(1); // not -start: -0 is no integer
    start += sizes[i]!;
    return rows.reshape([total, ...t.shape]);
  });
};

/** A value of structure `outer` whose leaves are values of structure `inner`. */
const nested = (
  outer: Structure,
  inner: Structure,
  at: (o: number, i: number) => Tensor,
  outers: number,
  inners: number,
) =>
  unflatten(
    outer,
    Array.from({ length: outers }, (_, o) =>
      unflatten(
        inner,
        Array.from({ length: inners }, (__, i) => at(o, i)),
      ),
    ),
  );

const offsets = (tensors: readonly Tensor[]): number[] => {
  let sum = 0;
  return tensors.map((t) => {
    const start = sum;
    sum += t.numel();
    return start;
  });
};

const checkReal = (name: string, tensors: readonly Tensor[], what: string): void => {
  for (const t of tensors)
    if (!t.is_floating_point())
      throw new JorchError('BAD_ARGUMENT', `${name}: expected floating ${what}, got ${t.dtype}`);
};

/**
 * The Jacobian by reverse mode: one vmapped pullback for each element of the result. Best when the result is small.
 * @returns (...args) → a pytree of the result's structure, of the argument's structure, of tensors of shape [...result, ...argument];
 * with `has_aux`, `[jacobian, aux]`.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.jacrev.html
 */
export function jacrev<F extends AnyFunction>(
  f: F,
  argnums?: number | readonly number[] | JacobianOptions,
  options?: JacobianOptions,
): (...args: Parameters<F>) => Jacobian {
  checkFunction('jacrev', f);
  const read = readOptions<JacobianOptions>(
    'jacrev',
    ['argnums', 'has_aux', 'chunk_size', 'randomness'],
    [argnums, options],
  );
  const { argnums: places = 0, has_aux = false, chunk_size = null } = read;
  return throughCompile(f, (g) => (...args: unknown[]) => {
    const chosen = choose('jacrev', args, places);
    let structure: Structure | undefined;
    const flat = (...leaves: Tensor[]): unknown => {
      const returned = g(...chosen.with(leaves));
      const [value, extra] = has_aux ? splitAux('jacrev', returned) : [returned, undefined];
      const result = flattenResult('jacrev', value);
      structure = result.structure;
      return [result.leaves, { extra }];
    };
    const [outputs, pull, extra] = vjp(flat as AnyFunction, ...chosen.leaves, { has_aux: true }) as unknown as [
      Tensor[],
      (c: unknown) => Tensor[],
      { extra: unknown },
    ];
    checkReal('jacrev', outputs, 'results');
    const rows = vmap((...cotangents: Tensor[]) => pull(cotangents), { chunk_size })(
      ...unitVectors(outputs),
    ) as Tensor[];
    const starts = offsets(outputs);
    const jacobian = nested(
      structure!,
      chosen.structure,
      (o, i) =>
        rows[i]!.narrow(0, starts[o]!, outputs[o]!.numel()).reshape([...outputs[o]!.shape, ...chosen.leaves[i]!.shape]),
      outputs.length,
      chosen.leaves.length,
    );
    return has_aux ? [jacobian, extra.extra] : jacobian;
  });
}

/**
 * The Jacobian by forward mode: one vmapped derivative for each element of the argument. Best when the argument is small.
 * Options and result as for jacrev.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.jacfwd.html
 */
export function jacfwd<F extends AnyFunction>(
  f: F,
  argnums?: number | readonly number[] | JacobianOptions,
  options?: JacobianOptions,
): (...args: Parameters<F>) => Jacobian {
  checkFunction('jacfwd', f);
  const read = readOptions<JacobianOptions>(
    'jacfwd',
    ['argnums', 'has_aux', 'chunk_size', 'randomness'],
    [argnums, options],
  );
  const { argnums: places = 0, has_aux = false, chunk_size = null, randomness = 'error' } = read;
  return throughCompile(f, (g) => (...args: unknown[]) => {
    const chosen = choose('jacfwd', args, places);
    checkReal('jacfwd', chosen.leaves, 'arguments');
    let structure: Structure | undefined;
    const flat = (...leaves: Tensor[]): unknown => {
      const returned = g(...chosen.with(leaves));
      const [value, extra] = has_aux ? splitAux('jacfwd', returned) : [returned, undefined];
      const result = flattenResult('jacfwd', value);
      structure = result.structure;
      return [result.leaves, { extra }];
    };
    // Values and aux are the same for every tangent: they come out of the batch unbatched.
    const column = (...tangents: Tensor[]): unknown =>
      jvp(flat as AnyFunction, chosen.leaves, tangents, { has_aux: true });
    const [values, columns, extra] = vmap(column as AnyFunction, { out_dims: [0, -1, 0], randomness, chunk_size })(
      ...unitVectors(chosen.leaves),
    ) as [Tensor[], Tensor[], { extra: unknown }];
    const starts = offsets(chosen.leaves);
    const jacobian = nested(
      structure!,
      chosen.structure,
      (o, i) =>
        columns[o]!.narrow(-1, starts[i]!, chosen.leaves[i]!.numel()).reshape([
          ...values[o]!.shape.slice(1),
          ...chosen.leaves[i]!.shape,
        ]),
      values.length,
      chosen.leaves.length,
    );
    return has_aux ? [jacobian, firstExample(extra.extra)] : jacobian;
  });
}

const firstExample = (aux: unknown): unknown => {
  const { leaves, structure } = flattenResult('jacfwd', aux);
  return unflatten(
    structure,
    leaves.map((t) => t.select(0, 0)),
  );
};

/**
 * The Hessian of a function with a scalar result: forward over reverse mode.
 * @returns (...args) → a pytree of the argument's structure twice, of tensors of shape [...argument, ...argument].
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.hessian.html
 */
export const hessian = <F extends AnyFunction>(
  f: F,
  argnums: number | readonly number[] = 0,
): ((...args: Parameters<F>) => Jacobian) => {
  checkFunction('hessian', f);
  return throughCompile(f, (g) => jacfwd(jacrev(g, argnums) as AnyFunction, argnums));
};
