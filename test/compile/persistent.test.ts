/** @file The persistent compilation cache: what is whole is loaded, everything else is compiled again, and no damaged byte reaches the plugin. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Executables, isPortable } from '../../lib/compile/executables.js';
import { entriesOf, PersistentCache } from '../../lib/compile/persistent.js';
import type { Compiler } from '../../lib/native.js';
import { fullDisk, killWriters, readOnly } from '../support/cache-writers.js';
import { figure } from '../support/figure.js';
import { randomOf } from '../support/hostile-files.js';

const collectWarnings = async (body: () => void | Promise<void>): Promise<Error[]> => {
  const warnings: Error[] = [];
  const listen = (w: Error): void => void (w.name === 'JorchCache' && warnings.push(w));
  process.on('warning', listen);
  try {
    await body();
    await new Promise(setImmediate);
  } finally {
    process.off('warning', listen);
  }
  return warnings;
};

/** Stands for the plugin: its programs are texts, and it notices bytes that it did not make. */
class TextCompiler implements Compiler<string> {
  compiled = 0;
  loaded = 0;
  compileProgram(_plugin: string, text: string): string {
    this.compiled++;
    return text;
  }
  loadProgram(_plugin: string, bytes: Buffer): string {
    const [digest, text] = JSON.parse(bytes.toString()) as [string, string];
    assert.equal(digest, createHash('sha256').update(text).digest('hex'), 'damaged bytes reached the plugin');
    this.loaded++;
    return text;
  }
  serializeProgram(text: string): Buffer {
    return Buffer.from(JSON.stringify([createHash('sha256').update(text).digest('hex'), text]));
  }
  compilerIdentity(): string {
    return 'text';
  }
  compileOptions(): Buffer {
    return Buffer.alloc(0);
  }
}

