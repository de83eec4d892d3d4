/** @file while_loop: a loop whose number of steps depends on data. */
import type { Level } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { where, zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { checkFunction } from '../transforms/arguments.js';
import { close, isWatched, standIn } from '../transforms/closure.js';
import { type Flat, isDifferentiable, runBatched, runDual } from '../transforms/levels.js';
import { dispatch, isSome, type Operator } from '../transforms/operator.js';
import { checkSame, treeFrom, treeOf } from './carry.js';
import { isTrue } from './predicate.js';
import { Draws } from './random.js';
import { recordWhile } from './record.js';
import { spreadOver } from './scan-operator.js';

/** Constants, then carries. */
class WhileOperator implements Operator {
  readonly name = 'WhileLoop';
  constructor(
    /** To one 0-d bool. */
    private readonly cond: Flat,
    /** To the new carries. */
    private readonly body: Flat,
    private readonly carries: number,
    /** Whether it is to be one kernel of XLA's. */
    private readonly kernel: boolean,
  ) {}

  run(inputs: Tensor[]): Tensor[] {
    if (native().isProbing()) return this.body(inputs);
    if (native().isTracing()) return recordWhile(this.cond, this.body, inputs, this.carries, this.kernel);
    const fixed = inputs.slice(0, inputs.length - this.carries);
    let carry = inputs.slice(fixed.length);
    while (isTrue('while_loop', this.cond([...fixed, ...carry])[0]!)) carry = this.body([...fixed, ...carry]);
    return carry;
  }

  /** All examples run as long as one of them does; those that are done keep what they have. */
  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    const { cond, body, carries, kernel } = this;
    const fixed = inputs.slice(0, inputs.length - carries);
    const init = inputs.slice(fixed.length);
    const fixedFlags = batched.slice(0, fixed.length);
    const first = batched.slice(fixed.length);
    let flags = first;
    let predBatched = false;
    const spread = (): Tensor[] => init.map((t, i) => spreadOver(t, first[i]!, flags[i]!, level.size));
    for (;;) {
      const given = [...fixed, ...spread()];
      const all = [...fixedFlags, ...flags];
      const tried = native().probe(
        () => ({
          pred: runBatched(cond, given, all, level).batched[0]!,
          carry: runBatched(body, given, all, level).batched,
        }),
        [],
        true,
      ).result;
      predBatched ||= tried.pred;
      const next = flags.map((f, i) => f || tried.carry[i]! || predBatched);
      if (next.every((f, i) => f === flags[i])) break;
      flags = next;
    }
    const all = [...fixedFlags, ...flags];
    const step = (given: Tensor[]): Tensor[] => {
      const made = runBatched(body, given, all, level);
      return made.outputs.map((t, i) => spreadOver(t, made.batched[i]!, flags[i]!, level.size));
    };
    const test = (given: Tensor[]): Tensor => {
      const made = runBatched(cond, given, all, level);
      return spreadOver(made.outputs[0]!, made.batched[0]!, predBatched, level.size);
    };
    if (!predBatched) {
      const made = dispatch(new WhileOperator((g) => [test(g)], step, carries, kernel), [...fixed, ...spread()]);
      return { outputs: made, batched: flags };
    }
    // Who still runs is carried, so that the condition is computed once a round.
    const running = test([...fixed, ...spread()]);
    const masked: Flat = (given) => {
      const now = given.slice(fixed.length, fixed.length + carries);
      const runs = given.at(-1)!;
      const made = step(given.slice(0, -1));
      const next = made.map((t, i) => where(runs.reshape([level.size, ...t.shape.slice(1).map(() => 1)]), t, now[i]!));
      return [...next, runs.logical_and(test([...given.slice(0, fixed.length), ...next]))];
    };
    const made = dispatch(new WhileOperator((g) => [g.at(-1)!.any()], masked, carries + 1, kernel), [
      ...fixed,
      ...spread(),
      running,
    ]);
    return { outputs: made.slice(0, carries), batched: flags };
  }

  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    const { carries } = this;
    const fixed = inputs.length - carries;
    const init = inputs.slice(fixed);
    const floats = init.map(isDifferentiable);
    const along = tangents.slice(0, fixed).filter(isSome);
    const rest = (given: Tensor[]): { same: Tensor[]; dSame: Tensor[]; carry: Tensor[]; dCarry: Tensor[] } => ({
      same: given.slice(0, fixed),
      dSame: given.slice(fixed, fixed + along.length),
      carry: given.slice(fixed + along.length, fixed + along.length + carries),
      dCarry: given.slice(fixed + along.length + carries),
    });
    const body: Flat = (given) => {
      const { same, dSame, carry, dCarry } = rest(given);
      const made = runDual(
        this.body,
        [...same, ...carry],
        [
          ...tangents.slice(0, fixed).map((t) => (isSome(t) ? dSame.shift()! : null)),
          ...floats.map((f) => (f ? dCarry.shift()! : null)),
        ],
      );
      return [
        ...made.outputs,
        ...floats.flatMap((f, i) => (f ? [made.tangents[i] ?? zeros_like(made.outputs[i]!)] : [])),
      ];
    };
    const cond: Flat = (given) => {
      const { same, carry } = rest(given);
      return this.cond([...same, ...carry]);
    };
    const dInit = init.flatMap((t, i) => (floats[i] ? [tangents[fixed + i] ?? zeros_like(t)] : []));
    const made = dispatch(new WhileOperator(cond, body, carries + dInit.length, this.kernel), [
      ...inputs.slice(0, fixed),
      ...along,
      ...init,
      ...dInit,
    ]);
    const out = made.slice(carries);
    return { outputs: made.slice(0, carries), tangents: floats.map((f) => (f ? out.shift()! : null)) };
  }

  backward(): never {
    throw new JorchError(
      'BAD_ARGUMENT',
      'while_loop: reverse mode would have to keep every step of a loop whose length is not known; use scan or fori with a number of steps, or forward mode (jvp, jacfwd)',
    );
  }
}

