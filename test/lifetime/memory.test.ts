/** @file Loops that never return to the event loop do not let memory grow: garbage collection knows the real sizes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { figure } from '../support/figure.js';

/** By how many MiB a fresh process grows in this loop. */
const growth = (loop: string): number => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'fixtures', 'memory.js'), loop], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  figure(1, `${loop}: ${Number(stdout).toFixed(0)} MiB more`);
  return Number(stdout);
};

describe('memory in synchronous loops', function () {
  this.timeout(300_000);

  it('100 000 compiled calls grow the process by less than 100 MiB', () => {
    assert.ok(growth('compiled calls') < 100);
  });

  it('50 000 eager operators of 1 MiB grow it by at most 256 MiB', () => {
    assert.ok(growth('eager operators of 1 MiB') <= 256);
  });

  it('20 000 compiled results of 1 MiB grow it by at most 256 MiB', () => {
    assert.ok(growth('compiled results of 1 MiB') <= 256);
  });

  it('20 000 eager backward passes grow it by less than 100 MiB', () => {
    assert.ok(growth('eager backward') < 100);
  });
});

describe('errors and garbage collection', function () {
  this.timeout(300_000);

  it('30 000 errors thrown among tensors that die: a collection while an error is on its way ends nothing', () => {
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'fixtures', 'throws.js')], {
      encoding: 'utf8',
    });
    assert.deepEqual({ status, signal, stdout: stdout.trim() }, { status: 0, signal: null, stdout: '30000' }, stderr);
  });

  it('500 programs that XLA refuses, among executables that die, with the addon that has no libtorch', () => {
    const fixture = join(__dirname, '..', 'stress', 'fixtures', 'mutants.js');
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture, '500', '4'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    assert.deepEqual([status, signal], [0, null], stderr.slice(-2000));
    const { refused, compiled } = JSON.parse(stdout) as { refused: number; compiled: number };
    assert.equal(refused + compiled, 500);
  });
});

describe('memory that is not there', function () {
  this.timeout(300_000);

  it('30 requests beyond a limit in each way are OUT_OF_MEMORY, the next small call is right, the memory is back', () => {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [join(__dirname, 'fixtures', 'out-of-memory.js')],
      { encoding: 'utf8' },
    );
    assert.deepEqual([status, signal], [0, null], stderr.slice(-2000));
    const { told, grown } = JSON.parse(stdout) as { told: Record<string, unknown>; grown: number };
    const all = { codes: { OUT_OF_MEMORY: 30 }, right: 30 };
    assert.deepEqual(told, { eager: all, compiled: all, asynchronous: all, gradient: all });
    assert.ok(grown < 512, `${grown} MiB`);
    figure(
      17,
      `30 of 30 eagerly, compiled, asynchronously and with gradients, ${grown.toFixed(0)} MiB more at the end`,
    );
  });
});
