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
    const q = z.mul(1);
    const r = fast(q).sum();
    torch.no_grad(() => q.add_(1));
    fails('BAD_ARGUMENT', /modified by an inplace operation/, () => r.backward());
    close(autograd.grad(fast(z).sum(), z)[0]!, torch.full([2], 2));
  });

  it('reach what is still there after the function has gone backward itself', () => {
    const v = torch.tensor([1, 2]).requires_grad_();
    const f = (a: Tensor): Tensor[] => {
      const loss = v.mul(a).sum();
      loss.backward();
      return [loss, v.exp(), torch.ones(2).requires_grad_()];
    };
    const [loss, other, leaf] = compile(f)(torch.ones(2)) as [Tensor, Tensor, Tensor];
    assert.deepEqual(
      [loss.requires_grad, other.requires_grad, leaf.requires_grad, leaf.is_leaf],
      [true, true, true, true],
    );
    close(autograd.grad(other.sum(), v, { retain_graph: true })[0]!, v.detach().exp());
    fails('BAD_ARGUMENT', /second time/, () => loss.backward());
    fails('BAD_ARGUMENT', /second time/, () => autograd.grad(loss.add(other.sum()), v));
  });

  it('are recorded under enable_grad inside, whatever the mode outside', () => {
    const fast = compile((a: Tensor) => torch.enable_grad(() => a.matmul(w)));
    const y = torch.no_grad(() => fast(x));
    close(autograd.grad(y.sum(), w)[0]!, autograd.grad(x.matmul(w).sum(), w)[0]!);
  });

  it('a long chain of calls is freed without recursion', () => {
    const fast = compile((a: Tensor) => a.sin());
    let y = torch.ones(1).requires_grad_();
    for (let i = 0; i < 30_000; i++) y = fast(y);
    assert.equal(y.grad_fn, 'CompiledBackward');
    y.dispose();
  });
});

/** The same change in eager and compiled code, and gradients through what came of it. */
const bothWays = (f: (...args: Tensor[]) => unknown, make: () => { args: Tensor[]; seen: () => Tensor[] }): void => {
  const run = (g: typeof f): Tensor[] => {
    const { args, seen } = make();
    g(...args);
    g(...args);
    return seen();
  };
  const expected = run(f);
  for (const [i, t] of run(compile(f)).entries()) close(t, expected[i]!);
};

describe('gradients through what a compiled call changes in place', () => {
  it('an argument with a history', () => {
    bothWays(
      (a) => a.mul_(2).sin_(),
      () => {
        const v = torch.tensor([1, 2]).requires_grad_();
        const h = v.mul(1);
        return { args: [h], seen: () => [h.detach(), autograd.grad(h.sum(), v)[0]!] };
      },
    );
  });

  it('an argument without one, by a parameter', () => {
    bothWays(
      (a, b) => void a.mul_(b),
      () => {
        const v = torch.tensor([3, 4]).requires_grad_();
        const y = torch.ones(2);
        return { args: [y, v], seen: () => [y.detach(), autograd.grad(y.sum(), v)[0]!] };
      },
    );
  });

  it('a view of a larger tensor: the base gets the history', () => {
    bothWays(
      (a, b) => void a.mul_(b),
      () => {
        const v = torch.tensor([3, 4]).requires_grad_();
        const base = torch.ones(4);
        return { args: [base.at('1:3'), v], seen: () => [base.detach(), autograd.grad(base.sum(), v)[0]!] };
      },
    );
  });

  it('a captured tensor, a result computed from it before and after', () => {
    const v = torch.tensor([1, 2]).requires_grad_();
    const outcome = (wrap: (f: (a: Tensor) => Tensor) => (a: Tensor) => Tensor): Tensor[] => {
      const h = v.mul(3);
      const f = wrap((a) => {
        const before = h.mul(a);
        h.add_(a);
        return before.add(h.mul(2));
      });
      const y = f(torch.tensor([5, 7]));
      const same = h.requires_grad;
      assert.equal(same, true);
      return [y.detach(), autograd.grad(y.sum().add(h.square().sum()), v)[0]!];
    };
    const expected = outcome((f) => f);
    for (const [i, t] of outcome((f) => compile(f)).entries()) close(t, expected[i]!);
  });

  it('the changed argument returned is the caller’s own tensor', async () => {
    const v = torch.tensor([1, 2]).requires_grad_();
    const f = compile((a: Tensor) => a.mul_(2));
    const h = v.mul(1);
    assert.equal(f(h), h);
    const other = v.mul(1);
    assert.equal(await f.async(other), other);
    close(autograd.grad(other.sum(), v)[0]!, torch.full([2], 2));
    assert.equal(f.stats.compiles, 1);
  });

  it('a leaf is refused as in eager, also when a program for others is there', () => {
    const f = compile((a: Tensor) => a.mul_(2));
    f(torch.ones(2).requires_grad_().mul(1));
    const v = torch.ones(2).requires_grad_();
    fails('BAD_ARGUMENT', /leaf/, () => f(v));
    assert.deepEqual(v.tolist(), [1, 1]);
  });

  it('a view that autograd does not let be changed: nothing is changed', () => {
    const f = compile((a: Tensor, b: Tensor) => {
      b.add_(1);
      a.mul_(2);
    });
    const h = torch.ones(2).requires_grad_().mul(1);
    const b = torch.zeros(2);
    const [part] = h.unbind();
    fails('BAD_ARGUMENT', /is a view and is being modified inplace/, () => f(part!, b));
    assert.deepEqual(
      [h.tolist(), b.tolist()],
      [
        [1, 1],
        [0, 0],
      ],
    );
  });

  it('backward() that would go on in the history outside is refused', () => {
    const h = torch.ones(2).requires_grad_().mul(1);
    fails('BAD_ARGUMENT', /no leaf, and would go on/, () => compile((a: Tensor) => a.square().sum().backward())(h));
  });
});

describe('requires_grad set inside a compiled function', () => {
  it('holds for the caller’s tensor, and results lead back to it', () => {
    const f = compile((a: Tensor) => {
      a.requires_grad_(true);
      return a.mul(3);
    });
    for (let call = 0; call < 2; call++) {
      const a = torch.ones(2);
      const y = f(a);
      y.sum().backward();
      assert.deepEqual([a.requires_grad, a.grad!.tolist()], [true, [3, 3]]);
    }
    assert.equal(f.stats.compiles, 1);
  });

  it('of a captured tensor, switched off and on', () => {
    const v = torch.ones(2).requires_grad_();
    const f = compile((a: Tensor, on: boolean) => {
      v.requires_grad_(on);
      return a.mul(v);
    });
    assert.deepEqual([f(torch.ones(2), false).requires_grad, v.requires_grad], [false, false]);
    assert.deepEqual([f(torch.ones(2), true).requires_grad, v.requires_grad], [true, true]);
  });

  it('detach_() cuts the caller’s tensor off', () => {
    const h = torch.ones(2).requires_grad_().mul(1);
    compile((a: Tensor) => void a.detach_())(h);
    assert.deepEqual([h.requires_grad, h.is_leaf], [false, true]);
  });

  it('a failing call leaves it as it was', () => {
    const f = compile(
      (a: Tensor, i: Tensor) => {
        a.requires_grad_(true);
        return torch.ones(3).index_select(0, i);
      },
      { checks: true },
    );
    const a = torch.ones(2);
    fails('BAD_ARGUMENT', /out of range/, () => f(a, torch.tensor([5n])));
    assert.equal(a.requires_grad, false);
  });
});
