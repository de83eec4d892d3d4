/** @file torch.debug, which is ours: what goes on inside functions, compiled or not. */
import { JorchError } from '../runtime/errors.js';
import { userLine } from '../runtime/lines.js';
import { native } from '../runtime/load.js';
import { scope } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import { isTensor, type Tensor } from '../torch/tensor.js';
import { addReport } from './collect.js';
import { type NanReport, searchNan } from './nan.js';
import { Replay } from './replay.js';
import { recorded } from './trace.js';
import { failedCheck, printed } from './watch.js';

export { type Comparison, compare, type Difference } from './compare.js';
export type { NanReport } from './nan.js';
export { profile } from './profile.js';

const report = (kind: 'print' | 'check', tensor: Tensor, text: (line: string) => string): void => {
  const [value, position] = native().tracedValue(tensor);
  const line = userLine();
  if (!addReport({ kind, value, position, line, text: text(line) }))
    throw new JorchError('BAD_ARGUMENT', `debug.${kind}: this trace has no program that could report it`);
};

/** `fit.ts:12` */
const short = (line: string): string => /([^/]+:\d+):\d+$/.exec(line)?.[1] ?? line;

/**
 * Prints a tensor with console.log: at once in eager code; in a compiled function at every run, after the program is done and in the order
 * of the calls, with the values that the tensors had then. `label` defaults to the line of the call.
 * @example debug.print(loss, 'loss');
 */
export const print = (tensor: Tensor, label?: string): void => {
  if (!isTensor(tensor)) throw new JorchError('BAD_ARGUMENT', `debug.print: expected a tensor, got ${typeof tensor}`);
  if (native().isTracing()) report('print', tensor, (line) => label ?? short(line));
  else printed(label ?? short(userLine()), tensor);
};

/**
 * Throws unless every element of `condition` is true. In a compiled function this is checked at every run; a call that fails changes no
 * tensor. A plain boolean is checked at once, also while the function is recorded.
 * @throws JorchError CHECK_FAILED with `message` and the line of the call.
 * @example debug.check(weights.ge(0), 'weights must not be negative');
 */
export const check = (condition: Tensor | boolean, message: string): void => {
  if (typeof condition !== 'boolean' && !isTensor(condition))
    throw new JorchError('BAD_ARGUMENT', `debug.check: expected a tensor or a boolean, got ${typeof condition}`);
  if (typeof condition !== 'boolean' && native().isTracing()) report('check', condition, () => message);
  else if (!(typeof condition === 'boolean' ? condition : condition.all().item()))
    throw failedCheck(message, userLine());
};

/**
 * Runs the operators of `f` one by one on these arguments and names the first that makes NaN out of operands without NaN; null when none does.
 * Nothing that `f` changes is changed.
 * @throws JorchError as compile(f) does for functions that cannot be compiled.
 * @example console.log(String(debug.nans(loss, x)));   // aten::log made NaN out of numbers: 1 of 3 elements of its result (fit.ts:12:18)
 */
export const nans = <F extends (...args: never[]) => unknown>(f: F, ...args: Parameters<F>): NanReport | null => {
  const { graph, nodes, given } = recorded('debug.nans', f, args);
  return scope(() => no_grad(() => searchNan(nodes, new Replay(graph, given))));
};
