/** @file Control flow: the same function in eager and compiled, under every transform, and what it refuses. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { associative_scan, compile, cond, fori, func, map, scan, while_loop } = torch;
const vector = (...values: number[]): Tensor => torch.tensor(values, { dtype: 'float64' });
const number = (value: number): Tensor => torch.tensor(value, { dtype: 'float64' });
const TIGHT = { rtol: 1e-11, atol: 1e-11 };
const x = vector(0.5, -1, 2);
const w = number(0.7);

// biome-ignore lint/suspicious/noExplicitAny: any function of tensors
type F = (...args: any[]) => any;

/** Eager and compiled agree, and the compiled one keeps agreeing when its program is used again. */
const agree = (f: F, ...args: unknown[]): Tensor[] => {
  const expected = torch.tree.leaves(f(...args));
  const compiled = compile(f);
  for (let call = 0; call < 2; call++) {
    const got = torch.tree.leaves(compiled(...args));
    assert.equal(got.length, expected.length);
    got.forEach((t, i) => {
      assert.equal(t.dtype, expected[i]!.dtype);
      close(t.detach(), expected[i]!.detach(), TIGHT);
    });
  }
  return expected;
};

/** The transforms that a loop of scalar result over (x, w) must go through. */
const TRANSFORMS: Record<string, (f: F) => F> = {
  plain: (f) => f,
  grad: (f) => func.grad(f, [0, 1]),
  jvp: (f) => (a: Tensor, b: Tensor) => func.jvp(f as never, [a, b] as never, [b.mul(a), b]),
  hessian: (f) => func.hessian(f),
  'jacrev of jacrev': (f) => func.jacrev(func.jacrev(f)),
  'grad of grad': (f) => func.grad((a: Tensor, b: Tensor) => func.grad(f)(a, b).square().sum(), [0, 1]),
  vmap: (f) => (a: Tensor, b: Tensor) => func.vmap(f, [0, null])(torch.stack([a, a.mul(-2)]), b),
  'vmap over what is captured': (f) => (a: Tensor, b: Tensor) =>
    func.vmap((c: Tensor) => f(a, c))(torch.stack([b, b.mul(2)])),
  'vmap of grad': (f) => (a: Tensor, b: Tensor) =>
    func.vmap(func.grad(f, 1), [0, null])(torch.stack([a, a.mul(-2)]), b),
  'grad of vmap': (f) =>
    func.grad(
      (a: Tensor, b: Tensor) =>
        func
          .vmap(f, [0, null])(torch.stack([a, a.mul(-2)]), b)
          .sum(),
      [0, 1],
    ),
  'vmap of hessian': (f) => (a: Tensor, b: Tensor) =>
    func.vmap(func.hessian(f), [0, null])(torch.stack([a, a.mul(-2)]), b),
};

