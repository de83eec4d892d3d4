/**
 * @file Where libtorch has a library for the device, tensors there are its own: eager operators are its kernels, programs read and make the same memory, and the
 * work of both is in order. The device is one whose work is always late (late/late_device_cpu.cc): whoever does not wait reads garbage.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { located } from '../../lib/runtime/load.js';
import { built, cannotBuild } from '../support/built.js';

interface Outcome {
  readonly wrong: readonly string[];
  readonly told: Readonly<Record<'uploads' | 'views' | 'waits' | 'early', number>>;
}

const run = (mode: string): Outcome => {
  const late = built('late', 'cuda/late/late_device_cpu', '-lc10', '-ltorch_cpu');
  const { torch, cpuPlugin } = located();
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [join(__dirname, 'fixtures', 'bridge.js'), late],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        JORCH_TORCH_DIR: torch,
        JORCH_PJRT_PLUGIN: late,
        JORCH_LATE_PLUGIN: cpuPlugin,
        JORCH_LATE: mode,
      },
    },
  );
  assert.equal(status, 0, `${signal ?? ''} ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Outcome;
};

describe('device: tensors of libtorch’s own', function () {
  this.timeout(300_000);
  before(function () {
    if (cannotBuild() !== undefined) this.skip();
  });

  it('go to XLA and back without a copy, in order, whoever frees what first', () => {
    const { wrong, told } = run('ordered');
    assert.deepEqual(wrong, []);
    assert.ok(told.views > 100 && told.waits > 100, JSON.stringify(told));
  });

  it('a device on which the order does not hold is found out, and its tensors stay XLA’s', () => {
    assert.deepEqual(run('unordered').wrong, []);
  });
});
