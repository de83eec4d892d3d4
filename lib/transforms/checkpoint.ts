/** @file utils.checkpoint: a function whose intermediate values are computed again in the backward instead of being kept. */
import { barrier } from '../control/barrier.js';
import type { Level } from '../native.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';
import { type AnyFunction, checkFunction, flattenResult, isPlainObject } from './arguments.js';
import { close } from './closure.js';
import { rememberDraws } from './draws.js';
import { type Flat, isDifferentiable, runBatched, runDual, runGrad, withGradMode } from './levels.js';
import { dispatch, isSome, type Operator } from './operator.js';

class Checkpoint implements Operator {
  readonly name = 'Checkpoint';
  constructor(private readonly f: Flat) {}
  run(inputs: Tensor[]): Tensor[] {
    return this.f(inputs);
  }
  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    let flags: boolean[] = [];
    const f: Flat = (given) => {
      const made = runBatched(this.f, given, batched, level);
      flags = made.batched;
      return made.outputs;
    };
    const outputs = dispatch(new Checkpoint(f), inputs);
    return { outputs, batched: flags };
  }
  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    return runDual(this.f, inputs, tangents);
  }
  backward(inputs: Tensor[], _: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[] {
    const wanted = inputs.map((t, i) => needed[i]! && isDifferentiable(t));
    const apart = barrier([...inputs, ...cotangents.filter(isSome)]);
    const along = apart.slice(inputs.length);
    const given = cotangents.map((c) => (isSome(c) ? along.shift()! : null));
    return runGrad(this.f, apart.slice(0, inputs.length), wanted, () => given).gradients;
  }
}

export interface CheckpointOptions {
  /** The second run draws the random numbers of the first. Default true. */
  preserve_rng_state?: boolean;
  /** Accepted as in torch; there is one implementation. */
  use_reentrant?: boolean;
}

const isOptions = (value: unknown): value is CheckpointOptions =>
  isPlainObject(value) &&
  Object.keys(value).length > 0 &&
  Object.keys(value).every((k) => k === 'preserve_rng_state' || k === 'use_reentrant');

/** `f` in eager with nothing around it: the run itself tells what it captures. */
const runEager = (f: Flat, leaves: Tensor[], preserve: boolean): Tensor[] => {
  const n = native();
  const redraw = preserve ? rememberDraws() : undefined;
  const { seen, result } = n.probe(() => withGradMode(false, () => f(leaves)), leaves, false);
  const inputs = [...leaves, ...seen];
  const again: Flat = (given) => n.substitute(inputs, given, () => f(given.slice(0, leaves.length)));
  const replay: Flat = (given) => (redraw === undefined ? again(given) : redraw(() => again(given)));
  const op = new Checkpoint(replay);
  const outputs = result.map((t) => t.detach());
  n.attach(op.name, inputs, outputs, inputs, (saved, cotangents, needed) => op.backward(saved, [], cotangents, needed));
  return outputs;
};

/**
 * `f(...args)`, without keeping what its backward needs: that is computed again from the arguments (and captured tensors) when the gradient is asked for.
 * Arguments and result are pytrees. Inside `compile` the second computation is kept apart from the first, unless `f` draws random numbers: then
 * everything is kept, as without `checkpoint`.
 * @see https://docs.pytorch.org/docs/stable/checkpoint.html
 * @example const y = utils.checkpoint.checkpoint((x: Tensor) => block.forward(x), x);
 */
export const checkpoint = <A extends unknown[], R>(
  f: (...args: A) => R,
  ...args: [...A] | [...A, CheckpointOptions]
): R => {
  checkFunction('checkpoint', f);
  const last = args.at(-1);
  const { preserve_rng_state: preserve = true } = isOptions(last) ? last : {};
  const given = flatten(isOptions(last) ? args.slice(0, -1) : args);
  const { leaves } = given;
  const n = native();
  let structure: Structure | undefined;
  const flat: Flat = (now) => {
    const made = flattenResult('checkpoint', (f as AnyFunction)(...(unflatten(given.structure, now) as unknown[])));
    structure = made.structure;
    return made.leaves;
  };
  if (n.currentLevel() === null && !n.isTracing()) {
    const outputs = n.gradEnabled() ? runEager(flat, leaves, preserve) : flat(leaves);
    return unflatten(structure!, outputs) as R;
  }
  const draws = n.randomCalls();
  const closed = close(() => flat(leaves), leaves);
  if (n.randomCalls() > draws) return unflatten(structure!, flat(leaves)) as R;
  const { captured } = closed;
  const all = [...leaves, ...captured];
  const op = new Checkpoint((inputs) => n.substitute(all, inputs, () => flat(inputs.slice(0, leaves.length))));
  return unflatten(structure!, dispatch(op, all)) as R;
};
