/** @file Row 10, the long form: every registered operator with hostile arguments; what ends a process is made small and belongs into test/torch/hostile-calls.json. */
import assert from 'node:assert/strict';
import { figure } from '../support/figure.js';
import { campaign } from '../support/hostile-campaign.js';

/** All take half an hour of one core; JORCH_CALLS asks for fewer. */
const CALLS = Number(process.env['JORCH_CALLS'] ?? 100_000);

describe('stress: hostile calls', () => {
  it(`row 10: ${CALLS} calls of every registered operator with arguments that fit its schema and little else`, async () => {
    // Another seed each day finds other calls; the message has the calls themselves.
    const seed = Number(process.env['JORCH_SEED'] ?? Math.floor(Date.now() / 86_400_000));
    const { results, refused, failures } = await campaign(seed, 0, CALLS, { shrink: true });
    figure(
      10,
      `typed arguments, seed ${seed}: ${results + refused + failures.length} calls, ${results} results, ${refused} refused, ${failures.length} other`,
    );
    assert.deepEqual(failures, []);
  });
});
