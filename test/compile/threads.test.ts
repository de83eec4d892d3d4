/** @file One budget for the threads of libtorch and of XLA: OMP_NUM_THREADS. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const INDEX = join(__dirname, '../../lib/index.js');
/** Threads of a process that has run a compiled product, which uses all that XLA has. */
const SCRIPT = `
  const torch = require(${JSON.stringify(INDEX)});
  const x = torch.ones([512, 512]);
  torch.compile((a) => a.matmul(a).sin().sum())(x).item();
  const { readdirSync } = require('node:fs');
  console.log(JSON.stringify({ libtorch: torch.get_num_threads(), threads: readdirSync('/proc/self/task').length }));
`;
const run = (env: Record<string, string>): { libtorch: number; threads: number } => {
  const { PJRT_NPROC: _, OMP_NUM_THREADS: __, ...rest } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', SCRIPT], {
    encoding: 'utf8',
    env: { ...rest, ...env },
  });
  assert.equal(stderr, '');
  return JSON.parse(stdout) as { libtorch: number; threads: number };
};

describe('threads', () => {
  it('OMP_NUM_THREADS bounds libtorch’s and XLA’s, PJRT_NPROC those of XLA alone', () => {
    const [one, many, apart] = [
      run({ OMP_NUM_THREADS: '1' }),
      run({ OMP_NUM_THREADS: '12' }),
      run({ OMP_NUM_THREADS: '1', PJRT_NPROC: '12' }),
    ];
    assert.equal(one.libtorch, 1);
    assert.equal(apart.libtorch, 1);
    // XLA makes at least one for each.
    assert.ok(many.threads >= one.threads + 11, `${one.threads}, ${many.threads}`);
    assert.ok(apart.threads >= one.threads + 11, `${one.threads}, ${apart.threads}`);
  });
});
