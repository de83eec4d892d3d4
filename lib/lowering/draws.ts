/** @file Random operators of a graph, and which seeds they draw from. */
import type { Graph, Node } from '../compile/graph.js';

/** Operators whose answer differs at every run: never merged, never moved. */
const RANDOM =
  /^aten::(rand|normal|bernoulli|uniform|exponential|geometric|cauchy|log_normal|multinomial|poisson|binomial|random|rrelu|native_dropout|_standard_gamma|_sample_dirichlet|_fused_dropout|dropout|alpha_dropout)/;

/** Whether an operator draws random numbers. */
export const isRandom = (op: string): boolean => RANDOM.test(op);

/** Random operators behind a key, and their number among those of the same key. */
export const drawsOf = (graph: Graph): Map<Node, { key: Node; number: number }> => {
  const draws = new Map<Node, { key: Node; number: number }>();
  let key: Node | undefined;
  let number = 0;
  for (const node of graph.nodes) {
    if (node.control?.kind === 'key') [key, number] = [node, 0];
    else if (key !== undefined && isRandom(node.op)) draws.set(node, { key, number: number++ });
  }
  return draws;
};
