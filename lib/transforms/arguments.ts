/** @file What the transforms share: their options, arguments as leaves, refusals. */
import { ignoreRejection, JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';

// biome-ignore lint/suspicious/noExplicitAny: a transform takes functions of any arguments
export type AnyFunction = (...args: any[]) => any;

export const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const shown = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value);

/** Refuses what is no synchronous function. */
export const checkFunction = (name: string, f: unknown): void => {
  if (typeof f !== 'function') throw new JorchError('BAD_ARGUMENT', `${name}: expected a function, got ${shown(f)}`);
  if (f.constructor.name === 'AsyncFunction') throw asynchronous(name);
};

const asynchronous = (name: string): JorchError =>
  new JorchError(
    'BAD_ARGUMENT',
    `${name}: the function is async; a transform holds while its function runs and takes synchronous functions only. Await the data first and pass it in`,
  );

/** Refuses a promise. */
export const synchronous = <T>(name: string, value: T): T => {
  if (value instanceof Promise) {
    ignoreRejection(value);
    throw asynchronous(name);
  }
  return value;
};

/**
 * Options given by position, as an object in the first position, or both.
 * @param names in order; an option's value is checked by whoever uses it.
 */
export const readOptions = <T extends object>(
  name: string,
  names: readonly (keyof T & string)[],
  given: readonly unknown[],
): T => {
  const result: Record<string, unknown> = {};
  given.forEach((value, i) => {
    if (value === undefined) return;
    if (!isPlainObject(value)) {
      if (i >= names.length)
        throw new JorchError('BAD_ARGUMENT', `${name}: takes at most ${names.length} options, got ${given.length}`);
      result[names[i]!] = value;
      return;
    }
    for (const [key, item] of Object.entries(value)) {
      if (!names.includes(key as never))
        throw new JorchError(
          'BAD_ARGUMENT',
          `${name}: got an unexpected keyword '${key}'; it takes ${names.join(', ')}`,
        );
      if (item !== undefined) result[key] = item;
    }
  });
  return result as T;
};

/** The arguments that a transform is about, taken apart. */
export interface Chosen {
  readonly leaves: Tensor[];
  /** Of the argument, or of the array of arguments. */
  readonly structure: Structure;
  /** All the arguments, with other leaves in the place of the chosen ones. */
  with(leaves: readonly Tensor[]): unknown[];
}

/** @param argnums the position, or positions, of the arguments; negative counts from the end. */
export const choose = (name: string, args: readonly unknown[], argnums: number | readonly number[]): Chosen => {
  const many = Array.isArray(argnums);
  const places = (many ? (argnums as readonly number[]) : [argnums as number]).map((i) => {
    const place = i < 0 ? i + args.length : i;
    if (!Number.isInteger(place) || place < 0 || place >= args.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: argnums ${String(i)} is out of range for ${args.length} argument${args.length === 1 ? '' : 's'}`,
      );
    return place;
  });
  if (new Set(places).size !== places.length)
    throw new JorchError('BAD_ARGUMENT', `${name}: argnums names an argument twice`);
  const { leaves, structure } = flatten(many ? places.map((i) => args[i]) : args[places[0]!]);
  if (leaves.length === 0)
    throw new JorchError('BAD_ARGUMENT', `${name}: argument ${places.join(', ')} holds no tensor to differentiate`);
  leaves.forEach((t, i) => {
    if (!t.is_floating_point() && !t.is_complex())
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: only floating and complex tensors can be differentiated, ${leaves.length === 1 ? 'the argument' : `leaf ${i}`} is ${t.dtype}`,
      );
  });
  return {
    leaves,
    structure,
    with(replaced) {
      const value = unflatten(structure, replaced);
      const result = [...args];
      places.forEach((place, k) => {
        result[place] = many ? (value as unknown[])[k] : value;
      });
      return result;
    },
  };
};

/** A pytree of a function's result, which must consist of tensors. */
export const flattenResult = (name: string, value: unknown): { leaves: Tensor[]; structure: Structure } => {
  const flat = flatten(synchronous(name, value));
  const check = (s: Structure): void => {
    if (s.kind === 'static' && s.value !== null && s.value !== undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: the function must return tensors (in arrays, plain objects or Maps), it returned ${shown(s.value) === 'object' ? 'another object' : `a ${shown(s.value)}`}`,
      );
    if ('items' in s) s.items.forEach(check);
  };
  check(flat.structure);
  return flat;
};

/** The result and the auxiliary value of a function with `has_aux`. */
export const splitAux = (name: string, value: unknown): [unknown, unknown] => {
  if (!Array.isArray(value) || value.length !== 2)
    throw new JorchError('BAD_ARGUMENT', `${name}: with has_aux the function must return [output, aux]`);
  return [value[0], value[1]];
};
