/** @file Constructors' arguments as torch takes them: positions after the required ones, then a last plain object of keywords. */
import { JorchError } from '../runtime/errors.js';
import { bindArguments, isKeywords, type PythonParameters } from '../torch/python-call.js';
import type { DeviceLike, DType, Options } from '../torch/python-types.js';

/**
 * The arguments after the required ones: some leading values of `N`'s keys, then the rest as keywords.
 * `Rest<{ stride?: number; padding?: number }, ['stride', 'padding']>` takes `()`, `(2)`, `(2, 1)`, `({ padding: 1 })`, `(2, { padding: 1 })`.
 */
export type Rest<O, N extends readonly (keyof O)[]> = N extends readonly [
  infer A extends keyof O,
  ...infer R extends readonly (keyof O)[],
]
  ? [options?: Options<O>] | [value: O[A], ...rest: Rest<O, R>]
  : [options?: Options<O>];

/** Where and in which dtype a layer's parameters are made. */
export interface FactoryOptions {
  device?: DeviceLike | undefined;
  dtype?: DType | undefined;
}

/**
 * Arguments without a default come by position: what is Python's keywords stands in the place of the first of them.
 * @param before arguments before these, for the message.
 * @throws JorchError BAD_ARGUMENT when one is missing
 */
export const requirePositional = (
  name: string,
  given: Readonly<Record<string, unknown>>,
  before: readonly string[] = [],
): void => {
  for (const [key, value] of Object.entries(given))
    if (value === undefined || value === null || isKeywords(value))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: missing argument '${key}', which comes by position: new ${name}(${[...before, ...Object.keys(given)].join(', ')}, { … })`,
      );
};

type Filled<D> = { -readonly [K in keyof D]: D[K] };

const rows = new WeakMap<object, PythonParameters>();

/** The arguments by name, with `defaults` (in positional order) filled in. @throws JorchError BAD_ARGUMENT for unknown or doubled ones. */
export const bind = <D extends object>(name: string, defaults: D, rest: readonly unknown[]): Filled<D> => {
  let parameters = rows.get(defaults);
  if (parameters === undefined) {
    parameters = Object.entries(defaults).map(([key, value]) => [key, value] as const);
    rows.set(defaults, parameters);
  }
  return bindArguments(name, parameters, rest) as Filled<D>;
};

/** Factory keywords for torch's creation functions, without those left out. */
export const factory = ({ device, dtype }: FactoryOptions): FactoryOptions => ({
  ...(device === undefined ? {} : { device }),
  ...(dtype === undefined ? {} : { dtype }),
});

/** The factory keywords of every layer with parameters, as defaults. */
export const FACTORY: { readonly device: DeviceLike | undefined; readonly dtype: DType | undefined } = {
  device: undefined,
  dtype: undefined,
};

/** The names of the factory keywords, at the end of a layer's positional arguments. */
export type FactoryNames = ['device', 'dtype'];

/** Whether its elements can be taken one by one. */
export const isIterable = (value: unknown): value is Iterable<unknown> =>
  typeof (value as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator] === 'function';

/** One number or a list of `n`. */
export type Size = number | readonly number[];
