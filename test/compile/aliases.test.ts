/** @file Results that share memory with arguments, with captured tensors, with one another: as in eager. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, ones, zeros } = torch;
const arange = (n: number): Tensor => torch.arange(n).float();

/** Runs `use` after the function, eagerly and compiled (twice), and compares what it sees. */
const same = (f: (x: Tensor) => unknown, use: (result: never, x: Tensor) => unknown): void => {
  const compiled = compile(f as (x: Tensor) => Tensor);
  const run = (g: (x: Tensor) => unknown): unknown => {
    const x = arange(6).reshape(2, 3);
    return use(g(x) as never, x);
  };
  const expected = run(f);
  assert.deepEqual(run(compiled), expected);
  assert.deepEqual(run(compiled), expected);
};

describe('compile: results that are views', () => {
  it('of an argument: writes go both ways', () => {
    const views: ((x: Tensor) => Tensor)[] = [
      (x) => x.at(1),
      (x) => x.t(),
      (x) => x.at(':', '1:3'),
      (x) => x.reshape(3, 2),
      (x) => x.unsqueeze(0).expand(2, 2, 3),
      (x) => x.detach(),
      (x) => x.at(0).add_(5).at('1:'),
    ];
    for (const view of views)
      same(view, (y: Tensor, x) => {
        const before = y.tolist();
        x.add_(10);
        const after = y.tolist();
        if (!y.stride().includes(0)) y.mul_(2);
        return [before, after, x.tolist(), y.stride(), y.storage_offset()];
      });
  });

  it('what is no view stays a copy', () => {
    for (const f of [(x: Tensor) => x.clone(), (x: Tensor) => x.add(0), (x: Tensor) => x.t().contiguous()])
      same(f, (y: Tensor, x) => {
        y.zero_();
        return x.tolist();
      });
  });

  it('of one another and of something that is not returned', () => {
    same(
      (x) => {
        const y = x.mul(2);
        return [y, y.at(0), y.t()];
      },
      ([y, row, t]: [Tensor, Tensor, Tensor]) => {
        row.add_(1);
        t.mul_(2);
        return [y.tolist(), row.tolist(), t.tolist()];
      },
    );
    same(
      (x) => x.mul(2).unbind(0),
      ([a, b]: [Tensor, Tensor]) => {
        a.as_strided([6], [1]).zero_();
        return b.tolist();
      },
    );
    same(
      (x) => {
        const y = x.exp();
        return { y, again: y };
      },
      ({ y, again }: { y: Tensor; again: Tensor }) => {
        y.zero_();
        return again.tolist();
      },
    );
  });

  it('of a captured tensor, and the captured tensor itself', () => {
    const w = ones(3);
    const f = compile((x: Tensor) => ({ w, head: w.at('0:2'), sum: x.add(w) }));
    for (let i = 0; i < 2; i++) {
      const { w: same, head } = f(zeros(3));
      assert.equal(same, w);
      head.add_(1);
    }
    assert.deepEqual(w.tolist(), [3, 3, 1]);
  });

  it('gradients flow through views of arguments and of results', () => {
    const grads = (f: (x: Tensor) => Tensor[]): unknown => {
      const x = arange(6).reshape(2, 3).requires_grad_(true);
      let loss: Tensor = zeros([]);
      for (const [i, y] of f(x).entries()) loss = loss.add(y.mul(i + 1).sum());
      loss.backward();
      return x.grad!.tolist();
    };
    const cases: ((x: Tensor) => Tensor[])[] = [
      (x) => [x.at(0), x.t().at('1:')],
      (x) => {
        const y = x.pow(2);
        return [y, y.at(1), y.t()];
      },
      (x) => [...x.pow(3).unbind(0)],
      (x) => [x.detach(), x.mul(2)],
    ];
    for (const f of cases) assert.deepEqual(grads(compile(f)), grads(f));
  });

  it('requires_grad and leaves are as in eager', () => {
    const x = ones(2, 2).requires_grad_(true);
    const f = (t: Tensor) => [t.at(0), t.detach(), torch.no_grad(() => t.t()), t.detach().requires_grad_(true)];
    const shown = (ys: Tensor[]) => ys.map((y) => [y.requires_grad, y.is_leaf]);
    assert.deepEqual(shown(compile(f)(x)), shown(f(x)));
  });
});

describe('compile: conjugate views', () => {
  it('of an argument keep their conjugation', () => {
    const x = torch.complex(arange(6).reshape(2, 3), arange(6).reshape(2, 3).add(1));
    for (const f of [(z: Tensor) => z.mH, (z: Tensor) => z.conj(), (z: Tensor) => z.conj().at(0)])
      assert.deepEqual(compile(f)(x).resolve_conj().tolist(), f(x).resolve_conj().tolist());
  });
});

