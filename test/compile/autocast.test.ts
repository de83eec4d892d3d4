/** @file Autocast inside and around compiled functions: the dtypes and values of eager. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { autocast, compile } = torch;
const F = torch.nn.functional;

/** Under autocast, eagerly and compiled: dtypes equal, values within bfloat16's rounding. */
const same = (f: (...args: Tensor[]) => Tensor, args: Tensor[]): void => {
  for (const dtype of ['bfloat16', 'float16'] as const) {
    const run = (...xs: Tensor[]): Tensor => autocast({ dtype }, () => f(...xs));
    const [a, b] = [compile(run)(...args), run(...args)];
    assert.equal(a.dtype, b.dtype);
    close(a.float(), b.float(), { rtol: 0.03, atol: 0.03 });
  }
};

describe('compile: autocast', () => {
  const generator = new torch.Generator().manual_seed(0);
  const randn = (...shape: number[]): Tensor => torch.randn(shape, { generator });
  const [m, n, v] = [randn(4, 4), randn(4, 4), randn(4)];
  const image = randn(1, 2, 6, 6);
  // Far from singular: rounding to bfloat16 must not decide.
  const positive = m.mul(0.1).add(torch.eye(4).mul(2));
  const cases: Record<string, [(...args: Tensor[]) => Tensor, Tensor[]]> = {
    matmul: [(a, b) => a!.matmul(b!), [m, n]],
    mm: [(a, b) => torch.mm(a!, b!), [m, n]],
    bmm: [(a, b) => torch.bmm(a!.unsqueeze(0), b!.unsqueeze(0)), [m, n]],
    addmm: [(a, b) => torch.addmm(a!, a!, b!), [m, n]],
    linear: [(a, b, c) => F.linear(a!, b!, c!), [m, n, v]],
    'linear in float64 stays': [(a, b) => F.linear(a!, b!), [m.double(), n.double()]],
    conv2d: [(a, w) => F.conv2d(a!, w!), [image, randn(3, 2, 3, 3)]],
    conv_transpose2d: [(a, w) => F.conv_transpose2d(a!, w!), [image, randn(2, 3, 3, 3)]],
    attention: [(q) => F.scaled_dot_product_attention(q!, q!, q!), [randn(1, 2, 4, 8)]],
    prelu: [(a, w) => F.prelu(a!, w!), [m, torch.tensor([0.2])]],
    'pointwise operators keep their dtype': [(a, b) => a!.mul(b!).exp().sum(), [m, n]],
    'a float32 operator after a product': [(a, b) => F.mse_loss(a!.matmul(b!), b!), [m, n]],
    'binary_cross_entropy in float32': [(a) => F.binary_cross_entropy(a!.matmul(a!).sigmoid(), a!.sigmoid()), [m]],
    'fft in float32': [(a) => torch.fft.rfft(a!.matmul(a!)).abs(), [m]],
    'linalg in float32': [(a) => torch.linalg.inv(a!.matmul(a!)), [positive]],
    'prod, trace and cdist': [(a) => torch.trace(a!.matmul(a!)).add(torch.cdist(a!, a!).sum()), [m]],
    'cat takes the widest': [(a, b) => torch.cat([a!.matmul(b!), b!]), [m, n]],
    'stack of two products': [(a, b) => torch.stack([a!.matmul(b!), b!.matmul(a!)]), [m, n]],
    'nested, switched off inside': [
      (a, b) =>
        a!
          .matmul(b!)
          .float()
          .add(autocast({ enabled: false }, () => a!.matmul(b!))),
      [m, n],
    ],
  };
  for (const [name, [f, args]] of Object.entries(cases)) it(name, () => same(f, args));

  it('around a compiled call, it is part of the key', () => {
    const f = compile((a: Tensor) => a.matmul(a));
    assert.equal(f(m).dtype, 'float32');
    assert.equal(autocast({ dtype: 'bfloat16' }, () => f(m)).dtype, 'bfloat16');
    assert.equal(autocast({ dtype: 'float16' }, () => f(m)).dtype, 'float16');
    assert.equal(f(m).dtype, 'float32');
    assert.equal(f.stats.compiles, 3);
  });

  it('gradients have the dtypes of the leaves and eager’s values', () => {
    const grads = (wrap: <T extends (...args: never[]) => unknown>(f: T) => T): Tensor[] => {
      const [w, x] = [n.clone().requires_grad_(true), m.clone().requires_grad_(true)];
      const loss = wrap((a: Tensor, b: Tensor) =>
        autocast({ dtype: 'bfloat16' }, () => F.mse_loss(F.linear(a, b).relu(), a)),
      );
      loss(x, w).backward();
      return [w.grad!, x.grad!];
    };
    const [a, b] = [grads((f) => compile(f) as never), grads((f) => f)];
    for (const [i, g] of a.entries()) {
      assert.equal(g.dtype, 'float32');
      close(g, b[i]!, { rtol: 0.03, atol: 0.03 });
    }
  });

  it('a training step under autocast changes the parameters as eager does', () => {
    const step = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor): number[][] => {
      const w = n.clone().requires_grad_(true);
      const train = wrap((x) => {
        const loss = autocast({ dtype: 'bfloat16' }, () => F.linear(x, w).pow(2).mean());
        w.grad = null;
        loss.backward();
        torch.no_grad(() => w.sub_(w.grad!.mul(0.1)));
        return loss;
      });
      for (let i = 0; i < 3; i++) train(m);
      return w.tolist() as number[][];
    };
    close(torch.tensor(step((f) => compile(f))), torch.tensor(step((f) => f)), { rtol: 0.02, atol: 0.02 });
  });
});
