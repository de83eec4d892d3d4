/**
 * @file Programs fetched before they are asked for. What a script compiled or loaded in its first half minute is noted on disk; when the same
 * script starts again, those programs are loaded, and run once on zeros, on a thread of our own while libtorch is being loaded. A guess that
 * decides nothing: the program that runs is the one whose key comes from the lowered text, as ever.
 */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type { Executable, Prefetched } from '../native.js';
import { beforeLibtorch, environmentHolds, native, onLoad, type RuntimeAddon } from '../runtime/load.js';
import type { DType } from '../torch/dtype.js';
import { Executables, type Ready } from './executables.js';
import { PersistentCache, persistentCache } from './persistent.js';

/** What is noted and fetched at most. */
const PROGRAMS = 16;
const BYTES = 64 << 20;
/** How long after the start, in milliseconds; what was fetched and not used by then is dropped. */
const START = 30_000;
/** Programs are tried whose first call took between these, in milliseconds: others gain nothing, or take too long for a guess. */
const TRIED = { from: 2, to: 250 };

export interface Parameter {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** One program of a script. */
interface Noted {
  readonly key: string;
  /** Of those that may be run on zeros. */
  readonly inputs?: readonly Parameter[] | undefined;
  /** The first call of it, in milliseconds. */
  readonly ms?: number;
}
interface Note {
  /** The digest of what compiled them. */
  readonly compiler: string;
  readonly programs: readonly Noted[];
}

const DTYPES: Readonly<Record<string, DType>> = {
  f32: 'float32',
  f64: 'float64',
  f16: 'float16',
  bf16: 'bfloat16',
  i1: 'bool',
  i8: 'int8',
  i16: 'int16',
  i32: 'int32',
  i64: 'int64',
  ui8: 'uint8',
  ui64: 'uint64',
};
/** Loops may not end on zeros, and calls do more than compute. */
const NOT_TRIED = /stablehlo\.(while|case|if|custom_call)|sdy\./;

/** The parameters of a program that may be run on zeros: no loop, no call, and small; undefined for others. */
export const trialInputs = (text: string): readonly Parameter[] | undefined => {
  if (NOT_TRIED.test(text)) return undefined;
  const head = text.slice(text.indexOf('@main('), text.indexOf(') -> ('));
  const parameters: Parameter[] = [];
  let elements = 0;
  for (const [, type] of head.matchAll(/%\w+: tensor<([^>]*)>/g)) {
    const parts = type!.split('x');
    const dtype = DTYPES[parts.pop()!];
    if (dtype === undefined) return undefined;
    const shape = parts.map(Number);
    elements += shape.reduce((a, b) => a * b, 1);
    parameters.push({ dtype, shape });
  }
  return elements * 8 <= BYTES ? parameters : undefined;
};

const nameOf = (script: string): Buffer =>
  createHash('sha256')
    .update(JSON.stringify(['script', script]))
    .digest();

/** The script that this process runs; undefined where programs are not fetched for it. */
const thisScript = (): string | undefined => {
  const [, script] = process.argv;
  if (!isMainThread || script === undefined || process.env['JORCH_PREFETCH'] === 'off') return undefined;
  // With one core loading libtorch would only take longer.
  if (availableParallelism() < 2) return undefined;
  try {
    return realpathSync(script);
  } catch {
    return undefined; // `node -` and the like
  }
};

/** The programs of one script: those of its last process, and those of this one. */
export class ScriptPrograms implements Ready<Executable> {
  private readonly name: Buffer;
  private readonly last: Note | undefined;
  private readonly used = new Map<string, Noted>();
  /** Asked for by the call that is being compiled. */
  private readonly asked: string[] = [];
  /** What is being fetched, and its number. */
  private readonly numbers = new Map<string, number>();
  private handle: Prefetched | undefined;
  private compiler: string | undefined;
  private closed = false;

  constructor(
    readonly cache: PersistentCache,
    script: string,
  ) {
    this.name = nameOf(script);
    const note = cache.note(this.name);
    this.last = note && (JSON.parse(note.toString()) as Note);
  }