const KEEPS = 'what is carried keeps its structure, shapes and dtypes from step to step';

/**
 * Runs `carried = bodyFn(...carried)` while `condFn(...carried)` holds, and returns the last `carried`. `carried` is an array of pytrees of tensors,
 * spread over the callbacks; `condFn` returns a bool tensor of one element.
 * A loop in eager, one XLA loop inside `compile`. Forward mode and vmap go through it (a batch runs until its last example is done); reverse mode
 * goes through it in eager only.
 * @throws JorchError BAD_ARGUMENT for what changes its structure, shape or dtype (the leaf is named).
 * @see https://docs.pytorch.org/docs/main/higher_order_ops/while_loop.html
 * @example const [n] = while_loop((n) => n.lt(100), (n) => [n.mul(2)], [torch.tensor(1)]);
 */
export const while_loop = <C extends readonly unknown[]>(
  condFn: (...carried: [...C]) => Tensor | boolean,
  bodyFn: (...carried: [...C]) => readonly [...C] | C[0],
  carried: readonly [...C],
): [...C] => loop(condFn, bodyFn, carried, false);

/**
 * The same, as one kernel of XLA's if its operations can be: for loops of many small operations, of which each would be a kernel, called in every round.
 * They run on one thread then.
 */
export const kernelLoop = <C extends readonly unknown[]>(
  condFn: (...carried: [...C]) => Tensor | boolean,
  bodyFn: (...carried: [...C]) => readonly [...C] | C[0],
  carried: readonly [...C],
): [...C] => loop(condFn, bodyFn, carried, true);

const loop = <C extends readonly unknown[]>(
  condFn: (...carried: [...C]) => Tensor | boolean,
  bodyFn: (...carried: [...C]) => readonly [...C] | C[0],
  carried: readonly [...C],
  kernel: boolean,
): [...C] => {
  checkFunction('while_loop', condFn);
  checkFunction('while_loop', bodyFn);
  if (!Array.isArray(carried))
    throw new JorchError(
      'BAD_ARGUMENT',
      'while_loop: carried must be an array, one entry per argument of the callbacks',
    );
  const init = treeOf('while_loop', 'carried', carried);
  const n = native();
  const step = (leaves: readonly Tensor[]): Tensor[] => {
    const returned = bodyFn(...(treeFrom(init, leaves) as [...C])) as unknown;
    const list = Array.isArray(returned) || carried.length !== 1 ? returned : [returned];
    const next = treeOf('while_loop', 'carried', list);
    checkSame('while_loop', 'carried', init, next, KEEPS);
    return next.leaves;
  };
  const test = (leaves: readonly Tensor[]): Tensor | boolean => condFn(...(treeFrom(init, leaves) as [...C]));
  if (!n.isTracing()) {
    let leaves: readonly Tensor[] = init.leaves;
    for (;;) {
      const pred = test(leaves);
      if (n.isTensor(pred) && n.isBatched(pred))
        return treeFrom(init, throughLevels(test, step, leaves, kernel)) as [...C];
      if (!isTrue('while_loop', pred)) return treeFrom(init, leaves) as [...C];
      leaves = step(leaves);
    }
  }
  return treeFrom(init, throughLevels(test, step, init.leaves, kernel)) as [...C];
};

const throughLevels = (
  test: (leaves: readonly Tensor[]) => Tensor | boolean,
  step: (leaves: readonly Tensor[]) => Tensor[],
  init: readonly Tensor[],
  kernel: boolean,
): Tensor[] => {
  const n = native();
  const predicate = (leaves: readonly Tensor[]): Tensor => {
    const pred = test(leaves);
    if (!n.isTensor(pred) || pred.numel() !== 1)
      throw new JorchError('BAD_ARGUMENT', 'while_loop: the condition must return a tensor with one element');
    return pred.reshape([]).to('bool');
  };
  const carry = init.map(standIn);
  const run = (): Tensor[] => {
    predicate(carry);
    return step(carry);
  };
  if (isWatched()) return run();
  const [closed, draws] = Draws.watch(() => close(run, carry));
  const { captured } = closed;
  const called =
    <T>(part: number, fn: (carried: readonly Tensor[]) => T) =>
    (inputs: Tensor[]): T => {
      const carried = inputs.slice(captured.length + draws.count);
      draws.use(inputs.slice(captured.length, captured.length + draws.count), part);
      return closed.call(inputs.slice(0, captured.length), () => fn(carried));
    };
  const loop = new WhileOperator(
    called(0, (carried) => [predicate(carried)]),
    called(1, step),
    init.length,
    kernel,
  );
  return dispatch(loop, [...captured, ...draws.seeds(), ...init]).slice(0, init.length);
};
