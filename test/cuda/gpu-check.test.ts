/** @file scripts/gpu-check, as far as it goes without a GPU: its refusals, and what it times, on XLA's CPU device. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { hasNvidiaDevice } from '../../lib/runtime/locate-cuda.js';
import { repositoryRoot } from '../opinfo/cases.js';

const root = repositoryRoot();
const check = (...args: string[]) =>
  spawnSync(join(root, 'scripts', 'gpu-check'), args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
  });

describe('gpu-check', function () {
  this.timeout(120_000);

  it('says what it expects', () => {
    for (const args of [[], ['conjure'], ['pack', 'a', 'b']]) {
      const { status, stderr } = check(...args);
      assert.equal(status, 1);
      assert.match(stderr, /^gpu-check: expected: gpu-check pack \[FOLDER\], or gpu-check run \[OUT\] \[--dry-run\]/);
    }
    assert.match(check('run', '--fast').stderr, /^gpu-check: expected: run \[OUT\] \[--dry-run\], got --fast/);
  });

  it('names what the machine lacks', function () {
    if (hasNvidiaDevice()) this.skip();
    const { status, stderr } = check('run', '/nonexistent-is-not-made');
    assert.equal(status, 1);
    assert.match(stderr, /this machine has not: an NVIDIA driver.*--dry-run tries the script without a GPU/);
  });

  it('checks every claim on a device', () => {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'dist', 'bench', 'gpu-checks.js'), '--device', 'xla', '--small'],
      { encoding: 'utf8' },
    );
    assert.equal(stderr, '');
    const { checks } = JSON.parse(stdout) as { checks: Record<string, { holds: boolean; detail?: string }> };
    assert.ok(Object.keys(checks).length >= 15);
    assert.deepEqual(
      Object.entries(checks).filter(([, { holds }]) => !holds),
      [],
    );
  });

  it('times every task on a device', () => {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'dist', 'bench', 'gpu.js'), '--device', 'xla', '--small'],
      { encoding: 'utf8' },
    );
    assert.equal(stderr, '');
    const { device, ms } = JSON.parse(stdout) as { device: string; ms: Record<string, number> };
    assert.equal(device, 'xla');
    assert.deepEqual(Object.keys(ms), [
      'mlp training step',
      'conv training step',
      'transformer block forward and backward',
      'x + 1, 16 elements',
    ]);
    for (const time of Object.values(ms)) assert.ok(time > 0 && time < 10_000);
  });
});
