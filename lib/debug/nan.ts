/** @file Finds the first operator that made a NaN out of operands without one. */
import type { Graph, Node, Value } from '../compile/graph.js';
import { withText } from '../inspect/with-text.js';
import { liveNodes } from '../lowering/index.js';
import { isComplex, isFloating } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import { atLine, operandsOf, type Replay, resultsOf } from './replay.js';

/** Where the first NaN comes from. */
export interface NanReport {
  /** `aten::log`; null when an argument or captured tensor held it already. */
  readonly op: string | null;
  /** `file:line:column` of the user's call, where known. */
  readonly line?: string;
  /** How many elements of the result are NaN, and of how many. */
  readonly count: number;
  readonly numel: number;
  toString(): string;
}

const nanCount = (t: Tensor): number =>
  isFloating(t.dtype) || isComplex(t.dtype) ? Number(t.isnan().sum().item()) : 0;

/** Memory that nobody has written yet holds anything. */
const UNDEFINED = /^aten::(empty|new_empty)/;

const text = (op: string | null, line: string | undefined, count: number, numel: number): string =>
  op === null
    ? `an argument or captured tensor holds NaN (${count} of ${numel} elements) before the first operator`
    : `${op} made NaN out of numbers: ${count} of ${numel} elements of its result${atLine(line)}`;

const reportOf = (op: string | null, line: string | undefined, value: Tensor): NanReport => {
  const count = nanCount(value);
  const numel = value.numel();
  return withText({ op, count, numel, ...(line ? { line } : {}) }, () => text(op, line, count, numel));
};

/** Of `nodes` in order, the first that makes NaN; null when none does. */
export const searchNan = (nodes: readonly Node[], replay: Replay): NanReport | null => {
  const tainted = new Map<number, boolean>();
  const holds = (v: Value): boolean => {
    const known = tainted.get(v.id);
    if (known !== undefined) return known;
    const found = nanCount(replay.value(v)) > 0;
    tainted.set(v.id, found);
    return found;
  };
  let given: Value | undefined;
  for (const node of nodes) {
    if (UNDEFINED.test(node.op)) continue;
    const before = operandsOf(node).filter(holds);
    const made = resultsOf(node).find(holds);
    if (made && before.length === 0) return reportOf(node.op, node.line, replay.value(made));
    given ??= before[0];
  }
  return given ? reportOf(null, undefined, replay.value(given)) : null;
};

/** What led to the NaN in `value` from what the replay was given. */
export const firstNan = (graph: Graph, replay: Replay, value: Value): NanReport => {
  const given = graph.values.filter((v) => replay.has(v));
  return searchNan(liveNodes(graph, [value], given), replay) ?? reportOf(null, undefined, replay.value(value));
};

export const nanText = (report: NanReport): string => `checks: ${String(report)}`;
