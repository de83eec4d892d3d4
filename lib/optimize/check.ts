/** @file What the user wrote, checked: options, bounds, the callback. */
import { JorchError } from '../runtime/errors.js';
import { isTensor, type Tensor } from '../torch/tensor.js';
import type { Box } from './box.js';
import { type Method, methods } from './methods.js';

const bad = (message: string) => new JorchError('BAD_ARGUMENT', message);

/** The closest of `known` to a mistyped name, for messages. */
function nearest(name: string, known: readonly string[]): string {
  const key = (s: string) => s.toLowerCase().replace(/[^a-z0-9]/g, '');
  const same = known.find((k) => key(k) === key(name)) ?? known.find((k) => key(k).startsWith(key(name).slice(0, 4)));
  return same ? ` (did you mean '${same}'?)` : '';
}

/** @throws JorchError BAD_ARGUMENT for a key that is not among `known`. */
export function checkKeys(who: string, given: object, known: readonly string[], what = 'option'): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key))
      throw bad(`${who}: unknown ${what} '${key}'${nearest(key, known)}; known are ${known.join(', ')}`);
  }
}

export function checkMethod(method: unknown): asserts method is Method {
  const known = Object.keys(methods);
  if (typeof method !== 'string' || !known.includes(method)) {
    throw bad(
      `minimize: unknown method '${String(method)}'${nearest(String(method), known)}; known are ${known.join(', ')}`,
    );
  }
}

/** @throws JorchError BAD_ARGUMENT for unknown names, and values of the wrong kind. */
export function checkOptions(
  who: string,
  kinds: Readonly<Record<string, string>>,
  given: Readonly<Record<string, unknown>>,
  n: number,
): void {
  checkKeys(who, given, Object.keys(kinds));
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const kind = kinds[name]!;
    if (kind === 'vector') {
      if (!(value instanceof Float64Array) || value.length !== n * n)
        throw bad(`${who}: option ${name} must be a Float64Array of ${n} × ${n} numbers`);
    } else if (typeof value !== kind || Number.isNaN(value)) {
      throw bad(`${who}: option ${name} must be a ${kind}, got ${typeof value === 'number' ? value : typeof value}`);
    }
  }
}

type Side = number | null | undefined | readonly (number | null)[] | Tensor;

/** Bounds: one [low, high] pair per element in flat order, null where there is none; or SciPy's Bounds as { lb, ub }. */
export type BoundsArgument =
  | readonly (readonly [number | null, number | null])[]
  | { readonly lb?: Side; readonly ub?: Side };

/** @throws JorchError BAD_ARGUMENT where the count is wrong, a bound is NaN, or a lower bound lies above its upper one. */
export function boxOf(bounds: BoundsArgument, n: number): Box {
  const side = (value: Side, none: number, name: string): Float64Array => {
    const list = isTensor(value) ? Array.from(value.to('float64').toTypedArray() as Float64Array) : value;
    if (list === null || list === undefined || typeof list === 'number') return new Float64Array(n).fill(list ?? none);
    if (list.length !== n) throw bad(`minimize: bounds.${name} has ${list.length} elements, x0 has ${n}`);
    return Float64Array.from(list, (v) => v ?? none);
  };
  let box: Box;
  if (Array.isArray(bounds)) {
    const pairs = bounds as readonly (readonly [number | null, number | null])[];
    if (pairs.length !== n)
      throw bad(`minimize: ${pairs.length} bounds for the ${n} elements of x0; give one [low, high] per element`);
    for (const [i, p] of pairs.entries()) {
      if (!Array.isArray(p) || p.length !== 2)
        throw bad(`minimize: bounds[${i}] must be [low, high], with null where there is none`);
    }
    box = {
      lower: Float64Array.from(pairs, ([low]) => low ?? Number.NEGATIVE_INFINITY),
      upper: Float64Array.from(pairs, ([, high]) => high ?? Number.POSITIVE_INFINITY),
    };
  } else {
    const { lb, ub } = bounds as { lb?: Side; ub?: Side };
    checkKeys('minimize', bounds, ['lb', 'ub'], 'key of bounds');
    box = { lower: side(lb, Number.NEGATIVE_INFINITY, 'lb'), upper: side(ub, Number.POSITIVE_INFINITY, 'ub') };
  }
  for (let i = 0; i < n; i++) {
    if (!(box.lower[i]! <= box.upper[i]!))
      throw bad(`minimize: bounds of element ${i}: ${box.lower[i]} is not at most ${box.upper[i]}`);
  }
  return box;
}
