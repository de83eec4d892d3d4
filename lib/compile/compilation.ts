/** @file The programs of one compiled function: found by what they were traced for, traced and compiled when there is none. */
import { anyOpened } from '../cuda/devices.js';
import { dump } from '../inspect/dump.js';
import { events } from '../inspect/events.js';
import { type LoweredProgram, loweredProgram } from '../inspect/lowered.js';
import { spans } from '../inspect/spans.js';
import { withText } from '../inspect/with-text.js';
import type { CompiledHandle, Executable, XlaOptions } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { collectGarbage, native } from '../runtime/load.js';
import { withMesh } from '../shard/mesh.js';
import { Partitioner } from '../shard/partitioner.js';
import { callProgram, isHandle, type Results } from '../torch/handle.js';
import type { Tensor } from '../torch/tensor.js';
import { type Flat, flatten, follow, type Structure, structureKey, unflatten } from '../tree.js';
import type { Ahead } from './ahead.js';
import { AsyncCalls, type Prepared, type Taken } from './async.js';
import type { Built } from './build.js';
import { dynamicPaths, withNumbers } from './dynamic.js';
import { XLA_OPTIONS } from './executables.js';
import { ownMemory, type Traced } from './export.js';
import { Structures, type Variant, type Variants } from './live.js';
import type { CompileOptions, CompileStats, Explanation } from './options.js';
import { loadAhead } from './place.js';
import { scriptPrograms } from './prefetch.js';
import { capturedOf, explainMiss, leafSignatures, type Signature, signatureOf } from './reasons.js';
import { type Internal, shapesOf } from './record.js';
import { shapeOf } from './results.js';
import { materialize } from './spec.js';
import { type Another, Stages } from './stages.js';

/** Compilations of one function after which it is probably called wrongly. */
const MANY = 8;

interface Entry {
  readonly built: Built;
  readonly signature: Signature;
  readonly structure: Structure;
  readonly variant: Variant;
}

export class Compilation<F extends (...args: never[]) => unknown> {
  readonly stats: CompileStats = {
    compiles: 0,
    cacheLoads: 0,
    hits: 0,
    misses: 0,
    evictions: 0,
    traceMs: 0,
    lowerMs: 0,
    compileMs: 0,
  };
  private handle: CompiledHandle | undefined;
  private readonly structures = new Structures();
  /** Of calls with tensors alone, by their number; as of `structures.version`. */
  private readonly flatStructures: (Variants | undefined)[] = [];
  private flatVersion = 0;
  /** The latest other arguments that there were programs for: the next ones are most often put together in the same way. */
  private nested: { readonly structure: Structure; readonly variants: Variants } | undefined;
  private readonly entries = new Map<number, Entry>();
  private readonly reasons: string[] = [];
  private nextId = 0;
  /** Result structures of programs that were dropped while asynchronous calls were under way. */
  private readonly retired = new Map<number, Structure>();
  readonly asyncCalls: AsyncCalls;
  private readonly xla: XlaOptions;
  private readonly stages: Stages;
  readonly name: string;
  /** No word about many compilations: one for each shape is what the function is for. */
  quiet = false;
  private readonly statics: ReadonlySet<number>;
  private readonly dynamic: ReturnType<typeof dynamicPaths> | undefined;
  private readonly partitioner: Partitioner | undefined;
  /** The function, on its mesh if it has one. */
  private readonly f: (...args: never[]) => unknown;

  constructor(
    f: F,
    private readonly options: CompileOptions,
    internal?: Internal,
  ) {
    this.name = options.name ?? (f.name || 'compiled function');
    this.xla = options[XLA_OPTIONS] ?? {};
    this.asyncCalls = new AsyncCalls(
      {
        name: () => this.name,
        handle: () => this.programs(),
        take: (args) => this.take(args),
        prepare: (args) => this.prepare(args),
        finish: (result) => this.finish(result),
        idle: () => this.retired.clear(),
        hit: () => void this.stats.hits++,
        loaded: (ms, fromCache) => this.stages.countLoad(ms, fromCache),
      },
      this.xla,
    );
    this.statics = new Set(options.static ?? []);
    this.dynamic = options.dynamic && dynamicPaths(options.dynamic, f);
    const partitioner = Partitioner.for(this.name, options);
    this.partitioner = partitioner;
    this.f = partitioner ? (...args) => withMesh(partitioner.mesh, () => f(...args)) : f;
    const another: Another = (...given) => {
      const compilation = new Compilation(...given);
      return (args) => compilation.call(args);
    };
    this.stages = new Stages(this.name, this.f, options, this.xla, this.stats, another, internal);
  }