const LOOPS: Record<string, F> = {
  scan: (a: Tensor, b: Tensor) => {
    const [c, ys] = scan((s: Tensor, t: Tensor) => [s.mul(b).add(t.sin()), s.mul(t)], b.add(1), a);
    return c.mul(ys.sum());
  },
  'scan of pytrees, backwards, with a counter': (a: Tensor, b: Tensor) => {
    const [c, ys] = scan(
      (s: { i: Tensor; v: Tensor[] }, t: { p: Tensor }) => [
        { i: s.i.add(1), v: [s.v[0]!.mul(b).add(t.p.mul(s.i))] },
        { out: s.v[0]!.tanh() },
      ],
      { i: torch.tensor(0), v: [torch.stack([a.sum(), a.prod()])] },
      { p: torch.stack([a, a.cos()], 1) } as never,
      { dim: 0, reverse: true },
    ) as unknown as [{ v: Tensor[] }, { out: Tensor }];
    return c.v[0]!.sum().add(ys.out.sum());
  },
  cond: (a: Tensor, b: Tensor) =>
    cond(
      a.sum().gt(0),
      (t: Tensor) => t.sin().mul(b).sum(),
      (t: Tensor) => t.square().sum().mul(b),
      [a],
    ),
  'fori with numbers': (a: Tensor, b: Tensor) => fori(1, 4, (i, v: Tensor) => v.mul(b).add(i).sin(), a).sum(),
  map: (a: Tensor, b: Tensor) => map((t: Tensor, s: Tensor) => t.mul(s).sin(), a, b).sum(),
  associative_scan: (a: Tensor, b: Tensor) =>
    associative_scan((p: Tensor, q: Tensor) => p.mul(q).mul(b), torch.cat([a, a.cos()])).sum(),
  nested: (a: Tensor, b: Tensor) =>
    scan(
      (c: Tensor, t: Tensor) => [
        cond(
          t.gt(0),
          (v: Tensor) => scan((d: Tensor, u: Tensor) => [d.mul(u).sin().add(b), d], v, a)[0],
          (v: Tensor) => v.mul(t).cos(),
          [c],
        ),
        null,
      ],
      a.sum(),
      a,
    )[0],
  'a derivative inside': (a: Tensor, b: Tensor) =>
    scan((c: Tensor, t: Tensor) => [func.grad((v: Tensor) => v.sin().mul(t).mul(b))(c), null], b.mul(2), a)[0],
};

