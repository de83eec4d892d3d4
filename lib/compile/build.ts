/** @file From a trace to program texts, and from their executables to the plan of the call: which values a program takes and returns. */
import type { Report } from '../debug/collect.js';
import { type DataChecks, forwardNodes, reportHandler, type Watch, watchOf } from '../debug/watch.js';
import {
  type Check,
  checkOperands,
  type Donation,
  type Lowered,
  type LoweredPartition,
  LoweringError,
  liveInputs,
  liveNodes,
  lower,
} from '../lowering/index.js';
import type { Target } from '../lowering/lower.js';
import type { Optimize } from '../lowering/prefer.js';
import type {
  BackwardSpec,
  Capture,
  Effect,
  EntrySpec,
  Executable,
  Place,
  ProgramSpec,
  ReportsSpec,
  TensorSpec,
} from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { type Partition, placementsOf, shardingsOf, spreadOf } from '../shard/plan.js';
import type { Sharding } from '../shard/sharding.js';
import { numel } from '../stablehlo/types.js';
import { ITEM_BYTES } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import type { Graph, Node, Value } from './graph.js';
import { isIdentity, physicalOrder } from './layout.js';
import { partition } from './partition.js';
import type { SecondOrder } from './second-order.js';
import type { Trace } from './trace.js';

/** How a graph becomes a program. */
export interface BuildOptions {
  readonly fallback: 'aten' | 'error';
  readonly optimize: Optimize;
  readonly checks?: DataChecks;
  /** What the program is written for; default: what its mesh has, or the CPU. */
  readonly target?: Target | undefined;
  /** Results come back row-major whatever eager's strides are. */
  readonly rowMajor?: boolean;
  /** Small results come in vectors, which the native call takes apart: for programs that it runs on the CPU. */
  readonly pack?: boolean;
  /** Whether a changed argument leaf (-1: a captured tensor) may be overwritten while the program runs. Default: large ones, in programs that cannot fail. */
  readonly donate?: ((leaf: number) => boolean) | undefined;
  /** The program is for several devices. */
  readonly partition?: Partition | undefined;
  /** What the function said while it was recorded. */
  readonly reports?: readonly Report[];
  /** How to go backward twice. */
  readonly second?: SecondOrder;
}

/** A compiled program with everything needed to call it and to show it. */
export interface Built {
  readonly graph: Graph;
  readonly lowered: Lowered;
  /** The values that the program returns. */
  readonly results: readonly Value[];
  readonly spec: Omit<EntrySpec, 'id' | 'shape' | 'described'>;
}

/** The texts to compile, and what to do with the executables. */
export interface Plan {
  readonly graph: Graph;
  /** Where it will run; default 0, the CPU. */
  readonly device?: number;
  /** The program, and its backward if there is one. */
  readonly programs: readonly Lowered[];
  /** The backward where it depends on how XLA has spread what the program saves for it. */
  readonly backwardAfter?: (program: Executable) => Lowered;
  /** Of the first program. */
  readonly types: Omit<ProgramSpec, 'executable'> & { readonly parameters: readonly Place[] };
  readonly captured: readonly Tensor[];
  readonly results: EntrySpec['results'];
  readonly effects: EntrySpec['effects'];
  readonly clearedGrads: EntrySpec['clearedGrads'];
  readonly flags: EntrySpec['flags'];
  /** One executable per program, in order. */
  finish(executables: readonly Executable[]): Built;
}

/** A list of values, each once. */
class ValueList {
  readonly values: Value[] = [];
  private readonly places = new Map<number, number>();
  add(v: Value): number {
    let place = this.places.get(v.id);
    if (place === undefined) {
      place = this.values.length;
      this.places.set(v.id, place);
      this.values.push(v);
    }
    return place;
  }
  /** -1 when it is not in the list. */
  indexOf(v: Value): number {
    return this.places.get(v.id) ?? -1;
  }
}

const listOf = (values: readonly Value[]): ValueList => {
  const list = new ValueList();
  for (const v of values) list.add(v);
  return list;
};

/** Dense memory as eager would have it; anything else (expanded, overlapping) comes back row-major. */
export const specOf = ({ shape, strides, dtype }: Value): TensorSpec => ({
  shape,
  dtype,
  strides: physicalOrder(shape, strides) ? strides : [],
});

