/** @file compile(f, { checks: true }): what eager raises from data is raised by the program, in the same words, and nothing else is. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, ones, zeros } = torch;
const F = torch.nn.functional;
const ints = (...values: number[]) => torch.tensor(values.map(BigInt));
const x = torch.arange(12).reshape([3, 4]).to('float32');

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => Tensor;
/** A function of `x` and one more tensor, values of that which are fine, values which are not, and torch's words. */
type Case = readonly [f: AnyFunction, good: readonly Tensor[], bad: readonly Tensor[], words: RegExp];

const row = (...values: number[]) => ints(...values).reshape([1, values.length]);
const OUT = /out of (bounds|range)|out of DATA bounds/;

const CASES: Readonly<Record<string, Case>> = {
  index: [(a, i) => a.at(i), [ints(0, 2), ints(-3, 1)], [ints(3), ints(0, -4)], OUT],
  'index in two dimensions': [(a, i) => a.at(':', i), [ints(3, -4)], [ints(4), ints(-5)], OUT],
  setAt: [(a, i) => a.clone().setAt([i], 0), [ints(0, -3)], [ints(3)], OUT],
  gather: [(a, i) => a.gather(0, i), [row(0, 2)], [row(0, 3), row(-1, 0)], OUT],
  scatter: [(a, i) => a.scatter(0, i, 1), [row(0, 2)], [row(3, 0), row(-1, 0)], OUT],
  scatter_add: [(a, i) => a.scatter_add(0, i, ones(1, 2)), [row(0, 2)], [row(3, 0)], OUT],
  scatter_reduce: [(a, i) => a.scatter_reduce(0, i, ones(1, 2), 'sum'), [row(0, 2)], [row(3, 0)], OUT],
  index_select: [(a, i) => a.index_select(1, i), [ints(0, 3)], [ints(4), ints(-1)], OUT],
  index_add: [(a, i) => a.index_add(0, i, ones(1, 4)), [ints(2)], [ints(3)], OUT],
  index_copy: [(a, i) => a.index_copy(0, i, ones(1, 4)), [ints(2)], [ints(3)], OUT],
  index_fill: [(a, i) => a.index_fill(0, i, 7), [ints(2), ints(-3)], [ints(3), ints(-4)], OUT],
  take: [(a, i) => a.take(i), [ints(11, -12)], [ints(12), ints(-13)], OUT],
  put: [(a, i) => a.put(i, ones(1)), [ints(11)], [ints(12)], OUT],
  embedding: [(a, i) => F.embedding(i, a), [ints(0, 2)], [ints(3), ints(-1)], OUT],
  embedding_bag: [(a, i) => F.embedding_bag(i, a), [row(0, 2)], [row(0, 5)], /not in the valid range \[0, 3\)/],
  nll_loss: [
    (a, i) => F.nll_loss(a, i),
    [ints(0, 3, -100)],
    [ints(0, 4, 1), ints(-1, 0, 0)],
    /Target -?\d is out of bounds/,
  ],
  'nll_loss of images': [
    (a, i) => F.nll_loss(a.reshape([1, 3, 2, 2]), i),
    [ints(0, 1, 2, 2).reshape([1, 2, 2])],
    [ints(0, 1, 2, 3).reshape([1, 2, 2])],
    /Target 3 is out of bounds/,
  ],
  cross_entropy: [(a, i) => F.cross_entropy(a, i), [ints(0, 3, -100)], [ints(0, 7, 1)], /Target 7 is out of bounds/],
  multi_margin_loss: [(a, i) => F.multi_margin_loss(a, i), [ints(0, 3, 1)], [ints(0, 4, 1)], /target out of range/],
  one_hot: [(_, i) => F.one_hot(i, 3), [ints(0, 2)], [ints(3)], /smaller than num_classes/],
  'one_hot below zero': [(_, i) => F.one_hot(i, 3), [ints(0)], [ints(-1)], /non-negative/],
  floor_divide: [(_, i) => ints(7).floor_divide(i), [ints(2)], [ints(0)], /ZeroDivisionError/],
  'div with rounding': [
    (_, i) => ints(7).div(i, { rounding_mode: 'trunc' }),
    [ints(2)],
    [ints(0)],
    /ZeroDivisionError/,
  ],
  remainder: [(_, i) => ints(7).remainder(i), [ints(2)], [ints(0)], /ZeroDivisionError/],
  fmod: [(_, i) => ints(7).fmod(i), [ints(2)], [ints(0)], /ZeroDivisionError/],
  cholesky: [(_, m) => torch.linalg.cholesky(m), [torch.eye(2)], [torch.eye(2).neg()], /leading minor of order 1/],
  inv: [(_, m) => torch.linalg.inv(m), [torch.eye(2)], [zeros(2, 2)], /diagonal element 1 is zero/],
  'inv of a batch': [
    (_, m) => torch.linalg.inv(m),
    [torch.eye(2).expand([2, 2, 2])],
    [torch.stack([torch.eye(2), ones(2, 2)])],
    /Batch element 1/,
  ],
  solve: [(_, m) => torch.linalg.solve(m, ones(2)), [torch.eye(2)], [ones(2, 2)], /singular/],
  lu_factor: [(_, m) => torch.linalg.lu_factor(m)[0], [torch.eye(2)], [zeros(2, 2)], /U\[1,1\] is zero/],
  bernoulli: [(_, p) => torch.bernoulli(p), [ones(2)], [ones(2).mul(2), torch.full([2], Number.NaN)], /p_in >= 0/],
  multinomial: [(_, p) => torch.multinomial(p, 1), [ones(2)], [ones(2).neg(), zeros(2)], /probabilit/],
  normal: [(_, s) => torch.normal(0, s), [ones(2)], [ones(2).neg()], /std >= 0/],
  binary_cross_entropy: [
    (_, p) => F.binary_cross_entropy(p, ones(2)),
    [ones(2).mul(0.5)],
    [ones(2).mul(2)],
    /between 0 and 1/,
  ],
};

