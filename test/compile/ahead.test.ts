/** @file Programs loaded ahead: what a call loaded in another process is begun before its key is known, and used only if the key says so. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ahead } from '../../lib/compile/ahead.js';
import { Executables } from '../../lib/compile/executables.js';
import { PersistentCache } from '../../lib/compile/persistent.js';
import type { Compiler, Loading } from '../../lib/native.js';

describe('compile: programs loaded ahead', () => {
  let dir = '';
  const call = createHash('sha256').update('a call').digest();
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-ahead-'));
    writeFileSync(join(dir, 'plugin.so'), 'a plugin');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** A process: its programs are texts, and it notes which of them it began to load. */
  const open = (identity = 'a compiler') => {
    const begun: string[] = [];
    const compiler: Compiler<string> = {
      compileProgram: (_, text) => text,
      loadProgram: (_, bytes) => bytes.toString(),
      serializeProgram: (text) => Buffer.from(text),
      compilerIdentity: () => identity,
      compileOptions: () => Buffer.alloc(0),
    };
    const loader = {
      beginLoad: (_: string, bytes: Buffer): Loading => {
        begun.push(bytes.toString());
        return bytes.toString() as never;
      },
      endLoad: (loading: Loading): string | undefined =>
        (loading as unknown as string) === 'refused' ? undefined : (loading as unknown as string),
    };
    const cache = PersistentCache.open(join(dir, 'programs'));
    const made = new Executables(compiler, join(dir, 'plugin.so'), cache);
    const run = (...texts: string[]): boolean[] => {
      const ahead = new Ahead(loader, made, call);
      const loaded = texts.map((text) => {
        const obtained = made.obtain(text, {}, ahead);
        assert.equal(obtained.executable, text);
        return obtained.loaded;
      });
      ahead.end();
      return loaded;
    };
    return { begun, cache, made, run };
  };

  it('begins what was asked for the last time, and counts it when it is used', () => {
    assert.deepEqual(open().run('forward', 'backward'), [false, false]);
    const second = open();
    assert.deepEqual(second.run('forward', 'backward'), [true, true]);
    assert.deepEqual(second.begun, ['forward', 'backward']);
    assert.deepEqual([second.cache.counts.hits, second.cache.counts.misses], [2, 0]);
  });

  it('uses nothing else than what the key names, and guesses better the next time', () => {
    open().run('old');
    const second = open();
    assert.deepEqual(second.run('new'), [false]);
    assert.deepEqual(second.begun, ['old']);
    assert.deepEqual([second.cache.counts.hits, second.cache.counts.misses], [0, 1]);
    const third = open();
    third.run('new');
    assert.deepEqual(third.begun, ['new']);
  });

  it('hands nothing to a compiler that another one made', () => {
    open().run('program');
    const other = open('another compiler');
    assert.deepEqual(other.run('program'), [false]);
    assert.deepEqual(other.begun, []);
  });

  it('hands no damaged bytes to the compiler, neither of a program nor for a damaged note', () => {
    const damage = (ending: string): void => {
      for (const name of readdirSync(join(dir, 'programs')).filter((file) => file.endsWith(ending))) {
        const bytes = readFileSync(join(dir, 'programs', name));
        bytes[bytes.length - 3]! ^= 1;
        writeFileSync(join(dir, 'programs', name), bytes);
      }
    };
    open().run('program');
    damage('.xla');
    const second = open();
    assert.deepEqual(second.run('program'), [false]);
    assert.deepEqual([second.begun, second.cache.counts.damaged], [[], 1]);
    damage('.note');
    const third = open();
    assert.deepEqual(third.run('program'), [true]);
    assert.deepEqual(third.begun, []);
  });

  it('a program that does not load ahead is loaded as ever', () => {
    open().run('refused');
    const second = open();
    assert.deepEqual(second.run('refused'), [true]);
    assert.deepEqual([second.begun, second.cache.counts.hits], [['refused'], 1]);
  });

  it('a function of the same text that stands for another program gets its own', () => {
    const process_ = (factors: number[]): unknown => {
      const script = `
        const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
        torch.ones(1);
        process.env.JORCH_CACHE_DIR = ${JSON.stringify(dir)};
        const of = (factor) => torch.compile((x) => x.mul(factor).sum(), { name: 'scaled' });
        const values = [${factors}].map((factor) => of(factor)(torch.ones(3)).item());
        const { hits, misses } = torch.runtime().cache;
        console.log(JSON.stringify({ values, hits, misses }));`;
      const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout);
    };
    assert.deepEqual(process_([2, 3]), { values: [6, 9], hits: 0, misses: 2 });
    assert.deepEqual(process_([2, 3]), { values: [6, 9], hits: 2, misses: 0 });
    assert.deepEqual(process_([3, 4]), { values: [9, 12], hits: 1, misses: 1 });
  });
});