describe('control flow', () => {
  for (const [loop, f] of Object.entries(LOOPS))
    for (const [name, transform] of Object.entries(TRANSFORMS))
      it(`${loop}: ${name}`, () => void agree(transform(f), x, w));

  it('agrees with what the loop means', () => {
    const [last, all] = scan((c: Tensor, t: Tensor) => [c.add(t), c.mul(2)], number(0), x);
    close(last, x.sum(), TIGHT);
    close(all, x.cumsum(0).sub(x).mul(2), TIGHT);
    close(scan((c: Tensor, t: Tensor) => [c.add(t), c], number(0), x, { reverse: true })[1], vector(1, 2, 0), TIGHT);
    close(
      associative_scan((a: Tensor, b: Tensor) => a.mul(b), torch.arange(1, 8)),
      torch.arange(1, 8).cumprod(0),
      TIGHT,
    );
    const rows = torch.arange(6, { dtype: 'float64' }).reshape([2, 3]);
    close(
      associative_scan((a: Tensor, b: Tensor) => a.add(b), rows, { dim: 1 }),
      rows.cumsum(1),
      TIGHT,
    );
    close(
      scan((c: Tensor, t: Tensor) => [c.add(t), null], torch.zeros([2], { dtype: 'float64' }), rows, { dim: 1 })[0],
      rows.sum(1),
      TIGHT,
    );
    assert.deepEqual(
      [...scan((c: Tensor, t: Tensor) => [c, t.reshape([1, 1])], x, x.narrow(0, 0, 0))[1].shape],
      [0, 1, 1],
    );
  });

  it('an empty scan gives empty results, compiled too', () => {
    const [c, y] = compile((t: Tensor) => scan((s: Tensor, u: Tensor) => [s.add(u), u.mul(2)], number(3), t))(
      x.narrow(0, 0, 0),
    );
    assert.equal(c.item(), 3);
    assert.deepEqual([...y.shape], [0]);
    assert.equal(scan((s: Tensor) => [s.mul(2), null], number(3), null as never, { length: 4 })[0].item(), 48);
  });

  it('torch.autograd goes through a compiled loop', () => {
    const f = LOOPS.scan as (a: Tensor, b: Tensor) => Tensor;
    const leaf = w.clone().requires_grad_(true);
    compile(f)(x, leaf).backward();
    close(leaf.grad!, func.grad(f, 1)(x, w), TIGHT);
    const captured = w.clone().requires_grad_(true);
    compile((a: Tensor) => f(a, captured))(x).backward();
    close(captured.grad!, leaf.grad!, TIGHT);
  });

  describe('while_loop', () => {
    const grow = (a: Tensor): [Tensor, Tensor] =>
      while_loop(
        (_: Tensor, v: Tensor) => v.sum().lt(100),
        (i: Tensor, v: Tensor): [Tensor, Tensor] => [i.add(1), v.mul(v).add(w)],
        [torch.tensor(0), a],
      );
    const y = vector(1, 2, 3);
    it('runs as long as its condition holds', () => {
      const [steps] = agree(grow, y);
      assert.equal(steps!.item(), 2);
      agree(grow, y.mul(100));
    });
    it('vmap: every example stops by itself', () => {
      const [steps] = agree(func.vmap(grow), torch.stack([y, y.mul(3), y.mul(10)]));
      assert.deepEqual(steps!.tolist(), [2, 1, 1]);
    });
    it('forward mode, alone and vmapped', () => {
      agree((a: Tensor) => func.jvp((b: Tensor) => grow(b)[1], [a], [torch.ones_like(a)]), y);
      agree(
        func.jacfwd((b: Tensor) => grow(b)[1]),
        y,
      );
      agree(func.vmap(func.jacfwd((b: Tensor) => grow(b)[1])), torch.stack([y, y.mul(3)]));
      agree(func.jacfwd(func.jacfwd((b: Tensor) => grow(b)[1])), y);
    });
    it('reverse mode is refused when compiled, and says what to use', () => {
      fails('BAD_ARGUMENT', /scan or fori/, () => compile(func.grad((a: Tensor) => grow(a)[1].sum()))(y));
    });
    it('inside scan and cond', () => {
      agree(
        (a: Tensor) =>
          scan(
            (c: Tensor, t: Tensor) => [
              while_loop(
                (v: Tensor) => v.lt(3),
                (v: Tensor) => [v.add(t.abs())],
                [c],
              )[0],
              c,
            ],
            number(0),
            a,
          ),
        x,
      );
    });
  });

  it('fori with a tensor as its bound', () => {
    agree((n: Tensor) => fori(0, n, (i, v: Tensor) => v.mul(2).add(i), x), torch.tensor(4));
  });

  it('compiles as fast for 10 000 steps as for one: one program text', () => {
    const f = compile(
      func.grad((xs: Tensor) => scan((c: Tensor, t: Tensor) => [c.mul(0.9).add(t.sin()), c], xs.sum(), xs)[0]),
    );
    const size = (n: number): number => f.lower(torch.zeros([n])).stablehlo.length;
    assert.ok(size(10_000) < size(2) + 2000, `${size(10_000)} characters for 10 000 steps, ${size(2)} for 2`);
  });

  it('random numbers differ from step to step and follow the seed', () => {
    const f = compile(() => scan((c: Tensor) => [c, torch.rand([2])], number(0), null as never, { length: 4 })[1]);
    torch.manual_seed(3);
    const a = f();
    const rows = new Set((a.tolist() as number[][]).flat());
    assert.equal(rows.size, 8);
    torch.manual_seed(3);
    assert.deepEqual(f().tolist(), a.tolist());
  });

  describe('refuses', () => {
    const both = (words: RegExp, f: F): void => {
      fails('BAD_ARGUMENT', words, () => f(x));
      fails('BAD_ARGUMENT', words, () => compile(f)(x));
    };
    it('a carry that changes, naming the leaf', () => {
      both(/carry\.a\[0\] changes from float64\[\] to float64\[2\]/, (t: Tensor) =>
        scan((c: { a: Tensor[] }) => [{ a: [torch.stack([c.a[0]!, c.a[0]!])] }, null], { a: [t.sum()] }, t),
      );
      both(/carry\.n changes from float32\[\] to float64\[\]/, (t: Tensor) =>
        scan((c: { n: Tensor }, s: Tensor) => [{ n: c.n.add(s) }, null], { n: torch.tensor(0) }, t),
      );
      both(/carry\.a is missing/, (t: Tensor) =>
        scan((c: { a: Tensor }) => [{ b: c.a } as never, null], { a: t.sum() }, t),
      );
      both(/carried\[1\] changes from float64\[3\] to float32\[3\]/, (t: Tensor) =>
        while_loop(
          (i: Tensor) => i.lt(3),
          (i: Tensor, v: Tensor): [Tensor, Tensor] => [i.add(1), v.float()],
          [torch.tensor(0), t],
        ),
      );
    });
    it('numbers in a carry, results that are no pairs, slices of unequal number', () => {
      both(/init\.n is a number/, (t: Tensor) => scan((c: { n: number }) => [c, null], { n: 1 }, t));
      both(/return \[carry, y\]/, (t: Tensor) => scan(((c: Tensor) => c) as never, t.sum(), t));
      both(/3 and 2 slices/, (t: Tensor) => scan((c: Tensor) => [c, null], t.sum(), [t, t.narrow(0, 0, 2)]));
      both(/async/, (t: Tensor) => scan((async (c: Tensor) => [c, null]) as never, t.sum(), t));
    });
    it('branches that differ', () => {
      fails('BAD_ARGUMENT', /the result\.a changes from float64\[\] to float64\[3\]/, () =>
        compile((t: Tensor) =>
          cond(
            t.sum().gt(0),
            (v: Tensor) => ({ a: v.sum() }),
            (v: Tensor) => ({ a: v }),
            [t],
          ),
        )(x),
      );
      both(/tensor with one element/, (t: Tensor) =>
        cond(
          t.gt(0),
          () => t,
          () => t,
        ),
      );
    });
    it('functions that change what they are given', () => {
      fails('BAD_ARGUMENT', /in place/, () =>
        compile((t: Tensor) => scan((c: Tensor, s: Tensor) => [c.add_(s), null], t.sum(), t))(x),
      );
      fails('BAD_ARGUMENT', /in place/, () =>
        compile((t: Tensor) => scan((c: Tensor, s: Tensor) => [c.add(w.add_(s)), null], t.sum(), t))(x),
      );
      close(w, number(0.7), TIGHT);
    });
    it('a grad read in a body, which has none of its own', () => {
      const leaf = torch.ones(2).requires_grad_(true);
      leaf.grad = torch.full([2], 3);
      fails('BAD_ARGUMENT', [/grad/, /outside/], () =>
        compile((t: Tensor) => torch.map((row: Tensor) => (leaf.grad ? row.mul(leaf.grad) : row.neg()), t))(
          torch.ones(1, 2),
        ),
      );
    });
  });

  it('requires_grad of a captured tensor: read as it is outside, not changed inside', () => {
    const w = torch.ones(2, { requires_grad: true });
    const plain = torch.ones(2);
    const x = torch.ones(2);
    const seen = new Set<string>();
    const body = (_: Tensor, c: Tensor): Tensor => {
      seen.add(String([w.requires_grad, plain.requires_grad]));
      w.requires_grad_();
      plain.requires_grad = false;
      return c.mul(w).mul(plain);
    };
    const loop = compile((t: Tensor) => torch.fori(0, 3, body, t));
    assert.equal(loop(x).requires_grad, true);
    assert.deepEqual([...seen], ['true,false']);
    const set = (t: Tensor, value: boolean) => (c: Tensor) => {
      t.requires_grad_(value);
      return c.mul(2);
    };
    for (const change of [set(plain, true), set(w, false)]) {
      fails('BAD_ARGUMENT', /cannot be changed inside the body/, () => compile((t: Tensor) => torch.map(change, t))(x));
      fails('BAD_ARGUMENT', /cannot be changed inside the body/, () =>
        compile((t: Tensor) => torch.cond(t.sum().gt(0), change, change, [t]))(x),
      );
    }
    fails('BAD_ARGUMENT', /changes requires_grad/, () =>
      compile((t: Tensor) =>
        torch.while_loop(
          (c) => c.sum().lt(10),
          (c) => [c.requires_grad_().mul(2)],
          [t],
        ),
      )(x),
    );
    assert.deepEqual([w.requires_grad, plain.requires_grad, x.requires_grad], [true, false, false]);
  });
});
