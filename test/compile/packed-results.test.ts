/** @file Small results of a program come in one vector per dtype: nothing of that is to be seen in the tensors. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { compile } from '../../lib/index.js';
import { close } from '../support/close.js';

const N = 12;
const list = (f: (i: number) => Tensor): Tensor[] => Array.from({ length: N }, (_, i) => f(i));
/** What the program itself returns. */
const returned = (f: { lower(...args: Tensor[]): { stablehlo: string } }, ...args: Tensor[]): number =>
  /@main\(.*\) -> \((.*)\) \{/.exec(f.lower(...args).stablehlo)![1]!.split('tensor<').length - 1;
const garbage = globalThis.gc ?? (() => undefined);

describe('compile: many small results', () => {
  const shapes = (x: Tensor): Tensor[] => [
    x.sum(),
    x.t().mul(2),
    x.at(0),
    x.gt(0),
    x.gt(1),
    x.isnan(),
    x.lt(0).any(),
    x.mul(3).to('int64'),
    x.argmax(),
    x.argmin(),
    x.to('int64').sum(),
    x.narrow(0, 0, 0).mul(2),
    x.to('complex64').mul(2),
    torch.zeros([600]).add(x.sum()),
    x.to('float64').exp(),
    x.exp(),
    x.cos(),
  ];

  it('have the values, strides and dtypes of eager ones', () => {
    const x = torch.randn([3, 5]);
    const f = compile(shapes, { optimize: 'xla' });
    assert.ok(returned(f as never, x) < 10);
    for (const [i, y] of (f(x) as Tensor[]).entries()) {
      const expected = shapes(x)[i]!;
      close(y, expected, { what: `result ${i}` });
      assert.deepEqual([...y.stride()], [...expected.stride()], `strides of result ${i}`);
      assert.equal(y.storage_offset(), 0);
    }
  });

  it('are tensors of their own: changed, resized, kept and collected one by one', () => {
    const f = compile((x: Tensor) => list((i) => x.add(i)));
    const results = f(torch.zeros([5])) as Tensor[];
    assert.equal(returned(f as never, torch.zeros([5])), 1);
    results[3]!.mul_(100);
    results[4]!.resize_([100]).fill_(-1);
    results[6]!.set_(torch.ones([2]));
    const kept = results[7]!.view(5, 1);
    for (const i of [0, 1, 2, 5]) close(results[i]!, torch.full([5], i));
    close(results[3]!, torch.full([5], 300));
    results.length = 0;
    garbage();
    f(torch.ones([5]));
    close(kept, torch.full([5, 1], 7));
  });

  it('go back in as arguments, and what is computed from the old ones stays', () => {
    const step = compile((...xs: Tensor[]) => xs.map((x, i) => x.mul(0.5).add(i)));
    let state = list((i) => torch.full([3], i));
    let expected = state.map((s) => s.clone());
    for (let round = 0; round < 5; round++) {
      const old = state;
      const values = old.map((s) => s.clone());
      state = step(...state) as Tensor[];
      expected = expected.map((x, i) => x.mul(0.5).add(i));
      for (const [i, s] of state.entries()) close(s, expected[i]!);
      for (const [i, s] of old.entries()) close(s, values[i]!);
    }
  });

  it('are the new values of changed tensors, views of them follow', () => {
    const [weights, plain] = [list(() => torch.ones([4])), list(() => torch.ones([4]))];
    const view = weights[2]!.narrow(0, 1, 2);
    const before = weights[0]!._version;
    const change = (of: Tensor[]) => (x: Tensor) => {
      for (const [i, w] of of.entries()) w.mul_(x).add_(i);
    };
    const f = compile(change(weights));
    for (const k of [2, 3]) {
      f(torch.tensor(k));
      change(plain)(torch.tensor(k));
    }
    for (const [i, w] of weights.entries()) close(w, plain[i]!);
    close(view, plain[2]!.narrow(0, 1, 2));
    assert.ok(weights[0]!._version > before);
  });

  it('are differentiable, and come from asynchronous calls', async () => {
    const x = torch.rand([4]).requires_grad_();
    const f = (v: Tensor): Tensor[] => list((i) => v.pow(2).mul(i).sum());
    const total = (ys: readonly Tensor[]): Tensor => ys.reduce((a, b) => a.add(b.square()));
    const [expected] = torch.autograd.grad([total(f(x))], [x]);
    const fast = compile(f);
    const [given] = torch.autograd.grad([total(fast(x) as Tensor[])], [x]);
    close(given!, expected!, { rtol: 1e-4 });
    const [a, b] = await Promise.all([fast.async(x), fast.async(x.detach().mul(2).requires_grad_())]);
    close((a as Tensor[])[5]!.detach(), f(x)[5]!.detach());
    close((b as Tensor[])[5]!.detach(), f(x.mul(2))[5]!.detach(), { rtol: 1e-5 });
  });

  it('are left alone where they are large', () => {
    const f = compile((x: Tensor) => list((i) => x.add(i)));
    const large = torch.zeros([2000]);
    assert.equal(returned(f as never, large), N);
    close((f(large) as Tensor[])[11]!, torch.full([2000], 11));
  });
});
