/** @file Mutation of arguments and captured tensors, gradients of captured leaves, nesting. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeOn } from '../support/agree.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, ones } = torch;
const leaf = (values: number[]): Tensor => torch.tensor(values).requires_grad_(true);

describe('compile: mutation', () => {
  it('a comparison with what requires grad, written into whole numbers: they have no history', () => {
    const x = torch.tensor([1, 2, 3], { dtype: 'float64', requires_grad: true });
    const y = torch.tensor([1, 0, 3], { dtype: 'int64' });
    const same = compile((a: Tensor, b: Tensor) => a.eq_(b));
    const both = compile((a: Tensor, b: Tensor) => [a.clone().lt_(b), b.mul(2)]);
    const [less, twice] = both(y, x) as [Tensor, Tensor];
    assert.deepEqual([less.tolist(), less.requires_grad], [[0, 1, 0], false]);
    twice.sum().backward();
    assert.deepEqual(x.grad!.tolist(), [2, 2, 2]);
    x.grad = null;
    assert.equal(same(y, x), y);
    assert.deepEqual([y.tolist(), y.requires_grad], [[1, 0, 1], false]);
    x.mul(y).sum().backward();
    assert.deepEqual(x.grad!.tolist(), [1, 0, 1]);
  });

  it('the same through views, and with gradients inside', () => {
    const x = torch.tensor([1, 2, 3], { dtype: 'float64', requires_grad: true });
    const f = (a: Tensor, dtype: 'int64' | 'bool'): Tensor[] => {
      const y = torch.tensor([1, 0, 3]).to(dtype);
      y.narrow(0, 1, 2).eq_(a.narrow(0, 0, 2));
      y.at(0).fill_(a.sum());
      const [da] = torch.autograd.grad(a.mul(y).sum(), [a]);
      return [y, da!];
    };
    for (const dtype of ['int64', 'bool'] as const) agreeOn((a: Tensor) => f(a, dtype), x);
  });

  it('an argument changed in place keeps its memory: a view taken before sees the change', () => {
    const x = torch.zeros(2, 3);
    const row = x.at(1);
    const f = compile((a: Tensor) => {
      a.add_(1);
      return a.sum();
    });
    f(x);
    f(x);
    assert.deepEqual(row.tolist(), [2, 2, 2]);
  });

  it('a typed array behind an argument sees the change', () => {
    const data = new Float32Array([1, 2, 3]);
    const x = torch.frombuffer(data);
    compile((a: Tensor) => void a.mul_(2))(x);
    assert.deepEqual([...data], [2, 4, 6]);
  });

  it('writing to an argument’s view inside the function changes the argument', () => {
    agree(() => ({
      f: (x: Tensor) => {
        x.at('1:', 0).fill_(9);
        x.diagonal().neg_();
      },
      args: [torch.arange(9, { dtype: 'float32' }).reshape([3, 3])],
    }));
  });

  it('an argument that is a view with an offset: the rest of the base is untouched', () => {
    const base = torch.zeros(4, 4);
    const f = compile((v: Tensor) => void v.fill_(7));
    f(base.at('1:3', '2:'));
    assert.equal(base.sum().item(), 28);
    assert.deepEqual(base.at(1).tolist(), [0, 0, 7, 7]);
  });

  it('version counters advance, so that autograd refuses a stale backward', () => {
    const x = ones(2);
    const w = leaf([1, 2]);
    const y = w.mul(x).mul(w);
    compile((a: Tensor) => void a.add_(1))(x);
    fails('BAD_ARGUMENT', /modified by an inplace operation/, () => y.sum().backward());
  });

  it('a result is not an alias of an argument that is changed afterwards', () => {
    const f = compile((x: Tensor) => [x.view(-1).mul(1), x.reshape([2, 1]).add(0)]);
    const x = ones(2);
    const [a, b] = f(x);
    x.fill_(9);
    assert.deepEqual(
      [a!.tolist(), b!.tolist()],
      [
        [1, 1],
        [[1], [1]],
      ],
    );
  });

  it('results of one call are not changed by the next', () => {
    const f = compile((x: Tensor) => x.mul(2));
    const first = f(ones(1000));
    const second = f(torch.full([1000], 5));
    assert.equal(first.sum().item(), 2000);
    assert.equal(second.sum().item(), 10000);
  });

  it('an argument changed after the call does not change the result', () => {
    const f = compile((x: Tensor) => x.add(0));
    const x = ones(1000);
    const y = f(x);
    x.fill_(3);
    assert.equal(y.sum().item(), 1000);
  });

  it('a captured tensor and an argument that share memory', () => {
    agree(() => {
      const w = torch.arange(4, { dtype: 'float32' });
      return {
        f: (x: Tensor) => {
          x.add_(1);
          return x.sum();
        },
        args: [w.at('1:3')],
        captured: [w],
      };
    });
  });

  it('writing to an argument that requires grad is refused as in eager', () => {
    const f = (x: Tensor): Tensor => x.add_(1);
    fails('BAD_ARGUMENT', /leaf/, () => f(leaf([1])));
    fails('BAD_ARGUMENT', /leaf/, () => compile(f)(leaf([1])));
  });

  it('an argument passed twice is another program than two arguments', () => {
    const f = compile((a: Tensor, b: Tensor) => {
      a.add_(1);
      return a.mul(b);
    });
    const x = ones(2);
    assert.deepEqual(f(x, ones(2)).tolist(), [2, 2]);
    assert.deepEqual(f(x, x).tolist(), [9, 9]);
    assert.deepEqual(f(ones(2), ones(2)).tolist(), [2, 2]);
    assert.equal(f.stats.compiles, 2);
  });

  it('an argument that is captured as well is that very tensor', () => {
    const w = ones(2);
    const f = compile((a: Tensor) => a.add(w));
    assert.deepEqual(f(w).tolist(), [2, 2]);
    assert.deepEqual(f(ones(2).mul(5)).tolist(), [6, 6]);
    assert.deepEqual(f(w).tolist(), [2, 2]);
  });
});

describe('compile: gradients of captured leaves', () => {
  it('.grad is made at the first call and accumulates at the next', () => {
    agree(
      () => {
        const w = leaf([1, 2, 3]);
        return {
          f: (x: Tensor) => {
            const loss = w.mul(x).square().sum();
            loss.backward();
            return loss.detach();
          },
          args: [torch.tensor([1, -1, 2])],
          captured: [w],
        };
      },
      { calls: 4 },
    );
  });

  it('whether a leaf has a .grad is part of the key only where the function looks at it', () => {
    const w = leaf([1, 2]);
    const forward = compile((x: Tensor) => w.mul(x).sum());
    for (let i = 0; i < 3; i++) forward(ones(2)).backward();
    w.grad = null;
    forward(ones(2)).backward();
    assert.deepEqual([w.grad!.tolist(), forward.stats.compiles], [[1, 1], 1]);
    const asks = compile((x: Tensor) => (w.grad ? x.mul(w.grad) : x.neg()));
    const results = [asks(ones(2)).tolist()];
    w.grad = null;
    results.push(asks(ones(2)).tolist());
    assert.deepEqual(results, [
      [1, 1],
      [-1, -1],
    ]);
  });

  it('.grad accumulates in place: a reference taken before sees it', () => {
    const w = leaf([1, 2]);
    const f = compile((x: Tensor) => void w.mul(x).sum().backward());
    f(ones(2));
    f(ones(2));
    const grad = w.grad!;
    f(ones(2));
    assert.deepEqual(w.grad!.tolist(), [3, 3]);
    assert.deepEqual(grad.tolist(), [3, 3]);
  });

  it('grad = null outside, zero_grad inside', () => {
    const w = leaf([1, 2]);
    const f = compile((x: Tensor) => void w.mul(x).sum().backward());
    f(ones(2));
    w.grad = null;
    f(ones(2));
    assert.deepEqual(w.grad!.tolist(), [1, 1]);
    agree(
      () => {
        const v = leaf([1, 2]);
        return {
          f: (x: Tensor) => {
            v.grad = null;
            v.mul(x).sum().backward();
          },
          args: [torch.tensor([3, 4])],
          captured: [v],
        };
      },
      { calls: 3 },
    );
  });

  it('a step of gradient descent inside the function, 20 times', () => {
    agree(
      () => {
        const w = leaf([5, -3]);
        return {
          f: (target: Tensor) => {
            const loss = w.sub(target).square().sum();
            loss.backward();
            torch.no_grad(() => {
              w.sub_(w.grad!, { alpha: 0.1 });
              w.grad!.zero_();
            });
            return loss.detach();
          },
          args: [torch.tensor([1, 2])],
          captured: [w],
        };
      },
      { calls: 20 },
    );
  });

  it('a leaf argument’s grad, whichever tensor it is by now', () => {
    const f = compile((w: Tensor) => void w.square().sum().backward());
    const w = torch.tensor([1, 2], { requires_grad: true });
    f(w);
    f(w);
    assert.deepEqual(w.grad!.tolist(), [4, 8]);
    w.grad = null;
    f(w);
    f(w);
    assert.deepEqual(w.grad!.tolist(), [4, 8]);
    const other = torch.tensor([3, 4], { requires_grad: true });
    f(other);
    f(other);
    assert.deepEqual(
      [other.grad!.tolist(), w.grad!.tolist()],
      [
        [12, 16],
        [4, 8],
      ],
    );
  });
});

describe('compile: nesting and modes', () => {
  it('a compiled function inside a compiled function is inlined', () => {
    const inner = compile((x: Tensor) => x.sin());
    const outer = compile((x: Tensor) => inner(x).add(inner(x.mul(2))));
    const x = torch.linspace(0, 1, 4);
    close(outer(x), x.sin().add(x.mul(2).sin()));
    assert.equal(outer.stats.compiles, 1);
    assert.equal(inner.stats.compiles, 0);
    close(inner(x), x.sin());
    close(outer(x), x.sin().add(x.mul(2).sin()));
  });

  it('a gradient through a compiled function inside a compiled function', () => {
    const inner = compile((x: Tensor) => x.sin().sum());
    const outer = compile((x: Tensor) => {
      const a = x.detach().requires_grad_(true);
      return torch.autograd.grad(inner(a), a)[0]!;
    });
    const x = torch.linspace(0, 1, 4);
    close(outer(x), x.cos());
  });

  it('a compiled function compiled again', () => {
    const f = compile(compile((x: Tensor) => x.mul(3)));
    assert.equal(f(ones(1)).item(), 3);
  });

  it('no_grad and enable_grad inside', () => {
    agree(() => {
      const w = leaf([2, 3]);
      return {
        f: (x: Tensor) => {
          const constant = torch.no_grad(() => w.mul(x));
          const [g] = torch.enable_grad(() => torch.autograd.grad(w.mul(constant).sum(), w));
          return [constant, g];
        },
        args: [torch.tensor([1, 2])],
        captured: [w],
      };
    });
  });

  it('shapes, sizes, dtypes and printing are known inside', () => {
    let text = '';
    const f = compile((x: Tensor) => {
      assert.deepEqual([...x.shape], [2, 3]);
      assert.equal(x.size(-1), 3);
      assert.equal(x.dtype, 'float32');
      assert.equal(x.device, torch.device('cpu'));
      assert.equal(x.numel(), 6);
      assert.equal(x.is_floating_point(), true);
      text = String(x);
      return x.reshape([x.shape[1], -1]).div(x.shape[0]);
    });
    assert.deepEqual([...f(ones(2, 3)).shape], [3, 2]);
    assert.match(text, /\[2, 3\].*float32.*traced/);
  });

  it('scope and dispose inside', () => {
    const f = compile((x: Tensor) =>
      torch.scope(() => {
        const a = x.add(1);
        const b = a.mul(2);
        a.dispose();
        return b;
      }),
    );
    assert.equal(f(ones(1)).item(), 4);
    assert.equal(f(ones(1)).item(), 4);
  });

  it('iteration over rows inside', () => {
    agree(() => ({
      f: (x: Tensor) => [...x].map((row, i) => row.mul(i)),
      args: [torch.arange(6, { dtype: 'float32' }).reshape([3, 2])],
    }));
  });

  it('results do not require grad unless an argument does', () => {
    const f = compile((x: Tensor) => x.mul(2));
    assert.equal(f(ones(1)).requires_grad, false);
  });
});
