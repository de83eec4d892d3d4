/** @file Recording a user's function for arguments of one structure: its graph, and what it read, said and returned. */
import { collectReports, type Report } from '../debug/collect.js';
import { isModule } from '../nn/fields.js';
import { readModule } from '../nn/slots.js';
import { keep } from '../torch/memory.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';
import { asNumbers } from './dynamic.js';
import { type Reads, recordReads } from './live.js';
import { checkResults } from './results.js';
import { runTrace, type Trace } from './trace.js';

/** What a trace of the function gave. */
export interface Recorded {
  readonly trace: Trace;
  readonly results: Structure;
  readonly reports: readonly Report[];
  readonly reads: Reads;
}

/** What a program returns in the place of the function's results, given the traced arguments. */
export type Arrange = (results: Tensor[], twins: readonly Tensor[]) => Tensor[];

/** On a device nothing is a view of anything: what is not given back as it is gets memory of its own, row-major. */
export const ownValues: Arrange = (results, twins) =>
  results.map((t) =>
    (t as unknown as { isTraced: boolean }).isTraced && !twins.includes(t)
      ? t.clone({ memory_format: 'contiguous_format' })
      : t,
  );

const staticValues = (s: Structure): unknown[] =>
  s.kind === 'static' ? [s.value] : s.kind === 'tensor' ? [] : s.items.flatMap(staticValues);

/** Traces `f`, called `name`, with its backward. */
export const record = (
  name: string,
  f: (...args: never[]) => unknown,
  structure: Structure,
  leaves: readonly Tensor[],
  arrange: Arrange = (results) => results,
): Recorded => {
  let results: Structure = { kind: 'static', value: undefined };
  const {
    value: { value: trace, reports },
    reads,
  } = recordReads(() =>
    collectReports(() =>
      runTrace(
        (twins) => {
          const given = unflatten(structure, asNumbers(structure, twins)) as never[];
          for (const value of staticValues(structure)) if (isModule(value)) readModule(value);
          const flat = flatten(f(...given));
          checkResults(name, flat.structure, 'the result');
          results = flat.structure;
          return arrange(flat.leaves, twins);
        },
        leaves,
        true,
      ),
    ),
  );
  // Handles of captured tensors that the trace made: the program outlives the scope that is open. Not those of the caller.
  keep(trace.captures.filter((c, k) => (c.leaf < 0 || c.closedOver) && !trace.sameAs.includes(k)).map((c) => c.tensor));
  return { trace, results, reports, reads };
};

/** Of the results, in order. */
export const shapesOf = ({ graph, outputs, resultCount }: Trace): (readonly number[])[] =>
  outputs.slice(0, resultCount).map((id) => graph.values[id]!.shape);

/** For functions of ours that stand for a part of a user's function: their programs change nothing, and what they record is looked at. */
export interface Internal {
  check(trace: Trace): void;
}

const withoutChanges = (trace: Trace): Trace => ({
  ...trace,
  captures: trace.captures.map((c) => ({
    ...c,
    mutated: -1,
    grad: -1,
    gradCleared: false,
    history: false,
    requiresGrad: null,
  })),
});

/** What such a function is compiled from. */
export const inside = (recorded: Recorded, internal: Internal): Recorded => {
  internal.check(recorded.trace);
  return { ...recorded, trace: withoutChanges(recorded.trace), reports: [] };
};
