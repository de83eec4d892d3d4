/** @file checkpoint: the gradients of the function itself, computed again, in eager, under transforms and compiled. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, func } = torch;
const { checkpoint } = torch.utils.checkpoint;
const TIGHT = { rtol: 1e-12, atol: 1e-12 };
const x = torch.tensor([0.5, -1, 2], { dtype: 'float64' });

describe('checkpoint', () => {
  const w = torch.tensor([1, 2, 3], { dtype: 'float64' }).requires_grad_(true);
  const block = (t: Tensor): Tensor => t.mul(w).sin().exp();
  const loss = (t: Tensor): Tensor => checkpoint(block, t).sum();

  const gradients = (f: (t: Tensor) => Tensor): Tensor[] => {
    w.grad = null;
    const leaf = x.clone().requires_grad_(true);
    f(leaf).backward();
    return [leaf.grad!, w.grad!.clone()];
  };
  const plain = (t: Tensor): Tensor => block(t).sum();

  it('gradients of arguments and captured parameters, the function run once forward and once backward', () => {
    const expected = gradients(plain);
    let runs = 0;
    const counted = (t: Tensor): Tensor => {
      runs++;
      return block(t);
    };
    const got = gradients((t) => checkpoint(counted, t).sum());
    got.forEach((g, i) => {
      close(g, expected[i]!, TIGHT);
    });
    assert.equal(runs, 2);
  });
  it('compiled: the same, and the second computation is there', () => {
    const expected = gradients(plain);
    gradients(compile(loss)).forEach((g, i) => {
      close(g, expected[i]!, TIGHT);
    });
    const text = compile(func.grad(loss)).lower(x.clone()).stablehlo;
    assert.match(text, /optimization_barrier/);
    assert.equal(text.match(/stablehlo\.sine/g)!.length, 2);
  });
  it('under transforms, nested and of second order', () => {
    const twice = (t: Tensor): Tensor => checkpoint((u: Tensor) => checkpoint(block, u).mul(2), t).sum();
    for (const f of [loss, twice]) {
      const g = (t: Tensor): Tensor => (f === loss ? plain(t) : plain(t).mul(2));
      close(func.grad(f)(x).detach(), func.grad(g)(x).detach(), TIGHT);
      close(func.hessian(f)(x).detach(), func.hessian(g)(x).detach(), TIGHT);
      close(
        func
          .vmap(func.grad(f))(torch.stack([x, x.mul(2)]))
          .detach(),
        func
          .vmap(func.grad(g))(torch.stack([x, x.mul(2)]))
          .detach(),
        TIGHT,
      );
      close(compile(func.hessian(f))(x).detach(), func.hessian(g)(x).detach(), TIGHT);
      close(func.jvp(f, [x], [x])[1].detach(), func.jvp(g, [x], [x])[1].detach(), TIGHT);
    }
  });
  it('draws the same random numbers again', () => {
    const noisy = (t: Tensor): Tensor => t.mul(torch.rand_like(t));
    for (const f of [(t: Tensor) => checkpoint(noisy, t), compile((t: Tensor) => checkpoint(noisy, t))]) {
      torch.manual_seed(5);
      const leaf = x.clone().requires_grad_(true);
      const y = f(leaf);
      const next = torch.rand([1]);
      y.sum().backward();
      close(leaf.grad!, y.detach().div(x), TIGHT);
      torch.manual_seed(5);
      f(x);
      assert.equal(torch.rand([1]).item(), next.item());
    }
  });
  it('draws the same again from generators of its own, and so do branches for a batch', () => {
    const generator = new torch.Generator().manual_seed(3);
    const draw = () => torch.rand([], { dtype: 'float64', generator });
    const branch = (t: Tensor): Tensor =>
      torch.cond(
        t.sum().gt(-1e9),
        () => t.mul(draw()),
        () => t,
      );
    for (const f of [
      (t: Tensor) => checkpoint((u: Tensor) => u.mul(draw()).mul(torch.rand_like(u)), t),
      (t: Tensor) => func.vmap(branch, 0, 0, { randomness: 'different' })(t),
      branch,
    ]) {
      const leaf = x.clone().requires_grad_(true);
      const y = f(leaf);
      const [state, then] = [generator.get_state(), draw()];
      y.sum().backward();
      close(leaf.grad!, y.detach().div(x), TIGHT);
      const after = draw();
      generator.set_state(state);
      assert.deepEqual([draw().item(), draw().item()], [then.item(), after.item()]);
    }
    assert.throws(() => generator.set_state(torch.zeros([3])), { name: 'JorchError' });
  });
});

describe('functional_call and stack_module_state', () => {
  class Net extends torch.nn.Module {
    hidden = new torch.nn.Linear(3, 4).double();
    out = new torch.nn.Linear(4, 1).double();
    override forward(t: Tensor): Tensor {
      return this.out.forward(this.hidden.forward(t).tanh());
    }
  }
  const net = new Net();
  const batch = torch.randn([5, 3], { dtype: 'float64' });
  const parameters = Object.fromEntries(net.named_parameters());
  const zeros = torch.tree.map((t: Tensor) => torch.zeros_like(t), parameters);

  it('runs with other parameters and leaves the module as it is', () => {
    close(
      (func.functional_call(net, zeros as never, batch) as Tensor).detach(),
      torch.zeros([5, 1], { dtype: 'float64' }),
      TIGHT,
    );
    assert.notEqual(net.hidden.weight.abs().sum().item(), 0);
    assert.throws(() => func.functional_call(net, { wrong: x }, batch), /no parameter or buffer 'wrong'/);
  });
  it('gradients with respect to all parameters, eager and compiled, are those of backward()', () => {
    const loss = (p: typeof parameters, t: Tensor): Tensor =>
      (func.functional_call(net, p as never, t) as Tensor).square().mean();
    net.forward(batch).square().mean().backward();
    for (const grads of [func.grad(loss)(parameters, batch), compile(func.grad(loss))(parameters, batch)])
      for (const [name, p] of net.named_parameters()) close(grads[name].detach(), p.grad!, TIGHT);
  });
  it('an ensemble by vmap', () => {
    const nets = [net, new Net(), new Net()];
    const [params, buffers] = func.stack_module_state(nets);
    assert.deepEqual(Object.keys(buffers), []);
    const run = func.vmap((p: typeof params) => func.functional_call(net, p, batch) as Tensor);
    for (const f of [run, compile(run)]) {
      const all = f(params).detach();
      nets.forEach((m, i) => {
        close(all.select(0, i), m.forward(batch).detach(), TIGHT);
      });
    }
  });
});
