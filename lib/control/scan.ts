/** @file scan, map and fori: loops whose number of steps is known. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { arange } from '../torch/functions.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';
import { checkFunction, readOptions } from '../transforms/arguments.js';
import { close, isWatched, standIn } from '../transforms/closure.js';
import { dispatch } from '../transforms/operator.js';
import { checkSame, type Tree, treeFrom, treeOf } from './carry.js';
import { Draws } from './random.js';
import { cut, loopScan, ScanOperator } from './scan-operator.js';
import { while_loop } from './while-loop.js';

export interface ScanOptions {
  /** The dimension of `xs` that is gone through. Default 0. */
  dim?: number | undefined;
  /** From the last slice to the first. Default false. */
  reverse?: boolean | undefined;
  /** Steps; needed when `xs` holds no tensor. */
  length?: number | undefined;
}

const KEEPS = 'a carry keeps its structure, shapes and dtypes from step to step';

const lengthOf = (name: string, xs: readonly Tensor[], dim: number, given: number | undefined): number => {
  let length = given;
  for (const x of xs) {
    const own = Number.isInteger(dim) ? x.shape.at(dim) : undefined;
    if (own === undefined)
      throw new JorchError('BAD_ARGUMENT', `${name}: dimension ${dim} of a tensor with ${x.ndim} dimensions`);
    if (length !== undefined && own !== length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: the tensors of xs have ${length} and ${own} slices; they must have equally many`,
      );
    length = own;
  }
  if (length === undefined || !Number.isInteger(length) || length < 0)
    throw new JorchError('BAD_ARGUMENT', `${name}: without a tensor in xs, give the number of steps: { length: 10 }`);
  return length;
};

/** Runs a step of pytrees on leaves, and remembers what its results look like. */
class Step {
  private ys: Tree | undefined;
  constructor(
    private readonly name: string,
    private readonly combine: (carry: never, x: never) => unknown,
    private readonly init: Tree,
    private readonly xs: Tree,
  ) {}

  run(carry: readonly Tensor[], x: readonly Tensor[]): { carry: Tree; y: Tree } {
    const returned = this.combine(treeFrom(this.init, carry) as never, treeFrom(this.xs, x) as never);
    if (!Array.isArray(returned) || returned.length !== 2) {
      treeOf(this.name, 'the result', returned);
      throw new JorchError('BAD_ARGUMENT', `${this.name}: the function must return [carry, y]; y may be null`);
    }
    const next = treeOf(this.name, 'carry', returned[0]);
    const y = treeOf(this.name, 'y', returned[1]);
    checkSame(this.name, 'carry', this.init, next, KEEPS);
    if (this.ys !== undefined) checkSame(this.name, 'y', this.ys, y, 'it is the same at every step');
    this.ys = y;
    return { carry: next, y };
  }

  flat(carry: readonly Tensor[], x: readonly Tensor[]): Tensor[] {
    const made = this.run(carry, x);
    return [...made.carry.leaves, ...made.y.leaves];
  }

  /** Leaves of one result. */
  count(): number {
    return this.ys!.leaves.length;
  }

  result(leaves: readonly Tensor[]): [unknown, unknown] {
    const n = this.init.leaves.length;
    return [treeFrom(this.init, leaves.slice(0, n)), treeFrom(this.ys!, leaves.slice(n))];
  }
}

const scanLeaves = (
  step: Step,
  init: readonly Tensor[],
  xs: readonly Tensor[],
  length: number,
  reverse: boolean,
): Tensor[] => {
  const n = native();
  if (!n.isTracing()) return loopScan((carry, row) => step.flat(carry, row), init, xs, length, reverse);
  // Recorded once whatever the number of steps: one step is watched to find out what it captures.
  const carry = init.map(standIn);
  const row = xs.map((x) => (length === 0 ? op('aten::new_zeros')(x, x.shape.slice(1)) : x.select(0, 0)) as Tensor);
  if (isWatched()) {
    return step.flat(carry, row).map((t, i) => (i < init.length ? t : t.unsqueeze(0).expand([length, ...t.shape])));
  }
  const [closed, draws] = Draws.watch(() => close(() => step.flat(carry, row), [...carry, ...row]));
  const { captured } = closed;
  const scan = new ScanOperator({
    body: (inputs) => {
      const [same, now, slices] = cut(inputs, init.length, xs.length + draws.count);
      draws.use(slices.slice(xs.length));
      return closed.call(same, () => step.flat(now, slices.slice(0, xs.length)));
    },
    carries: init.length,
    slices: xs.length + draws.count,
    length,
    reverse,
  });
  return dispatch(scan, [...captured, ...init, ...xs, ...draws.seeds([length])]);
};

const runScan = (
  name: string,
  combine: (carry: never, x: never) => unknown,
  init: unknown,
  xs: unknown,
  { dim = 0, reverse = false, length: given }: ScanOptions,
): [unknown, unknown] => {
  const carry = treeOf(name, 'init', init);
  const slicesTree = treeOf(name, 'xs', xs);
  const length = lengthOf(name, slicesTree.leaves, dim, given);
  const slices = slicesTree.leaves.map((x) => (dim === 0 ? x : x.movedim(dim, 0)));
  const step = new Step(name, combine, carry, slicesTree);
  const leaves = scanLeaves(step, carry.leaves, slices, length, reverse);
  const count = carry.leaves.length;
  return step.result(leaves.slice(0, count + step.count()));
};

/**
 * Goes through slices of `xs` carrying a value along: `[carry, y] = combineFn(carry, x)` for each; returns the last carry and all the `y`, stacked
 * along dimension 0. `init` (the first carry) and `xs` are pytrees of tensors; the carry keeps its structure, shapes and dtypes.
 * A loop in eager, one XLA loop inside `compile`, whatever the number of steps. Differentiable in both modes, also by vmap, and nests.
 * @throws JorchError BAD_ARGUMENT for a carry that changes (the leaf is named), for slices that are not equally many.
 * @see https://docs.pytorch.org/docs/main/higher_order_ops/scan.html
 * @example const [sum, sums] = scan((c, x) => [c.add(x), c.add(x)], torch.zeros([]), torch.arange(5));
 */
export const scan = <C, X, Y>(
  combineFn: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  options: ScanOptions = {},
): [C, Y] => {
  checkFunction('scan', combineFn);
  const read = readOptions<ScanOptions>('scan', ['dim', 'reverse', 'length'], [options]);
  return runScan('scan', combineFn as never, init, xs, read) as [C, Y];
};

/**
 * `f` on each slice of `xs` (a pytree) along dimension 0, one after the other; the results stacked along dimension 0. `args` are the same for all.
 * A loop in eager, one XLA loop inside `compile`; differentiable. Where memory allows, func.vmap does the same at once.
 * @see https://docs.pytorch.org/docs/main/higher_order_ops/index.html
 */
export const map = <X, Y, A extends unknown[]>(f: (x: X, ...args: A) => Y, xs: X, ...args: A): Y => {
  checkFunction('map', f);
  return runScan('map', ((_: unknown, x: X) => [[], f(x, ...args)]) as never, [], xs, {})[1] as Y;
};

/**
 * `value = body(i, value)` for i from `lower` to `upper` - 1, `i` a 0-d int64 tensor; returns the last value. `init` is a pytree of tensors.
 * Numbers as bounds make a scan, differentiable in both modes; tensors as bounds a while_loop, in forward mode only.
 * @throws JorchError BAD_ARGUMENT for a value that changes its structure, shapes or dtypes.
 */
export const fori = <V>(
  lower: number | Tensor,
  upper: number | Tensor,
  body: (i: Tensor, value: V) => V,
  init: V,
): V => {
  checkFunction('fori', body);
  if (typeof lower === 'number' && typeof upper === 'number') {
    if (!Number.isInteger(lower) || !Number.isInteger(upper))
      throw new JorchError('BAD_ARGUMENT', `fori: the bounds must be integers, got ${lower} and ${upper}`);
    const range = arange(lower, Math.max(lower, upper), { dtype: 'int64' });
    return runScan('fori', ((value: V, i: Tensor) => [body(i, value), null]) as never, init, range, {})[0] as V;
  }
  const bound = (b: number | Tensor): Tensor =>
    typeof b === 'number' ? (op('aten::scalar_tensor')(b, { dtype: 'int64' }) as Tensor) : b.to('int64');
  const [, , value] = while_loop(
    (i: Tensor, end: Tensor) => i.lt(end),
    (i: Tensor, end: Tensor, v: V) => [i.add(1), end, body(i, v)] as [Tensor, Tensor, V],
    [bound(lower), bound(upper), init] as [Tensor, Tensor, V],
  );
  return value;
};