  call(args: unknown[]): unknown {
    const { structure, leaves } = this.take(args);
    const handle = this.programs();
    if (structure !== undefined) {
      const { list } = structure;
      for (let i = 0; i < list.length; i++) {
        const variant = list[i]!;
        if (!variant.fits()) continue;
        const started = spans.open ? performance.now() : 0;
        const hit = this.run(handle, variant.id, leaves);
        if (hit === undefined) continue;
        if (started) spans.add(this.name, 'execute', started);
        this.stats.hits++;
        if (events.hit.heard) events.hit.publish({ name: this.name });
        return this.finish(hit);
      }
    }
    // Inside another trace, and inside torch.func's transforms, a compiled function is its body.
    if (native().isTracing() || native().currentLevel() !== null) return this.f(...(args as never[]));
    const { variant } = this.compile(args);
    const started = performance.now();
    const result = this.run(handle, variant.id, leaves);
    scriptPrograms()?.ran(performance.now() - started);
    spans.add(this.name, 'execute', started);
    if (result === undefined)
      throw new JorchError(
        'COMPILE_FAILED',
        `${this.name}: the program just compiled does not fit its own arguments; a captured tensor changed while the function was traced`,
      );
    return this.finish(result);
  }

  /** Memory on a device that only garbage holds is freed when it is needed, once; then the error is the caller's. */
  private run(handle: CompiledHandle, variant: number, leaves: readonly Tensor[]): Results | undefined {
    if (!anyOpened()) return callProgram(handle, variant, leaves);
    try {
      return callProgram(handle, variant, leaves);
    } catch (error) {
      if (!(error instanceof JorchError) || error.code !== 'OUT_OF_MEMORY' || this.options.donate) throw error;
      collectGarbage();
      native().reclaimDevices();
      return callProgram(handle, variant, leaves);
    }
  }

  private programs(): CompiledHandle {
    this.handle ??= new (native().Compiled)();
    return this.handle;
  }

  /** Arguments as leaves, and the programs for their structure. All tensors is the fast case: nothing is taken apart. */
  private take(args: unknown[]): Taken {
    if (this.flatVersion !== this.structures.version) {
      this.flatVersion = this.structures.version;
      this.flatStructures.length = 0;
      this.nested = undefined;
    }
    let flat = this.statics.size === 0;
    for (let i = 0; flat && i < args.length; i++) flat = isHandle(args[i]);
    if (flat) {
      this.flatStructures[args.length] ??= this.structures.find(this.keyOf(args));
      return { structure: this.flatStructures[args.length], leaves: args as Tensor[] };
    }
    if (this.nested !== undefined) {
      const followed: Tensor[] = [];
      if (follow(this.nested.structure, args, followed)) return { structure: this.nested.variants, leaves: followed };
    }
    const { structure, leaves } = this.flatten(args);
    const variants = this.structures.find(structureKey(structure));
    if (variants !== undefined) this.nested = { structure, variants };
    return { structure: variants, leaves };
  }

  private keyOf(args: unknown[]): string {
    return structureKey(this.flatten(args).structure);
  }

  private flatten(args: unknown[]): ReturnType<typeof flatten> {
    const parts = args.map((arg, i): Flat => {
      if (this.statics.has(i)) return { structure: { kind: 'static', value: arg }, leaves: [] };
      return this.dynamic ? withNumbers(flatten(arg), this.dynamic.isDynamic, [i]) : flatten(arg);
    });
    return {
      structure: { kind: 'array', items: parts.map((p) => p.structure) },
      leaves: parts.flatMap((p) => p.leaves),
    };
  }

  private finish(result: Results): unknown {
    if (!Array.isArray(result) || typeof result[0] !== 'number') return result;
    return unflatten(this.entries.get(result[0])?.structure ?? this.retired.get(result[0])!, result, 1);
  }

  /** Traces, lowers and compiles for these arguments. Whatever fails leaves everything as it was. */
  private compile(args: unknown[]): Entry {
    const ahead = this.loadAhead(args);
    const { plan: planned, install, failed } = this.prepare(args);
    try {
      const built = this.stages.make(planned, ahead);
      ahead?.end();
      return install(built);
    } catch (error) {
      failed();
      throw error;
    }
  }

  /** Begins to load the programs that this call had in another process. */
  private loadAhead(args: unknown[]): Ahead<Executable> | undefined {
    const { options, partitioner } = this;
    if (partitioner !== undefined || options.device !== undefined) return undefined;
    const { structure, leaves } = this.flatten(args);
    const { optimize, fallback, checks } = options;
    const how = [this.programs().modes(), optimize, fallback, checks, this.xla];
    return loadAhead([
      this.name,
      String(this.f),
      structureKey(structure),
      JSON.stringify(leafSignatures(leaves)),
      JSON.stringify(how),
    ]);
  }

