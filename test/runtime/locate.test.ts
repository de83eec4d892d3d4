/** @file Finding libtorch and the plugin: what is wrong is said in words, with the remedy. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { locate, pluginFromEnvironment } from '../../lib/runtime/locate.js';
import { cacheDir, pins, runtimeDir } from '../../lib/runtime/parts.js';
import { fails } from '../support/fails.js';

describe('runtime: locate', () => {
  let dir = '';
  const saved = { ...process.env };
  // Every refusal is followed by a use of the real libtorch, which must be found before.
  before(() => void torch.ones(1));
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-locate-'));
  });
  afterEach(() => {
    for (const name of ['JORCH_TORCH_DIR', 'JORCH_PJRT_PLUGIN', 'JORCH_CACHE_DIR', 'PATH']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
    rmSync(dir, { recursive: true, force: true });
  });
  const fakeTorch = (version: string): string => {
    mkdirSync(join(dir, 'torch', 'lib'), { recursive: true });
    writeFileSync(join(dir, 'torch', 'lib', 'libtorch_cpu.so'), '');
    writeFileSync(join(dir, 'torch', 'version.py'), `__version__ = '${version}'\n`);
    return join(dir, 'torch');
  };

  it('JORCH_TORCH_DIR of another version is refused with both versions and the command', () => {
    process.env.JORCH_TORCH_DIR = fakeTorch('2.10.0+cpu');
    const wanted = pins().torch.replaceAll('.', '\\.');
    fails('RUNTIME_MISSING', [/JORCH_TORCH_DIR is torch 2\.10\.0/, new RegExp(`pip install torch==${wanted}`)], locate);
  });

  it('JORCH_TORCH_DIR without libtorch is refused with the path and what to give', () => {
    process.env.JORCH_TORCH_DIR = dir;
    fails('RUNTIME_MISSING', [/lib\/libtorch_cpu\.so/, /folder of the torch package/], locate);
  });

  it('JORCH_TORCH_DIR of the right version, with a local suffix, is taken', () => {
    process.env.JORCH_TORCH_DIR = fakeTorch(`${pins().torch}+cu130`);
    const found = locate();
    assert.equal(found.torch, join(dir, 'torch'));
    assert.equal(found.from, 'environment');
  });

  it('JORCH_PJRT_PLUGIN: one path, paths by platform, a path that does not exist', () => {
    const plugin = join(dir, 'plugin.so');
    writeFileSync(plugin, '');
    process.env.JORCH_PJRT_PLUGIN = plugin;
    assert.equal(pluginFromEnvironment('cpu'), plugin);
    assert.equal(pluginFromEnvironment('cuda'), undefined);
    process.env.JORCH_PJRT_PLUGIN = `cuda=/nowhere;cpu=${plugin}`;
    assert.equal(pluginFromEnvironment('cpu'), plugin);
    fails('RUNTIME_MISSING', /\/nowhere, which does not exist/, () => pluginFromEnvironment('cuda'));
  });

  it('nothing anywhere: what is missing, where it was looked for, the command', () => {
    process.env.JORCH_CACHE_DIR = dir;
    process.env.PATH = dir;
    fails('RUNTIME_MISSING', [/libtorch .* and the XLA CPU plugin not found/, /npx jorch install/], locate);
  });

  it('JORCH_CACHE_DIR names the cache folder, and the parts’ folder is named by their digests', () => {
    process.env.JORCH_CACHE_DIR = dir;
    assert.equal(cacheDir(), dir);
    assert.match(runtimeDir(), /runtime\/[0-9a-f]{16}$/);
  });

  it('runtime() tells what is loaded, from where', () => {
    const { torch: lib, xla, from } = torch.runtime();
    assert.equal(lib.version, pins().torch);
    assert.ok(existsSync(lib.path) && existsSync(xla.plugin));
    assert.ok(['environment', 'cache', 'python'].includes(from));
  });
});
