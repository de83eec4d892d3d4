/** @file What a program costs, counted on XLA's optimized HLO where the plugin makes no estimate itself. */

import type { HloComputation, HloInstruction, HloModule, HloShape } from './hlo.js';
import { ELEMENTS, TUPLE } from './hlo-schema.js';

export interface Cost {
  /** Floating point (and other arithmetic) operations: one per element and operation, two per multiply-add of a product. */
  readonly flops: number;
  /** Elements of exp, log, sin and their kind, not counted in `flops`. */
  readonly transcendentals: number;
  /** Bytes that the program's kernels read and write, each fusion counted once: what does not stay in registers. */
  readonly bytesAccessed: number;
  /** `plugin`: PJRT's own estimate; `hlo`: counted by jorch on the optimized program. */
  readonly source: 'plugin' | 'hlo';
  /** Custom calls (libtorch's kernels and XLA's), whose work is not in `flops`. */
  readonly uncounted: readonly string[];
}

const TRANSCENDENTAL = new Set(
  'exponential exponential-minus-one log log-plus-one logistic power sine cosine tan tanh atan2 erf cbrt sqrt rsqrt'.split(
    ' ',
  ),
);
const ARITHMETIC = new Set(
  'add subtract multiply divide remainder maximum minimum negate abs sign floor ceil round-nearest-even round-nearest-afz compare select and or xor not clamp shift-left shift-right-logical shift-right-arithmetic is-finite popcnt count-leading-zeros convert complex real imag'.split(
    ' ',
  ),
);
/** Makes a view or a name, moves nothing. */
const FREE = new Set('parameter constant tuple get-tuple-element bitcast after-all'.split(' '));

const numel = (shape: HloShape): number =>
  shape.elementType === TUPLE
    ? shape.tupleShapes.reduce((n, s) => n + numel(s), 0)
    : shape.dimensions.reduce((n, d) => n * d, 1);
const bytes = (shape: HloShape): number =>
  shape.elementType === TUPLE
    ? shape.tupleShapes.reduce((n, s) => n + bytes(s), 0)
    : numel(shape) * (ELEMENTS[shape.elementType]?.[1] ?? 0);

interface Work {
  flops: number;
  transcendentals: number;
  bytesAccessed: number;
}

class Counter {
  readonly uncounted = new Set<string>();
  private readonly computations: ReadonlyMap<number, HloComputation>;

  constructor(module: HloModule) {
    this.computations = new Map(module.computations.map((c) => [c.id, c]));
  }

  /** `memory`: whether instructions read and write memory; inside a fusion they do not. */
  computation(id: number, memory: boolean): Work {
    const total: Work = { flops: 0, transcendentals: 0, bytesAccessed: 0 };
    const computation = this.computations.get(id);
    if (!computation) return total;
    const byId = new Map(computation.instructions.map((i) => [i.id, i]));
    for (const i of computation.instructions) {
      const operands = i.operandIds.map((o) => byId.get(o)!.shape);
      const work = this.instruction(i, operands, memory);
      total.flops += work.flops;
      total.transcendentals += work.transcendentals;
      total.bytesAccessed += work.bytesAccessed;
    }
    return total;
  }

  private instruction(i: HloInstruction, operands: readonly HloShape[], memory: boolean): Work {
    const size = numel(i.shape);
    const moved = memory && !FREE.has(i.opcode) ? bytes(i.shape) + operands.reduce((n, s) => n + bytes(s), 0) : 0;
    const work: Work = { flops: 0, transcendentals: 0, bytesAccessed: moved };
    const times = (id: number, n: number, inMemory: boolean): void => {
      const inner = this.computation(id, inMemory);
      work.flops += n * inner.flops;
      work.transcendentals += n * inner.transcendentals;
      work.bytesAccessed += n * inner.bytesAccessed;
    };
    if (TRANSCENDENTAL.has(i.opcode)) work.transcendentals = size;
    else if (ARITHMETIC.has(i.opcode)) work.flops = size;
    else if (i.opcode === 'dot') {
      const [lhs] = operands;
      work.flops = 2 * size * (i.dot?.lhsContracting ?? []).reduce((n, d) => n * lhs!.dimensions[d]!, 1);
    } else if (i.opcode === 'convolution') {
      const kernel = operands[1]!;
      const outputs = kernel.dimensions[i.convolution?.kernelOutputFeature ?? 0] ?? 1;
      work.flops = 2 * size * (numel(kernel) / Math.max(outputs, 1));
    } else if (i.opcode === 'fft') {
      const n = i.shape.dimensions.at(-1) ?? 1;
      work.flops = 5 * size * Math.log2(Math.max(n, 2));
    } else if (i.opcode === 'sort') {
      const n = i.shape.elementType === TUPLE ? operands[0]!.dimensions : i.shape.dimensions;
      const length = n.reduce((a, b) => a * b, 1);
      for (const id of i.calledIds) times(id, length * Math.log2(Math.max(length, 2)), false);
    } else if (i.opcode === 'reduce' || i.opcode === 'reduce-window' || i.opcode === 'select-and-scatter') {
      const window = i.window?.dimensions.reduce((n, d) => n * d.size, 1) ?? 1;
      for (const id of i.calledIds) times(id, i.opcode === 'reduce' ? numel(operands[0]!) : size * window, false);
    } else if (i.opcode === 'fusion') {
      for (const id of i.calledIds) times(id, 1, false);
    } else if (i.opcode === 'while') {
      // The loop's own reads and writes are those of its body.
      work.bytesAccessed = 0;
      const trips = Number(
        /known_trip_count[^0-9]*(\d+)/.exec(Buffer.from(i.backendConfig).toString('latin1'))?.[1] ?? 1,
      );
      for (const id of i.calledIds) times(id, trips, memory);
    } else if (i.opcode === 'call' || i.opcode === 'conditional') {
      work.bytesAccessed = 0;
      for (const id of i.calledIds) times(id, 1, memory);
    } else if (i.opcode === 'custom-call') {
      const name = /call\s*=\s*"(aten::\w+(?:\.\w+)?)/.exec(Buffer.from(i.backendConfig).toString('utf8'))?.[1];
      this.uncounted.add(name ?? i.customCallTarget);
    } else for (const id of i.calledIds) times(id, size, false);
    return work;
  }
}

/** `reported`: the plugin's own figures by name, perhaps none. A loop of unknown length counts once. */
export const costOf = (module: HloModule, reported: Readonly<Record<string, number>>): Cost => {
  const counter = new Counter(module);
  const counted = counter.computation(module.entryComputationId, true);
  const uncounted = [...counter.uncounted].sort();
  if (reported.flops === undefined) return { ...counted, source: 'hlo', uncounted };
  return {
    flops: reported.flops,
    transcendentals: reported.transcendentals ?? 0,
    bytesAccessed: reported['bytes accessed'] ?? 0,
    source: 'plugin',
    uncounted,
  };
};
