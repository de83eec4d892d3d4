/** @file What keeps jorch from loading is one paragraph that names what helps. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageName, packageVersion } from '../../lib/runtime/packages.js';
import { loadFailure, systemProblem, thisSystem } from '../../lib/runtime/system.js';

describe('runtime: the system', () => {
  it('this one will do', () => {
    assert.equal(systemProblem(thisSystem()), undefined);
  });

  it('others are named, with a container that will do', () => {
    for (const [system, words] of [
      [
        { platform: 'darwin', arch: 'arm64', glibc: undefined },
        /Linux x64 today; this is darwin arm64.*--platform linux\/amd64/,
      ],
      [{ platform: 'linux', arch: 'arm64', glibc: '2.36' }, /this is linux arm64/],
      [{ platform: 'linux', arch: 'x64', glibc: undefined }, /musl.*docker run .*node:22-bookworm-slim/],
      [{ platform: 'linux', arch: 'x64', glibc: '2.17' }, /needs glibc 2\.28 or newer; this system has 2\.17/],
    ] as const)
      assert.match(systemProblem(system)!, words);
    assert.equal(systemProblem({ platform: 'linux', arch: 'x64', glibc: '2.28' }), undefined);
    assert.equal(systemProblem({ platform: 'linux', arch: 'x64', glibc: '3.0' }), undefined);
  });

  it('what the dynamic linker says comes with what to do about it', () => {
    for (const [message, words] of [
      ['x.so: file too short', /damaged.*npm install --force jorch/],
      ['x.so: failed to map segment from shared object', /noexec.*JORCH_CACHE_DIR/],
      ["libstdc++.so.6: version `GLIBCXX_3.4.28' not found", /apt-get install libstdc\+\+6/],
      ['jorch.node: undefined symbol: _ZN2at4', /different versions/],
      ['something new', /npx jorch doctor/],
    ] as const)
      assert.match(loadFailure('/a/x.so', message), words);
  });
});

describe('runtime: npm’s packages', () => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-packages-'));
  after(() => rmSync(dir, { recursive: true, force: true }));

  /** What a fresh process finds that sees one package, of this version, with these files. */
  const locateWith = (name: string, version: string, files: Readonly<Record<string, string>>): string => {
    const folder = join(dir, version, 'node_modules', name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version }));
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(join(folder, file, '..'), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    const script = `
      const { locate } = require(${JSON.stringify(require.resolve('../../lib/runtime/locate.js'))});
      try { console.log(JSON.stringify(locate())); } catch (e) { console.log(e.code + ' ' + e.message); }`;
    const env = { ...process.env, NODE_PATH: join(dir, version, 'node_modules') };
    for (const variable of ['JORCH_TORCH_DIR', 'JORCH_PJRT_PLUGIN']) delete (env as NodeJS.ProcessEnv)[variable];
    return spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env }).stdout;
  };

  it('are taken before the cache folder', () => {
    const plugin = 'lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so';
    const found = JSON.parse(locateWith(packageName('xla-cpu'), packageVersion('xla-cpu'), { [plugin]: '' })) as {
      cpuPlugin: string;
      from: string;
    };
    assert.equal(found.cpuPlugin, join(dir, packageVersion('xla-cpu'), 'node_modules', packageName('xla-cpu'), plugin));
    assert.equal(found.from, 'packages');
  });

  it('of another version are refused, with the version and the command', () => {
    const said = locateWith(packageName('libtorch'), '1.13.0', {});
    assert.match(said, /RUNTIME_MISSING @jorch\/libtorch-linux-x64 1\.13\.0 is installed/);
    assert.ok(said.includes(`npm install @jorch/libtorch-linux-x64@${packageVersion('libtorch')}`), said);
  });
});
