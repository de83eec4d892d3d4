/** @file Every public function with values that none of them wants: a typed error or a result, never a crash or a foreign error. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { figure } from '../support/figure.js';
import { campaign, performKept } from '../support/hostile-campaign.js';
import type { Recipe } from '../support/recipes.js';

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
    figure(10, `odd values: ${calls} calls`);
    assert.ok(calls > 10_000, `${calls} calls`);
  });
});

describe('hostile values: namespaces, methods, layers, optimizers, transforms', function () {
  this.timeout(300_000);

  it('are typed errors or results in 3 000 calls with up to four arguments', () => {
    const fixture = join(__dirname, 'fixtures', 'hostile-surface.js');
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [fixture, '1', '3000'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    assert.deepEqual([status, signal], [0, null], stderr.slice(-1000));
    const { calls, results, wrong } = JSON.parse(stdout.split('\n').at(-1)!) as {
      calls: number;
      results: number;
      wrong: Record<string, string>;
    };
    assert.deepEqual(wrong, {});
    assert.equal(calls, 3000);
    assert.ok(results > 200, `${results} calls gave a result`);
  });
});

describe('hostile arguments: every registered operator', function () {
  this.timeout(300_000);

  it('calls that once ended the process are refused', async () => {
    const file = join(__dirname, '../../../test/torch/hostile-calls.json');
    const { failures } = await performKept(JSON.parse(readFileSync(file, 'utf8')) as Recipe[]);
    assert.deepEqual(failures, []);
  });

  it('calls that were wrong inside compiled functions are refused or right', async () => {
    const file = join(__dirname, '../../../test/torch/hostile-compiled.json');
    const { failures } = await performKept(JSON.parse(readFileSync(file, 'utf8')) as Recipe[], 'compiled');
    assert.deepEqual(failures, []);
  });

  it('4 000 calls with arguments of the right kinds: a result or a typed error, arguments that are only read stay as they are', async () => {
    const { results, refused, failures } = await campaign(1, 0, 4000);
    assert.deepEqual(failures, []);
    assert.equal(results + refused, 4000);
    assert.ok(results > 400, `${results} calls gave a result`);
  });

  it('300 calls inside compiled functions: a result of eager’s dtypes and shapes, or a typed error', async () => {
    const { results, refused, failures } = await campaign(3, 0, 300, { how: 'compiled', stride: 11 });
    assert.deepEqual(failures, []);
    assert.equal(results + refused, 300);
    assert.ok(results > 40, `${results} calls gave a result`);
  });
});
