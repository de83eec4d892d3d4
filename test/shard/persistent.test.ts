/** @file Partitioned programs on disk: another process loads them; mesh, shardings and devices are part of their key. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Executables } from '../../lib/compile/executables.js';
import { PersistentCache } from '../../lib/compile/persistent.js';
import * as torch from '../../lib/index.js';
import type { Executable, Target } from '../../lib/native.js';
import { native } from '../../lib/runtime/load.js';
import { targetOf } from '../../lib/shard/mesh.js';

const { compile, mesh, P } = torch;
const entry = require.resolve('../../lib/index.js');

describe('persistent cache: meshes', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-mesh-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('a second process loads what the first compiled, and knows how the results are spread', () => {
    const body = `
      const torch = require(${JSON.stringify(entry)});
      torch.ones(1); // the parts stay where they are: only the programs go to the test's folder
      process.env.JORCH_CACHE_DIR = ${JSON.stringify(dir)};
      const m = torch.mesh([4, 2], ['data', 'model']);
      const f = torch.compile((x, w) => x.matmul(w).relu(), { mesh: m, in_shardings: [torch.P('data'), torch.P(null, 'model')] });
      const w = torch.arange(12, { dtype: 'float32' }).reshape(3, 4).requires_grad_();
      const y = f(torch.ones(8, 3), w);
      y.sum().backward();
      const { compiles, cacheLoads } = f.stats;
      console.log(JSON.stringify({ compiles, cacheLoads, spec: String(y.sharding.spec), y: y.tolist(), grad: w.grad.tolist() }));`;
    const [first, second] = [0, 1].map(() => {
      const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', body], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    });
    assert.equal(first!['cacheLoads'], 0);
    assert.equal(second!['cacheLoads'], 1);
    assert.deepEqual({ ...second, cacheLoads: 0 }, first);
    assert.equal(first!['spec'], "P('data', 'model')");
  });

  it('the key: count of devices, what XLA may choose, and the text with mesh and shardings', () => {
    const cache = PersistentCache.open(join(dir, 'programs'));
    const keyOf = (devices: number, free: boolean[], text = 'module {}'): string =>
      new Executables<Executable, Target>(native(), targetOf(mesh([devices], ['x']), free), cache)
        .key(text, {})!
        .toString('hex');
    const keys = [keyOf(2, []), keyOf(4, []), keyOf(4, [true]), keyOf(4, [false]), keyOf(4, [], 'module  {}')];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keyOf(4, []), keys[1]);
    const x = torch.ones(8, 8);
    const textOf = (names: string[], spec: ReturnType<typeof P>): string =>
      compile((a: torch.Tensor) => a.sin(), { mesh: mesh([2, 4], names), in_shardings: [spec] }).lower(x).stablehlo;
    assert.equal(new Set([textOf(['a', 'b'], P('a')), textOf(['a', 'b'], P('b')), textOf(['b', 'a'], P('b'))]).size, 3);
  });
});