describe('compile: the persistent cache', () => {
  let dir = '';
  let plugin = '';
  let folder = '';
  const open = (): { cache: PersistentCache; compiler: TextCompiler; made: Executables<string> } => {
    const cache = PersistentCache.open(folder);
    const compiler = new TextCompiler();
    return { cache, compiler, made: new Executables(compiler, plugin, cache) };
  };
  const programOf = (i: number): string => `program ${i} ${'x'.repeat(i % 300)}`;
  const fileOf = (made: Executables<string>, text: string): string =>
    join(folder, `${made.key(text, {})!.toString('hex')}.xla`);

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-cache-'));
    folder = join(dir, 'programs');
    plugin = join(dir, 'plugin.so');
    writeFileSync(plugin, 'a plugin');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('what one process compiled another loads; another text, other options or another plugin are misses', () => {
    const first = open();
    assert.deepEqual(first.made.obtain('a', {}), { executable: 'a', loaded: false });
    const second = open();
    assert.deepEqual(second.made.obtain('a', {}), { executable: 'a', loaded: true });
    assert.equal(second.made.obtain('b', {}).loaded, false);
    assert.equal(second.compiler.compiled, 1);
    writeFileSync(plugin, 'another plugin');
    assert.equal(open().made.obtain('a', {}).loaded, false);
    const optioned = open();
    optioned.compiler.compileOptions = () => Buffer.from('fast');
    assert.equal(optioned.made.obtain('a', {}).loaded, false);
    const elsewhere = open();
    elsewhere.compiler.compilerIdentity = () => 'another CPU';
    assert.equal(elsewhere.made.obtain('a', {}).loaded, false);
  });

  it('1 000 damaged files: each is compiled again and healed, none reaches the plugin, one warning', async () => {
    const count = 1000;
    const { made } = open();
    const files = Array.from({ length: count }, (_, i) => {
      made.obtain(programOf(i), {});
      return fileOf(made, programOf(i));
    });
    const next = randomOf(1);
    const damage: ((file: string, i: number) => void)[] = [
      (file) => truncateSync(file, Math.floor(next() * readFileSync(file).length)),
      (file) => {
        const bytes = readFileSync(file);
        const at = Math.floor(next() * bytes.length);
        bytes[at] = bytes[at]! ^ (1 << Math.floor(next() * 8));
        writeFileSync(file, bytes);
      },
      (file) => {
        const bytes = readFileSync(file);
        const from = Math.floor(next() * (bytes.length - 1));
        const to = from + 1 + Math.floor(next() * (bytes.length - from - 1));
        if (bytes.subarray(from, to).every((b) => b === 0)) bytes[from] = 1;
        else bytes.fill(0, from, to);
        writeFileSync(file, bytes);
      },
      (file, i) => writeFileSync(file, readFileSync(files[(i + 1) % count]!)),
      (file) => {
        const bytes = readFileSync(file);
        bytes.writeUInt32LE(2, 8); // another version of the format
        writeFileSync(file, bytes);
      },
      (file) => writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from('more')])),
      (file) => chmodSync(file, 0),
      (file) => {
        rmSync(file);
        mkdirSync(join(file, 'inside'), { recursive: true });
      },
      (file) => {
        renameSync(file, join(dir, 'elsewhere'));
        symlinkSync(join(dir, 'elsewhere'), file);
      },
      (file) => writeFileSync(file, ''),
    ];
    // Backwards: a swapped file takes its neighbour's bytes before those are damaged.
    for (let i = count - 1; i >= 0; i--) damage[i % damage.length]!(files[i]!, i);
    const after = open();
    const warnings = await collectWarnings(() => {
      for (let i = 0; i < count; i++) assert.equal(after.made.obtain(programOf(i), {}).executable, programOf(i));
    });
    assert.equal(after.compiler.compiled, count);
    assert.equal(after.compiler.loaded, 0);
    assert.equal(after.cache.counts.damaged, count);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!.message, /damaged and is made anew/);
    const healed = open();
    for (let i = 0; i < count; i++) assert.equal(healed.made.obtain(programOf(i), {}).loaded, true);
    figure(
      18,
      `${count} of ${count} in ${damage.length} ways compiled again and healed, none reached the plugin, 1 warning`,
    );
  });

  it('a whole file that the plugin refuses is compiled again', async () => {
    open().made.obtain('a', {});
    const { made, compiler, cache } = open();
    compiler.loadProgram = () => {
      throw new Error('not mine');
    };
    const warnings = await collectWarnings(() => assert.equal(made.obtain('a', {}).loaded, false));
    assert.equal(warnings.length, 1);
    assert.deepEqual([cache.counts.hits, cache.counts.misses], [0, 1]);
  });

  it('a folder that others may write to, a symbolic link, and one that cannot be made are refused, with one warning each', async () => {
    const refused = async (words: RegExp): Promise<void> => {
      const warnings = await collectWarnings(() => {
        const { made, cache } = open();
        assert.equal(cache.folder, undefined);
        assert.equal(made.obtain('a', {}).executable, 'a');
        assert.equal(made.obtain('a', {}).loaded, false);
      });
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!.message, words);
      assert.match(warnings[0]!.message, /JORCH_CACHE_DIR=off/);
    };
    mkdirSync(folder, { mode: 0o700 });
    chmodSync(folder, 0o770);
    await refused(/open to other users/);
    rmSync(folder, { recursive: true });
    mkdirSync(join(dir, 'real'), { mode: 0o700 });
    symlinkSync(join(dir, 'real'), folder);
    await refused(/symbolic link/);
    rmSync(folder);
    writeFileSync(folder, '');
    await refused(/not a folder/);
    rmSync(folder);
    chmodSync(dir, 0o777);
    await refused(/can be written by other users/);
    chmodSync(dir, 0o700);
    folder = join(plugin, 'programs');
    await refused(/plugin\.so/);
    figure(
      20,
      'refused: open to others, a symbolic link, no folder, a parent others may write to, one that cannot be made',
    );
  });

  it('the folder is made for its owner alone', () => {
    open().made.obtain('a', {});
    assert.deepEqual(
      readdirSync(folder).filter((name) => !/\.(xla|note)$/.test(name)),
      [],
      'nothing temporary is left',
    );
    assert.equal(PersistentCache.open(folder).refused, undefined);
    const { mode, uid } = statSync(folder);
    assert.deepEqual([mode & 0o777, uid], [0o700, process.geteuid!()]);
    figure(20, 'made with mode 0700');
  });

  it('the oldest programs go when the cache is full, and leftovers of dead writers', () => {
    process.env['JORCH_CACHE_MAX_MB'] = '0.25';
    try {
      const { cache } = open();
      const leftover = join(folder, '.1-0123456789ab');
      writeFileSync(leftover, '');
      utimesSync(leftover, 0, 0);
      const payload = Buffer.alloc(50 * 1024);
      const keys = Array.from({ length: 12 }, (_, i) => createHash('sha256').update(String(i)).digest());
      keys.forEach((key, i) => {
        cache.write(key, payload);
        utimesSync(join(folder, `${key.toString('hex')}.xla`), 1000 + i, 1000 + i);
      });
      cache.write(createHash('sha256').update('last').digest(), payload);
      assert.ok(entriesOf(folder).reduce((sum, e) => sum + e.bytes, 0) <= 0.25 * 2 ** 20);
      assert.equal(cache.read(keys[0]!), undefined);
      assert.ok(cache.read(keys[11]!));
      assert.ok(cache.counts.evictions >= 8);
      assert.ok(!existsSync(leftover));
    } finally {
      delete process.env['JORCH_CACHE_MAX_MB'];
    }
  });

  it('processes that write one small program seldom look at all the others', () => {
    const leftover = join(folder, '.1-0123456789ab');
    let looked = 0;
    for (let i = 0; i < 40; i++) {
      const { cache } = open();
      writeFileSync(leftover, '');
      utimesSync(leftover, 0, 0);
      cache.write(createHash('sha256').update(String(i)).digest(), Buffer.alloc(1000));
      if (!existsSync(leftover)) looked++;
    }
    assert.ok(looked < 20, `${looked} of 40`);
  });

  it('programs with custom calls that mean something in one process only are not kept', () => {
    assert.ok(isPortable('stablehlo.custom_call @jorch_aten(%0) {call = "aten::sin"}'));
    assert.ok(isPortable('stablehlo.custom_call @Qr(%0)'));
    assert.ok(!isPortable('stablehlo.custom_call @jorch_something(%0)'));
    const { made } = open();
    assert.equal(made.obtain('stablehlo.custom_call @jorch_something(%0)', {}).loaded, false);
    assert.equal(made.obtain('stablehlo.custom_call @jorch_something(%0)', {}).loaded, false);
  });

  it('writers killed at any moment leave nothing that a reader takes for whole', async () => {
    await killWriters(folder, 6, 2);
  });

  it('where the disk is full or the folder read-only nothing is kept, and what is there is read', async () => {
    await killWriters(folder, 1, 1);
    await fullDisk(folder);
    await readOnly(folder);
  });
});

