/** @file Tensor.register_hook, register_post_accumulate_grad_hook and retain_grad, eager and inside compile. */
import assert from 'node:assert/strict';
import v8 from 'node:v8';
import vm from 'node:vm';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { autograd, compile, func } = torch;
v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;
const leaf = (...values: number[]): Tensor => torch.tensor(values, { dtype: 'float64', requires_grad: true });

describe('hooks of tensors', () => {
  it('see the gradient on its way back, in order, and what they return goes on', () => {
    const x = leaf(1, 2);
    const y = x.mul(2);
    const seen: unknown[] = [];
    y.register_hook((g) => {
      seen.push(['y', g.tolist()]);
      return g.mul(3);
    });
    x.register_hook((g) => {
      seen.push(['x', g.tolist()]);
    });
    x.register_hook((g) => g.add(1));
    y.retain_grad();
    x.register_post_accumulate_grad_hook((p) => {
      seen.push(['accumulated', p.grad!.tolist()]);
    });
    y.sum().backward();
    // As PyTorch 2.11 has it, x without the second hook.
    assert.deepEqual(seen, [
      ['y', [1, 1]],
      ['x', [6, 6]],
      ['accumulated', [7, 7]],
    ]);
    assert.deepEqual([x.grad!.tolist(), y.grad!.tolist(), y.retains_grad], [[7, 7], [3, 3], true]);
  });

  it('run for autograd.grad too, and belong to the history a tensor has when they are registered', () => {
    const x = leaf(1, 1);
    x.register_hook((g) => g.mul(5));
    assert.deepEqual(autograd.grad(x.mul(2).sum(), x)[0]!.tolist(), [10, 10]);
    const z = leaf(1, 1);
    const y = z.mul(2);
    y.register_hook((g) => g.mul(5));
    y.mul_(3);
    y.register_hook((g) => g.mul(7));
    y.sum().backward();
    assert.deepEqual(z.grad!.tolist(), [210, 210]);
  });

  it('are taken away by their handles, also from inside', () => {
    const x = leaf(1);
    const handle = x.register_hook((g) => {
      handle.remove();
      return g.mul(10);
    });
    const other = x.register_hook((g) => g.mul(100));
    other.remove();
    other.remove();
    x.sum().backward();
    x.sum().backward();
    assert.deepEqual(x.grad!.tolist(), [11]);
  });

  it('what they throw comes out of backward(), and nothing is accumulated', () => {
    const x = leaf(1, 2);
    const mine = new Error('mine');
    const handle = x.register_hook(() => {
      throw mine;
    });
    assert.throws(
      () => x.sum().backward(),
      (error) => error === mine,
    );
    assert.equal(x.grad, null);
    handle.remove();
    x.sum().backward();
    assert.deepEqual(x.grad!.tolist(), [1, 1]);
  });

  it('refuse what cannot work in words', () => {
    const x = leaf(1, 2);
    fails('BAD_ARGUMENT', /does not require grad/, () => x.detach().register_hook((g) => g));
    fails('BAD_ARGUMENT', /only leaves accumulate/, () => x.mul(2).register_post_accumulate_grad_hook(() => {}));
    fails('BAD_ARGUMENT', /expected a function, got number/, () => x.register_hook(3 as never));
    fails('BAD_ARGUMENT', /async/, () => x.register_hook((async () => {}) as never));
    const wrong = (returned: unknown): void => {
      const y = leaf(1, 2);
      y.register_hook(() => returned as Tensor);
      y.sum().backward();
    };
    fails('BAD_ARGUMENT', /must be a Tensor/, () => wrong(3));
    fails('BAD_ARGUMENT', /float64\[2\], not float64\[3\]/, () => wrong(torch.ones(3, { dtype: 'float64' })));
    fails('BAD_ARGUMENT', /float64\[2\], not float32\[2\]/, () => wrong(torch.ones(2)));
  });

  it('go with the graph they are in', () => {
    const x = leaf(1);
    const double = (g: Tensor): Tensor => g.mul(2);
    const rounds = (n: number): void => {
      for (let i = 0; i < n; i++) {
        const y = x.mul(i);
        y.register_hook(double);
        assert.deepEqual(autograd.grad(y.sum(), x)[0]!.tolist(), [2 * i]);
      }
      collect();
    };
    rounds(10);
    const before = torch.memory().tensors;
    rounds(300);
    assert.ok(torch.memory().tensors - before < 50, `${torch.memory().tensors - before} tensors more`);
  });
});

