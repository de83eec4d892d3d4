/**
 * @file Loading ahead. What a call loaded from disk in an earlier process it will most likely load again: those programs are deserialized on
 * threads of our own while the function is traced and lowered. A guess that decides nothing: the program that runs is the one whose key
 * comes from the lowered text, as ever.
 */
import type { Loading, Target } from '../native.js';
import type { Executables } from './executables.js';

/** What deserializes on another thread. */
export interface AheadLoader<E, T> {
  beginLoad(target: T, bytes: Buffer): Loading;
  /** Waits for it; undefined when it failed. */
  endLoad(loading: Loading): E | undefined;
}

const DIGEST = 32;

/** The programs of one call. */
export class Ahead<E, T extends Target = Target> {
  /** The compiler's digest, then the programs' keys. */
  private readonly note: Buffer | undefined;
  private readonly loading = new Map<string, Loading>();
  private readonly keys: Buffer[] = [];

  /** Begins to load what `call` (a SHA-256 of all that is known about it) loaded the last time. */
  constructor(
    private readonly loader: AheadLoader<E, T>,
    readonly executables: Executables<E, T>,
    private readonly call: Buffer,
  ) {
    const { cache, target } = executables;
    this.note = cache.note(call);
    if (this.note === undefined) return;
    const programs: [string, Buffer][] = [];
    for (let at = DIGEST; at < this.note.length; at += DIGEST) {
      const key = this.note.subarray(at, at + DIGEST);
      const bytes = executables.isReady(key) ? undefined : cache.peek(key);
      if (bytes) programs.push([key.toString('hex'), bytes]);
    }
    // Not before the files are read: the compiler may still be loading on its own thread. What another one made it must not see.
    if (programs.length === 0 || !executables.compilerDigest().equals(this.note.subarray(0, DIGEST))) return;
    for (const [key, bytes] of programs) this.loading.set(key, loader.beginLoad(target, bytes));
  }

  /** The program with this key, if it was guessed. */
  take(key: Buffer | undefined): E | undefined {
    if (key === undefined) return undefined;
    this.keys.push(key);
    const name = key.toString('hex');
    const loading = this.loading.get(name);
    if (loading === undefined) return undefined;
    this.loading.delete(name);
    const executable = this.loader.endLoad(loading);
    if (executable !== undefined) this.executables.cache.counts.hits++;
    return executable;
  }

  /** Remembers for the next process what was asked for. */
  end(): void {
    if (this.keys.length === 0) return;
    const note = Buffer.concat([this.executables.compilerDigest(), ...this.keys]);
    if (!this.note?.equals(note)) this.executables.cache.remember(this.call, note);
  }
}