describe('compile: the persistent cache with XLA', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-cache-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** Runs a script in a process with a cache folder of its own, and returns what it prints as JSON. */
  const inProcess = (
    body: string,
    cache = dir,
    under: readonly string[] = [],
  ): { result: Record<string, unknown>; stderr: string } => {
    // The parts stay where they are: only the programs go to the test's folder.
    const script = `
      const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      torch.ones(1);
      process.env.JORCH_CACHE_DIR = ${JSON.stringify(cache)};
      console.log(JSON.stringify((() => { ${body} })()));`;
    const [command, ...rest] = [...under, process.execPath, '-e', script];
    const { stdout, stderr, status } = spawnSync(command!, rest, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return { result: JSON.parse(stdout) as Record<string, unknown>, stderr };
  };
  const step = `
    const w = torch.arange(6, { dtype: 'float32' }).reshape(2, 3).requires_grad_();
    const f = torch.compile((x) => torch.linalg.svdvals(x.matmul(w).sin()).sum().add(torch.histc(x, 4).sum()));
    const loss = f(torch.ones(3, 2));
    loss.backward();
    const { compiles, cacheLoads } = f.stats;
    return { compiles, cacheLoads, loss: loss.item(), grad: w.grad.tolist(), counts: torch.runtime().cache };`;

  it('a second process loads what the first compiled: forward, backward and ATen calls, with the same results', () => {
    const first = inProcess(step).result;
    const second = inProcess(step).result;
    assert.deepEqual([first['compiles'], first['cacheLoads']], [1, 0]);
    assert.deepEqual([second['compiles'], second['cacheLoads']], [1, 1]);
    assert.deepEqual(second['loss'], first['loss']);
    assert.deepEqual(second['grad'], first['grad']);
    const { hits, misses } = second['counts'] as { hits: number; misses: number };
    assert.deepEqual([hits, misses], [2, 0]);
  });

  it('a damaged file is compiled again, with one warning', () => {
    const first = inProcess(step).result;
    const programs = join(dir, 'programs');
    for (const { name } of entriesOf(programs)) {
      const bytes = readFileSync(join(programs, name));
      bytes[bytes.length - 10]! ^= 4;
      writeFileSync(join(programs, name), bytes, { mode: 0o600 });
    }
    const { result, stderr } = inProcess(step);
    assert.deepEqual([result['cacheLoads'], result['grad']], [0, first['grad']]);
    assert.equal(stderr.match(/JorchCache/g)?.length, 1, stderr);
    assert.equal(inProcess(step).result['cacheLoads'], 1);
  });

  it('what was compiled for one core is not loaded where there are more', function () {
    if (availableParallelism() < 2) this.skip();
    const body = `
      const f = torch.compile((x) => x.sin().add(1));
      const x = torch.ones(1 << 20);
      f(x);
      return { split: f.lower(x).hlo.bytes.includes('outer_dimension_partitions":["'), cacheLoads: f.stats.cacheLoads };`;
    // As taskset and containers do, without a word in the environment.
    const alone = inProcess(body, dir, ['taskset', '-c', '0']).result;
    assert.deepEqual(alone, { split: false, cacheLoads: 0 });
    assert.deepEqual(inProcess(body).result, { split: true, cacheLoads: 0 });
    assert.deepEqual(inProcess(body, dir, ['taskset', '-c', '0']).result, { split: false, cacheLoads: 1 });
  });

  it('JORCH_CACHE_DIR=off keeps nothing', () => {
    for (let i = 0; i < 2; i++) assert.equal(inProcess(step, 'off').result['cacheLoads'], 0);
    assert.deepEqual(readdirSync(dir), []);
  });

  it('lower shows the same program, whether compiled or loaded', () => {
    const body = `
      const f = torch.compile((x) => x.sin().sum());
      const { stablehlo, hlo, memory } = f.lower(torch.ones(5));
      return { stablehlo, bytes: hlo.bytes.length > 0, memory: memory.arguments, cacheLoads: f.stats.cacheLoads };`;
    const first = inProcess(body).result;
    const second = inProcess(body).result;
    assert.deepEqual({ ...second, cacheLoads: 0 }, first);
    assert.equal(second['cacheLoads'], 1);
  });
});
