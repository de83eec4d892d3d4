/** @file Executables for program texts: from the persistent cache if they are there, else from XLA. */
import { createHash } from 'node:crypto';
import type { Compiler, Target, XlaOptions } from '../native.js';
import type { Ahead } from './ahead.js';
import type { PersistentCache } from './persistent.js';
import { pluginDigest } from './plugin-digest.js';

/** The key, among the options of `compile`, of XLA's options for the programs of one function: docs/PERFORMANCE.md. Not for users. */
export const XLA_OPTIONS: unique symbol = Symbol('XLA options');

/** Programs that may be there already. */
export interface Ready<E> {
  has(key: Buffer): boolean;
  /** The program with this key; undefined when it is not there, or, unless `wait`, not yet. */
  take(key: Buffer, wait: boolean): E | undefined;
  /** A call needs this program. */
  asksFor(key: Buffer, text: string, compiler: () => Buffer): void;
}

/** Bumped when programs of the same text would be compiled or called in another way. */
const GENERATION = 2;

/** Custom calls of ours whose attributes say all that they do; others may mean something in this process only. */
const PORTABLE_CALLS = new Set(['jorch_aten']);

/** Whether a program means the same in another process. */
export const isPortable = (stablehlo: string): boolean => {
  for (const [, target] of stablehlo.matchAll(/custom_call\s*@"?(jorch_\w+)/g))
    if (!PORTABLE_CALLS.has(target!)) return false;
  return true;
};

/** Finds, compiles and keeps executables for one target. */
export class Executables<E, T extends Target = string> {
  private identity: string | undefined;

  constructor(
    private readonly compiler: Compiler<E, T>,
    readonly target: T,
    readonly cache: PersistentCache,
    private readonly ready?: Ready<E>,
  ) {}

  private get plugin(): string {
    const { target }: { target: Target } = this;
    return typeof target === 'string' ? target : target.plugin;
  }

  /** What executables depend on besides program and options. */
  private get compilerIs(): string {
    this.identity ??= `${GENERATION}\n${pluginDigest(this.plugin, this.cache)}\n${this.compiler.compilerIdentity(this.target)}`;
    return this.identity;
  }

  /** Executables of another one must not be loaded. */
  compilerDigest(): Buffer {
    return createHash('sha256').update(this.compilerIs).digest();
  }

  /** The key of a program on disk; undefined when it must not be kept. */
  key(stablehlo: string, options: XlaOptions): Buffer | undefined {
    if (this.cache.folder === undefined || !isPortable(stablehlo)) return undefined;
    const hash = createHash('sha256');
    const part = (bytes: string | Buffer): void => {
      // Lengths first: no two lists of parts give the same bytes.
      hash.update(`${Buffer.byteLength(bytes)}:`).update(bytes);
    };
    part(this.compilerIs);
    part(this.compiler.compileOptions(this.target, options));
    part(stablehlo);
    return hash.digest();
  }

  /** Whether somebody else is loading it. */
  isReady(key: Buffer): boolean {
    return this.ready?.has(key) === true;
  }

  /** A call needs this program. */
  askFor(key: Buffer | undefined, text: string): void {
    if (key) this.ready?.asksFor(key, text, () => this.compilerDigest());
  }

  /** The program, if somebody else has loaded it; `wait`: or is doing so. */
  fetched(key: Buffer | undefined, wait: boolean): E | undefined {
    const executable = key && this.ready?.take(key, wait);
    if (executable !== undefined) this.cache.counts.hits++;
    return executable;
  }

  /** From disk, or undefined. */
  load(key: Buffer | undefined): E | undefined {
    const bytes = key && this.cache.read(key);
    if (!bytes) return undefined;
    try {
      return this.compiler.loadProgram(this.target, bytes);
    } catch {
      this.cache.reject(key);
      return undefined;
    }
  }

  /** Puts it on disk. */
  keep(key: Buffer | undefined, executable: E): void {
    if (key) this.cache.write(key, this.compiler.serializeProgram(executable));
  }

  obtain(stablehlo: string, options: XlaOptions, ahead?: Ahead<E, T>): { executable: E; loaded: boolean } {
    const key = this.key(stablehlo, options);
    this.askFor(key, stablehlo);
    const known = ahead?.take(key) ?? this.fetched(key, true) ?? this.load(key);
    if (known !== undefined) return { executable: known, loaded: true };
    const executable = this.compiler.compileProgram(this.target, stablehlo, options);
    this.keep(key, executable);
    return { executable, loaded: false };
  }
}
