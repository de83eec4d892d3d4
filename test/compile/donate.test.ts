/** @file `donate`: changed tensors are computed in their own memory. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { compile, ones } = torch;
const N = 1000;
const aliases = (f: { lower(...args: Tensor[]): { stablehlo: string } }, ...args: Tensor[]): number =>
  f.lower(...args).stablehlo.split('tf.aliasing_output').length - 1;

describe('compile: donate', () => {
  it('gives eager’s values, call after call, through views of the memory too', () => {
    const w = ones(N);
    const head = w.narrow(0, 0, 3);
    const step = compile(
      (g: Tensor) => {
        w.sub_(g.mul(0.5));
        return w.sum();
      },
      { donate: true },
    );
    assert.equal(step(ones(N)).item(), N / 2);
    assert.equal(step(ones(N)).item(), 0);
    assert.deepEqual(head.tolist(), [0, 0, 0]);
    assert.equal(aliases(step, ones(N)), 1);
  });

  it('positions: only what these arguments hold', () => {
    const f = compile(
      (a: Tensor, b: Tensor) => {
        a.add_(1);
        b.add_(2);
      },
      { donate: [1] },
    );
    const [a, b] = [ones(N), ones(N)];
    f(a, b);
    f(a, b);
    assert.deepEqual([a.sum().item(), b.sum().item()], [3 * N, 5 * N]);
    assert.equal(aliases(f as never, a, b), 1);
  });

  it('memory that others read is left alone: results, what the backward keeps, unaligned and strided tensors', () => {
    const w = ones(N).requires_grad_(true);
    const x = ones(N);
    const f = compile(
      (t: Tensor) => {
        const y = w.exp().mul(t.sum());
        t.add_(1);
        return [y, t.mul(2)];
      },
      { donate: true },
    );
    const [y] = f(x);
    f(x);
    y!.sum().backward();
    assert.ok(torch.allclose(w.grad!, w.detach().exp().mul(N)));
    const odd = ones(2 * N + 1);
    const g = compile((t: Tensor) => void t.mul_(3), { donate: true });
    g(odd.narrow(0, 1, N));
    g(odd.narrow(0, 1, N));
    g(odd.as_strided([N], [2]));
    assert.equal(odd.narrow(0, 1, 1).item(), 9);
    assert.equal(odd.at(0).item(), 3);
  });

  it('async runs copy: what the caller does meanwhile is not mixed in', async () => {
    const w = ones(N);
    const f = compile((t: Tensor) => void t.mul_(3), { donate: true });
    await f.async(w);
    f(w);
    assert.equal(w.sum().item(), 9 * N);
  });

  it('large tensors are by default, in programs that cannot fail half-way', () => {
    const large = ones(200, 200);
    const small = ones(20);
    const f = compile((t: Tensor) => {
      large.mul_(t);
      small.mul_(t);
    });
    f(torch.tensor(2));
    f(torch.tensor(3));
    assert.deepEqual([large.sum().item(), small.sum().item()], [6 * 40000, 6 * 20]);
    const two = torch.tensor(2);
    assert.equal(aliases(f as never, two), 1);
    const change = (t: Tensor) => void large.mul_(t);
    assert.equal(aliases(compile(change, { donate: false }) as never, two), 0);
    const sorts = () => void large.copy_(large.sort().values.add(1));
    assert.equal(aliases(compile(sorts) as never), 0, 'a kernel of libtorch may fail');
    const checked = (t: Tensor) => void large.copy_(large.index_select(0, t));
    const rows = torch.zeros([200], { dtype: 'int64' });
    assert.equal(aliases(compile(checked, { checks: true }) as never, rows), 0, 'a check may fail');
  });

  it('an asynchronous call reads the values of its moment, whatever is overwritten meanwhile', async () => {
    const w = ones(300, 300);
    const read = compile((t: Tensor) => w.mul(t).sum());
    const change = compile(() => void w.add_(1));
    read(torch.tensor(1));
    change();
    const sums = [read.async(torch.tensor(1)), read.async(torch.tensor(2))];
    change();
    change();
    assert.deepEqual(
      (await Promise.all(sums)).map((t) => t.item()),
      [2 * 90000, 4 * 90000],
    );
    assert.equal(w.select(0, 0).select(0, 0).item(), 4);
  });

  it('a step on 64 MiB of parameters needs less memory', () => {
    const script = (donate: boolean) => `
      const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      const w = torch.ones(16 * 2 ** 20);
      const step = torch.compile(() => void w.mul_(0.5).add_(1), { donate: ${donate} });
      for (let i = 0; i < 5; i++) step();
      console.log(w.at(0).item(), /VmHWM:\\s*(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]);`;
    const run = (donate: boolean): number[] => {
      const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script(donate)], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return stdout.trim().split(' ').map(Number);
    };
    const [kept, donated] = [run(false), run(true)];
    assert.equal(kept[0], donated[0]);
    // 64 MiB, less what the garbage collector and the allocator leave to chance.
    assert.ok(kept[1]! - donated[1]! > 40 * 1024, `${kept[1]} kB and ${donated[1]} kB`);
  });
});
