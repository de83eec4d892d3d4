/** @file Running a function under the recorder, and the operators of our own that it leaves in the graph. */
import { collectReports } from '../debug/collect.js';
import type { GeneratorHandle, WrittenTrace } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { keepLines } from '../runtime/lines.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import type { Control, Graph, Node } from './graph.js';
import { readGraph } from './read-graph.js';

/** What one run of a function under the recorder gave. */
export interface Trace extends Omit<WrittenTrace, 'graph'> {
  readonly graph: Graph;
}

/** What belongs to the operators of our own, by open trace: C++ keeps their numbers only. */
const open: Recorded[][] = [];

/** An operator as it is recorded: the list of generators is known when its graph is. */
type Recorded =
  | Exclude<Control, { kind: 'key' }>
  | { readonly kind: 'key'; readonly generators: readonly (GeneratorHandle | null)[]; readonly part: number };

const placed = (control: Recorded, { generators = [] }: Graph): Control =>
  control.kind !== 'key'
    ? control
    : {
        ...control,
        generators: control.generators.map((g) =>
          g === null ? null : generators.findIndex((known) => native().sameGenerator(known, g)),
        ),
      };

const link = (graph: Graph, controls: readonly Recorded[]): Graph => ({
  ...graph,
  nodes: graph.nodes.map((node): Node => {
    const { attachment, ...args } = node.args;
    return node.op.startsWith('jorch::')
      ? { ...node, args, control: placed(controls[attachment as number]!, graph) }
      : node;
  }),
});

/** Runs `fn` on twins of `args` under a new trace. `joint`: with its backward. */
export const runTrace = (fn: (twins: Tensor[]) => Tensor[], args: readonly Tensor[], joint: boolean): Trace => {
  const own: Recorded[] = [];
  open.push(own);
  try {
    return keepLines((lines) => {
      const { value: written, reports } =
        open.length === 1
          ? { value: native().trace(fn, args, joint), reports: [] }
          : collectReports(() => native().trace(fn, args, joint));
      if (reports.length > 0)
        throw new JorchError(
          'BAD_ARGUMENT',
          `debug.${reports[0]!.kind} (${reports[0]!.line}) is in the body of a loop or a branch, whose values exist inside the program only; carry the value out and say it there, or run the function uncompiled`,
        );
      const graph = readGraph(written.graph, lines);
      return { ...written, graph: own.length === 0 ? graph : link(graph, own) };
    });
  } finally {
    open.pop();
  }
};

/** Records an operator of our own. */
export const recordControl = (
  control: Recorded,
  operands: readonly Tensor[],
  results: readonly Pick<Tensor, 'shape' | 'dtype'>[],
): Tensor[] => {
  const own = open.at(-1)!;
  own.push(control);
  return native().recordNode(
    `jorch::${control.kind}`,
    operands,
    own.length - 1,
    results.map(({ shape, dtype }) => ({ shape, dtype })),
  );
};
