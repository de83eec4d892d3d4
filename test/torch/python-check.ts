/** @file What the tests of Python's own functions share: comparison and refusal. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';

/** Elements within 1e-5 of what is expected, nested alike. */
export function close(actual: unknown, expected: unknown): void {
  const list = torch.is_tensor(actual) ? actual.tolist() : actual;
  const compare = (a: unknown, b: unknown): void => {
    if (Array.isArray(b)) {
      assert.ok(
        Array.isArray(a) && a.length === b.length,
        `${JSON.stringify(list)} is not shaped like ${JSON.stringify(expected)}`,
      );
      b.forEach((x, i) => void compare(a[i], x));
    } else if (typeof b === 'number' && typeof a === 'number')
      assert.ok(
        Object.is(a, b) || a === b || Math.abs(a - b) < 1e-5,
        `${JSON.stringify(list)} is not ${JSON.stringify(expected)}`,
      );
    else assert.deepEqual(a, b);
  };
  compare(list, expected);
}
export const refuses = (run: () => unknown, message: RegExp): void => {
  assert.throws(
    run,
    (e: unknown) => torch.isJorchError(e) && e.code === 'BAD_ARGUMENT' && message.test(e.message),
    String(message),
  );
};
