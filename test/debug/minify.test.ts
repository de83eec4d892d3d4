/** @file scripts/minify.ts: from a function that fails compiled to the few operators that do. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

describe('scripts/minify', function () {
  this.timeout(300_000);

  it('leaves two of six operators, and writes a script that shows the difference', () => {
    const folder = mkdtempSync(join(tmpdir(), 'jorch-minify-test-'));
    try {
      const out = join(folder, 'small.cjs');
      const script = join(__dirname, '..', '..', 'scripts', 'minify.js');
      const run = (...args: string[]): string => spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
      assert.match(run(script, join(__dirname, 'fixtures', 'differs.js'), out), /^6 operators differs; 2 of them do/);
      const library = JSON.stringify(join(__dirname, '..', '..', 'lib', 'index.js'));
      writeFileSync(out, readFileSync(out, 'utf8').replace("'jorch'", library));
      const lines = run(out);
      const [eager, compiled] = lines.split('compiled');
      assert.match(eager!, /nan/i);
      assert.doesNotMatch(compiled!, /nan/i);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
