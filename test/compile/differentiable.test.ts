/** @file Gradients through a compiled call: its results carry a grad_fn whose backward is compiled too. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { autograd, compile } = torch;
const close = (a: Tensor, b: Tensor, tolerance = 1e-5): void => {
  assert.deepEqual(a.shape, b.shape);
  assert.ok(a.sub(b).abs().max().item() <= tolerance, `${a}\nis not\n${b}`);
};
const fails = (code: string, text: RegExp, fn: () => unknown): void => {
  assert.throws(fn, (e) => torch.isJorchError(e) && e.code === code && text.test(e.message));
};

describe('gradients through a compiled call', () => {
  let x: Tensor;
  let w: Tensor;
  before(() => {
    torch.manual_seed(0);
    x = torch.randn([3, 4]);
    w = torch.randn([4, 5]).requires_grad_();
  });

  it('reach captured parameters', () => {
    const f = (a: Tensor): Tensor => torch.tanh(a.matmul(w)).sum();
    const y = compile(f)(x);
    assert.equal(y.grad_fn, 'CompiledBackward');
    close(autograd.grad(y, w)[0]!, autograd.grad(f(x), w)[0]!);
  });

  it('go through a graph that is partly eager', () => {
    const f = (a: Tensor): Tensor => torch.sigmoid(a.matmul(w));
    const fast = compile(f);
    const z = x.clone().requires_grad_();
    const compiled = autograd.grad(fast(z.mul(2)).pow(2).sum(), [z, w]);
    const eager = autograd.grad(f(z.mul(2)).pow(2).sum(), [z, w]);
    close(compiled[0]!, eager[0]!);
    close(compiled[1]!, eager[1]!);
  });

  it('take zeros for results that no gradient comes to', () => {
    const fast = compile((a: Tensor) => ({ u: a.matmul(w), v: a.exp() }));
    const z = x.clone().requires_grad_();
    close(autograd.grad(fast(z).u.sum(), z)[0]!, w.detach().sum(1).expand(3, 4));
  });

  it('use the random numbers of the forward call', () => {
    const fast = compile((a: Tensor) => torch.nn.functional.dropout(a, 0.5));
    const ones = torch.ones(64).requires_grad_();
    const y = fast(ones);
    close(autograd.grad(y.sum(), ones)[0]!, y.detach());
  });

  it('read the values that an in-place change inside overwrote', () => {
    const f = (a: Tensor, state: Tensor): Tensor => {
      const y = a.mul(state.mul(1));
      torch.no_grad(() => state.add_(1));
      return y;
    };
    const z = x.clone().requires_grad_();
    const state = torch.full([3, 4], 2);
    const y = compile(f)(z, state);
    assert.equal(state.at(0, 0).item(), 3);
    close(autograd.grad(y.sum(), z)[0]!, torch.full([3, 4], 2));
  });

  it('are not recorded under no_grad', () => {
    const fast = compile((a: Tensor) => a.matmul(w));
    assert.equal(torch.no_grad(() => fast(x)).requires_grad, false);
    assert.equal(fast(x).requires_grad, true);
  });

  it('train: a whole step inside, parameters and grad as in eager', () => {
    const a = torch.tensor([1, 2, 3]);
    const train = (p: Tensor, wrap: (f: (a: Tensor) => Tensor) => (a: Tensor) => Tensor): number[] => {
      const step = wrap((input: Tensor) => {
        const loss = p.mul(input).square().sum();
        p.grad = null;
        loss.backward();
        torch.no_grad(() => p.sub_(p.grad!.mul(0.01)));
        return loss;
      });
      return [1, 2, 3].map(() => step(a).item());
    };
    const eager = torch.ones(3).requires_grad_();
    const compiled = torch.ones(3).requires_grad_();
    const losses = train(eager, (f) => f);
    for (const [i, loss] of train(compiled, (f) => compile(f)).entries()) assert.ok(Math.abs(loss - losses[i]!) < 1e-5);
    close(compiled.detach(), eager.detach());
    close(compiled.grad!, eager.grad!);
  });

  it('refuse what they cannot do, in words', () => {
    const fast = compile((a: Tensor) => a.mul(a));
    const z = torch.ones(2).requires_grad_();
    const y = fast(z).sum();
    y.backward();
    fails('BAD_ARGUMENT', /second time/, () => y.backward());
    fails('BAD_ARGUMENT', /double backward through a compiled call/, () =>
      autograd.grad(fast(z).sum(), z, { create_graph: true }),
    );
    const q = z.mul(1);
    const r = fast(q).sum();
    torch.no_grad(() => q.add_(1));
    fails('BAD_ARGUMENT', /modified by an inplace operation/, () => r.backward());
    close(autograd.grad(fast(z).sum(), z)[0]!, torch.full([2], 2));
  });
});
