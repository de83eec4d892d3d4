/** @file Small programs with several of libtorch's kernels, which are cut into parts. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { compile, linalg, type Tensor } from '../../lib/index.js';
import { close } from '../support/close.js';

const spd = (n: number): Tensor => {
  const x = torch.randn([n, n], { dtype: 'float64' });
  return x.matmul(x.mT).add(torch.eye(n, { dtype: 'float64' }).mul(n));
};
const partsOf = (text: string): number => text.match(/func\.func private @part/g)?.length ?? 0;

describe('programs in parts', () => {
  const value = (a: Tensor, y: Tensor): Tensor => {
    const L = linalg.cholesky(a);
    const z = linalg.solve_triangular(L, y.unsqueeze(1), { upper: false });
    return z.square().sum().mul(0.5).add(L.diagonal().log().sum());
  };
  const withGradient = (a: Tensor, y: Tensor): Tensor[] => {
    const leaf = a.detach().requires_grad_();
    const v = value(leaf, y);
    return [v.detach(), torch.autograd.grad([v], [leaf])[0]!];
  };

  it('compute what they do whole', () => {
    const fast = compile(withGradient);
    const [a, y] = [spd(30), torch.randn([30], { dtype: 'float64' })];
    const count = partsOf(fast.lower(a, y).stablehlo);
    assert.ok(count > 1 && count <= 8, `${count} parts`);
    for (const given of [a, spd(30)])
      fast(given, y).forEach((t, i) => {
        close(t, withGradient(given, y)[i]!, { rtol: 1e-10, atol: 1e-12 });
      });
  });

  it('give NaN where a factorisation fails, in every part behind it', () => {
    const fast = compile(withGradient);
    const y = torch.randn([30], { dtype: 'float64' });
    for (const t of fast(spd(30).neg(), y)) assert.ok(t.isnan().any().item());
    for (const t of fast(spd(30), y)) assert.ok(!t.isnan().any().item());
  });

  it('take and give arguments, constants, the same value twice, several results of a call, and what XLA finds to be nothing', () => {
    const f = (a: Tensor, n: Tensor): Tensor[] => {
      const { L, info } = linalg.cholesky_ex(a);
      const [Q, R] = linalg.qr(L);
      const { values: order, indices: places } = R.flatten().sort(0, true);
      const nothing = n.mul(0);
      const { eigenvalues } = linalg.eigh(Q.matmul(Q.mT).add(a).add(nothing));
      const last = linalg.solve_triangular(L, R.add(info.add(1)).add(nothing), { upper: false });
      return [a, torch.ones([3]), last, last, order, places, nothing, eigenvalues, info, n.add(1), a.reshape([-1])];
    };
    const [a, n] = [spd(12), torch.arange(12)];
    const fast = compile(f);
    assert.ok(partsOf(fast.lower(a, n).stablehlo) > 3);
    const wanted = f(a, n);
    for (let round = 0; round < 3; round++)
      fast(a, n).forEach((t, i) => {
        close(t, wanted[i]!, { rtol: 1e-9, atol: 1e-10, what: `result ${i}` });
      });
  });

  it('has no more than eight of them, however many calls there are', () => {
    const f = (a: Tensor): Tensor => {
      let x = a;
      for (let i = 0; i < 20; i++) x = linalg.cholesky(x).add(a);
      return x;
    };
    const fast = compile((a: Tensor) => f(a.matmul(a.mT)).sum());
    const a = spd(6);
    const count = partsOf(fast.lower(a).stablehlo);
    assert.ok(count > 4 && count <= 8, `${count} parts`);
    close(fast(a), f(a.matmul(a.mT)).sum(), { rtol: 1e-9 });
  });

  it('are for small tensors and few calls', () => {
    const f = (a: Tensor): Tensor => linalg.cholesky(a).add(1);
    assert.equal(partsOf(compile(f).lower(spd(10)).stablehlo), 0);
    assert.equal(partsOf(compile(withGradient).lower(spd(200), torch.randn([200], { dtype: 'float64' })).stablehlo), 0);
  });
});
