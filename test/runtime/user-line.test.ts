/** @file The line that an error names is the user's, also where source maps rewrite stacks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

describe('runtime: the line of the user', () => {
  for (const flags of [[], ['--enable-source-maps']])
    it(`is named by an error from data ${flags.join(' ')}`, () => {
      const dir = mkdtempSync(join(tmpdir(), 'jorch-line-'));
      const file = join(dir, 'pick.cjs');
      writeFileSync(
        file,
        `const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
const pick = torch.compile((x, i) => x.at(i), { checks: true });
try { pick(torch.ones(3), torch.tensor([5n])); } catch (error) { console.log(error.message); }`,
      );
      const { stdout } = spawnSync(process.execPath, [...flags, file], { encoding: 'utf8' });
      rmSync(dir, { recursive: true });
      assert.equal(stdout, `index 5 is out of bounds for dimension 0 with size 3 (${file}:2:40)\n`);
    });
});
