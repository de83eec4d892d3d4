/** @file What a compiled function reads from JavaScript objects while it is traced: `training` and fields of modules, numbers of optimizers. */
import { native } from '../runtime/load.js';
import { keep } from '../torch/memory.js';
import type { Tensor } from '../torch/tensor.js';

/** How a value is read again. */
type Read = (object: object, key: unknown) => unknown;
const property: Read = (object, key) => (object as Record<PropertyKey, unknown>)[key as PropertyKey];
const entry: Read = (map, key) => (map as Map<unknown, unknown>).get(key);

/** A value that a program depends on. */
export interface Guard {
  readonly object: object;
  readonly key: unknown;
  readonly value: unknown;
  readonly read: Read;
  readonly label: string;
  /** A field of a module: one that is empty and that the function fills is no condition. */
  readonly slot: boolean;
}
/** A number that programs read at every call. */
interface NumberCell {
  readonly object: object;
  readonly key: string;
  value: number;
  /** Holds the number for the programs that read it. */
  readonly tensor: Tensor;
}

/** One for all programs of all functions, so that they read one number. */
const numberCells = new WeakMap<object, Map<string, NumberCell>>();

const update = (cell: NumberCell, now: number): void => {
  if (Object.is(now, cell.value)) return;
  cell.value = now;
  native().setNumber(cell.tensor, now);
};

/** What one trace has read. */
export class Reads {
  readonly numbers = new Set<NumberCell>();
  private readonly all: Guard[] = [];
  private kept: readonly Guard[] | undefined;
  private readonly seen = new Map<object, Set<unknown>>();

  /** Whether `key` of `object` is read for the first time. */
  private first(object: object, key: unknown): boolean {
    const keys = this.seen.get(object) ?? new Set();
    this.seen.set(object, keys);
    return !keys.has(key) && keys.add(key) !== undefined;
  }
  guard(guard: Guard): void {
    if (this.first(guard.object, guard.key)) this.all.push(guard);
  }
  /** The function sets it before it reads it. */
  set(object: object, key: unknown): void {
    this.first(object, key);
  }
  /** When the function is done. */
  get guards(): readonly Guard[] {
    this.kept ??= this.all.filter((g) => g.value !== null || !g.slot || g.read(g.object, g.key) === null);
    return this.kept;
  }
  number(object: object, key: string, value: number): Tensor {
    const cells = numberCells.get(object) ?? new Map<string, NumberCell>();
    numberCells.set(object, cells);
    const cell = cells.get(key) ?? { object, key, value, tensor: keep(native().setNumber(null, value)) };
    cells.set(key, cell);
    update(cell, value);
    this.numbers.add(cell);
    return native().asNumber(cell.tensor);
  }
}

/** Values read from outside under which some programs were traced. */
export class Variant {
  /** Programs that are there or being made. */
  users = 0;
  private readonly numbers = new Set<NumberCell>();

  constructor(
    /** What native code knows it by. */
    readonly id: number,
    readonly structure: Variants,
    readonly guards: readonly Guard[],
  ) {}

  /** Whether its programs may run now; their numbers are up to date then. */
  fits(): boolean {
    const { guards } = this;
    for (let i = 0; i < guards.length; i++) {
      const { object, key, value, read } = guards[i]!;
      // The common case without a call: this runs before every call of the program.
      const now = read === property ? (object as Record<PropertyKey, unknown>)[key as PropertyKey] : read(object, key);
      if (now !== value && !Object.is(now, value)) return false;
    }
    for (const cell of this.numbers) update(cell, property(cell.object, cell.key) as number);
    return true;
  }
  read(numbers: Iterable<NumberCell>): void {
    for (const cell of numbers) this.numbers.add(cell);
  }
}

/** The programs for arguments of one structure, by what they depend on besides. */
export class Variants {
  /** The latest first. */
  readonly list: Variant[] = [];
  constructor(readonly key: string) {}
}

const sameGuards = (a: readonly Guard[], b: readonly Guard[]): boolean =>
  a.length === b.length &&
  a.every(({ object, key, value }, i) => {
    const other = b[i]!;
    return other.object === object && Object.is(other.key, key) && Object.is(other.value, value);
  });

/** The structures of arguments that one function has programs for. */
export class Structures {
  private readonly byKey = new Map<string, Variants>();
  private nextId = 0;
  /** Changes when a structure comes or goes. */
  version = 0;

  get size(): number {
    return this.byKey.size;
  }
  find(key: string): Variants | undefined {
    return this.byKey.get(key);
  }

  /** The variant for a program that was traced with these reads; to be released. */
  take(key: string, { guards, numbers }: Reads): Variant {
    const variants = this.byKey.get(key) ?? new Variants(key);
    if (!this.byKey.has(key)) this.version++;
    this.byKey.set(key, variants);
    const known = variants.list.find((v) => sameGuards(v.guards, guards));
    const variant = known ?? new Variant(this.nextId++, variants, guards);
    if (known === undefined) variants.list.unshift(variant);
    variant.read(numbers);
    variant.users++;
    return variant;
  }

  /** One program less; the last one takes along what was known of its arguments. */
  release(variant: Variant): void {
    if (--variant.users > 0) return;
    const { list, key } = variant.structure;
    list.splice(list.indexOf(variant), 1);
    if (list.length > 0) return;
    this.byKey.delete(key);
    this.version++;
  }
}

let recording: Reads | undefined;

/** Runs `fn`, noting what it reads. */
export const recordReads = <T>(fn: () => T): { readonly value: T; readonly reads: Reads } => {
  const outer = recording;
  const reads = new Reads();
  recording = reads;
  try {
    return { value: fn(), reads };
  } finally {
    recording = outer;
  }
};

/** Whether somebody notes what is read. */
export const isRecording = (): boolean => recording !== undefined;

/**
 * Tells the trace that is open that `object[key]` was read and was `value`: another value means another program.
 * Returns `value`. Outside a trace it does nothing.
 */
export const readLive = <T>(object: object, key: string, value: T): T => {
  recording?.guard({ object, key, value, label: `${object.constructor.name}.${key}`, read: property, slot: false });
  return value;
};

/** Tells it that `object[key]` is set: what is read of it from now on is no condition. */
export const setLive = (object: object, key: string): void => recording?.set(object, key);

/** The same for a field that holds a tensor, a module or a list of them: another one in its place means another program. */
export const readSlot = (owner: string, object: object, key: string | number, value: unknown): void => {
  recording?.guard({ object, key, value, label: `${owner}.${key}`, read: property, slot: true });
};

/** The same for what a Map holds. */
export const readEntry = (owner: string, map: ReadonlyMap<unknown, unknown>, key: unknown): void => {
  const value = map.get(key);
  recording?.guard({ object: map, key, value, label: `${owner}.${String(key)}`, read: entry, slot: true });
};

/**
 * A number that changes often (a learning rate): outside a trace `value` itself; in a trace a 0-d tensor that promotes like a number and
 * that every call of the program reads afresh from `object[key]`.
 */
export const readNumber = (object: object, key: string, value: number): number | Tensor =>
  recording?.number(object, key, value) ?? value;
