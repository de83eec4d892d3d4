/** @file libtorch is opened while jorch is imported: beside its own modules, before the script goes on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cacheDir, pins } from '../../lib/runtime/parts.js';

const lib = resolve(__dirname, '..', '..', 'lib');
const IMPORT = `const torch = require(${JSON.stringify(join(lib, 'index.js'))});`;
const OPEN = `const isOpen = () => require('node:fs').readFileSync('/proc/self/maps', 'utf8').includes('libtorch_cpu.so');`;

describe('runtime: libtorch is opened while jorch is imported', function () {
  this.timeout(60_000);
  const run = (script: string, env: Record<string, string | undefined> = {}): { stdout: string; stderr: string } => {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      env: { ...process.env, OMP_NUM_THREADS: undefined, PJRT_NPROC: undefined, ...env },
    });
    assert.equal(status, 0, stderr);
    return { stdout, stderr };
  };
  const dir = mkdtempSync(join(tmpdir(), 'jorch-begin-'));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('by jorch, in workers too, and not by jorch/runtime', () => {
    const { stdout } = run(`${OPEN}
      require(${JSON.stringify(join(lib, 'export', 'index.js'))}); const before = isOpen();
      ${IMPORT} console.log(before, isOpen());
      const { Worker } = require('node:worker_threads');
      new Worker(${JSON.stringify(`${IMPORT} console.log(torch.ones(3).sum().item())`)}, { eval: true }).on('exit', (code) => console.log(code, torch.ones(2).sum().item()));`);
    assert.equal(stdout, 'false true\n3\n0 2\n');
  });

  it('one that is missing or damaged is heard of at the first use', () => {
    const use = `${OPEN} ${IMPORT} console.log('imported', isOpen()); try { torch.ones(1); } catch ({ code, message }) { console.log(code, message); }`;
    const torch = join(dir, 'torch');
    mkdirSync(join(torch, 'lib'), { recursive: true });
    writeFileSync(join(torch, 'version.py'), `__version__ = '${pins().torch}'\n`);
    assert.match(
      run(use, { JORCH_TORCH_DIR: torch }).stdout,
      /^imported false\nRUNTIME_MISSING JORCH_TORCH_DIR is .*no lib\/libtorch_cpu\.so/,
    );
    for (const name of ['libtorch_cpu.so', 'libc10.so']) writeFileSync(join(torch, 'lib', name), 'cut short');
    assert.match(
      run(use, { JORCH_TORCH_DIR: torch }).stdout,
      /^imported false\nRUNTIME_MISSING .*libc10\.so could not be loaded: .*file too short.* damaged; get it again/,
    );
  });

  it('a number of threads that is set after the import counts, for XLA too', () => {
    const script = `${IMPORT} process.env.OMP_NUM_THREADS = '3';
      const n = torch.get_num_threads(); torch.compile((x) => x.sin())(torch.ones(2)).tolist();
      console.log(n, process.env.PJRT_NPROC);`;
    for (const env of [{}, { OMP_NUM_THREADS: '1' }]) {
      const { stdout, stderr } = run(script, env);
      assert.deepEqual([stdout, stderr], ['3 3\n', '']);
    }
  });

  it('what was changed too late is said once', () => {
    const { stderr } = run(`${IMPORT} process.env.OMP_WAIT_POLICY = 'passive'; torch.ones(1); torch.ones(1);`, {
      OMP_WAIT_POLICY: undefined,
    });
    assert.match(stderr, /JorchEnvironment.*OMP_WAIT_POLICY was changed after jorch was imported/);
    assert.equal(stderr.match(/OMP_WAIT_POLICY/g)!.length, 1);
    assert.equal(run(`process.env.OMP_WAIT_POLICY = 'passive'; ${IMPORT} torch.ones(1);`).stderr, '');
  });

  it('a script whose programs are fetched hears a cache folder and threads that it names after the import', () => {
    const [one, two] = ['one', 'two'].map((name) => join(dir, name)) as [string, string];
    for (const folder of [one, two]) {
      mkdirSync(folder, { mode: 0o700 });
      symlinkSync(join(cacheDir(), 'runtime'), join(folder, 'runtime'));
    }
    const file = join(dir, 'script.cjs');
    writeFileSync(
      file,
      `${IMPORT} if (process.env.NAMED) process.env.JORCH_CACHE_DIR = process.env.NAMED; if (process.env.THREADS) process.env.OMP_NUM_THREADS = process.env.THREADS;
       const y = torch.compile((x) => torch.softmax(x.matmul(x), -1).sum())(torch.ones([8, 8])).item();
       console.log(Math.round(y), torch.runtime().cache.hits, process.env.PJRT_NPROC);`,
    );
    const go = (env: Record<string, string>): string => {
      const { stdout, stderr } = spawnSync(process.execPath, [file], {
        encoding: 'utf8',
        env: { ...process.env, OMP_NUM_THREADS: '2', PJRT_NPROC: undefined, JORCH_CACHE_DIR: one, ...env },
      });
      assert.equal(stderr, '');
      return stdout;
    };
    assert.deepEqual([go({}), go({})], ['8 0 2\n', '8 1 2\n']);
    assert.equal(go({ NAMED: two }), '8 0 2\n');
    assert.ok(readdirSync(join(two, 'programs')).some((name) => name.endsWith('.xla')));
    assert.equal(go({ NAMED: two }), '8 1 2\n');
    // XLA compiles for its number of threads.
    assert.deepEqual([go({ THREADS: '1' }), go({ THREADS: '1' })], ['8 0 1\n', '8 1 1\n']);
  });
});