describe('checks: true raises what eager raises from data', () => {
  for (const [name, [f, good, bad, words]] of Object.entries(CASES)) {
    it(name, () => {
      for (const value of good) {
        const g = compile(f, { checks: true });
        assert.deepEqual([...g(x, value).shape], [...f(x, value).shape]);
        if (!/bernoulli|multinomial|normal/.test(name))
          assert.ok(g(x, value).allclose(f(x, value)), `${name} of ${String(value)}`);
      }
      for (const value of bad) {
        fails('BAD_ARGUMENT', words, () => f(x, value));
        fails('BAD_ARGUMENT', [words, /checks\.test\.[jt]s:\d+/], () => compile(f, { checks: true })(x, value));
      }
    });
  }

  it('is part of a program that is hit, and of its key: the same function without it clamps', () => {
    const pick = (i: Tensor) => x.select(0, 1).at(i);
    const checked = compile(pick, { checks: true });
    const plain = compile(pick);
    assert.deepEqual(checked(ints(1, 2)).tolist(), [5, 6]);
    fails('BAD_ARGUMENT', OUT, () => checked(ints(1, 9)));
    assert.deepEqual(checked(ints(0, 3)).tolist(), [4, 7]);
    assert.equal(checked.stats.compiles, 1);
    assert.equal(checked.stats.hits, 1);
    assert.doesNotThrow(() => plain(ints(1, 9)));
  });

  it('a failed check changes nothing: arguments, captured tensors, gradients', () => {
    const count = zeros([]);
    const w = ones(4).requires_grad_(true);
    const step = compile(
      (a: Tensor, i: Tensor) => {
        count.add_(1);
        a.mul_(2);
        w.mul(a.at(i)).sum().backward();
        return a;
      },
      { checks: true },
    );
    const a = ones(3, 4);
    step(a, ints(1));
    assert.deepEqual(w.grad!.tolist(), [2, 2, 2, 2]);
    fails('BAD_ARGUMENT', OUT, () => step(a, ints(3)));
    assert.equal(count.item(), 1);
    assert.deepEqual(a.tolist(), ones(3, 4).mul(2).tolist());
    assert.deepEqual(w.grad!.tolist(), [2, 2, 2, 2]);
  });

  it('also for calls whose results nobody uses, as in eager', () => {
    const f = compile(
      (i: Tensor) => {
        x.at(i);
        return i.add(1);
      },
      { checks: true },
    );
    assert.deepEqual(f(ints(1)).tolist(), [2]);
    fails('BAD_ARGUMENT', OUT, () => f(ints(3)));
  });

  it('with gradients from outside: the forward is checked, the backward works', () => {
    const w = ones(3, 4).requires_grad_(true);
    const f = compile((i: Tensor) => F.embedding(i, w).sum(), { checks: true });
    f(ints(1, 1)).backward();
    assert.deepEqual(w.grad!.sum(1).tolist() as number[], [0, 8, 0]);
    fails('BAD_ARGUMENT', OUT, () => f(ints(1, 3)));
  });

  it("'nan' names the operator that made it", () => {
    const f = compile((a: Tensor) => a.mul(2).log().add(1).sum(), { checks: 'nan' });
    assert.ok(Number.isFinite(f(ones(3)).item()));
    fails('CHECK_FAILED', [/aten::log made NaN/, /2 of 3 elements/, /checks\.test\.[jt]s:\d+/], () =>
      f(torch.tensor([1, -1, -2])),
    );
    fails('CHECK_FAILED', /argument or captured tensor holds NaN/, () => f(torch.tensor([1, Number.NaN, 1])));
  });

  it('an ATen call that raises names the line', () => {
    const f = compile((a: Tensor) => torch.poisson(a));
    fails('BAD_ARGUMENT', [/Poisson rate/, /checks\.test\.[jt]s:\d+/], () => f(ones(3).neg()));
  });

  it('a call that depends on random numbers is named, since it cannot be repeated', () => {
    torch.manual_seed(0);
    const f = compile(() => x.index_select(0, torch.randint(0, 6, [1])), { checks: true });
    const outcomes = Array.from({ length: 40 }, () => {
      try {
        return String(f().shape);
      } catch (error) {
        return torch.isJorchError(error) ? `${error.code} ${/random numbers/.test(error.message)}` : 'another error';
      }
    });
    // Drawn again, the index may be out of range as well; then libtorch says so.
    assert.deepEqual([...new Set(outcomes)].sort(), ['1,4', 'BAD_ARGUMENT false', 'CHECK_FAILED true']);
  });
});

