/** @file Every public function with values that none of them wants: a typed error or a result, never a crash or a foreign error. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

describe('hostile values: every public function × 30 odd values', () => {
  it('are typed errors or results, never a crash, in 10 000 calls', () => {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [join(__dirname, 'fixtures', 'hostile.js')],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    );
    assert.equal(signal, null);
    assert.equal(status, 0, stderr.slice(-4000));
    const calls = Number(stdout.split('\n').at(-1)?.replace(/\D/g, ''));
    assert.ok(calls > 10_000, `${calls} calls`);
  });
});