  /** Traces and lowers for these arguments; `install` makes the executables a program for them. */
  private prepare(args: unknown[]): Prepared<Entry> {
    this.stats.misses++;
    if (this.entries.size === 0)
      this.dynamic?.check(
        args.map((arg, i) => (this.statics.has(i) ? undefined : arg)),
        this.name,
      );
    const { structure, leaves } = this.flatten(args);
    const modes = this.programs().modes();
    const signature = this.signature(structure, leaves, modes);
    const reason = explainMiss(
      [...this.entries.values()].map((e) => e.signature),
      signature,
    );
    events.miss.publish({ name: this.name, reason });
    this.complain(reason);
    const { device, trace, results, reports, reads } = this.stages.traceFor(structure, leaves);
    const partition = this.partitioner?.bind(structure, leaves, results, shapesOf(trace));
    const planned = { ...this.stages.lower(trace, reports, structure, leaves, device, partition), device };
    const dumpRest = dump(this.name, planned);
    const described = this.programs().describe(leaves, planned.captured);
    const variant = this.structures.take(structureKey(structure), reads);
    const known = { ...signature, guards: reads.guards, captured: capturedOf(planned.captured) };
    const install = (built: Built): Entry => {
      const id = this.nextId++;
      const entry: Entry = { built, signature: known, structure: results, variant };
      const { backward } = built.spec;
      this.programs().add(variant.id, {
        ...built.spec,
        id,
        shape: shapeOf(results),
        described,
        device,
        ...(backward ? { backward: { ...backward, device } } : {}),
      });
      this.entries.set(id, entry);
      this.reasons.push(reason);
      this.stats.compiles++;
      const { calls } = built.lowered;
      events.compile.publish({ name: this.name, reason, operators: planned.graph.nodes.length, calls: calls.length });
      dumpRest(built, String(this.explain([])));
      this.stats.evictions += this.trim(this.options.maxCompiles?.limit ?? 64);
      return entry;
    };
    return { plan: planned, variant, install, failed: () => this.structures.release(variant) };
  }

  private signature(structure: Structure, leaves: readonly Tensor[], modes: number): Signature {
    const signature = signatureOf(structure, leaves, modes);
    const { partitioner } = this;
    if (!partitioner) return signature;
    const fixed = partitioner.inputs(structure, leaves);
    const sharding = (i: number): string => String((fixed[i] ?? partitioner.ownOf(leaves[i]!)).spec);
    return { ...signature, leaves: signature.leaves.map((leaf, i) => ({ ...leaf, sharding: sharding(i) })) };
  }

  /** Drops the least recently used programs; returns how many. */
  private trim(limit: number): number {
    const dropped = this.handle?.trim(limit) ?? [];
    for (const id of dropped) {
      const entry = this.entries.get(id)!;
      if (this.asyncCalls.inFlight > 0) this.retired.set(id, entry.structure);
      this.entries.delete(id);
      this.structures.release(entry.variant);
    }
    if (dropped.length > 0) events.evict.publish({ name: this.name, programs: dropped.length });
    return dropped.length;
  }

  private complain(reason: string): void {
    if (this.stats.compiles < MANY || this.quiet) return;
    const text = `${this.name} has been compiled ${this.stats.compiles} times; the last reason: ${reason}`;
    if (this.options.maxCompiles?.policy === 'error')
      throw new JorchError('BAD_ARGUMENT', `${text} ({ maxCompiles: { policy: 'error' } })`);
    if (this.stats.compiles === MANY) process.emitWarning(text, { type: 'JorchRecompilation' });
  }

  /** The program that a call with these arguments would run: one of those compiled, or a new one. */
  private entryFor(args: unknown[]): Entry {
    const { structure, leaves } = this.take(args);
    const handle = this.programs();
    const modes = handle.modes();
    for (const variant of structure?.list ?? []) {
      const id = variant.fits() ? handle.find(variant.id, leaves, modes) : undefined;
      if (id !== undefined) return this.entries.get(id)!;
    }
    return this.compile(args);
  }

  lower(args: unknown[]): LoweredProgram {
    const { built } = this.entryFor(materialize(args));
    return loweredProgram(built);
  }

  /** Traced for a program of its own, which returns contiguous values. */
  traced(args: unknown[]): Traced {
    if (this.partitioner)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.name}: a function compiled for a mesh cannot be exported, nor compiled for another machine; compile it without { mesh } for that`,
      );
    const { structure, leaves } = this.flatten(args);
    const { trace, results } = this.stages.trace(structure, leaves, ownMemory);
    return { name: this.name, trace, args: structure, results };
  }

  explain(args: unknown[]): Explanation {
    const entry = args.length > 0 ? this.entryFor(materialize(args)) : [...this.entries.values()].at(-1);
    const lowered = entry?.built.lowered.lowered ?? [];
    const calls = entry?.built.lowered.calls ?? [];
    const reasons = [...this.reasons];
    const lines = [
      `${this.name}: ${reasons.length} compilation${reasons.length === 1 ? '' : 's'}`,
      ...reasons.map((reason, i) => `  ${i + 1}. ${reason}`),
      `lowered to StableHLO: ${lowered.join(', ') || 'nothing'}`,
      `ATen calls: ${calls.map((c) => `${c.op} (${c.reason}${c.line ? `, ${c.line}` : ''})`).join(', ') || 'none'}`,
    ];
    return withText({ lowered, calls, reasons }, () => lines.join('\n'));
  }

  dispose(): void {
    this.trim(0);
  }
}
