/** @file What compile() is told, and what a compiled function says of itself. */
import type { DataChecks } from '../debug/watch.js';
import type { Optimize } from '../lowering/prefer.js';
import type { XlaOptions } from '../native.js';
import type { PartitionOptions } from '../shard/partitioner.js';
import type { Device } from '../torch/device.js';
import type { XLA_OPTIONS } from './executables.js';

export interface CompileOptions extends PartitionOptions {
  /** @internal */
  readonly [XLA_OPTIONS]?: XlaOptions;
  /** For messages; default: the function's name. */
  name?: string;
  /** Arguments (by position) that are compared by identity and never taken apart: functions, configurations. */
  static?: readonly number[];
  /**
   * Numbers in arguments that are values of the program instead of parts of it: a position stands for all numbers of that argument,
   * `'opt.lr'` for a key in one. The function gets 0-d tensors that promote like numbers.
   */
  dynamic?: readonly (number | string)[];
  /**
   * Lets the program compute the new values of tensors that the function changes in place in their own memory, which halves the memory of a
   * training step: `true` for all of them, positions for those in these arguments. A run that fails half-way then leaves anything in them.
   * Default: those from 64 KiB, in programs on the CPU that cannot fail half-way (without libtorch's kernels, checks and prints).
   */
  donate?: boolean | readonly number[];
  /** What to do with an operator that has no lowering: run libtorch's kernel inside the program (`aten`), or refuse (`error`). Default `aten`. */
  fallback?: 'aten' | 'error';
  /** Whether heavy operators run as libtorch's kernels inside the program: where that was measured to be faster (`auto`, the default), never (`xla`), always (`aten`). */
  optimize?: Optimize;
  /**
   * `true`: the program raises what eager would raise from data (an index out of range, an integer division by zero, a matrix without a
   * factorisation), in torch's words and before anything is changed. `'nan'`: also when a result holds NaN, naming the operator that made it.
   * Default `false`: indices are clamped or dropped, failed factorisations give NaN, divisions by zero give XLA's values.
   */
  checks?: DataChecks;
  /**
   * Where the program runs: `'cuda'`. Default: where one of its tensors is, else the CPU. Tensors elsewhere are copied there at every call;
   * results stay there, until `cpu()` or a read brings them back, and the call returns before the program is done.
   */
  device?: string | Device;
  /** Programs kept at most, the least recently used are dropped; and from the 9th compilation on: `warn` once, or throw. Default `{ limit: 64, policy: 'warn' }`. */
  maxCompiles?: { limit?: number; policy?: 'warn' | 'error' };
}

export interface CompileStats {
  /** Programs made, by compiling or from the persistent cache. */
  compiles: number;
  /** Programs that came whole from the persistent cache. */
  cacheLoads: number;
  hits: number;
  misses: number;
  /** Programs dropped because of `maxCompiles.limit`. */
  evictions: number;
  traceMs: number;
  lowerMs: number;
  compileMs: number;
}

export interface Explanation {
  /** Overloads that became StableHLO. */
  readonly lowered: readonly string[];
  /** Operators that run libtorch's kernel inside the program, why, and where they were called. */
  readonly calls: readonly { readonly op: string; readonly reason: string; readonly line?: string }[];
  /** Why each compilation happened. */
  readonly reasons: readonly string[];
  toString(): string;
}
