/** @file Signatures that Python's torch still takes though they are deprecated: `addcmul(x, value, y, z)`, `add(x, alpha, y)`. */
import { isJorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { DEPRECATED } from './generated/resolution.js';
import { isKeywords } from './python-call.js';
import { op } from './runtime-ops.js';
import { Scalar } from './scalar.js';

const matches = (kind: string | undefined, value: unknown): boolean =>
  kind === 'T'
    ? native().isTensor(value)
    : typeof value === 'number' || typeof value === 'bigint' || value instanceof Scalar;

/** The arguments in today's places, or undefined where no deprecated signature takes them. A method's object has the place of `self` in the old order. */
function rearranged(
  name: string,
  args: readonly unknown[],
  object: readonly [] | readonly [unknown],
): unknown[] | undefined {
  const last = args.at(-1);
  const options = isKeywords(last) ? last : {};
  const rest = isKeywords(last) ? args.slice(0, -1) : args;
  for (const [kinds, positional, keywords] of DEPRECATED[name] ?? []) {
    const given = rest.toSpliced(positional[0] ?? 0, 0, ...object);
    if (kinds.length !== given.length || !given.every((value, i) => matches(kinds[i], value))) continue;
    const named = Object.fromEntries(Object.entries(keywords).map(([keyword, i]) => [keyword, given[i]]));
    return [...positional.map((i) => given[i]), { ...options, ...named }];
  }
  return undefined;
}

/** After today's signatures refused: the deprecated ones, last as in Python, or the refusal itself. */
function retry(
  name: string,
  call: (...args: unknown[]) => unknown,
  args: readonly unknown[],
  object: readonly [] | readonly [unknown],
  error: unknown,
): unknown {
  const again = isJorchError(error) && error.code === 'BAD_ARGUMENT' ? rearranged(name, args, object) : undefined;
  if (again === undefined) throw error;
  return call(...again);
}

const nameOf = (packet: string): string => packet.slice(packet.indexOf('::') + 2);

/** A function over a packet that has deprecated signatures. */
export const withDeprecated = (packet: string): ((...args: unknown[]) => unknown) => {
  const call = op(packet);
  const name = nameOf(packet);
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      return retry(name, call, args, [], error);
    }
  };
};

/** The same as a method. */
export const methodWithDeprecated = (packet: string): ((this: unknown, ...args: unknown[]) => unknown) => {
  const call = op(packet);
  const name = nameOf(packet);
  return function (this: unknown, ...args) {
    try {
      return call(this, ...args);
    } catch (error) {
      return retry(name, call, args, [this], error);
    }
  };
};
