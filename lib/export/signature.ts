/** @file What an exported program takes and returns: the JSON beside its text. */
import { JorchError } from '../runtime/errors.js';
import { DTYPES, type DType } from '../torch/dtype.js';
import type { Structure } from '../tree.js';

/** Bumped when an older jorch must not read what a newer one writes. */
export const FORMAT = 1;

/** A pytree's structure as JSON. */
export type Shape =
  | 'tensor'
  | { readonly value: null | boolean | string }
  | { readonly number: string }
  | { readonly bigint: string }
  | { readonly undefined: true }
  | { readonly array: readonly Shape[] }
  | { readonly keys: readonly string[]; readonly object: readonly Shape[] }
  | { readonly keys: readonly Shape[]; readonly map: readonly Shape[] };

export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Where a parameter comes from: the n-th tensor among the arguments, a weight by name, or fresh random bits. */
export type Parameter =
  | (TensorType & ({ readonly arg: number } | { readonly weight: string }))
  | { readonly random: true };

export interface ProgramSignature {
  readonly format: number;
  readonly name: string;
  /** The jorch that wrote it. */
  readonly jorch: string;
  /** The compiler it was written for. */
  readonly plugin: string;
  /** `cpu`, or `cuda`: then the file holds machine code for `card`. */
  readonly platform: string;
  readonly card?: string;
  readonly args: Shape;
  readonly results: Shape;
  readonly parameters: readonly Parameter[];
  readonly outputs: readonly TensorType[];
  /** Per tensor of the result: an output, an argument as it was given, or a weight. */
  readonly returns: readonly ({ readonly output: number } | { readonly arg: number } | { readonly weight: string })[];
}

/** @throws JorchError BAD_ARGUMENT for a value that only this process knows, with its path */
export const shapeOf = (s: Structure, path: string): Shape => {
  switch (s.kind) {
    case 'tensor':
      return 'tensor';
    case 'array':
      return { array: s.items.map((item, i) => shapeOf(item, `${path}[${i}]`)) };
    case 'object':
      return { keys: s.keys, object: s.items.map((item, i) => shapeOf(item, `${path}.${s.keys[i]}`)) };
    case 'map':
      return {
        keys: s.keys.map((key) => shapeOf({ kind: 'static', value: key }, `a key of ${path}`)),
        map: s.items.map((item, i) => shapeOf(item, `${path}.get(${String(s.keys[i])})`)),
      };
    case 'static': {
      const { value } = s;
      if (value === undefined) return { undefined: true };
      if (typeof value === 'number') return { number: Object.is(value, -0) ? '-0' : String(value) };
      if (typeof value === 'bigint') return { bigint: String(value) };
      if (value === null || typeof value === 'boolean' || typeof value === 'string') return { value };
      throw new JorchError(
        'BAD_ARGUMENT',
        `export: ${path} is ${typeof value === 'object' ? `an object of class ${value.constructor?.name}` : `a ${typeof value}`}, which cannot be written to a file; let the function capture it`,
      );
    }
  }
};

/** The value of a static leaf; undefined for a structure. */
export const staticOf = (shape: Shape): { readonly value: unknown } | undefined => {
  if (typeof shape === 'string') return undefined;
  if ('value' in shape) return { value: shape.value };
  if ('number' in shape) return { value: Number(shape.number) };
  if ('bigint' in shape) return { value: BigInt(shape.bigint) };
  return 'undefined' in shape ? { value: undefined } : undefined;
};

const isIndex = (n: unknown, below: number): boolean =>
  Number.isSafeInteger(n) && (n as number) >= 0 && (n as number) < below;

const countTensors = (shape: unknown, depth = 0): number => {
  if (shape === 'tensor') return 1;
  if (typeof shape !== 'object' || shape === null || depth > 100) throw new Error('a structure is not one');
  const { array, object, map, keys } = shape as { array?: unknown; object?: unknown; map?: unknown; keys?: unknown };
  const items = array ?? object ?? map;
  if (items === undefined) {
    staticOf(shape as Shape);
    return 0;
  }
  if (!Array.isArray(items)) throw new Error('a structure has no items');
  if (array === undefined && !(Array.isArray(keys) && keys.length === items.length))
    throw new Error('a structure has no keys');
  if (object !== undefined && !(keys as unknown[]).every((k) => typeof k === 'string'))
    throw new Error('a key is no text');
  return items.reduce((sum: number, item) => sum + countTensors(item, depth + 1), 0);
};

const checkType = (t: { dtype?: unknown; shape?: unknown }): void => {
  if (!DTYPES.includes(t.dtype as DType)) throw new Error(`the dtype ${JSON.stringify(t.dtype)} is unknown`);
  if (!Array.isArray(t.shape) || !t.shape.every((n) => isIndex(n, Number.MAX_SAFE_INTEGER)))
    throw new Error('a shape is not one');
};

/**
 * A signature from a file, every index of it checked.
 * @throws Error that says what is wrong
 */
export const parseSignature = (text: string, weights: ReadonlyMap<string, TensorType>): ProgramSignature => {
  const s = JSON.parse(text) as ProgramSignature;
  if (typeof s !== 'object' || s === null || typeof s.format !== 'number') throw new Error('the signature is not one');
  if (s.format !== FORMAT) return s; // the caller says so in words
  const args = countTensors(s.args);
  const results = countTensors(s.results);
  for (const p of s.parameters) {
    if ('random' in p) continue;
    checkType(p);
    if ('arg' in p) {
      if (!isIndex(p.arg, args)) throw new Error(`there is no argument ${p.arg}`);
      continue;
    }
    const weight = weights.get(p.weight);
    if (!weight) throw new Error(`the weight ${JSON.stringify(p.weight)} is missing`);
    if (weight.dtype !== p.dtype || String(weight.shape) !== String(p.shape))
      throw new Error(
        `the weight '${p.weight}' is ${weight.dtype} [${weight.shape.join()}], the program takes ${p.dtype} [${p.shape.join()}]`,
      );
  }
  for (const t of s.outputs) checkType(t);
  if (s.returns.length !== results) throw new Error(`${s.returns.length} results for ${results} places`);
  for (const r of s.returns)
    if (
      !('output' in r ? isIndex(r.output, s.outputs.length) : 'arg' in r ? isIndex(r.arg, args) : weights.has(r.weight))
    )
      throw new Error('a result comes from nowhere');
  return s;
};
