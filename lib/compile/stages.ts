/** @file From arguments to executables: a call is traced, lowered, and compiled or loaded, and what each of it takes is counted. */
import { deviceNumber, deviceOfAny, nameOfDevice, runsLibtorch, targetOf } from '../cuda/devices.js';
import type { Report } from '../debug/collect.js';
import { events } from '../inspect/events.js';
import { withLines } from '../inspect/lowered.js';
import { spans } from '../inspect/spans.js';
import type { Lowered } from '../lowering/index.js';
import type { Executable, XlaOptions } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import type { Partition } from '../shard/plan.js';
import type { Tensor } from '../torch/tensor.js';
import { leafStructures, type Structure } from '../tree.js';
import type { Ahead } from './ahead.js';
import { type Built, type Plan, plan } from './build.js';
import type { CompileOptions, CompileStats } from './options.js';
import { obtain } from './place.js';
import { leafSignatures } from './reasons.js';
import { type Arrange, type Internal, inside, ownValues, type Recorded, record } from './record.js';
import { type Backward, backwardOf } from './second-order.js';
import type { Trace } from './trace.js';

/** Compiles another function with some of these options: the second derivative of this one. */
export type Another = (
  f: (...args: never[]) => unknown,
  options: CompileOptions,
  internal: Internal,
) => (args: unknown[]) => unknown;

export class Stages {
  constructor(
    private readonly name: string,
    private readonly f: (...args: never[]) => unknown,
    private readonly options: CompileOptions,
    private readonly xla: XlaOptions,
    private readonly stats: CompileStats,
    private readonly another: Another,
    private readonly internal?: Internal,
  ) {}

  /** Executables have been made. */
  countLoad(ms: number, fromCache: boolean): void {
    this.stats.compileMs += ms;
    if (fromCache) this.stats.cacheLoads++;
    events.cache.publish({ hit: fromCache, ms });
    spans.add(this.name, 'compile', performance.now() - ms, { cached: fromCache });
  }

  /** Which leaves may be overwritten; captured tensors are leaf -1. undefined: as is best. */
  private donations(structure: Structure): ((leaf: number) => boolean) | undefined {
    const { donate } = this.options;
    if (donate === undefined) return undefined;
    if (typeof donate === 'boolean') return () => donate;
    const owners = structure.kind === 'array' ? structure.items.flatMap((s, i) => leafStructures(s).map(() => i)) : [];
    return (leaf) => leaf >= 0 && donate.includes(owners[leaf]!);
  }

  /** Traces, and finds out where the program will run: a captured tensor may tell. */
  traceFor(structure: Structure, leaves: readonly Tensor[]): Recorded & { readonly device: number } {
    const { device: asked } = this.options;
    const device = asked === undefined ? deviceOfAny(leaves) : deviceNumber(asked);
    if (device !== 0) return { device, ...this.trace(structure, leaves, ownValues) };
    const recorded = this.trace(structure, leaves);
    const captured = asked === undefined ? deviceOfAny(recorded.trace.captures.map(({ tensor }) => tensor)) : 0;
    if (captured === 0) return { device, ...recorded };
    return { device: captured, ...this.trace(structure, leaves, ownValues) };
  }

  lower(
    trace: Trace,
    reports: readonly Report[],
    structure: Structure,
    leaves: readonly Tensor[],
    device: number,
    partition?: Partition,
  ): Plan {
    const started = performance.now();
    const { checks = false } = this.options;
    // Libtorch's kernels run on one device, and elsewhere than on the CPU only with its library for that.
    const elsewhere = device !== 0 || partition !== undefined;
    const fallback =
      elsewhere && !(partition === undefined && runsLibtorch(device)) ? 'error' : (this.options.fallback ?? 'aten');
    const optimize = elsewhere ? 'xla' : (this.options.optimize ?? 'auto');
    const over = partition ? { mesh: partition.mesh } : {};
    if (device !== 0 && (checks || reports.length > 0))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.name}: checks, debug.print and debug.check work in programs on the CPU; this one runs on ${nameOfDevice(device)}`,
      );
    const again: Backward = {
      name: this.name,
      f: this.f,
      structure,
      leaves: leafSignatures(leaves).map((leaf, i) => ({ ...leaf, first: leaves.indexOf(leaves[i]!) })),
      compile: (f, name, internal) => {
        const call = this.another(f, { name, fallback, optimize, ...over }, internal);
        return (...args) => call(args) as (Tensor | null)[];
      },
    };
    const planned = plan(trace, {
      fallback,
      optimize,
      rowMajor: device !== 0,
      pack: device === 0,
      target: device === 0 ? 'cpu' : targetOf(device),
      checks,
      donate: this.donations(structure),
      reports,
      partition,
      second: backwardOf(again),
    });
    this.stats.lowerMs += performance.now() - started;
    spans.add(this.name, 'lower', started, { operators: planned.graph.nodes.length });
    return planned;
  }

  /** Compiles what was planned, or loads it from the persistent cache. */
  make(planned: Plan, ahead?: Ahead<Executable>): Built {
    const started = performance.now();
    const executableFor = (program: Lowered) => {
      try {
        return obtain(program, this.xla, planned.device, ahead);
      } catch (error) {
        throw withLines(planned.graph, program.text, error);
      }
    };
    const obtained = planned.programs.map(executableFor);
    if (planned.backwardAfter) obtained.push(executableFor(planned.backwardAfter(obtained[0]!.executable)));
    this.countLoad(
      performance.now() - started,
      obtained.every(({ loaded }) => loaded),
    );
    return planned.finish(obtained.map(({ executable }) => executable));
  }

  trace(structure: Structure, leaves: readonly Tensor[], arrange?: Arrange): Recorded {
    const started = performance.now();
    const recorded = record(this.name, this.f, structure, leaves, arrange);
    this.stats.traceMs += performance.now() - started;
    spans.add(this.name, 'trace', started);
    return this.internal ? inside(recorded, this.internal) : recorded;
  }
}
