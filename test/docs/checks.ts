/** @file What the comments of the pages' code blocks become: see pages.ts. */
import { inspect } from 'node:util';
import { isJorchError } from '../../lib/index.js';

const flat = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** `value` printed as console.log would, white space aside, is `expected`. */
export const shows = (value: unknown, expected: string, where: string): void => {
  const got = flat(typeof value === 'string' ? value : inspect(value, { breakLength: Number.POSITIVE_INFINITY }));
  if (got !== flat(expected)) throw new Error(`${where} says ${expected}, and shows ${got}`);
};

/** `run` throws the JorchError `CODE: words`: words of its message. */
export const refuses = async (run: () => Promise<unknown>, expected: string, where: string): Promise<void> => {
  const [, code, words] = /^([A-Z_]+)(?:: (.*))?$/.exec(expected) ?? [];
  try {
    await run();
  } catch (error) {
    if (isJorchError(error) && error.code === code && flat(error.message).includes(words ?? '')) return;
    throw new Error(`${where} says ${expected}`, { cause: error });
  }
  throw new Error(`${where} says ${expected}, and nothing is thrown`);
};
