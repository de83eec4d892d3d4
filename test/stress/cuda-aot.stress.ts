/** @file Every lowering, example and conformance program compiled for a card that need not be here: `npm run test:cuda-aot`, which fails below 95 % of the rules. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const dist = join(__dirname, '..', '..');
const run = (...args: string[]): number | null => spawnSync(process.execPath, args, { stdio: 'inherit' }).status;

describe('every program for an H100', () => {
  it('compiles, and 95 % of the rules are among them', () => {
    assert.equal(run(join(dist, 'lib', 'cli', 'index.js'), 'install', 'cuda', '--compiler'), 0);
    assert.equal(run(join(dist, 'test', 'cuda', 'run.js')), 0);
  });
});
