/** @file cond: one of two functions, chosen by data. */
import type { Level } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { where, zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { checkFunction } from '../transforms/arguments.js';
import { close, isWatched, standIn } from '../transforms/closure.js';
import { rememberDraws } from '../transforms/draws.js';
import { type Flat, isDifferentiable, runBatched, runDual, runGrad } from '../transforms/levels.js';
import { dispatch, isSome, type Operator } from '../transforms/operator.js';
import { checkSame, type Tree, treeFrom, treeOf } from './carry.js';
import { isTrue } from './predicate.js';
import { Draws } from './random.js';
import { recordCond } from './record.js';
import { spreadOver } from './scan-operator.js';

type Branches = readonly [Flat, Flat];

/** The predicate (0-d bool), then what the branches take. */
class CondOperator implements Operator {
  readonly name = 'Cond';
  constructor(
    private readonly branches: Branches,
    /** Runs what computes a branch again. */
    private readonly again: <T>(run: () => T) => T,
  ) {}

  private both(make: (branch: Flat) => Flat): CondOperator {
    return new CondOperator([make(this.branches[0]), make(this.branches[1])], this.again);
  }

  run(inputs: Tensor[]): Tensor[] {
    const [pred, ...given] = inputs as [Tensor, ...Tensor[]];
    if (native().isProbing()) return this.branches.map((branch) => branch(given))[0]!;
    if (native().isTracing()) return recordCond(this.branches, pred, given);
    return this.branches[isTrue('cond', pred) ? 0 : 1](given);
  }

  /** A batched predicate runs both branches and chooses for each example. */
  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    const [pred, ...given] = inputs as [Tensor, ...Tensor[]];
    const flags = batched.slice(1);
    const run = (branch: Flat) => runBatched(branch, given, flags, level);
    if (batched[0]) {
      const [yes, no] = [run(this.branches[0]), run(this.branches[1])];
      const outputs = yes.outputs.map((t, i) => {
        const a = spreadOver(t, yes.batched[i]!, true, level.size);
        const b = spreadOver(no.outputs[i]!, no.batched[i]!, true, level.size);
        return where(pred.reshape([level.size, ...a.shape.slice(1).map(() => 1)]), a, b);
      });
      return { outputs, batched: outputs.map(() => true) };
    }
    const tried = native().probe(() => this.branches.map((b) => run(b).batched), [], true).result;
    const outFlags = tried[0]!.map((f, i) => f || tried[1]![i]!);
    const batchedCond = this.both((branch) => (now) => {
      const made = runBatched(branch, now, flags, level);
      return made.outputs.map((t, i) => spreadOver(t, made.batched[i]!, outFlags[i]!, level.size));
    });
    return { outputs: dispatch(batchedCond, inputs), batched: outFlags };
  }

  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    const [pred, ...given] = inputs as [Tensor, ...Tensor[]];
    const along = tangents.slice(1);
    let floats: boolean[] = [];
    const dualCond = this.both((branch) => (now) => {
      const moving = now.slice(given.length);
      const made = runDual(
        branch,
        now.slice(0, given.length),
        along.map((t) => (isSome(t) ? moving.shift()! : null)),
      );
      floats = made.outputs.map(isDifferentiable);
      return [
        ...made.outputs,
        ...made.outputs.flatMap((t, i) => (floats[i] ? [made.tangents[i] ?? zeros_like(t)] : [])),
      ];
    });
    const made = dispatch(dualCond, [pred, ...given, ...along.filter(isSome)]);
    const out = made.slice(floats.length);
    return {
      outputs: made.slice(0, floats.length),
      tangents: floats.map((f) => (f ? out.shift()! : null)),
    };
  }

  /** A choice between the branches' pullbacks, each of which computes its branch again. */
  backward(inputs: Tensor[], _: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[] {
    const [pred, ...given] = inputs as [Tensor, ...Tensor[]];
    const wanted = given.map((t, i) => needed[i + 1]! && isDifferentiable(t));
    const pull = this.both((branch) => (now) => {
      const along = now.slice(given.length);
      const values = now.slice(0, given.length);
      const { gradients } = runGrad(branch, values, wanted, () =>
        cotangents.map((c) => (isSome(c) ? along.shift()! : null)),
      );
      return values.flatMap((t, i) => (wanted[i] ? [gradients[i] ?? zeros_like(t)] : []));
    });
    const made = this.again(() => dispatch(pull, [pred, ...given, ...cotangents.filter(isSome)]));
    return [null, ...wanted.map((w) => (w ? made.shift()! : null))];
  }
}

