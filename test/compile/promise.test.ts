/** @file What issue 3 promises of one function, eager and compiled. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeOn } from '../support/agree.js';
import { close } from '../support/close.js';

const { autograd, compile } = torch;
const f = (x: Tensor): Tensor =>
  torch
    .sin(x)
    .add(torch.exp(x.mul(2)))
    .sum();

describe('the same function eager and compiled', () => {
  it('f(zeros([10, 10])).item() is 100, eager and compiled', () => {
    assert.equal(f(torch.zeros([10, 10])).item(), 100);
    assert.equal(compile(f)(torch.zeros([10, 10])).item(), 100);
  });

  it('the gradient of sum(sin(x) + exp(2x)) is cos(x) + 2 exp(2x) to 1e-6, eager and compiled', () => {
    const gradient = (x: Tensor): Tensor => {
      const leaf = x.detach().requires_grad_(true);
      return autograd.grad(f(leaf), leaf)[0]!;
    };
    const x = torch.linspace(-2, 1, 100, { dtype: 'float64' }).reshape([10, 10]);
    const exact = x.cos().add(x.mul(2).exp().mul(2));
    close(gradient(x), exact, { rtol: 1e-6, atol: 0 });
    close(compile(gradient)(x), exact, { rtol: 1e-6, atol: 0 });
  });

  it('backward() inside a compiled function: the same gradient', () => {
    const gradient = (x: Tensor): Tensor => {
      const leaf = x.detach().requires_grad_(true);
      f(leaf).backward();
      return leaf.grad!;
    };
    agreeOn(gradient, torch.linspace(-2, 1, 12).reshape([3, 4]));
  });

  it('value and gradient together', () => {
    agreeOn(
      (x: Tensor) => {
        const leaf = x.detach().requires_grad_(true);
        const y = f(leaf);
        return { value: y.detach(), gradient: autograd.grad(y, leaf)[0] };
      },
      torch.linspace(-2, 1, 12).reshape([3, 4]),
    );
  });

  it('second derivatives, by grad of grad', () => {
    agreeOn(
      (x: Tensor) => {
        const a = x.detach().requires_grad_(true);
        const [g] = autograd.grad(a.pow(3).mul(a.sin()).sum(), a, { create_graph: true });
        const [h] = autograd.grad(g!.sum(), a);
        return [g!.detach(), h];
      },
      torch.linspace(-1, 2, 6, { dtype: 'float64' }),
    );
  });

  it('a Hessian, row by row', () => {
    agreeOn(
      (x: Tensor) => {
        const a = x.detach().requires_grad_(true);
        const y = a.at('1:').sub(a.at(':-1').square()).square().mul(100).add(a.at(':-1').sub(1).square()).sum();
        const [g] = autograd.grad(y, a, { create_graph: true });
        return torch.stack(Array.from({ length: 4 }, (_, i) => autograd.grad(g!.at(i), a, { retain_graph: true })[0]!));
      },
      torch.tensor([0.5, 1.5, -1, 2], { dtype: 'float64' }),
    );
  });

  it('third derivatives', () => {
    agreeOn(
      (x: Tensor) => {
        const a = x.detach().requires_grad_(true);
        let y = a.tanh().sum();
        for (let i = 0; i < 3; i++) y = autograd.grad(y, a, { create_graph: true })[0]!.sum();
        return y.detach();
      },
      torch.linspace(-1, 1, 5, { dtype: 'float64' }),
    );
  });

  it('a function with 1 000 operators', () => {
    const long = (x: Tensor): Tensor => {
      let y = x;
      for (let i = 0; i < 250; i++) y = y.mul(0.99).add(0.01).sin().sub(x);
      return y;
    };
    const compiled = agree(() => ({ f: long, args: [torch.linspace(-1, 1, 8, { dtype: 'float64' })] }));
    assert.equal(compiled.stats.compiles, 1);
  });

  it('in-place operators and views', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.select(0, 1).mul_(10);
        y.t().at('1:').add_(1);
        return y;
      },
      torch.arange(12, { dtype: 'float32' }).reshape([3, 4]),
    );
  });

  it('a captured parameter changed between calls is read anew, without recompiling', () => {
    const w = torch.ones(4);
    const scaled = compile((x: Tensor) => x.mul(w));
    const x = torch.arange(4, { dtype: 'float32' });
    assert.deepEqual(scaled(x).tolist(), [0, 1, 2, 3]);
    w.mul_(3);
    assert.deepEqual(scaled(x).tolist(), [0, 3, 6, 9]);
    w.setAt(0, 5).at('1:').fill_(7);
    assert.deepEqual(scaled(x.add(1)).tolist(), [5, 14, 21, 28]);
    assert.equal(scaled.stats.compiles, 1);
  });

  it('float64, float16, bfloat16, integer and complex arguments', () => {
    const x = torch.linspace(0.5, 2, 6);
    for (const dtype of ['float64', 'float16', 'bfloat16', 'complex64', 'complex128'] as const)
      agreeOn((a: Tensor) => a.mul(a).add(1).div(a), x.to(dtype));
    for (const dtype of ['int8', 'int16', 'int32', 'int64', 'uint8'] as const)
      agreeOn((a: Tensor) => a.mul(a).add(1), torch.arange(6, { dtype }));
  });

  it('0-d, empty, transposed, expanded and sliced arguments', () => {
    const base = torch.arange(24, { dtype: 'float32' }).reshape([4, 6]);
    const g = (x: Tensor): Tensor => x.mul(2).add(1).sin();
    for (const x of [
      torch.tensor(3),
      torch.zeros(0, 4),
      base.t(),
      base.at('::2', '1::2'),
      base.at(0).expand([3, 6]),
      base.at(1, 2),
    ])
      agree(() => ({ f: g, args: [x] }));
  });

  it('an expression with expr`…`', () => {
    agreeOn((x: Tensor) => torch.expr`sin(${x}) + exp(2 * ${x}) @ ${x}.T`, torch.linspace(0, 1, 9).reshape([3, 3]));
  });
});
