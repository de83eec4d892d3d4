/** @file scope, keep, dispose, using: the accounting comes back to the exact start. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { keep, memory, ones, scope, zeros } = torch;

/** Asserts that `body` leaves as many tensors and bytes as there were; garbage of earlier tests may only make them fewer. */
const balanced = (body: () => void): void => {
  const before = memory();
  body();
  const after = memory();
  assert.ok(after.tensors <= before.tensors, `${after.tensors - before.tensors} tensors are left`);
  assert.ok(after.bytes <= before.bytes, `${after.bytes - before.bytes} bytes are left`);
};

describe('memory()', () => {
  it('counts handles and the bytes of their memory, shared memory once', () => {
    scope(() => {
      const before = memory();
      const x = zeros(256, 256);
      assert.deepEqual(memory(), { ...before, tensors: before.tensors + 1, bytes: before.bytes + 4 * 256 * 256 });
      const view = x.t();
      assert.deepEqual(memory(), { ...before, tensors: before.tensors + 2, bytes: before.bytes + 4 * 256 * 256 });
      x.dispose();
      assert.deepEqual(memory(), { ...before, tensors: before.tensors + 1, bytes: before.bytes + 4 * 256 * 256 });
      assert.equal(view.sum().item(), 0);
    });
  });
});

describe('dispose', () => {
  it('frees at once, may be called twice, and is told by `disposed`', () => {
    balanced(() => {
      const x = ones(1000);
      assert.equal(x.disposed, false);
      x.dispose();
      x.dispose();
      assert.equal(x.disposed, true);
    });
  });

  it('every use afterwards is DISPOSED, with the remedy', () => {
    const x = ones(2);
    x.dispose();
    for (const use of [
      () => x.add(1),
      () => ones(2).add(x),
      () => x.item(),
      () => x.shape,
      () => x.tolist(),
      () => x.at(0),
      () => torch.cat([ones(2), x]),
      () => x.backward(),
      () => x.requires_grad,
    ])
      fails('DISPOSED', /disposed.*keep/s, use);
  });

  it('of a base leaves its views, of a view its base', () => {
    const x = ones(3);
    const view = x.at('1:');
    x.dispose();
    assert.deepEqual(view.tolist(), [1, 1]);
    const y = ones(3);
    y.at(0).dispose();
    assert.deepEqual(y.tolist(), [1, 1, 1]);
  });

  it('of what a graph needs does not break backward', () => {
    const w = ones(3).requires_grad_(true);
    const square = w.mul(w);
    const loss = square.mul(2).sum();
    square.dispose();
    loss.backward();
    assert.deepEqual(w.grad!.tolist(), [4, 4, 4]);
  });

  it('`using` disposes at the end of the block', () => {
    let seen: Tensor | undefined;
    {
      using x = ones(2);
      seen = x;
      assert.equal(x.sum().item(), 2);
    }
    assert.equal(seen.disposed, true);
    assert.throws(() => {
      using x = ones(2);
      seen = x;
      throw new Error('out');
    });
    assert.equal(seen.disposed, true);
  });
});

describe('scope', () => {
  it('frees every tensor made inside except what it returns: to the exact start', () => {
    const before = memory();
    const y = scope(() => {
      const a = ones(100);
      const b = a.mul(2).add(1);
      return b.sum();
    });
    const after = memory();
    assert.equal(y.item(), 300);
    y.dispose();
    assert.equal(after.tensors, before.tensors + 1);
    assert.equal(memory().tensors, before.tensors);
  });

  it('10 000 tensors in scopes leave not one', () => {
    balanced(() => {
      for (let i = 0; i < 100; i++)
        scope(() => {
          for (let k = 0; k < 50; k++) ones(10).add(k);
        });
    });
  });

  it('keeps pytrees that are returned', () => {
    const { a, list, map } = scope(() => ({ a: ones(1), list: [ones(2)], map: new Map([['k', ones(3)]]) }));
    assert.deepEqual([a.numel(), list[0]!.numel(), map.get('k')!.numel()], [1, 2, 3]);
  });

  it('keep(tree) survives, nested scopes hand over to the outer one', () => {
    let kept: Tensor | undefined;
    let inner: Tensor | undefined;
    balanced(() => {
      scope(() => {
        kept = keep(ones(5));
        inner = scope(() => ones(7));
        assert.equal(inner.disposed, false);
      });
      assert.equal(inner!.disposed, true);
      assert.equal(kept!.numel(), 5);
      kept!.dispose();
    });
  });

  it('leaves tensors from outside alone', () => {
    const x = ones(3);
    scope(() => {
      x.add_(1);
      return x;
    });
    assert.deepEqual(x.tolist(), [2, 2, 2]);
  });

  it('frees on a throw and lets the error out', () => {
    balanced(() => {
      assert.throws(
        () =>
          scope(() => {
            ones(1000);
            throw new Error('my own');
          }),
        /my own/,
      );
    });
  });

  it('async functions: frees when the promise settles; two at once do not mix', async () => {
    const before = memory().tensors;
    const work = (n: number): Promise<Tensor> =>
      scope(async () => {
        const a = ones(n);
        await new Promise(setImmediate);
        const b = a.add(1);
        await new Promise(setImmediate);
        return b.sum();
      });
    const [x, y] = await Promise.all([work(3), work(4)]);
    assert.deepEqual([x.item(), y.item()], [6, 8]);
    x.dispose();
    y.dispose();
    assert.ok(memory().tensors <= before);
    await assert.rejects(
      scope(async () => {
        ones(3);
        await new Promise(setImmediate);
        throw new Error('later');
      }),
      /later/,
    );
    assert.ok(memory().tensors <= before);
  });

  it('several results of one operator, gradients, at(), tolist(), printing: nothing is left', () => {
    balanced(() => {
      const w = ones(3, 3).requires_grad_(true);
      scope(() => {
        const [v, i] = w.detach().max(1);
        assert.equal(v.numel() + i.numel(), 6);
        w.mul(2).sum().backward();
        String(w);
        w.tolist();
        [...w];
        w.at('1:', [0, 1]);
      });
      w.grad = null;
      w.dispose();
    });
  });

  it('compiled calls inside a scope: results are freed, programs stay', () => {
    const f = torch.compile((x: Tensor) => [x.add(1), x.mul(2)]);
    const x = ones(100);
    f(x);
    const before = memory();
    scope(() => {
      for (let i = 0; i < 50; i++) f(x);
    });
    assert.ok(memory().tensors <= before.tensors);
    assert.equal(f.stats.compiles, 1);
  });

  it('the trace itself leaves no tensor behind', () => {
    const x = ones(3);
    const before = memory().tensors;
    scope(() => {
      torch.compile((a: Tensor) =>
        a
          .sin()
          .add(torch.tensor([1, 2, 3]))
          .mul(a),
      )(x);
    });
    assert.equal(memory().tensors, before);
  });
});
