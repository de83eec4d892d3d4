/** @file Double backward through a compiled call: second and third derivatives equal eager's, or the refusal says precisely why. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { autograd, compile, nn } = torch;
const F = nn.functional;
const grad = (y: Tensor, x: Tensor | Tensor[]): Tensor[] =>
  autograd.grad(y, x as Tensor, { create_graph: true }) as Tensor[];
const linspace = (n: number): Tensor => torch.linspace(-1, 1, n, { dtype: 'float64' });

/** Functions of one tensor, and what they capture. */
const functions: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  product: (x) => x.sin().mul(x),
  'softmax and logsumexp': (x) => x.softmax(0).mul(x).add(x.logsumexp(0)),
  'what no_grad hides': (x) => x.mul(torch.no_grad(() => x.mul(2))).square(),
  detached: (x) => x.mul(x.detach().exp()),
  'in place inside': (x) => {
    const y = x.mul(2);
    y.at('1:').mul_(x.at('1:').cos());
    return y.tanh();
  },
  'two results summed': (x) => torch.stack([x.pow(3), x.exp()]).sum(0),
  'layer norm': (x) => F.layer_norm(x, [6]),
  linear: (x) => x.mul(3),
  'a scan': (x) => torch.scan((c: Tensor, t: Tensor) => [c.mul(t).sin(), c] as const, x.at(0), x)[1] as Tensor,
  'a cond': (x) =>
    torch.cond(
      x.sum().gt(-1),
      (t: Tensor) => t.sin().mul(t),
      (t: Tensor) => t,
      [x],
    ) as Tensor,
};

describe('double backward through a compiled call', () => {
  for (const [name, f] of Object.entries(functions)) {
    it(`third derivatives of ${name} as eager`, () => {
      const derivatives = (g: (x: Tensor) => Tensor): Tensor[] => {
        const x = linspace(6).requires_grad_();
        const found: Tensor[] = [];
        let y = g(x).square().sum();
        for (let order = 1; order <= 3; order++) {
          const [d] = grad(y, x);
          found.push(d!.detach());
          y = d!.mul(linspace(6).add(2)).sum();
        }
        return found;
      };
      const expected = derivatives(f);
      const actual = derivatives(compile(f));
      for (const [i, d] of actual.entries()) close(d, expected[i]!, { what: `derivative ${i + 1}`, atol: 1e-9 });
    });
  }

  it('a gradient penalty on a network of compiled layers', () => {
    const losses = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor): unknown => {
      torch.manual_seed(3);
      const net = new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 1)).double();
      const critic = wrap((x) => net.forward(x));
      const optimizer = new torch.optim.SGD(net.parameters(), { lr: 0.1 });
      return Array.from({ length: 4 }, () => {
        const x = torch.linspace(-1, 1, 12, { dtype: 'float64' }).reshape([3, 4]).requires_grad_();
        const [g] = grad(critic(x).sum(), x);
        const loss = g!.norm(2, 1).sub(1).square().mean();
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        return loss.item();
      });
    };
    const expected = losses((f) => f) as number[];
    for (const [i, loss] of (losses((f) => compile(f)) as number[]).entries())
      assert.ok(Math.abs(loss - expected[i]!) < 1e-10, `step ${i}: ${loss}, eager ${expected[i]}`);
  });

  it('a hessian, row by row, through one compiled backward', () => {
    const f = compile((x: Tensor) => x.pow(3).sum().mul(x.at(0)));
    const x = linspace(4).requires_grad_();
    const [g] = grad(f(x), x);
    const rows = [0, 1, 2, 3].map((i) => autograd.grad(g!.at(i), x, { retain_graph: true })[0]!);
    close(torch.stack(rows), torch.func.hessian((t: Tensor) => t.pow(3).sum().mul(t.at(0)))(x.detach()) as Tensor);
    assert.equal(f.stats.compiles, 1);
  });

  it('pytrees, static leaves, numbers as values, and an argument given twice', () => {
    const body = ({ a, b }: { a: Tensor; b: Tensor }, power: number, scale: number): { y: Tensor } => ({
      y: a.pow(power).mul(b).mul(scale),
    });
    const f = compile(body, { dynamic: [2] });
    for (const scale of [0.25, 0.5]) {
      const x = linspace(3).requires_grad_();
      const second = (g: typeof body): Tensor => grad(grad(g({ a: x, b: x }, 2, scale).y.sum(), x)[0]!.sum(), x)[0]!;
      close(second(f), second(body));
    }
    assert.equal(f.stats.compiles, 1);
  });

  it('the statistics of a module are changed by its forward only', () => {
    const norm = new nn.BatchNorm1d(3).double();
    const f = compile((x: Tensor) => norm.forward(x).square());
    const x = torch.linspace(-1, 2, 12, { dtype: 'float64' }).reshape([4, 3]).requires_grad_();
    const [g] = grad(f(x).sum(), x);
    autograd.grad(g!.square().sum(), x);
    assert.equal(norm.num_batches_tracked!.item(), 1);
  });

  it('a value needed and changed in place since is noticed', () => {
    const f = compile((x: Tensor, y: Tensor) => x.mul(y).sin());
    const y = linspace(3);
    const x = linspace(3).requires_grad_();
    const out = f(x, y).sum();
    y.add_(1);
    fails('BAD_ARGUMENT', /modified by an inplace operation/, () => grad(out, x));
  });

  it('what cannot be is refused in words, and the first derivative goes on working', () => {
    const x = linspace(3).requires_grad_();
    const dropout = compile((t: Tensor) => F.dropout(t.square(), 0.5));
    fails('BAD_ARGUMENT', /draws random numbers/, () => grad(dropout(x).sum(), x));
    const pieces = compile((t: Tensor) => t.square().split(2) as unknown as Tensor[]);
    fails('BAD_ARGUMENT', /several views of one tensor/, () => grad(pieces(x)[0]!.sum(), x));
    let scale = 2;
    const captures = compile((t: Tensor) => t.pow(3).mul(scale));
    const y = captures(x).sum();
    scale = 3;
    fails('BAD_ARGUMENT', /JavaScript value that it captures/, () => grad(y, x));
    close(autograd.grad(captures(x).sum(), x)[0]!, x.detach().square().mul(6));
  });
});
