/** @file Row 8: a second copy of the package in one process is refused in words, and the first goes on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';
import { copyPackage } from '../support/copied-package.js';
import { figure } from '../support/figure.js';

describe('two copies of jorch in one process', () => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-copies-'));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('the second says which is there and what to do, also in a worker; the first goes on', () => {
    const copy = join(dir, 'jorch');
    copyPackage(copy);
    const script = `
      const { Worker } = require('node:worker_threads');
      const first = require(${JSON.stringify(join(packageRoot, 'dist/lib/index.js'))});
      const x = first.ones(3);
      const use = "try { require(" + ${JSON.stringify(JSON.stringify(join(copy, 'dist/lib/index.js')))} + ").ones(1); console.log('loaded') } catch (e) { console.log(e.code, e.message) }";
      eval(use);
      new Worker(use, { eval: true }).on('exit', () => console.log(x.add(1).sum().item()));`;
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    assert.deepEqual([status, signal], [0, null], stderr);
    const lines = stdout.trim().split('\n');
    assert.equal(lines.length, 3, stdout);
    for (const line of lines.slice(0, 2)) {
      assert.ok(
        line.startsWith(`RUNTIME_CONFLICT ${join(packageRoot, 'build/Release/jorch.node')} is loaded in this process`),
        line,
      );
      assert.match(line, /npm dedupe/);
    }
    assert.equal(lines[2], '6');
    figure(8, 'RUNTIME_CONFLICT in the main thread and in a worker, the first copy goes on');
  });
});