describe('hooks of tensors inside compile', () => {
  it('on what the function computes: part of its backward, inside and outside', () => {
    const f = (x: Tensor): Tensor => {
      const y = x.pow(3);
      y.register_hook((g) => g.mul(x));
      return y.sum();
    };
    const compiled = compile(f);
    const [x, u] = [leaf(2, 3), leaf(2, 3)];
    for (let i = 0; i < 2; i++) {
      f(x).backward();
      compiled(u).backward();
    }
    assert.deepEqual(u.grad!.tolist(), x.grad!.tolist());
    const second = (v: Tensor): Tensor => {
      const [g] = autograd.grad(f(v), v, { create_graph: true });
      return autograd.grad(g!.sum(), v)[0]!;
    };
    assert.deepEqual(compile(second)(u).tolist(), second(x).tolist());
    assert.deepEqual(compile(func.grad(f))(u.detach()).tolist(), func.grad(f)(x.detach()).tolist());
  });

  it('on tensors from outside: run by a backward inside, and another hook is another program', () => {
    const step = (w: Tensor) => () => w.mul(2).sum().backward();
    const [a, b] = [leaf(1, 1), leaf(1, 1)];
    const [eager, compiled] = [step(a), compile(step(b))];
    const both = (register: (t: Tensor) => unknown): void => {
      register(a);
      register(b);
      eager();
      compiled();
      assert.deepEqual(b.grad!.tolist(), a.grad!.tolist());
    };
    const handles: torch.nn.RemovableHandle[] = [];
    both(() => 0);
    both((t) => t.register_hook((g) => g.mul(3)));
    both((t) => handles.push(t.register_hook((g) => g.add(1))));
    both(() => 0);
    both(() => handles.shift()!.remove());
    const { compiles } = compiled.stats;
    both(() => 0);
    assert.equal(compiled.stats.compiles, compiles);
    assert.deepEqual(a.grad!.tolist(), [2 + 6 + 7 + 7 + 6 + 6, 2 + 6 + 7 + 7 + 6 + 6]);
  });

  it('on tensors from outside: run once by a backward outside', () => {
    const f = compile((x: Tensor) => x.mul(2).sum());
    const x = leaf(1, 1);
    const y = x.mul(1);
    x.register_hook((g) => g.mul(3));
    y.register_hook((g) => g.mul(5));
    f(x).backward();
    assert.deepEqual(x.grad!.tolist(), [6, 6]);
    f(y).backward();
    assert.deepEqual(x.grad!.tolist(), [36, 36]);
  });

  it('an optimizer step in a post-accumulate hook is compiled with the backward', () => {
    const run = (wrap: (step: () => void) => () => void): unknown => {
      const w = leaf(3, -2);
      w.register_post_accumulate_grad_hook((p) => {
        torch.no_grad(() => p.sub_(p.grad!.mul(0.1)));
        p.grad = null;
      });
      const step = wrap(() => w.square().sum().backward());
      for (let i = 0; i < 3; i++) step();
      return [w.tolist(), w.grad];
    };
    assert.deepEqual(
      run(compile),
      run((step) => step),
    );
  });

  it('refused where they would be lost', () => {
    const x = leaf(1, 2);
    fails('BAD_ARGUMENT', /tensors from outside/, () =>
      compile((t: Tensor) => t.register_hook((g) => g) && t.mul(2))(x),
    );
    fails('BAD_ARGUMENT', /compiled loop or branch/, () =>
      compile((t: Tensor) =>
        torch.fori(
          0,
          3,
          (_, c) => {
            const y = c.mul(t);
            y.register_hook((g) => g);
            return y;
          },
          t,
        ),
      )(x),
    );
    const kept = compile((t: Tensor) => {
      const y = t.mul(2);
      y.retain_grad();
      return y;
    });
    fails('BAD_ARGUMENT', /retain_grad\(\) on the result/, () => kept(x));
  });
});
