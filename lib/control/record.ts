/** @file Bodies of loops and branches as programs of their own, recorded as one operator in the open trace. */

import type { Control, Subgraph } from '../compile/graph.js';
import { recordControl, runTrace, type Trace } from '../compile/trace.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';
import type { Flat } from '../transforms/levels.js';

const empty = op('aten::empty');

type Like = Pick<Tensor, 'shape' | 'dtype'>;

interface Body {
  readonly trace: Trace;
  /** What it met by itself although its captured tensors were made arguments: what libtorch's own code reached. */
  readonly met: Tensor[];
}

/** Traces `fn` on tensors like these, row-major. */
const traceBody = (name: string, fn: Flat, like: readonly Like[]): Body => {
  const stand = like.map(({ shape, dtype }) => empty(shape, { dtype, device: 'meta' }) as Tensor);
  const trace = runTrace((twins) => fn(twins), stand, false);
  for (const { mutated, grad, gradCleared } of trace.captures)
    if (mutated >= 0 || grad >= 0 || gradCleared)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: a function changes a tensor in place that it was given or that it captures; the loop that runs when compiled passes values on, so return the new value instead (or change a clone())`,
      );
  if (trace.captures.some((c) => c.requiresGrad !== null))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: a function changes requires_grad of a tensor that it was given; the loop that runs when compiled has no history of its own steps, so set it before (or work on a detach())`,
    );
  return { trace, met: trace.captures.filter((c) => c.leaf < 0).map((c) => c.tensor) };
};

/** The program of a body. Its k-th argument is operand k for k < fixed; behind the fixed ones stand what bodies met, `before` of them others'. */
const subgraph = ({ trace }: Body, fixed: number, before: number, extras: number): Subgraph => {
  let met = 0;
  const inputs = trace.captures.map(({ leaf, input }) => ({
    value: trace.graph.inputs[input]!,
    operand: leaf < 0 ? fixed + before + met++ : leaf < fixed ? leaf : leaf + extras,
  }));
  return {
    graph: trace.graph,
    inputs,
    results: trace.outputs.map((id) => trace.graph.values[id]!),
  };
};

const resultsOf = ({ trace }: Body): Like[] => trace.outputs.map((id) => trace.graph.values[id]! as unknown as Like);

const stacked = (length: number, { shape, dtype }: Like): Like =>
  ({ shape: [length, ...shape], dtype }) as unknown as Like;

const row = ({ shape, dtype }: Like): Like => ({ shape: shape.slice(1), dtype }) as unknown as Like;

/** Records a scan of `body` over inputs that are constants, carries and slices. */
export const recordScan = (
  body: Flat,
  inputs: readonly Tensor[],
  { carries, slices, length, reverse }: { carries: number; slices: number; length: number; reverse: boolean },
): Tensor[] => {
  const fixed = inputs.length - carries - slices;
  const made = traceBody('scan', body, [
    ...inputs.slice(0, fixed + carries),
    ...inputs.slice(fixed + carries).map(row),
  ]);
  const control: Control = {
    kind: 'scan',
    body: subgraph(made, fixed, 0, made.met.length),
    carries,
    slices,
    length,
    reverse,
  };
  const results = resultsOf(made);
  return recordControl(
    control,
    [...inputs.slice(0, fixed), ...made.met, ...inputs.slice(fixed)],
    results.map((r, i) => (i < carries ? r : stacked(length, r))),
  );
};

/** Records a loop over inputs that are constants and carries. `kernel`: to be one kernel of XLA's, if its operations can be. */
export const recordWhile = (
  cond: Flat,
  body: Flat,
  inputs: readonly Tensor[],
  carries: number,
  kernel: boolean,
): Tensor[] => {
  const fixed = inputs.length - carries;
  const test = traceBody('while_loop', cond, inputs);
  const step = traceBody('while_loop', body, inputs);
  const extras = test.met.length + step.met.length;
  const control: Control = {
    kind: 'while',
    cond: subgraph(test, fixed, 0, extras),
    body: subgraph(step, fixed, test.met.length, extras),
    carries,
    kernel,
  };
  return recordControl(
    control,
    [...inputs.slice(0, fixed), ...test.met, ...step.met, ...inputs.slice(fixed)],
    resultsOf(step),
  );
};

/** Records a choice between two functions of the inputs. */
export const recordCond = (branches: readonly [Flat, Flat], pred: Tensor, inputs: readonly Tensor[]): Tensor[] => {
  const [yes, no] = branches.map((branch) => traceBody('cond', branch, inputs)) as [Body, Body];
  const extras = yes.met.length + no.met.length;
  const control: Control = {
    kind: 'cond',
    branches: [subgraph(yes, inputs.length, 0, extras), subgraph(no, inputs.length, yes.met.length, extras)],
  };
  return recordControl(control, [pred, ...inputs, ...yes.met, ...no.met], resultsOf(yes));
};

/** The tensors again, in a trace such that nothing computed from them is merged with what was computed from the originals. */
export const recordBarrier = (tensors: readonly Tensor[]): Tensor[] =>
  native().isTracing() ? recordControl({ kind: 'barrier' }, tensors, tensors) : [...tensors];
