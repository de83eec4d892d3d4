/** @file From a trace to a runnable program: which values the program returns, the lowering, XLA's compilation, the plan of the call. */
import type { Capture, EntrySpec, Executable, Place, TensorSpec, Trace } from '../native.js';
import { type Lowered, LoweringError, lower } from '../lowering/index.js';
import type { Optimize } from '../lowering/prefer.js';
import { JorchError } from '../runtime/errors.js';
import { located, native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import type { Graph, Value } from './graph.js';
import { physicalOrder } from './layout.js';

/** A compiled program with everything needed to call it and to show it. */
export interface Built {
  readonly graph: Graph;
  readonly lowered: Lowered;
  readonly executable: Executable;
  readonly spec: Omit<EntrySpec, 'id' | 'shape'>;
  readonly lowerMs: number;
  readonly compileMs: number;
}

/** The results of a program, each value once. */
class Results {
  readonly values: Value[] = [];
  private readonly places = new Map<number, number>();
  constructor(private readonly graph: Graph) {}
  add(id: number): number {
    let place = this.places.get(id);
    if (place === undefined) {
      place = this.values.length;
      this.places.set(id, place);
      this.values.push(this.graph.values[id]!);
    }
    return place;
  }
}

/** Rows of dense memory as eager would have them; anything else (expanded, overlapping) comes back row-major. */
const specOf = ({ shape, strides, dtype }: Value): TensorSpec => ({ shape, dtype, strides: physicalOrder(shape, strides) ? strides : [] });

/** How a graph becomes a program. */
export interface BuildOptions {
  readonly fallback: 'aten' | 'error';
  readonly optimize: Optimize;
  /** XLA's own options, by name. */
  readonly xla: Readonly<Record<string, boolean | number | string>>;
}

const lowerGraph = (graph: Graph, results: readonly Value[], { fallback, optimize }: BuildOptions): Lowered => {
  try {
    return lower(graph, { results, fallback, optimize });
  } catch (error) {
    if (error instanceof LoweringError) throw new JorchError('NO_RULE', error.message, { cause: error });
    throw error;
  }
};

/** Where each capture is at call time: an argument leaf, or the n-th captured tensor. */
const placesOf = (captures: readonly Capture[]): { places: Place[]; captured: Tensor[] } => {
  const captured: Tensor[] = [];
  let args = 0;
  const places = captures.map(({ isArg, tensor }): Place => {
    if (isArg) return { isArg: true, index: args++ };
    captured.push(tensor);
    return { isArg: false, index: captured.length - 1 };
  });
  return { places, captured };
};

/**
 * Lowers and compiles a trace.
 * @throws JorchError NO_RULE (an operator needs an ATen call and `fallback` forbids it), COMPILE_FAILED, TOO_LARGE.
 */
export const build = (trace: Trace, options: BuildOptions): Built => {
  const { graph, captures } = trace;
  const results = new Results(graph);
  const { places, captured } = placesOf(captures);
  const planned = trace.outputs.map((id, i) => {
    const same = trace.sameAs[i]!;
    return same >= 0 ? places[same]! : { output: results.add(id) };
  });
  const effects = captures.flatMap(({ mutated, grad }, k) => [
    ...(mutated >= 0 ? [{ ...places[k]!, output: results.add(mutated), gradient: false }] : []),
    ...(grad >= 0 ? [{ ...places[k]!, output: results.add(grad), gradient: true }] : []),
  ]);
  const clearedGrads = captures.flatMap(({ gradCleared }, k) => (gradCleared ? [places[k]!] : []));
  const byInput = new Map(captures.map(({ input }, k) => [input, places[k]!]));
  const started = performance.now();
  const lowered = lowerGraph(graph, results.values, options);
  const compiling = performance.now();
  const executable = native().compileProgram(located().cpuPlugin, lowered.text, options.xla);
  return {
    graph,
    lowered,
    executable,
    spec: {
      executable,
      inputs: graph.inputs.map(specOf),
      outputs: results.values.map(specOf),
      captures: captured,
      parameters: graph.inputs.map((_, i) => byInput.get(i)!),
      results: planned,
      effects,
      clearedGrads,
    },
    lowerMs: compiling - started,
    compileMs: performance.now() - compiling,
  };
};
