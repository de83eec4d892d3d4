/** @file Reverse mode in eager: backward, grad, leaves, second order, gradcheck. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { autograd, ones, tensor } = torch;
const leaf = (values: number[]): Tensor => tensor(values, { dtype: 'float64' }).requires_grad_(true);

describe('autograd', () => {
  it('backward() accumulates into .grad of the leaves', () => {
    const w = leaf([1, 2, 3]);
    w.square().sum().backward();
    assert.deepEqual(w.grad!.tolist(), [2, 4, 6]);
    w.sum().backward();
    assert.deepEqual(w.grad!.tolist(), [3, 5, 7]);
    w.grad!.zero_();
    w.grad = null;
    assert.equal(w.grad, null);
  });

  it('the gradient of sum(sin(x) + exp(2x)) is cos(x) + 2 exp(2x)', () => {
    const x = torch.linspace(-1, 1, 50, { dtype: 'float64' }).requires_grad_(true);
    torch
      .sin(x)
      .add(torch.exp(x.mul(2)))
      .sum()
      .backward();
    close(x.grad!, x.detach().cos().add(x.detach().mul(2).exp().mul(2)), { rtol: 1e-12, atol: 1e-12 });
  });

  it('grad() of one and of several inputs, as a pytree of what was asked', () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    const [da, db] = autograd.grad(a.mul(b).sum(), [a, b]);
    assert.deepEqual(
      [da!.tolist(), db!.tolist()],
      [
        [3, 4],
        [1, 2],
      ],
    );
    assert.equal(a.grad, null);
    assert.deepEqual(autograd.grad(a.sum(), a)[0]!.tolist(), [1, 1]);
  });

  it('grad_outputs weighs the outputs', () => {
    const a = leaf([1, 2]);
    const weights = tensor([10, 100], { dtype: 'float64' });
    assert.deepEqual(autograd.grad(a.mul(2), a, weights)[0]!.tolist(), [20, 200]);
    assert.deepEqual(autograd.grad(a.mul(2), a, { grad_outputs: weights })[0]!.tolist(), [20, 200]);
    fails('BAD_ARGUMENT', /scalar/, () => autograd.grad(a.mul(2), a));
    fails('BAD_ARGUMENT', /shape|size/, () => autograd.grad(a.mul(2), a, ones(3, { dtype: 'float64' })));
  });

  it('create_graph gives second derivatives, and third', () => {
    const x = leaf([0.5, 2]);
    const [g] = autograd.grad(x.pow(4).sum(), x, { create_graph: true });
    const [h] = autograd.grad(g!.sum(), x, { create_graph: true });
    const [t] = autograd.grad(h!.sum(), x);
    close(h!, x.detach().square().mul(12));
    close(t!, x.detach().mul(24));
  });

  it('an unused input: an error, or null with allow_unused', () => {
    const [a, b] = [leaf([1]), leaf([2])];
    fails('BAD_ARGUMENT', /not.*used|allow_unused/, () => autograd.grad(a.sum(), b));
    assert.deepEqual(autograd.grad(a.sum(), [a, b], { allow_unused: true })[1], null);
  });

  it('options stand in third or fourth place, flags by position as in Python; what is unknown is refused', () => {
    const x = leaf([2]);
    const cube = (): Tensor => x.pow(3);
    for (const [g] of [
      autograd.grad(cube(), x, { create_graph: true }),
      autograd.grad(cube(), x, undefined, { create_graph: true }),
      autograd.grad(cube(), x, null, { create_graph: true }),
      autograd.grad(cube(), x, ones(1, { dtype: 'float64' }), { create_graph: true }),
      (autograd.grad as (...args: unknown[]) => Tensor[])(cube(), x, undefined, undefined, true),
    ])
      assert.deepEqual([g!.tolist(), autograd.grad(g!, x)[0]!.tolist()], [[12], [12]]);
    fails('BAD_ARGUMENT', /unknown keyword 'creat_graph'/, () =>
      autograd.grad(cube(), x, null, { creat_graph: true } as never),
    );
    fails('BAD_ARGUMENT', /grad_outputs must be a Tensor/, () => autograd.grad(cube(), x, {} as never, {}));
    fails('BAD_ARGUMENT', /create_graph must be true or false/, () =>
      autograd.grad(cube(), x, { create_graph: 1 } as never),
    );
    const y = cube().sum();
    y.backward({ retain_graph: true });
    y.backward(undefined, { retain_graph: true });
    autograd.backward(y, { retain_graph: true });
    autograd.backward(y);
    assert.deepEqual(x.grad!.tolist(), [48]);
    fails('BAD_ARGUMENT', /unknown keyword 'retain'/, () => y.backward({ retain: true } as never));
  });

  it('materialize_grads: zeros for an input that was not used', () => {
    const [a, b] = [leaf([1, 2]), leaf([2])];
    assert.deepEqual(
      autograd.grad(a.sum(), [a, b], { materialize_grads: true }).map((g) => g.tolist()),
      [[1, 1], [0]],
    );
    fails('BAD_ARGUMENT', /allow_unused must be true/, () =>
      autograd.grad(a.sum(), [a, b], { materialize_grads: true, allow_unused: false }),
    );
  });

  it('a gradient asked inside compile across a history that lies outside says so', () => {
    const x = leaf([2]);
    const y = torch.compile((t: Tensor) => t.pow(3))(x);
    fails('BAD_ARGUMENT', /history that its arguments and captured tensors have outside/, () =>
      torch.compile(() => autograd.grad(y, x))(),
    );
    fails('BAD_ARGUMENT', /inputs\[0\] was not used to compute outputs \(/, () =>
      torch.compile((t: Tensor) => autograd.grad(t, t.mul(2)))(x),
    );
  });

  it('a graph is freed after backward unless retained', () => {
    const a = leaf([1, 2]);
    const y = a.square().sum();
    y.backward(null, { retain_graph: true });
    y.backward();
    fails('BAD_ARGUMENT', /second time/, () => y.backward());
    assert.deepEqual(a.grad!.tolist(), [4, 8]);
  });

  it('inputs= limits where gradients go', () => {
    const [a, b] = [leaf([1]), leaf([2])];
    a.mul(b)
      .sum()
      .backward(null, { inputs: [a] });
    assert.deepEqual(a.grad!.tolist(), [2]);
    assert.equal(b.grad, null);
  });

  it('detach, is_leaf, grad_fn, requires_grad_', () => {
    const a = leaf([1]);
    const y = a.mul(2);
    assert.deepEqual([a.is_leaf, y.is_leaf, a.grad_fn, y.detach().requires_grad], [true, false, null, false]);
    assert.match(y.grad_fn!, /Mul/);
    y.requires_grad = true;
    fails('BAD_ARGUMENT', /leaf/, () => {
      y.requires_grad = false;
    });
    fails('BAD_ARGUMENT', /./, () => {
      a.requires_grad = 1 as never;
    });
    fails('BAD_ARGUMENT', /floating/, () => torch.arange(2).requires_grad_(true));
  });

  it('grad must have the tensor’s shape and dtype', () => {
    const a = leaf([1, 2]);
    a.grad = tensor([5, 6], { dtype: 'float64' });
    assert.deepEqual(a.grad!.tolist(), [5, 6]);
    fails('BAD_ARGUMENT', /shape/, () => {
      a.grad = ones(3, { dtype: 'float64' });
    });
    fails('BAD_ARGUMENT', /float64/, () => {
      a.grad = ones(2);
    });
    fails('BAD_ARGUMENT', /Tensor/, () => {
      a.grad = 3 as never;
    });
  });

  it('in-place on a leaf that requires grad, and on what backward needs, are refused', () => {
    const a = leaf([1, 2]);
    fails('BAD_ARGUMENT', /leaf/, () => a.add_(1));
    const e = a.exp();
    e.add_(1);
    fails('BAD_ARGUMENT', /modified by an inplace operation/, () => e.sum().backward());
    assert.deepEqual(torch.no_grad(() => a.add_(1)).tolist(), [2, 3]);
  });

  it('whole numbers and booleans have no history, whatever is written into them in place', () => {
    const x = leaf([1, 2, 3]);
    const writes: Record<string, (y: Tensor) => unknown> = {
      eq_: (y) => y.eq_(x),
      lt_: (y) => y.lt_(x),
      'eq_ of a view': (y) => y.narrow(0, 1, 2).eq_(x.narrow(0, 0, 2)),
      'fill_ of a view': (y) => y.at(0).fill_(x.sum()),
      copy_: (y) => y.copy_(x),
    };
    for (const [name, write] of Object.entries(writes))
      for (const dtype of ['int64', 'bool'] as const) {
        const y = tensor([1, 0, 3], { dtype: 'int64' }).to(dtype);
        const view = y.at(2);
        write(y);
        assert.deepEqual([y.requires_grad, view.requires_grad], [false, false], name);
        const [dx] = autograd.grad(x.mul(y).sum(), [x]);
        assert.deepEqual(dx!.tolist(), y.to('float64').tolist(), name);
        // Of forward mode, too.
        const [, tangent] = torch.func.jvp(
          (z: Tensor) => {
            const w = tensor([1, 0, 3]).to(dtype);
            w.eq_(z);
            return z.mul(w).sum();
          },
          [x.detach()],
          [torch.ones_like(x.detach())],
        );
        assert.equal((tangent as Tensor).item(), dtype === 'bool' ? 1 : 2, name);
      }
  });

  it('backward without a graph says so', () => {
    fails('BAD_ARGUMENT', /does not require grad/, () => ones(1).sum().backward());
    fails('BAD_ARGUMENT', /unknown keyword 'retain'/, () =>
      leaf([1])
        .sum()
        .backward(null, { retain: true } as never),
    );
    fails('BAD_ARGUMENT', /unknown keyword/, () =>
      autograd.grad(leaf([1]).sum(), leaf([1]), { create: true } as never),
    );
  });

  it('agrees with central differences in float64', () => {
    const cases: Record<string, (x: Tensor) => Tensor> = {
      tanh: (x) => x.tanh(),
      'log of softplus': (x) => torch.nn.functional.softplus(x).log(),
      'softmax weighted': (x) => torch.softmax(x, 0).mul(torch.arange(4)),
      logsumexp: (x) => x.logsumexp(0),
      'determinant of an outer product': (x) => torch.linalg.det(x.outer(x).add(torch.eye(4, { dtype: 'float64' }))),
      'cumulative product': (x) => x.cumprod(0),
      norm: (x) => x.norm(),
      'indexed sum': (x) => x.at([0, 0, 3]).square(),
    };
    const x0 = tensor([0.3, -0.7, 1.1, 0.5], { dtype: 'float64' });
    const step = 1e-5;
    for (const [name, f] of Object.entries(cases)) {
      const x = x0.clone().requires_grad_(true);
      const [g] = autograd.grad(f(x).sum(), x);
      const numeric = (x0.tolist() as number[]).map((_, i) => {
        const at = (h: number): number => {
          const moved = x0.clone();
          moved.at(i).add_(h);
          return f(moved).sum().item();
        };
        return (at(step) - at(-step)) / (2 * step);
      });
      close(g!, tensor(numeric, { dtype: 'float64' }), { what: name, rtol: 1e-6, atol: 1e-8 });
    }
  });
});
