/** @file torch.autograd.functional: derivatives at a point, for functions of one tensor or an array of them. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { ones_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { map } from '../tree.js';
import { type AnyFunction, checkFunction, readOptions } from './arguments.js';
import { jvp as funcJvp } from './forward.js';
import { jacfwd, jacrev } from './jacobian.js';
import { withGradMode } from './levels.js';
import { vjp as funcVjp, grad } from './reverse.js';

type Many = Tensor | readonly Tensor[];
/** A tensor where one was given, an array where an array was. */
type Like = Tensor & readonly Tensor[];

export interface FunctionalOptions {
  /** The results can be differentiated again by `backward`. Default false. */
  create_graph?: boolean | undefined;
  /** Refused: independent inputs give zeros. */
  strict?: boolean | undefined;
  /** Accepted as in torch; derivatives are always taken for all directions at once. */
  vectorize?: boolean | undefined;
  /** For `jacobian`: how. Default `reverse-mode`. */
  strategy?: 'reverse-mode' | 'forward-mode' | undefined;
}

const NAMES = ['create_graph', 'strict', 'vectorize', 'strategy'] as const;

const run = <T>(
  name: string,
  f: unknown,
  options: FunctionalOptions | undefined,
  body: (o: FunctionalOptions) => T,
): T => {
  checkFunction(name, f);
  const read = readOptions<FunctionalOptions>(name, NAMES, [options]);
  if (read.strict)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: strict is not supported: where a result does not depend on an input the derivative is zero`,
    );
  // Without create_graph nothing leads back to the inputs; the transforms switch autograd on for themselves.
  return withGradMode(read.create_graph === true && native().gradEnabled(), () => body(read));
};

const asList = (value: Many): readonly Tensor[] => (Array.isArray(value) ? (value as Tensor[]) : [value as Tensor]);
/** The function of the inputs as separate arguments. */
const argumentsOf = (inputs: Many): number[] => asList(inputs).map((_, i) => i);
const like = (inputs: Many, values: readonly unknown[]): Like => (Array.isArray(inputs) ? values : values[0]) as Like;

/**
 * The Jacobian of `f` at `inputs`: per result, per input, a tensor of shape [...result, ...input].
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html
 */
export const jacobian = (f: AnyFunction, inputs: Many, options?: FunctionalOptions): Like =>
  run('jacobian', f, options, ({ strategy }) => {
    const along = strategy === 'forward-mode' ? jacfwd : jacrev;
    return along(f, Array.isArray(inputs) ? argumentsOf(inputs) : 0)(...asList(inputs)) as Like;
  });

/**
 * The Hessian of a function with a scalar result at `inputs`.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html
 */
export const hessian = (f: AnyFunction, inputs: Many, options?: FunctionalOptions): Like =>
  run('hessian', f, options, () => {
    const places = Array.isArray(inputs) ? argumentsOf(inputs) : 0;
    return jacrev(grad(f, places) as AnyFunction, places)(...asList(inputs)) as Like;
  });

/**
 * `[f(inputs), v·J]`. `v` may be left out for a scalar result.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html
 */
export const vjp = (f: AnyFunction, inputs: Many, v?: unknown, options?: FunctionalOptions): [unknown, Like] =>
  run('vjp', f, options, () => {
    const [output, pull] = funcVjp(f, ...asList(inputs)) as unknown as [unknown, (c: unknown) => Tensor[]];
    return [output, like(inputs, pull(v ?? map((t) => ones_like(t), output)))];
  });

/**
 * `[f(inputs), J·v]`. `v` may be left out for one-element inputs.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html
 */
export const jvp = (f: AnyFunction, inputs: Many, v?: Many, options?: FunctionalOptions): [unknown, unknown] =>
  run('jvp', f, options, () => {
    const primals = asList(inputs);
    const [output, tangent] = funcJvp(
      f,
      primals as Tensor[],
      v === undefined ? primals.map((t) => ones_like(t)) : asList(v),
    );
    return [output, tangent];
  });

/**
 * `[f(inputs), H·v]` for a scalar result: forward over reverse mode.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html
 */
export const hvp = (f: AnyFunction, inputs: Many, v: Many, options?: FunctionalOptions): [Tensor, Like] =>
  run('hvp', f, options, () => {
    const primals = asList(inputs) as Tensor[];
    const [, product] = funcJvp(grad(f, argumentsOf(inputs)) as AnyFunction, primals, asList(v));
    return [f(...primals) as Tensor, like(inputs, product as Tensor[])];
  });

/**
 * `[f(inputs), v·H]` for a scalar result, by reverse mode twice.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html
 */
export const vhp = (f: AnyFunction, inputs: Many, v: Many, options?: FunctionalOptions): [Tensor, Like] =>
  run('vhp', f, options, () => {
    const primals = asList(inputs) as Tensor[];
    const [, pull] = funcVjp(grad(f, argumentsOf(inputs)) as AnyFunction, ...primals) as unknown as [
      unknown,
      (c: unknown) => Tensor[],
    ];
    return [f(...primals) as Tensor, like(inputs, pull(asList(v)))];
  });