describe('compile: arguments that share memory, of which one is changed', () => {
  const cases: Record<string, { f: (...args: Tensor[]) => unknown; views: (w: Tensor) => Tensor[] }> = {
    'a view is changed, the whole is read': {
      f: (w, row) => {
        row!.add_(1);
        return w!.sum();
      },
      views: (w) => [w, w.at(1)],
    },
    'the whole is changed, a transposed view is read': {
      f: (w, t) => {
        w!.mul_(2);
        return t!.matmul(torch.ones(2));
      },
      views: (w) => [w, w.t()],
    },
    'overlapping slices, both changed': {
      f: (a, b) => {
        a!.add_(b!.sum());
        b!.mul_(a!.max());
        return [a!.clone(), b!.sum()];
      },
      views: (w) => [w.reshape(-1).at('0:4'), w.reshape(-1).at('2:6')],
    },
    'three views, one of them a result': {
      f: (a, b, c) => {
        b!.sub_(c!.sum());
        return [a!, b!, a!.mul(2)];
      },
      views: (w) => [w, w.at(0), w.at(':', 2)],
    },
  };
  for (const [name, { f, views }] of Object.entries(cases)) {
    it(`${name}: as in eager, at every call, with one compilation`, () => {
      const compiled = compile(f as (...args: Tensor[]) => Tensor);
      const run = (g: (...args: Tensor[]) => unknown): unknown => {
        const w = arange(6).reshape(2, 3);
        const given = views(w);
        const seen: unknown[] = [];
        for (let i = 0; i < 3; i++) {
          const result = g(...given);
          seen.push(
            (Array.isArray(result) ? result : [result]).map((t: Tensor) => t.tolist()),
            w.tolist(),
          );
          if (Array.isArray(result)) seen.push(given.map((t) => result.indexOf(t)));
        }
        return seen;
      };
      assert.deepEqual(run(compiled), run(f));
      assert.equal(compiled.stats.compiles, 1);
    });
  }

  it('another place in the storage is another program; separate memory too', () => {
    const f = compile((a: Tensor, b: Tensor) => {
      a.add_(b.sum());
      return b.clone();
    });
    const eager = (a: Tensor, b: Tensor) => {
      a.add_(b.sum());
      return b.clone();
    };
    for (const [i, j] of [
      [0, 1],
      [1, 0],
      [0, 3],
      [2, 3],
    ] as const) {
      const [w, v] = [arange(8), arange(8)];
      const [x, y] = [f(w.narrow(0, i, 4), w.narrow(0, j, 4)), eager(v.narrow(0, i, 4), v.narrow(0, j, 4))];
      assert.deepEqual([x.tolist(), w.tolist()], [y.tolist(), v.tolist()]);
    }
    const [p, q] = [ones(4), ones(4)];
    f(p, q);
    assert.deepEqual(
      [p.tolist(), q.tolist()],
      [
        [5, 5, 5, 5],
        [1, 1, 1, 1],
      ],
    );
  });

  it('one that requires grad is refused in words', () => {
    const w = ones(4).requires_grad_(true);
    const f = compile((a: Tensor, b: Tensor) => {
      b.add_(1);
      return a.sum();
    });
    fails('BAD_ARGUMENT', [/requires grad/, /clone/], () => f(w, w.detach().narrow(0, 0, 2)));
    assert.deepEqual(w.tolist(), [1, 1, 1, 1]);
  });
});

describe('compile: writes through expanded tensors', () => {
  const base = (): Tensor =>
    torch.tensor([
      [1.5, -2, 0.1],
      [Number.NaN, 1e10, -0],
    ]);
  const writes: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    'fill_ of all copies': (x) => x.expand(3, 2, 3).fill_(1.25),
    'NaN in all copies': (x) => x.narrow(1, 0, 1).expand(2, 4).fill_(Number.NaN),
    'zero_ of a column': (x) => x.narrow(1, 1, 1).unsqueeze(0).expand(2, 2, 5).zero_(),
    'add_ to one copy': (x) => x.expand(3, 2, 3).select(0, 1).add_(1),
    'fill_ of the last copy': (x) => x.expand(3, 2, 3).select(0, 2).fill_(0),
    'no copies': (x) => x.expand(0, 2, 3).fill_(3),
  };
  for (const [name, write] of Object.entries(writes))
    it(name, () => {
      const see = (f: (x: Tensor) => readonly Tensor[]): string => {
        const x = base();
        return [...f(x), x].map((t) => `${t.shape}: ${t.toTypedArray()}`).join('\n');
      };
      const f = (x: Tensor): readonly Tensor[] => [write(x).clone(), x.mul(2)];
      assert.equal(see(compile(f)), see(f));
    });

  it('of booleans and complex numbers', () => {
    const f = (x: Tensor): readonly Tensor[] => {
      const [flags, z] = [x.gt(0), torch.complex(x, x)];
      flags.expand(2, 2, 3).fill_(true);
      z.expand(2, 2, 3).select(0, 0).mul_(3);
      return [flags, torch.view_as_real(z)];
    };
    const [eager, compiled] = [f(arange(6).reshape(2, 3)), compile(f)(arange(6).reshape(2, 3))];
    assert.deepEqual(
      compiled.map((t) => t.tolist()),
      eager.map((t) => t.tolist()),
    );
  });
});
