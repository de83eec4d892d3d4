/** @file `install cuda`: part by part, taken up where it ended, and what is there already is found first. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ones } from '../../lib/index.js';
import { installCuda, type Progress } from '../../lib/runtime/install.js';
import { cudaCompiler, findCuda } from '../../lib/runtime/locate-cuda.js';
import { cudaDir, cudaMark, type Part, pins } from '../../lib/runtime/parts.js';
import { fails, rejects } from '../support/fails.js';
import { zip } from '../support/zip.js';

const silent: Progress = { start: () => {}, update: () => {}, end: () => {} };
const part = (
  name: string,
  role: Part['role'],
  entries: Record<string, string>,
  programs: string[] = [],
): [Part, Buffer] => {
  const wheel = zip(entries, programs);
  return [
    {
      name,
      version: '1.0',
      role,
      file: `${name}-1.0-py3-none-any.whl`,
      size: wheel.length,
      sha256: createHash('sha256').update(wheel).digest('hex'),
      python: { version: '3.11', abi: 'cp311', platform: 'manylinux_2_28_x86_64' },
      unpack: Object.keys(entries),
    },
    wheel,
  ];
};
const [plugin, pluginWheel] = part('jorch-no-plugin', 'xla-cuda', {
  'jax_plugins/xla_cuda13/xla_cuda_plugin.so': 'plugin',
});
const [compiler, compilerWheel] = part(
  'jorch-no-compiler',
  'cuda-compiler',
  { 'nvidia/cu13/bin/ptxas': 'ptxas', 'nvidia/cu13/nvvm/libdevice/libdevice.10.bc': 'bitcode' },
  ['nvidia/cu13/bin/ptxas'],
);

describe('runtime: install cuda', () => {
  const saved = { ...process.env };
  const real = pins().cuda.parts;
  let dir = '';
  before(() => void ones(1));
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-cuda-'));
    process.env.JORCH_CACHE_DIR = dir;
    for (const name of ['JORCH_PJRT_PLUGIN', 'CUDA_HOME', 'CUDA_PATH', 'CUDA_ROOT', 'LD_LIBRARY_PATH'])
      delete process.env[name];
    process.env.PATH = dir; // no Python
    (pins().cuda as { parts: readonly Part[] }).parts = [plugin, compiler];
  });
  afterEach(() => {
    (pins().cuda as { parts: readonly Part[] }).parts = real;
    for (const name of [
      'JORCH_CACHE_DIR',
      'JORCH_PJRT_PLUGIN',
      'CUDA_HOME',
      'CUDA_PATH',
      'CUDA_ROOT',
      'LD_LIBRARY_PATH',
      'PATH',
    ]) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    rmSync(dir, { recursive: true, force: true });
  });
  const place = (which: Part, bytes: Buffer): void => {
    const downloads = join(dirname(cudaDir()), 'downloads');
    mkdirSync(downloads, { recursive: true });
    writeFileSync(join(downloads, which.file), bytes);
  };

  it('unpacks what is wanted, programs as programs, and finds it', async () => {
    place(plugin, pluginWheel);
    place(compiler, compilerWheel);
    const target = await installCuda(silent, () => true);
    assert.equal(target, cudaDir());
    const found = cudaCompiler();
    assert.equal(readFileSync(found.plugin, 'utf8'), 'plugin');
    assert.equal(statSync(join(found.toolkit, 'bin', 'ptxas')).mode & 0o111, 0o111);
    assert.equal(statSync(found.plugin).mode & 0o111, 0);
    assert.deepEqual(readdirSync(dirname(target)), [target.split('/').at(-1)]);
  });

  it('a run that ended half-way is taken up at the part where it ended', async () => {
    place(plugin, pluginWheel);
    await rejects('RUNTIME_MISSING', /python3 with pip is needed/, () => installCuda(silent, () => true));
    assert.ok(existsSync(cudaMark(plugin)));
    assert.ok(!existsSync(cudaMark(compiler)));
    fails(
      'RUNTIME_MISSING',
      [/^NVIDIA’s ptxas and libdevice not found/, /npx jorch install cuda --compiler/],
      cudaCompiler,
    );
    place(compiler, compilerWheel);
    const started: string[] = [];
    await installCuda({ ...silent, start: ({ name }) => void started.push(name) }, () => true);
    assert.deepEqual([...new Set(started)], ['jorch-no-compiler']);
    cudaCompiler();
  });

  it('files without their mark do not count, nor do those of a wheel with another digest', async () => {
    const damaged = Buffer.from(compilerWheel);
    damaged[45] = damaged[45]! ^ 1;
    place(compiler, damaged);
    await rejects('RUNTIME_MISSING', /not the file that runtime\.json pins/, () =>
      installCuda(silent, ({ role }) => role === 'cuda-compiler'),
    );
    mkdirSync(join(cudaDir(), 'nvidia', 'cu13', 'bin'), { recursive: true });
    writeFileSync(join(cudaDir(), 'nvidia', 'cu13', 'bin', 'ptxas'), '');
    assert.equal(findCuda().plugin, undefined);
    assert.notEqual(findCuda().toolkit, join(cudaDir(), 'nvidia', 'cu13'));
  });

  it('a toolkit of the system, and a plugin that is named, are taken', () => {
    const toolkit = join(dir, 'toolkit');
    for (const file of [
      join('bin', 'ptxas'),
      join('nvvm', 'libdevice', 'libdevice.10.bc'),
      join('lib64', 'libcublas.so.13'),
    ]) {
      mkdirSync(dirname(join(toolkit, file)), { recursive: true });
      writeFileSync(join(toolkit, file), '');
    }
    process.env.CUDA_HOME = toolkit;
    process.env.JORCH_PJRT_PLUGIN = `cuda=${join(toolkit, 'bin', 'ptxas')}`;
    assert.deepEqual(cudaCompiler(), { plugin: join(toolkit, 'bin', 'ptxas'), toolkit });
    const { libraries, missing } = findCuda();
    assert.ok(libraries.includes(join(toolkit, 'lib64', 'libcublas.so.13')));
    assert.ok(missing.includes('libcudnn.so.9'));
  });

  it('a plugin in a Python environment counts when it is the pinned version', () => {
    const site = join(dir, 'site');
    mkdirSync(join(site, 'jax_plugins', 'xla_cuda13'), { recursive: true });
    writeFileSync(join(site, 'jax_plugins', 'xla_cuda13', 'xla_cuda_plugin.so'), '');
    writeFileSync(join(dir, 'python3'), `#!/bin/sh\necho '["${site}"]'\n`, { mode: 0o755 });
    mkdirSync(join(site, 'jorch_no_plugin-0.9.dist-info'));
    assert.equal(findCuda().plugin, undefined);
    mkdirSync(join(site, 'jorch_no_plugin-1.0.dist-info'));
    assert.equal(findCuda().plugin, join(site, 'jax_plugins', 'xla_cuda13', 'xla_cuda_plugin.so'));
  });
});