/** What random numbers are derived from. */
export const KEY: TensorSpec = { shape: [], strides: [], dtype: 'uint64' };

/** Below this a copy costs less than the buffer that PJRT makes of memory to be overwritten. */
const WORTH_GIVING = 64 * 1024;

/** The program between `inputs` and `results`, and the types of both. */
interface Part {
  readonly lowered: Lowered;
  readonly types: Omit<ProgramSpec, 'executable'>;
}

const lowerPart = (
  graph: Graph,
  inputs: readonly Value[],
  results: readonly Value[],
  { fallback, optimize, target, rowMajor = false, pack = false, donate }: BuildOptions,
  partition?: LoweredPartition,
  checks: readonly Check[] = [],
  donated: readonly Donation[] = [],
): Part => {
  try {
    const written = target === undefined ? {} : { target };
    const lowered = lower(graph, {
      inputs,
      results,
      fallback,
      optimize,
      checks,
      donated,
      donateSafely: donate === undefined,
      partition,
      rowMajor,
      pack,
      ...written,
    });
    const keys = lowered.keys.map((k) => (k === undefined ? null : graph.generators![k]!));
    const parameters = [...inputs.map(specOf), ...keys.map(() => KEY)];
    const flags: TensorSpec[] = checks.length === 0 ? [] : [{ shape: [checks.length], strides: [], dtype: 'bool' }];
    return {
      lowered,
      types: {
        inputs: parameters,
        outputs: [...results.map((v) => (rowMajor ? { ...specOf(v), strides: [] } : specOf(v))), ...flags].map(
          (spec, i) => ({ ...spec, ...lowered.places[i] }),
        ),
        keys,
        donated: lowered.donated,
      },
    };
  } catch (error) {
    if (error instanceof LoweringError) throw new JorchError('NO_RULE', error.message, { cause: error });
    throw error;
  }
};

/** Where each capture is at call time: an argument leaf, or the n-th captured tensor. */
const placesOf = (captures: readonly Capture[]): { places: Place[]; captured: Tensor[] } => {
  const captured: Tensor[] = [];
  const places: Place[] = [];
  for (const { leaf, closedOver, gradOf, storageOf, tensor } of captures) {
    if (storageOf >= 0) {
      // Of a capture that comes later: filled in below.
      places.push({ isArg: true, index: -1, ofStorage: true });
      continue;
    }
    if (gradOf >= 0) {
      places.push({ ...places[gradOf]!, ofGrad: true });
      continue;
    }
    // An argument that is captured as well is listed among the captured too: the call's identity check then pins it.
    if (leaf < 0 || closedOver) captured.push(tensor);
    places.push(leaf >= 0 ? { isArg: true, index: leaf } : { isArg: false, index: captured.length - 1 });
  }
  captures.forEach(({ storageOf }, k) => {
    if (storageOf >= 0) places[k] = { ...places[storageOf]!, ofStorage: true };
  });
  return { places, captured };
};

/** Who is told when a run of the program raises or has something to say; `outputs` are what it returns before its flags. */
const reportsOf = (
  graph: Graph,
  watch: Watch,
  { calls, callNodes }: Lowered,
  inputs: ValueList,
  outputs: ValueList,
): ReportsSpec | undefined => {
  if (watch.events.length === 0 && calls.length === 0) return undefined;
  const own = new Set(callNodes);
  // libtorch's kernels also run in bodies of loops.
  const mayRaise = liveNodes(graph, outputs.values, inputs.values).filter((n) => own.has(n) || n.control !== undefined);
  return {
    outputs: watch.printed.map((v) => outputs.indexOf(v)),
    flags: watch.checks.length > 0 ? outputs.values.length : -1,
    handler: reportHandler(graph, watch, mayRaise, inputs.values),
  };
};

/** The nodes behind `gradients` that are not among `nodes`. */
const behind = (graph: Graph, gradients: readonly Value[], nodes: readonly Node[]): Node[] => {
  const own = new Set(nodes);
  return liveNodes(graph, gradients).filter((node) => !own.has(node));
};

