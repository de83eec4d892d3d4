/** @file Programs that a script needed the last time, fetched while libtorch is loaded: used when the key says so, and never in the way. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PersistentCache } from '../../lib/compile/persistent.js';
import { trialInputs } from '../../lib/compile/prefetch.js';
import { cacheDir } from '../../lib/runtime/parts.js';

const lib = resolve(__dirname, '..', '..', 'lib');

/** Two programs, one of them with a loop; says what they gave and how many were taken from what was fetched. */
const SCRIPT = `
const torch = require(${JSON.stringify(join(lib, 'index.js'))});
const { native } = require(${JSON.stringify(join(lib, 'runtime', 'load.js'))});
const addon = native();
let taken = 0;
const take = addon.takeProgram;
addon.takeProgram = (...args) => {
  const executable = take(...args);
  if (executable !== undefined) taken++;
  return executable;
};
const wait = () => new Promise((done) => setTimeout(done, 300));
const layer = torch.compile((x, w) => torch.softmax(x.matmul(w), -1).sum(0), { name: 'layer' });
const halve = torch.compile((x) => torch.while_loop((v) => v.sum().gt(1), (v) => [v.div(2)], [x]), { name: 'halve' });
const x = torch.arange(32).reshape(4, 8).div(32);
const run = async () => {
  if (process.env.SLOWLY) await wait();
  const asynchronous = process.env.ASYNC === '1';
  const y = asynchronous ? await layer.async(x, x.t()) : layer(x, x.t());
  const [z] = halve(x);
  console.log(JSON.stringify({ taken, values: [y.tolist(), z.tolist()], cache: torch.runtime().cache, loads: layer.stats.cacheLoads }));
};
run();
`;

interface Said {
  readonly taken: number;
  readonly values: unknown;
  readonly cache: { readonly hits: number; readonly misses: number };
  readonly loads: number;
}

describe('compile: programs fetched while libtorch is loaded', function () {
  this.timeout(60_000);
  let dir = '';
  let script = '';
  beforeEach(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'jorch-prefetch-')));
    symlinkSync(join(cacheDir(), 'runtime'), join(dir, 'runtime'));
    script = join(dir, 'script.cjs');
    writeFileSync(script, SCRIPT);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const run = (env: Record<string, string> = {}, file = script): Said => {
    const { stdout, stderr, status, signal } = spawnSync(process.execPath, [file], {
      encoding: 'utf8',
      env: { ...process.env, JORCH_CACHE_DIR: dir, ...env },
    });
    assert.deepEqual([status, signal, stderr], [0, null, '']);
    return JSON.parse(stdout) as Said;
  };
  const files = (suffix: string): string[] =>
    readdirSync(join(dir, 'programs'))
      .filter((name) => name.endsWith(suffix))
      .map((name) => join(dir, 'programs', name));

  it('the second process of a script takes them, and computes the same', () => {
    const first = run();
    assert.deepEqual([first.taken, first.cache.hits], [0, 0]);
    const second = run();
    assert.deepEqual([second.taken, second.cache.hits, second.cache.misses], [2, 2, 0]);
    assert.deepEqual(second.values, first.values);
  });

  it('asynchronous calls take what is there', () => {
    const first = run();
    const second = run({ ASYNC: '1', SLOWLY: '1' });
    assert.deepEqual([second.taken, second.loads, second.values], [2, 1, first.values]);
  });

  it('JORCH_PREFETCH=off, and another script: from disk, as ever', () => {
    const first = run();
    const off = run({ JORCH_PREFETCH: 'off' });
    const other = join(dir, 'other.cjs');
    writeFileSync(other, SCRIPT);
    const elsewhere = run({}, other);
    for (const { taken, cache, values } of [off, elsewhere])
      assert.deepEqual([taken, cache.hits, cache.misses, values], [0, 2, 0, first.values]);
  });

  it('a damaged program is made anew', () => {
    const first = run();
    for (const file of files('.xla')) {
      const bytes = readFileSync(file);
      bytes[bytes.length - 9]! ^= 1;
      writeFileSync(file, bytes);
    }
    const { stdout, status } = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      env: { ...process.env, JORCH_CACHE_DIR: dir },
    });
    const second = JSON.parse(stdout) as Said;
    assert.deepEqual([status, second.taken, second.cache.misses, second.values], [0, 0, 2, first.values]);
  });

  it('hands nothing to a compiler that another one made', () => {
    const first = run();
    const cache = PersistentCache.open(join(dir, 'programs'));
    const name = createHash('sha256')
      .update(JSON.stringify(['script', script]))
      .digest();
    const note = JSON.parse(cache.note(name)!.toString()) as { compiler: string; programs: unknown[] };
    assert.equal(note.programs.length, 2);
    cache.remember(name, Buffer.from(JSON.stringify({ ...note, compiler: '00'.repeat(32) })));
    const second = run();
    assert.deepEqual([second.taken, second.cache.hits, second.values], [0, 2, first.values]);
    assert.equal(run().taken, 2); // noted again
  });

  it('a process may end at any moment of it', () => {
    run();
    const early = join(dir, 'early.cjs');
    writeFileSync(early, `${SCRIPT.slice(0, SCRIPT.indexOf('let taken'))}process.exit(Number(process.env.STATUS));`);
    // As if it were the same script.
    const cache = PersistentCache.open(join(dir, 'programs'));
    const named = (file: string): Buffer =>
      createHash('sha256')
        .update(JSON.stringify(['script', file]))
        .digest();
    cache.remember(named(early), cache.note(named(script))!);
    for (const expected of [0, 3, 0, 7]) {
      const { status, signal } = spawnSync(process.execPath, [early], {
        env: { ...process.env, JORCH_CACHE_DIR: dir, STATUS: String(expected) },
      });
      assert.deepEqual([status, signal], [expected, null]);
    }
  });

  it('runs on zeros only what has no loop and calls nothing', () => {
    const program = (body: string): string =>
      `module @jorch {\nfunc.func public @main(%arg0: tensor<4x8xf32>, %arg1: tensor<i64> {tf.aliasing_output = 0 : i32}, %key0: tensor<ui64>) -> (tensor<f32>) {\n${body}\n}\n}\n`;
    assert.deepEqual(trialInputs(program('stablehlo.add')), [
      { dtype: 'float32', shape: [4, 8] },
      { dtype: 'int64', shape: [] },
      { dtype: 'uint64', shape: [] },
    ]);
    for (const op of ['while', 'case', 'if', 'custom_call'])
      assert.equal(trialInputs(program(`stablehlo.${op}`)), undefined);
    assert.equal(trialInputs(program('').replace('4x8xf32', '4xcomplex<f32>')), undefined);
    assert.equal(trialInputs(program('').replace('4x8', '4096x4096')), undefined);
  });
});
