/** @file Thousands of damaged exported programs (test/pt2/mutations.ts); a slice of them is in CI. */
import { runMutations } from '../pt2/mutations.js';

describe('damaged exported programs', () => {
  it('end in a result or a JorchError', () => {
    runMutations(
      Number(process.env['JORCH_STRESS'] ?? 5000),
      Number(process.env['JORCH_SEED'] ?? Date.now() % 2 ** 31),
    );
  });
});