/** Bodies of loops and branches, on indices into `x`. */
const IN_BODIES: Readonly<Record<string, (i: Tensor) => Tensor>> = {
  scan: (i) =>
    torch.scan((c: Tensor, k: Tensor) => [c.add(x.index_select(0, k.reshape([1])).sum()), c], zeros([]), i)[0],
  'scan, a result that nobody uses': (i) =>
    torch.scan(
      (c: Tensor, k: Tensor) => {
        x.index_select(0, k.reshape([1]));
        return [c.add(1), c];
      },
      zeros([]),
      i,
    )[0],
  map: (i) => torch.map((k: Tensor) => x.at(k.reshape([1])).sum(), i),
  'the step of while_loop': (i) =>
    torch.while_loop(
      (k: Tensor) => k.lt(i.shape[0]!),
      (k: Tensor, s: Tensor) => [k.add(1), s.add(x.index_select(0, i.index_select(0, k.reshape([1]))).sum())],
      [torch.tensor(0n), zeros([])],
    )[1]!,
  'the condition of while_loop': (i) =>
    torch.while_loop(
      (k: Tensor) =>
        k.lt(i.shape[0]!).logical_and(
          x
            .index_select(0, i.index_select(0, k.clamp(0, i.shape[0]! - 1).reshape([1])))
            .sum()
            .gt(-1),
        ),
      (k: Tensor) => [k.add(1)],
      [torch.tensor(0n)],
    )[0]!,
  cond: (i) =>
    torch.cond(
      i.sum().gt(0),
      (k: Tensor) => x.index_select(0, k).sum(),
      (k: Tensor) => k.sum().to('float32'),
      [i],
    ),
  'a branch in a loop': (i) =>
    torch.map(
      (k: Tensor) =>
        torch.cond(
          k.gt(0),
          (n: Tensor) => x.index_select(0, n.reshape([1])).sum(),
          (n: Tensor) => n.to('float32'),
          [k],
        ),
      i,
    ),
};

describe('checks of data in loops and branches', () => {
  for (const [name, f] of Object.entries(IN_BODIES)) {
    it(name, () => {
      const plain = compile(f);
      const checked = compile(f, { checks: true });
      assert.deepEqual(checked(ints(0, 2, 1)).tolist(), plain(ints(0, 2, 1)).tolist());
      fails('BAD_ARGUMENT', [OUT, /checks\.test\.[jt]s:\d+/], () => checked(ints(1, 3, 0)));
      plain(ints(1, 3, 0));
    });
  }

  it('an ATen call in a loop names the line', () => {
    const f = compile((a: Tensor) => torch.map((k: Tensor) => torch.poisson(k), a));
    fails('BAD_ARGUMENT', [/Poisson rate/, /checks\.test\.[jt]s:\d+/], () => f(torch.tensor([1, -1])));
  });

  it('gradients from outside through a checked loop', () => {
    const w = ones(3, 2).requires_grad_(true);
    const f = compile(
      (i: Tensor) =>
        torch.scan(
          (c: Tensor, k: Tensor) => {
            const next = c.mul(0.5).add(w.index_select(0, k.reshape([1])).sum());
            return [next, next];
          },
          zeros([]),
          i,
        )[0] as Tensor,
      { checks: true },
    );
    f(ints(0, 2)).backward();
    assert.deepEqual(w.grad!.tolist(), [
      [0.5, 0.5],
      [0, 0],
      [1, 1],
    ]);
    fails('BAD_ARGUMENT', OUT, () => f(ints(0, 5)));
  });

  it('a branch that is not taken is not checked', () => {
    const f = compile(IN_BODIES.cond!, { checks: true });
    assert.equal(f(ints(-9, -9, 0)).item(), -18);
  });
});

describe('checks of data in a backward from outside', () => {
  it("'nan' names the operator of the backward that made it", () => {
    const f = compile((a: Tensor) => a.sqrt().sum(), { checks: 'nan' });
    const good = ones(3).requires_grad_(true);
    f(good).backward();
    assert.deepEqual(good.grad!.tolist(), [0.5, 0.5, 0.5]);
    const g = compile((a: Tensor) => a.mul(0).sqrt().mul(0).sum(), { checks: 'nan' });
    const bad = ones(3).requires_grad_(true);
    const y = g(bad);
    fails('CHECK_FAILED', [/made NaN/, /checks\.test\.[jt]s:\d+/], () => y.backward());
    assert.equal(bad.grad, null);
  });

  it('an ATen call of the backward that raises names the line', () => {
    const f = compile((a: Tensor, i: Tensor) => a.gather(0, i).sum(), { checks: true, optimize: 'aten' });
    const a = ones(3).requires_grad_(true);
    f(a, ints(0, 2)).backward();
    assert.deepEqual(a.grad!.tolist(), [1, 0, 1]);
  });
});
