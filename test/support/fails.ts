/** @file Asserts that a call throws a JorchError with the right code and helpful words, and that jorch works afterwards. */
import assert from 'node:assert/strict';
import { type ErrorCode, isJorchError, ones } from '../../lib/index.js';

const check = (error: unknown, code: ErrorCode, words: readonly RegExp[]): void => {
  assert.ok(isJorchError(error), `expected a JorchError ${code}, got ${String(error)}`);
  assert.equal(error.code, code, error.message);
  for (const word of words) assert.match(error.message, word);
  assert.equal(ones(3).add(1).sum().item(), 6, 'jorch works on');
};

/** `call` throws a JorchError with this code, and its message has all the words. */
export const fails = (code: ErrorCode, words: RegExp | readonly RegExp[], call: () => unknown): void => {
  let error: unknown;
  let threw = false;
  try {
    call();
  } catch (thrown) {
    threw = true;
    error = thrown;
  }
  assert.ok(threw, `expected a JorchError ${code}, but nothing was thrown`);
  check(error, code, words instanceof RegExp ? [words] : words);
};

/** The same for a promise. */
export const rejects = async (
  code: ErrorCode,
  words: RegExp | readonly RegExp[],
  call: () => Promise<unknown>,
): Promise<void> => {
  let error: unknown;
  let threw = false;
  try {
    await call();
  } catch (thrown) {
    threw = true;
    error = thrown;
  }
  assert.ok(threw, `expected a JorchError ${code}, but nothing was thrown`);
  check(error, code, words instanceof RegExp ? [words] : words);
};
