/** @file Splits the joint trace of a function and its backward: what the forward program saves, what the backward program recomputes. */
import { liveNodes, valuesIn } from '../lowering/index.js';
import type { Graph, Node, Value } from './graph.js';

/** Values that cross from the forward program to the backward program. */
export interface Partition {
  /** Saved by the forward program, besides its results. */
  readonly residuals: readonly Value[];
  /** Inputs of the function that the backward program reads again. */
  readonly inputs: readonly Value[];
}

/** Cheap enough to compute twice: no reduction, no product, no random number; XLA fuses them into what uses them. */
const CHEAP =
  /^aten::(view|_unsafe_view|reshape|t|transpose|permute|expand|unsqueeze|squeeze|select|slice|alias|detach|clone|as_strided|diagonal|unbind|split|split_with_sizes|_to_copy|add|sub|rsub|mul|div|neg|abs|sign|relu|threshold|where|eq|ne|lt|le|gt|ge|logical_not|logical_and|logical_or|bitwise_not|ones_like|zeros_like|full_like|full|zeros|ones|scalar_tensor|masked_fill|clamp|clamp_min|clamp_max|maximum|minimum|reciprocal|square|conj|_conj|_neg_view|real|imag|is_nan)(\.|$)/;

/** Recomputing more operators than this for one value is no longer cheap. */
const MOST = 16;

const operands = (node: Node): Value[] => {
  const found: Value[] = [];
  for (const arg of Object.values(node.args)) valuesIn(arg, (v) => found.push(v));
  return found;
};

const resultsOf = (node: Node): Value[] => (node.outs.flat() as (Value | null)[]).filter((v) => v !== null);

/**
 * Chooses what to save for `gradients`, which depend on `cotangents`. Cheap pointwise work is recomputed from what is
 * saved anyway. `unstable` inputs are changed in place by the function: their old values must be saved.
 */
export const partition = (
  graph: Graph,
  gradients: readonly Value[],
  cotangents: readonly Value[],
  unstable: ReadonlySet<number>,
): Partition => {
  if (gradients.length === 0) return { residuals: [], inputs: [] };
  const producer = new Map<number, Node>();
  for (const node of graph.nodes) for (const v of resultsOf(node)) producer.set(v.id, node);
  const backward = new Set(cotangents.map((v) => v.id));
  const needed: Value[] = gradients.filter((v) => !backward.has(v.id));
  for (const node of liveNodes(graph, gradients)) {
    const args = operands(node);
    if (!args.some((v) => backward.has(v.id))) continue;
    for (const v of resultsOf(node)) backward.add(v.id);
    needed.push(...args);
  }
  const cotangentIds = new Set(cotangents.map((v) => v.id));
  const stable = new Set(graph.inputs.filter((v) => !unstable.has(v.id) && !cotangentIds.has(v.id)).map((v) => v.id));
  const constants = new Set(graph.constants.map((c) => c.value.id));
  const residuals = new Map<number, Value>();
  const inputs = new Map<number, Value>();

  /** Whether `v` follows from what is available by at most `budget` cheap operators; collects the inputs that it reads. */
  const derivable = (v: Value, budget: { left: number }, reads: Value[]): boolean => {
    if (constants.has(v.id) || residuals.has(v.id)) return true;
    if (stable.has(v.id)) {
      reads.push(v);
      return true;
    }
    const node = producer.get(v.id);
    if (node === undefined || !CHEAP.test(node.op) || budget.left-- <= 0) return false;
    return operands(node).every((operand) => derivable(operand, budget, reads));
  };

  for (const v of [...new Set(needed)].sort((a, b) => a.id - b.id)) {
    if (backward.has(v.id)) continue;
    const reads: Value[] = [];
    if (derivable(v, { left: MOST }, reads)) for (const input of reads) inputs.set(input.id, input);
    else residuals.set(v.id, v);
  }
  return { residuals: [...residuals.values()], inputs: [...inputs.values()] };
};
