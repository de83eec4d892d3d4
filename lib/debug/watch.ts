/** @file What a compiled program reports besides its results: values to print and checks of its data, in the order in which eager would. */

import type { Graph, Node, Value } from '../compile/graph.js';
import { type Check, canFail, isRandom, liveNodes } from '../lowering/index.js';
import type { ReportHandler } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { isFloating } from '../torch/dtype.js';
import { scope } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';
import type { Report } from './collect.js';
import { firstNan, nanText } from './nan.js';
import { atLine, operandsOf, Replay, resultsOf } from './replay.js';

/** `true`: raise what eager would raise from data; `'nan'`: besides, when a result holds NaN. */
export type DataChecks = boolean | 'nan';

type Event = { readonly position: number } & (
  | { readonly kind: 'print'; readonly value: Value; readonly report: Report }
  | { readonly kind: 'assert'; readonly check: Check; readonly report: Report }
  | { readonly kind: 'data'; readonly check: Check; readonly node: Node }
  | { readonly kind: 'nan'; readonly check: Check; readonly value: Value }
);

/** What one program has to report. */
export interface Watch {
  readonly events: readonly Event[];
  readonly printed: readonly Value[];
  readonly checks: readonly Check[];
}

/** The nodes that do not depend on `cotangents`: the function itself, without its backward. */
export const forwardNodes = (graph: Graph, cotangents: readonly number[]): readonly Node[] => {
  if (cotangents.length === 0) return graph.nodes;
  const behind = new Set(cotangents);
  return graph.nodes.filter((node) => {
    if (!operandsOf(node).some((v) => behind.has(v.id))) return true;
    for (const v of resultsOf(node)) behind.add(v.id);
    return false;
  });
};

/** What there is to look at in one program. */
interface Watched {
  readonly checks: DataChecks;
  /** Those that eager would run. */
  readonly nodes: readonly Node[];
  /** The values that the caller will see. */
  readonly results: readonly Value[];
  readonly reports?: readonly Report[];
}

/** Collects what is to be reported. */
export const watchOf = (graph: Graph, { checks, nodes, results, reports = [] }: Watched): Watch => {
  const events: Event[] = reports.map((report): Event => {
    const { position, kind } = report;
    const value = graph.values[report.value]!;
    return kind === 'print'
      ? { kind, position, value, report }
      : { kind: 'assert', position, check: { condition: value }, report };
  });
  if (checks !== false) {
    const position = new Map(graph.nodes.map((node, i) => [node, i]));
    for (const node of nodes) {
      // What was said before the call counts before it.
      if (canFail(node)) events.push({ kind: 'data', position: position.get(node)! + 0.5, check: { node }, node });
    }
  }
  if (checks === 'nan') {
    for (const value of results)
      if (isFloating(value.dtype))
        events.push({ kind: 'nan', position: graph.nodes.length + 1, check: { notNan: value }, value });
  }
  events.sort((a, b) => a.position - b.position);
  return {
    events,
    printed: events.flatMap((e) => (e.kind === 'print' ? [e.value] : [])),
    checks: events.flatMap((e) => (e.kind === 'print' ? [] : [e.check])),
  };
};

/** One printed line. */
export const printed = (label: string, value: Tensor): void => console.log(`${label}: ${String(value)}`);

export const failedCheck = (message: string, line: string): JorchError =>
  new JorchError('CHECK_FAILED', `debug.check: ${message}${atLine(line)}`);

const dependsOnChance = (graph: Graph, node: Node): boolean =>
  liveNodes(graph, operandsOf(node)).some(({ op }) => isRandom(op));

/** `calls`: the nodes that run libtorch's kernels, or loops around them, and may raise. `inputs`: the program's parameters. */
export const reportHandler = (
  graph: Graph,
  { events }: Watch,
  calls: readonly Node[],
  inputs: readonly Value[],
): ReportHandler => {
  const again = (parameters: readonly Tensor[], body: (replay: Replay) => void): void => {
    scope(() =>
      no_grad(() =>
        body(
          new Replay(
            graph,
            inputs.map((v, i) => [v, parameters[i]!.detach()] as const),
          ),
        ),
      ),
    );
  };
  return (values, flags, parameters) => {
    if (values === null) {
      again(parameters, (replay) => {
        for (const node of calls) replay.run(node);
      });
      return;
    }
    const failed = flags === null ? [] : (flags.tolist() as unknown as boolean[]);
    let value = 0;
    let check = 0;
    for (const event of events) {
      if (event.kind === 'print') {
        printed(event.report.text, values[value++]!);
        continue;
      }
      if (!failed[check++]) continue;
      if (event.kind === 'assert') throw failedCheck(event.report.text, event.report.line);
      // The kernel itself decides, and says it in its own words.
      if (event.kind === 'data') {
        again(parameters, (replay) => replay.check(event.node));
        if (dependsOnChance(graph, event.node))
          throw new JorchError(
            'CHECK_FAILED',
            `${event.node.op}${atLine(event.node.line)}: data that libtorch’s kernel refuses (an index out of range, a division by zero, a matrix without a factorisation), computed from random numbers that cannot be drawn again`,
          );
      }
      if (event.kind === 'nan')
        again(parameters, (replay) => {
          throw new JorchError('CHECK_FAILED', nanText(firstNan(graph, replay, event.value)));
        });
    }
  };
};
