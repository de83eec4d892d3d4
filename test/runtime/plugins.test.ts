/** @file Row 27: plugins that are none, are damaged, or speak another version of PJRT: RUNTIME_MISSING with the path that was tried; eager code goes on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot, runtimeDir } from '../../lib/runtime/parts.js';

const headers = join(runtimeDir(), 'xla_plugins', 'xla_cpu_pjrt', 'include');

/** A plugin of another version, without a single function. */
const source = `#include <pjrt_c_api.h>
extern "C" __attribute__((visibility("default"))) const PJRT_Api* GetPjrtApi() {
  static PJRT_Api api{};
  api.struct_size = STRUCT_SIZE;
  api.pjrt_api_version.major_version = MAJOR;
  api.pjrt_api_version.minor_version = 40;
  return &api;
}`;

describe('plugins that cannot be used', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-plugins-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const built = (name: string, major: string, size: string): string => {
    const [file, code] = [join(dir, `${name}.so`), join(dir, `${name}.cc`)];
    writeFileSync(code, source.replace('MAJOR', major).replace('STRUCT_SIZE', size));
    const { status, stderr } = spawnSync('g++', ['-shared', '-fPIC', '-isystem', headers, code, '-o', file], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return file;
  };

  /** What eager code gives, and the error of a compiled call, in a process that is told to use this plugin. */
  const told = (plugin: string): { eager: number; code: string; message: string } => {
    const script = `const torch = require(${JSON.stringify(join(packageRoot, 'dist', 'lib', 'index.js'))});
      const f = (x) => x.mul(2).sum();
      const eager = f(torch.ones(3)).item();
      try { torch.compile(f)(torch.ones(3)); } catch ({ code, message }) { console.log(JSON.stringify({ eager, code, message })); }`;
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      env: { ...process.env, JORCH_PJRT_PLUGIN: plugin },
    });
    assert.deepEqual([status, signal], [0, null], stderr);
    return JSON.parse(stdout) as { eager: number; code: string; message: string };
  };
  const refused = (plugin: string, why: RegExp): void => {
    const { eager, code, message } = told(plugin);
    assert.equal(eager, 6);
    assert.equal(code, 'RUNTIME_MISSING', message);
    assert.ok(message.includes(plugin), message);
    assert.match(message, why);
    assert.match(message, /JORCH_PJRT_PLUGIN/);
  };

  it('a library that is no plugin, and a file that is no library', () => {
    refused(join(packageRoot, 'build', 'Release', 'jorch_rt.node'), /no PJRT plugin/);
    const text = join(dir, 'text.so');
    writeFileSync(text, 'not a library');
    refused(text, /file too short|invalid ELF header/);
  });

  it('a plugin of another PJRT, and an older one without what is needed', function () {
    if (!existsSync(headers)) return void this.skip(); // the plugin came without them
    refused(built('major', 'PJRT_API_MAJOR + 1', 'PJRT_Api_STRUCT_SIZE'), /speaks PJRT API 1\.40, jorch 0\./);
    refused(built('minor', 'PJRT_API_MAJOR', 'offsetof(PJRT_Api, PJRT_Client_Compile)'), /PJRT API 0\.40, which lacks/);
  });

  it('a path that does not exist', () => {
    const script = `try { require(${JSON.stringify(join(packageRoot, 'dist', 'lib', 'index.js'))}).ones(1); } catch ({ code, message }) { console.log(code, message); }`;
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      env: { ...process.env, JORCH_PJRT_PLUGIN: '/nowhere/plugin.so' },
    });
    assert.match(stdout, /^RUNTIME_MISSING .*\/nowhere\/plugin\.so/);
  });
});
