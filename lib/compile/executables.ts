/** @file Executables for program texts: from the persistent cache if they are there, else from XLA. */
import { createHash } from 'node:crypto';
import type { Executable } from '../native.js';
import { located, native } from '../runtime/load.js';
import { type PersistentCache, persistentCache } from './persistent.js';
import { pluginDigest } from './plugin-digest.js';

/** XLA's own options, by name. */
export type XlaOptions = Readonly<Record<string, boolean | number | string>>;

/** The compiler behind either addon. */
export interface Compiler<E> {
  compileProgram(plugin: string, stablehlo: string, options: XlaOptions): E;
  loadProgram(plugin: string, bytes: Buffer): E;
  serializeProgram(executable: E): Buffer;
  compilerIdentity(plugin: string): string;
  compileOptions(plugin: string, options: XlaOptions): Buffer;
}

/** Bumped when programs of the same text would be compiled or called in another way. */
const GENERATION = 1;

/** Custom calls of ours whose attributes say all that they do; others may mean something in this process only. */
const PORTABLE_CALLS = new Set(['jorch_aten']);

/** Whether a program means the same in another process. */
export const isPortable = (stablehlo: string): boolean => {
  for (const [, target] of stablehlo.matchAll(/custom_call\s*@"?(jorch_\w+)/g))
    if (!PORTABLE_CALLS.has(target!)) return false;
  return true;
};

/** Finds, compiles and keeps executables of one plugin. */
export class Executables<E> {
  private identity: string | undefined;

  constructor(
    private readonly compiler: Compiler<E>,
    private readonly plugin: string,
    readonly cache: PersistentCache,
  ) {}

  /** The key of a program on disk; undefined when it must not be kept. */
  key(stablehlo: string, options: XlaOptions): Buffer | undefined {
    if (this.cache.folder === undefined || !isPortable(stablehlo)) return undefined;
    this.identity ??= `${GENERATION}\n${pluginDigest(this.plugin, this.cache)}\n${this.compiler.compilerIdentity(this.plugin)}`;
    const hash = createHash('sha256');
    const part = (bytes: string | Buffer): void => {
      // Lengths first: no two lists of parts give the same bytes.
      hash.update(`${Buffer.byteLength(bytes)}:`).update(bytes);
    };
    part(this.identity);
    part(this.compiler.compileOptions(this.plugin, options));
    part(stablehlo);
    return hash.digest();
  }

  /** From disk, or undefined. */
  load(key: Buffer | undefined): E | undefined {
    const bytes = key && this.cache.read(key);
    if (!bytes) return undefined;
    try {
      return this.compiler.loadProgram(this.plugin, bytes);
    } catch {
      this.cache.reject(key);
      return undefined;
    }
  }

  /** Puts it on disk. */
  keep(key: Buffer | undefined, executable: E): void {
    if (key) this.cache.write(key, this.compiler.serializeProgram(executable));
  }

  obtain(stablehlo: string, options: XlaOptions): { executable: E; loaded: boolean } {
    const key = this.key(stablehlo, options);
    const known = this.load(key);
    if (known !== undefined) return { executable: known, loaded: true };
    const executable = this.compiler.compileProgram(this.plugin, stablehlo, options);
    this.keep(key, executable);
    return { executable, loaded: false };
  }
}

let shared: Executables<Executable> | undefined;

/** Those of the addon with libtorch. @throws JorchError RUNTIME_MISSING */
export const executables = (): Executables<Executable> => {
  shared ??= new Executables(native(), located().cpuPlugin, persistentCache());
  return shared;
};
