/** @file Records a function once, for questions about its operators; nothing that it does takes effect. */
import type { Graph, Node, Value } from '../compile/graph.js';
import { runTrace } from '../compile/trace.js';
import { ignoreRejection, JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, unflatten } from '../tree.js';
import { collectReports } from './collect.js';
import { forwardNodes } from './watch.js';

export interface Recorded {
  readonly graph: Graph;
  /** Without the backward that calls from outside would need. */
  readonly nodes: readonly Node[];
  /** The inputs of the graph and what they are now. */
  readonly given: readonly (readonly [Value, Tensor])[];
}

export const recorded = (name: string, f: (...args: never[]) => unknown, args: readonly unknown[]): Recorded => {
  if (typeof f !== 'function')
    throw new JorchError('BAD_ARGUMENT', `${name}: expected a function, got ${f === null ? 'null' : typeof f}`);
  if (native().isTracing())
    throw new JorchError('BAD_ARGUMENT', `${name} records the function itself and cannot be called inside compile()`);
  const { structure, leaves } = flatten(args);
  const { value: trace } = collectReports(() =>
    runTrace(
      (twins) => {
        const result = f(...(unflatten(structure, twins) as never[]));
        if (result instanceof Promise) {
          ignoreRejection(result);
          throw new JorchError('BAD_ARGUMENT', `${name}: the function is async; await the data first and pass it in`);
        }
        return flatten(result).leaves;
      },
      leaves,
      true,
    ),
  );
  const { graph, captures, backward } = trace;
  return {
    graph,
    nodes: forwardNodes(graph, backward?.cotangents ?? []),
    given: captures.flatMap(({ input, tensor }) =>
      input < 0 ? [] : [[graph.inputs[input]!, tensor.detach()] as const],
    ),
  };
};
