/** @file The pool finds the one sample that crashes, hangs or breaks its batch, and runs all others. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { runUnits } from './pool.js';
import type { Finding } from './result.js';
import type { Unit } from './worker.js';

const unit: Unit = {
  folder: 'none',
  file: 'none',
  mode: 'compiled',
  samples: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  optimize: 'xla',
};

describe('opinfo: child processes', function () {
  this.timeout('5m');

  it('blames a crash, a hang and an error on their samples', async () => {
    const findings = new Map<number, Finding>();
    await runUnits([unit], {
      script: join(__dirname, 'misbehaving-worker.js'),
      jobs: 2,
      limitSeconds: 1.5,
      onFindings: (_, found) => {
        for (const f of found) {
          assert.ok(!findings.has(f.sample), `sample ${f.sample} is reported twice`);
          findings.set(f.sample, f);
        }
      },
    });
    const text = (i: number): string => findings.get(i)!.messages.join('\n');
    assert.equal(findings.size, unit.samples.length);
    assert.match(text(2), /ended with SIGSEGV/);
    assert.match(text(5), /no result within/);
    assert.match(text(7), /cannot be compiled/);
    for (const i of [0, 1, 3, 4, 6, 8, 9]) assert.equal(findings.get(i)!.status, 'pass', text(i));
  });
});