/** New values of changed tensors that can be computed in the memory of the old ones; `shared` outputs have other readers. */
const donationsOf = (
  { graph, captures }: Trace,
  { donate, partition, rowMajor: onDevice = false }: BuildOptions,
  inputs: ValueList,
  results: ValueList,
  shared: readonly number[],
): Donation[] =>
  captures.flatMap(({ leaf, input, mutated, history }) => {
    if (mutated < 0 || history) return [];
    const [from, to] = [graph.inputs[input]!, graph.values[mutated]!];
    const large = partition === undefined && !onDevice && numel(from.shape) * ITEM_BYTES[from.dtype] >= WORTH_GIVING;
    if (!(donate?.(leaf) ?? large)) return [];
    const rowMajor = [from, to].every((v) => isIdentity(physicalOrder(v.shape, v.strides) ?? [-1]));
    const donation = { input: inputs.indexOf(from), output: results.indexOf(to) };
    return rowMajor && donation.input >= 0 && !shared.includes(donation.output) ? [donation] : [];
  });

/**
 * Lowers a trace, and its backward if there is one.
 * @throws JorchError NO_RULE (an operator needs an ATen call and `fallback` forbids it).
 */
export const plan = (trace: Trace, options: BuildOptions): Plan => {
  const { graph, captures, backward } = trace;
  const value = (id: number): Value => graph.values[id]!;
  const { places, captured } = placesOf(captures);
  const results = new ValueList();
  const own = (i: number) => ({ output: results.add(value(trace.outputs[i]!)) });
  const planned = trace.outputs.slice(0, trace.resultCount).map((_, i) => {
    const same = trace.sameAs[i]!;
    const view = trace.views[i];
    if (view) return { ...(view.ofCapture ? places[view.base]! : own(view.base)), view };
    return same >= 0 ? places[same]! : own(i);
  });
  const effects = captures.flatMap(({ mutated, grad, history }, k): Effect[] => [
    ...(mutated >= 0
      ? [
          {
            ...places[k]!,
            output: results.add(value(mutated)),
            kind: history ? ('history' as const) : ('value' as const),
          },
        ]
      : []),
    ...(grad >= 0 ? [{ ...places[k]!, output: results.add(value(grad)), kind: 'grad' as const }] : []),
  ]);
  const flags = captures.flatMap(({ requiresGrad }, k) =>
    requiresGrad === null ? [] : [{ ...places[k]!, requiresGrad }],
  );
  const ends = trace.ends.map(({ value: id, why }) => ({ output: results.add(value(id)), why }));
  const clearedGrads = captures.flatMap(({ gradCleared }, k) => (gradCleared ? [places[k]!] : []));

  const visible = [...results.values];
  const cotangents = (backward?.cotangents ?? []).map(value);
  const gradients = (backward?.gradients ?? []).filter((id) => id >= 0).map(value);
  const unstable = new Set(captures.filter((c) => c.mutated >= 0).map((c) => graph.inputs[c.input]!.id));
  const crossing = partition(graph, gradients, cotangents, unstable);
  for (const v of crossing.residuals) results.add(v);

  const { checks = false, reports: said = [] } = options;
  const ownNodes = forwardNodes(graph, backward?.cotangents ?? []);
  const watch = watchOf(graph, { checks, nodes: ownNodes, results: visible, reports: said });
  for (const v of watch.printed) results.add(v);
  const roots = [...results.values, ...checkOperands(watch.checks)];

  const wanted = backward
    ? [
        ...liveInputs(graph, roots),
        ...crossing.inputs,
        ...backward.captures.map((k) => graph.inputs[captures[k]!.input]!),
      ]
    : liveInputs(graph, roots);
  const inputs = listOf(wanted);
  const donated = donationsOf(trace, options, inputs, results, [
    ...planned.flatMap((r) => ('output' in r ? [r.output] : [])),
    ...crossing.residuals.map((v) => results.indexOf(v)),
    ...watch.printed.map((v) => results.indexOf(v)),
  ]);
  // A failed check must leave everything as it was.
  const inPlace = watch.checks.length > 0 || (options.donate === undefined && watch.events.length > 0) ? [] : donated;
  const byInput = new Map(
    captures.flatMap(({ input }, k) => (input < 0 ? [] : [[graph.inputs[input]!.id, places[k]!] as const])),
  );
  const parameters = inputs.values.map((v) => byInput.get(v.id)!);
  const spread =
    options.partition &&
    spreadOf(options.partition, captured, parameters, inputs.values, planned, effects, results.values);
  const forward = lowerPart(graph, inputs.values, results.values, options, spread?.program, watch.checks, inPlace);
  const reports = reportsOf(graph, watch, forward.lowered, inputs, results);
  const grads = [
    ...captures.flatMap((c, k) => (c.gradSeen || c.gradCleared || c.grad >= 0 ? [places[k]!] : [])),
    ...[...parameters, ...planned, ...effects].flatMap((p) => ('isArg' in p && p.ofGrad ? [p] : [])),
  ];
  const backParameters = listOf([...crossing.residuals, ...crossing.inputs, ...cotangents]);
  const outputs = listOf(gradients);
  const backWatch = watchOf(graph, {
    checks: backward ? checks : false,
    nodes: behind(graph, gradients, ownNodes),
    results: gradients,
  });
  const gradientInputs = backward?.captures.map((k) => inputs.indexOf(graph.inputs[captures[k]!.input]!)) ?? [];
  const lowerBack = (partition?: LoweredPartition): Part =>
    lowerPart(graph, backParameters.values, outputs.values, options, partition, backWatch.checks);
  let back = backward && !spread ? lowerBack() : undefined;
  const spreadBack = (program: Executable): Lowered => {
    // As the program gives what is saved and takes what is read again; a gradient comes and goes as what it belongs to.
    const saved = shardingsOf(program, spread!.program, results.values);
    const ofResult = new Map(backward!.results.map((id, k) => [cotangents[k]!.id, saved[results.indexOf(value(id))]!]));
    const ofGradient = new Map(backward!.gradients.map((id, k) => [id, spread!.program.inputs[gradientInputs[k]!]!]));
    const at = (v: Value): Sharding =>
      ofResult.get(v.id) ??
      (inputs.indexOf(v) >= 0 ? spread!.program.inputs[inputs.indexOf(v)]! : saved[results.indexOf(v)]!);
    back = lowerBack({
      mesh: spread!.program.mesh,
      inputs: backParameters.values.map(at),
      results: outputs.values.map((v) => ofGradient.get(v.id)),
    });
    return back.lowered;
  };
  const backSpec = (executable: Executable, backReports?: ReportsSpec): BackwardSpec => ({
    executable,
    ...back!.types,
    ...placementsOf(executable, back!),
    arguments: [
      ...crossing.residuals.map((v) => ({ kind: 'residual' as const, index: results.indexOf(v) })),
      ...crossing.inputs.map((v) => ({ kind: 'input' as const, index: inputs.indexOf(v) })),
      ...cotangents.map((_, index) => ({ kind: 'cotangent' as const, index })),
    ],
    results: backward!.results.map((id) => results.indexOf(value(id))),
    gradientInputs,
    gradients: backward!.gradients.map((id) => (id < 0 ? -1 : outputs.indexOf(value(id)))),
    second: options.second?.({ trace, inputs: inputs.values, parameters, keys: forward.types.keys.length }) ?? {
      refused: 'this program has no function behind it',
    },
    ...(backReports ? { reports: backReports } : {}),
  });
  return {
    graph,
    programs: [forward.lowered, ...(back ? [back.lowered] : [])],
    ...(backward && spread ? { backwardAfter: spreadBack } : {}),
    types: { ...forward.types, parameters },
    captured,
    results: planned,
    effects,
    clearedGrads,
    flags,
    finish: ([executable, backExecutable]) => ({
      graph,
      lowered: forward.lowered,
      results: results.values,
      spec: {
        executable: executable!,
        ...forward.types,
        ...placementsOf(executable!, forward),
        captures: captured,
        parameters,
        results: planned,
        effects,
        clearedGrads,
        flags,
        ends,
        grads,
        ...(spread ? { placed: spread.placed } : {}),
        ...(reports ? { reports } : {}),
        ...(back
          ? { backward: backSpec(backExecutable!, reportsOf(graph, backWatch, back.lowered, backParameters, outputs)) }
          : {}),
      },
    }),
  };
};
