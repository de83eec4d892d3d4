/** @file What of a graph its results need: the rest is never lowered. */
import type { Arg, Graph, Node, Value } from '../compile/graph.js';
import { isValue } from './aten-call.js';
import type { Check } from './lower.js';

/** The results of a node, those in lists too. */
export const flat = (outs: Node['outs']): readonly (Value | null)[] =>
  outs.some(Array.isArray) ? (outs.flat() as (Value | null)[]) : (outs as readonly (Value | null)[]);

/** Visits the tensors of an argument, those in lists too. */
export function valuesIn(arg: Arg, visit: (v: Value) => void): void {
  if (Array.isArray(arg)) for (const a of arg) valuesIn(a, visit);
  else if (isValue(arg)) visit(arg);
}

/** The nodes that the results need, in order. What `given` holds is there already. */
export function liveNodes(graph: Graph, results: readonly Value[], given: readonly Value[] = graph.inputs): Node[] {
  const there = new Set(given.map((v) => v.id));
  const needed = new Set<number>();
  const need = (v: Value): void => {
    if (!there.has(v.id)) needed.add(v.id);
  };
  results.forEach(need);
  const live: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (!flat(node.outs).some((v) => v !== null && needed.has(v.id))) continue;
    live.push(node);
    for (const name in node.args) valuesIn(node.args[name]!, need);
  }
  return live.reverse();
}

/** The inputs of the graph that the results need. */
export function liveInputs(graph: Graph, results: readonly Value[]): Value[] {
  const used = new Set(results.map((v) => v.id));
  for (const node of liveNodes(graph, results)) {
    for (const name in node.args) valuesIn(node.args[name]!, (v) => used.add(v.id));
  }
  return graph.inputs.filter((v) => used.has(v.id));
}

/** The values that checks read. */
export function checkOperands(checks: readonly Check[]): Value[] {
  const found: Value[] = [];
  for (const check of checks) {
    if ('condition' in check) found.push(check.condition);
    else if ('notNan' in check) found.push(check.notNan);
    else if (check.node.control) found.push(...flat(check.node.outs).filter((v) => v !== null));
    else for (const arg of Object.values(check.node.args)) valuesIn(arg, (v) => found.push(v));
  }
  return found;
}
