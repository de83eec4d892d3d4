/** @file The addons that are built load on the oldest system that jorch claims. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';

const check = (...files: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [join(packageRoot, 'scripts', 'check-symbols.mjs'), ...files], { encoding: 'utf8' });

describe('runtime: symbol versions', () => {
  it('are within glibc 2.28 and GLIBCXX_3.4.28, no path of the build machine is left, and no ArrayBuffer is made that Electron would refuse', () => {
    const { status, stdout, stderr } = check();
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stdout.match(/within the limits/g)?.length, 2);
  });

  it('a library of this system, bound to the newest versions, is found out', () => {
    // The C++ library itself needs what its own glibc has.
    const own = process.report.getReport() as { sharedObjects: string[]; header: { glibcVersionRuntime?: string } };
    const library = own.sharedObjects.find((file) => file.includes('libstdc++'));
    if (library === undefined || Number(own.header.glibcVersionRuntime?.split('.')[1]) < 32) return;
    const { status, stdout } = check(library);
    assert.equal(status, 1);
    assert.match(stdout, /needs GLIBC_2\.3\d, the limit is 2\.28: bind it to an older one/);
  });
});
