/** @file The recorded program, as the C++ recorder (native/trace) hands it over once per compilation. */
import type { GeneratorHandle } from '../native.js';
import type { Sharding } from '../shard/sharding.js';
import type { DType } from '../torch/dtype.js';

/** One tensor of a recorded program. Logically row-major; strides are what eager libtorch would have. */
export interface Value {
  readonly id: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DType;
}

/**
 * An argument of a recorded call. Integers and floats are numbers (bigint beyond 2^53), a Scalar that is a float with
 * an integer's value is `{ float }`, an undefined tensor or None is null, a Device or Layout is null, a Generator is its
 * place in the graph's list.
 */
export type Arg =
  | null
  | boolean
  | number
  | bigint
  | string
  | Value
  | { readonly float: number }
  | { readonly re: number; readonly im: number }
  | { readonly dtype: DType }
  | { readonly memory_format: string }
  | { readonly generator: number }
  | readonly Arg[];

/** One recorded call of a pure ATen operator. */
export interface Node {
  /** `'aten::add.Tensor'`, or `'aten::relu'` for a default overload. */
  readonly op: string;
  /** Keyed by the schema's argument names, all of them, defaults filled in, in schema order. */
  readonly args: Readonly<Record<string, Arg>>;
  /** One entry per return of the schema; an undefined tensor is null, a `Tensor[]` an array. */
  readonly outs: readonly (Value | null | readonly Value[])[];
  /** The line of the user's source that made the call, `file:line:column`. */
  readonly line?: string;
  /** What an operator of our own (`jorch::…`, one argument `operands`) does. */
  readonly control?: Control;
}

/** A program inside a program. */
export interface Subgraph {
  readonly graph: Graph;
  /** Its parameters: an operand of the operator each, or of what a loop carries. */
  readonly inputs: readonly { readonly value: Value; readonly operand: number }[];
  readonly results: readonly Value[];
}

/** Operators of our own. */
export type Control =
  /** Operands: what stays the same, what is carried, what is sliced along dimension 0. Results: the carried, then stacked slices. */
  | {
      readonly kind: 'scan';
      readonly body: Subgraph;
      readonly carries: number;
      readonly slices: number;
      readonly length: number;
      readonly reverse: boolean;
    }
  /** Operands: what stays the same, then what is carried. `kernel`: to be one kernel of XLA's, if its operations can be. */
  | {
      readonly kind: 'while';
      readonly cond: Subgraph;
      readonly body: Subgraph;
      readonly carries: number;
      readonly kernel: boolean;
    }
  /** Operands: the predicate, then what the branches take. */
  | { readonly kind: 'cond'; readonly branches: readonly [Subgraph, Subgraph] }
  /**
   * Random operators behind it, up to the next one, draw from the operands: a seed (0-d int64) for each of `generators` (places in the graph's list,
   * null for the default one). They are counted from here on: whatever computes them again draws the same numbers. `part`: which of the functions that
   * share the seeds this is.
   */
  | { readonly kind: 'key'; readonly generators: readonly (number | null)[]; readonly part: number }
  /** The operands, once all of them are there: XLA moves nothing across. */
  | { readonly kind: 'barrier' }
  /** The one operand, spread over the devices of a mesh in this way. */
  | { readonly kind: 'sharding'; readonly sharding: Sharding };

/** Elements of a baked constant, row-major. */
export type ConstantData = readonly (number | bigint | boolean | { readonly re: number; readonly im: number })[];

export interface Graph {
  /** Indexed by `Value.id`. */
  readonly values: readonly Value[];
  /** The program's parameters, in order. */
  readonly inputs: readonly Value[];
  readonly constants: readonly { readonly value: Value; readonly data: ConstantData }[];
  /** Topologically sorted pure operators; view operators are among them. */
  readonly nodes: readonly Node[];
  /** Explicit generators of random operators: `{ generator }` is a place in this list. */
  readonly generators?: readonly GeneratorHandle[];
}