  /** Begins to fetch. */
  begin(loader: RuntimeAddon, plugin: string): Prefetched | undefined {
    if (this.last === undefined || plugin === '') return undefined;
    const { compiler, programs } = this.last;
    // What another compiler made this one must not see.
    if (new Executables(loader, plugin, this.cache).compilerDigest().toString('hex') !== compiler) return undefined;
    const fetched: { bytes: Buffer; inputs?: readonly Parameter[] | undefined }[] = [];
    let total = 0;
    for (const { key, inputs, ms = 0 } of programs) {
      const bytes = this.cache.peek(Buffer.from(key, 'hex'));
      if (bytes === undefined || total + bytes.length > BYTES) continue;
      total += bytes.length;
      this.numbers.set(key, fetched.length);
      fetched.push({ bytes, inputs: ms >= TRIED.from && ms <= TRIED.to ? inputs : undefined });
    }
    this.handle = loader.prefetch(plugin, fetched);
    return this.handle;
  }

  /** libtorch is there. */
  adopted(): void {
    if (this.handle) native().adoptClient(this.handle);
  }

  has(key: Buffer): boolean {
    return this.handle !== undefined && this.numbers.has(key.toString('hex'));
  }

  take(key: Buffer, wait: boolean): Executable | undefined {
    const name = key.toString('hex');
    const number = this.numbers.get(name);
    if (this.handle === undefined || number === undefined) return undefined;
    const executable = native().takeProgram(this.handle, number, wait);
    if (executable !== undefined || wait) this.numbers.delete(name);
    return executable;
  }

  asksFor(key: Buffer, text: string, compiler: () => Buffer): void {
    if (this.closed || this.used.size >= PROGRAMS) return;
    this.compiler ??= compiler().toString('hex');
    const name = key.toString('hex');
    const before = this.last?.programs.find((p) => p.key === name);
    this.used.set(name, before ?? { key: name, inputs: trialInputs(text) });
    // The first call of a program that was tried says nothing.
    if (before?.ms === undefined || before.ms > TRIED.to) this.asked.push(name);
  }

  /** The call that asked for programs has run. */
  ran(ms: number): void {
    for (const key of this.asked.splice(0)) this.used.set(key, { ...this.used.get(key)!, ms: Math.ceil(ms) });
  }

  /** The start is over: notes what it needed, and drops what it did not need. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle = undefined;
    if (this.used.size === 0 || this.compiler === undefined) return;
    const note: Note = { compiler: this.compiler, programs: [...this.used.values()] };
    if (JSON.stringify(note) !== JSON.stringify(this.last))
      this.cache.remember(this.name, Buffer.from(JSON.stringify(note)));
  }
}

let current: ScriptPrograms | undefined;
/** The cache folder of a process that may have named another one since. */
const isOurs = (programs: ScriptPrograms): boolean =>
  programs.cache.folder === persistentCache().folder && process.env['JORCH_PREFETCH'] !== 'off';

/** The programs of the script that this process runs. */
export const scriptPrograms = (): ScriptPrograms | undefined => current;

beforeLibtorch((loader, { cpuPlugin }) => {
  const script = thisScript();
  const cache = script === undefined ? undefined : PersistentCache.look();
  if (script === undefined || cache === undefined) return undefined;
  try {
    const programs = new ScriptPrograms(cache, script);
    const prefetched = programs.begin(loader, cpuPlugin);
    current = programs;
    return prefetched;
  } catch {
    return undefined; // whoever compiles hears of it
  }
});
onLoad(() => {
  const script = thisScript();
  if (current !== undefined && !(isOurs(current) && environmentHolds())) current = undefined;
  if (script === undefined || persistentCache().folder === undefined) return;
  current ??= new ScriptPrograms(persistentCache(), script);
  current.adopted();
  process.once('exit', () => current!.close());
  setTimeout(() => current!.close(), START).unref();
});
