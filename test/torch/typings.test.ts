import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of package.json, from source or from dist. */
function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json')) || !existsSync(join(folder, 'test/types/tsconfig.json')))
    folder = dirname(folder);
  return folder;
}

describe('the typings, under what `tsc --init` writes', () => {
  it('accept the calls of must-compile and refuse every one of must-not-compile', function () {
    this.timeout(120_000);
    const root = packageRoot();
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', join(root, 'test/types')], {
      encoding: 'utf8',
      cwd: root,
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  });
});