/**
 * `trueFn(...operands)` or `falseFn(...operands)`, as `pred` says: a boolean, or a tensor with one element. Both return pytrees of the same structure,
 * shapes and dtypes. In eager a plain call of one of them; inside `compile` a tensor's value chooses when the program runs, and only one branch does.
 * Differentiable; under vmap with a predicate for each example both run, and each example gets its own.
 * @param operands an array, spread over the callbacks; what they capture needs not be among them.
 * @throws JorchError BAD_ARGUMENT when the branches' results differ in structure, shape or dtype (the leaf is named).
 * @see https://docs.pytorch.org/docs/stable/generated/torch.cond.html
 * @example cond(x.sum().gt(0), (x) => x.sin(), (x) => x.cos(), [x])
 */
export const cond = <A extends readonly unknown[], R>(
  pred: Tensor | boolean,
  trueFn: (...operands: [...A]) => R,
  falseFn: (...operands: [...A]) => R,
  operands: readonly [...A] = [] as unknown as [...A],
): R => {
  checkFunction('cond', trueFn);
  checkFunction('cond', falseFn);
  if (!Array.isArray(operands))
    throw new JorchError('BAD_ARGUMENT', 'cond: operands must be an array, one entry per argument of the callbacks');
  const n = native();
  if (typeof pred === 'boolean' || !n.isTensor(pred) || (!n.isTracing() && !n.isBatched(pred)))
    return (isTrue('cond', pred) ? trueFn : falseFn)(...(operands as unknown as [...A]));
  if (pred.numel() !== 1) isTrue('cond', pred);
  const given = treeOf('cond', 'operands', operands);
  const args = given.leaves.map(standIn);
  const trees: Tree[] = [];
  const branch =
    (fn: (...o: [...A]) => R, which: 0 | 1) =>
    (leaves: readonly Tensor[]): Tensor[] => {
      const made = treeOf('cond', 'the result', fn(...(treeFrom(given, leaves) as [...A])));
      trees[which] = made;
      return made.leaves;
    };
  const [yes, no] = [branch(trueFn, 0), branch(falseFn, 1)];
  const run = (): Tensor[] => {
    const result = yes(args);
    no(args);
    checkSame(
      'cond',
      'the result',
      trees[0]!,
      trees[1]!,
      'both branches must return the same, here from the true to the false one',
    );
    return result;
  };
  if (isWatched()) {
    const leaves = run();
    return treeFrom(trees[0]!, leaves) as R;
  }
  const [closed, draws] = Draws.watch(() => close(run, args));
  const { captured } = closed;
  const explicit =
    (part: number, which: (leaves: readonly Tensor[]) => Tensor[]): Flat =>
    (inputs) => {
      draws.use(inputs.slice(0, draws.count), part);
      const own = inputs.slice(draws.count);
      return closed.call(own.slice(0, captured.length), () => which(own.slice(captured.length)));
    };
  // In a program, seeds among the operands see to it that a branch draws the same numbers again.
  const again = n.isTracing() ? <T>(fn: () => T): T => fn() : rememberDraws();
  const choice = new CondOperator([explicit(0, yes), explicit(1, no)], again);
  const outputs = dispatch(choice, [pred.reshape([]).to('bool'), ...draws.seeds(), ...captured, ...given.leaves]);
  return treeFrom(trees[0]!, outputs) as R;
};
