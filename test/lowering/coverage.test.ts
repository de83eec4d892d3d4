/** @file docs/COVERAGE.md says what is true of this build, and of the core operators all that can be lowered are. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..', '..');

describe('lowering: coverage', () => {
  it('docs/COVERAGE.md is not stale', () => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'coverage.mjs'), '--check'], {
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  it('every core overload with a tensor of static shape for a result is lowered', () => {
    const rows = readFileSync(join(root, 'docs', 'COVERAGE.md'), 'utf8').split('\n');
    const core = rows.filter((row) => row.includes('(core)'));
    const others = core.filter((row) => !/\| lowered \|/.test(row) && !/\| (value|in-place or out= form) \|/.test(row));
    assert.deepEqual(
      others.map((row) => row.split('`')[1]),
      ['nonzero'],
    );
    assert.ok(core.length > 180);
  });
});
