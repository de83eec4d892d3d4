/** @file Runs a function eagerly and compiled, operator by operator, and finds the first one whose values differ. */
import { KEY, specOf } from '../compile/build.js';
import type { Graph, Node, Value } from '../compile/graph.js';
import { obtain } from '../compile/place.js';
import { withText } from '../inspect/with-text.js';
import { isRandom, lower } from '../lowering/index.js';
import { native } from '../runtime/load.js';
import { tolerances } from '../testing.js';
import { type DType, isComplex } from '../torch/dtype.js';
import { view_as_real } from '../torch/generated/ops.js';
import { callProgram } from '../torch/handle.js';
import { scope } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';
import { atLine, operandsOf, Replay, resultsOf } from './replay.js';
import { recorded } from './trace.js';

/** The first operator whose compiled values are not eager's. */
export interface Difference {
  readonly op: string;
  /** `file:line:column` of the user's call, where known. */
  readonly line?: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The largest absolute difference of an element; infinite where one side is NaN or infinite and the other is not. */
  readonly largest: number;
  /** Whether the operator differs by itself too, compiled alone on eager's operands; if not, differences of its operands have grown. */
  readonly alone: boolean;
}

export interface Comparison {
  /** Operators that were compared. */
  readonly compared: number;
  readonly first: Difference | null;
  toString(): string;
}

const real = (t: Tensor): Tensor => (isComplex(t.dtype) ? view_as_real(t) : t).to('float64');

/** The largest difference, or undefined within the tolerances of the dtype. */
export const difference = (actual: Tensor, expected: Tensor): number | undefined => {
  const [rtol, atol] = tolerances(expected.dtype);
  const [a, e] = [actual.resolve_conj().contiguous(), expected.resolve_conj().resolve_neg().contiguous()].map(real);
  if (e!.numel() === 0 || a!.isclose(e!, { rtol, atol, equal_nan: true }).all().item()) return undefined;
  const apart = a!.sub(e!).abs();
  return Number(apart.nan_to_num({ nan: Number.POSITIVE_INFINITY }).max().item());
};

/** Runs the part of the graph between `given` and `wanted` as one program. */
export const runCompiled = (
  graph: Graph,
  given: readonly (readonly [Value, Tensor])[],
  wanted: readonly Value[],
): Tensor[] => {
  const inputs = given.map(([v]) => v);
  const lowered = lower(graph, { inputs, results: wanted, fallback: 'aten', optimize: 'auto' });
  const { executable } = obtain(lowered);
  const leaves = given.map(([, t]) => t);
  const program = new (native().Compiled)();
  program.add(0, {
    id: 0,
    described: program.describe(leaves, []),
    executable,
    inputs: [...inputs.map(specOf), ...lowered.keys.map(() => KEY)],
    outputs: wanted.map(specOf),
    keys: lowered.keys.map((k) => (k === undefined ? null : graph.generators![k]!)),
    captures: [],
    parameters: leaves.map((_, index) => ({ isArg: true, index })),
    results: wanted.map((_, output) => ({ output })),
    effects: [],
    clearedGrads: [],
    flags: [],
    ends: [],
    grads: [],
    shape: 1,
  });
  return callProgram(program, 0, leaves) as Tensor[];
};

/** Results that mean something: memory nobody has written yet does not, and random numbers are others at every run. */
export const isComparable = (node: Node): boolean => !/^aten::(new_)?empty/.test(node.op) && !isRandom(node.op);

/**
 * Records `f` and computes every value of it twice: with libtorch's kernels, and in one compiled program. Nothing that `f` changes is
 * changed. Random numbers are eager's on both sides. Differences count beyond the tolerances of torch.testing.assert_close.
 * @throws JorchError as compile(f) does for functions that cannot be compiled.
 * @example console.log(String(debug.compare(step, x, y)));
 */
export const compare = <F extends (...args: never[]) => unknown>(f: F, ...args: Parameters<F>): Comparison => {
  const { graph, nodes, given } = recorded('debug.compare', f, args);
  return scope(() =>
    no_grad(() => {
      const eager = new Replay(graph, given);
      const compared = nodes.filter((node) => isComparable(node) && resultsOf(node).length > 0);
      const fixed = nodes.filter((node) => !isComparable(node)).flatMap(resultsOf);
      const wanted = compared.flatMap(resultsOf);
      const actual = new Map<number, Tensor>();
      const values = runCompiled(graph, [...given, ...fixed.map((v) => [v, eager.value(v)] as const)], wanted);
      for (const [i, v] of wanted.entries()) actual.set(v.id, values[i]!);
      const first = firstDifference(graph, compared, eager, actual);
      const text = first
        ? `${first.op}${atLine(first.line)} differs first: by at most ${first.largest} in ${first.dtype}[${first.shape.join(', ')}]; ${
            first.alone
              ? 'it differs by itself, on the same operands'
              : 'alone, on the same operands, it agrees: earlier differences, within tolerance, have grown'
          }`
        : `${compared.length} operators agree`;
      return withText({ compared: compared.length, first }, () => text);
    }),
  );
};

const firstDifference = (
  graph: Graph,
  nodes: readonly Node[],
  eager: Replay,
  actual: ReadonlyMap<number, Tensor>,
): Difference | null => {
  for (const node of nodes) {
    for (const v of resultsOf(node)) {
      const largest = difference(actual.get(v.id)!, eager.value(v));
      if (largest === undefined) continue;
      const operands = [...new Set(operandsOf(node))].map((o) => [o, eager.value(o)] as const);
      const [alone] = runCompiled(graph, operands, [v]);
      return {
        op: node.op,
        ...(node.line ? { line: node.line } : {}),
        shape: v.shape,
        dtype: v.dtype,
        largest,
        alone: difference(alone!, eager.value(v)) !== undefined,
      };
    }
  }
  return null;
};
