/** @file Row 9: whatever fails inside, JavaScript gets an error, the process lives, every mode is as it was and the next calls are right. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { figure } from '../support/figure.js';
import { faultCampaign, KINDS } from './campaign.js';

describe('faults', function () {
  this.timeout(300_000);

  // Ever fewer places: all of them are those of `npm run test:stress`.
  for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[])
    it(`a failing ${kind}, at some places of every scenario, is an error or no harm`, function () {
      const told = faultCampaign(kind, 2);
      if (told === undefined) return void this.skip();
      assert.deepEqual(told.wrong, []);
      assert.ok(told.refused > 20, `${told.refused} of ${told.runs} runs were refused`);
    });

  it('a failing allocation at every place of asynchronous calls: on the threads that run them, and where their results are heard', function () {
    const told = faultCampaign('allocation', 1, 'asynchronous calls');
    if (told === undefined) return void this.skip();
    assert.deepEqual(told.wrong, []);
    assert.ok(told.refused > 100, `${told.refused} of ${told.runs} runs were refused`);
  });

  it('every native entry with values that throw errors, null, undefined and symbols whatever is asked of them', () => {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [join(__dirname, 'fixtures', 'entries.js'), '2', '6000'],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    );
    assert.deepEqual([status, signal], [0, null], stderr.slice(-2000));
    const { entries, calls, thrown, wrong } = JSON.parse(stdout.slice(stdout.lastIndexOf('\n'))) as {
      entries: number;
      calls: number;
      thrown: number;
      wrong: string[];
    };
    figure(9, `${calls} calls of ${entries} native entries with throwing values, ${thrown} errors`);
    assert.deepEqual(wrong, []);
    assert.ok(entries > 80 && thrown > calls / 3, `${thrown} of ${calls} calls of ${entries} entries threw`);
  });
});
