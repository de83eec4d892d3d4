/** @file torch.func in eager, inside and around compile: values against closed forms and torch.autograd, nesting, pytrees, refusals. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, func } = torch;
const vector = (...values: number[]): Tensor => torch.tensor(values, { dtype: 'float64' });
const TIGHT = { rtol: 1e-12, atol: 1e-12 };
const x = vector(0.5, -1, 2);
const f = (t: Tensor): Tensor => t.sin().mul(t).sum();
const df = (t: Tensor): Tensor => t.sin().add(t.mul(t.cos()));
const ddf = (t: Tensor): Tensor => t.cos().mul(2).sub(t.mul(t.sin()));

/** The transform in eager, compiled, and of the compiled function. */
// biome-ignore lint/suspicious/noExplicitAny: any transform of any function
const ways = (transform: (g: any) => (...args: any[]) => any, g: (...args: any[]) => any) =>
  [
    ['eager', transform(g)],
    ['inside compile', compile(transform(g))],
    ['around compile', transform(compile(g))],
  ] as const;

describe('func', () => {
  for (const [where, run] of ways(func.grad, f)) it(`grad ${where}`, () => close(run(x), df(x), TIGHT));

  for (const [where, run] of ways((g) => func.grad((t: Tensor) => func.grad(g)(t).sum()), f))
    it(`grad of grad ${where}`, () => close(run(x), ddf(x), TIGHT));

  for (const [where, run] of ways((g) => (t: Tensor) => func.jvp(g, [t], [t.mul(2)]), f))
    it(`jvp ${where}`, () => {
      const [value, tangent] = run(x);
      close(value, f(x), TIGHT);
      close(tangent, df(x).dot(x).mul(2), TIGHT);
    });

  for (const [where, run] of ways(
    (g) => func.vmap(g, 1),
    (t: Tensor) => t.cumsum(0).sin(),
  ))
    it(`vmap along another dimension ${where}`, () => {
      const batch = torch.stack([x, x.mul(2)], 1);
      close(run(batch), batch.cumsum(0).sin().t(), TIGHT);
    });

  for (const name of [
    'hessian',
    'jacrev of jacrev',
    'jacfwd of jacrev',
    'jacrev of jacfwd',
    'jacfwd of jacfwd',
  ] as const) {
    const { jacrev, jacfwd, hessian } = func;
    const transform = {
      hessian,
      'jacrev of jacrev': (g: typeof f) => jacrev(jacrev(g)),
      'jacfwd of jacrev': (g: typeof f) => jacfwd(jacrev(g)),
      'jacrev of jacfwd': (g: typeof f) => jacrev(jacfwd(g)),
      'jacfwd of jacfwd': (g: typeof f) => jacfwd(jacfwd(g)),
    }[name];
    for (const [where, run] of ways(transform as never, f))
      it(`${name} ${where}`, () => close(run(x), torch.diag(ddf(x)), TIGHT));
  }

  it('per-example gradients: vmap of grad equals a loop', () => {
    const w = torch.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { dtype: 'float64' },
    );
    const loss = (v: Tensor, row: Tensor): Tensor => v.matmul(row).tanh().square().sum();
    const rows = torch.tensor(
      [
        [0.1, 0.2],
        [0.3, -0.4],
        [-0.5, 0.6],
      ],
      { dtype: 'float64' },
    );
    const all = func.vmap(func.grad(loss), [null, 0])(w, rows);
    for (let i = 0; i < 3; i++) close(all.select(0, i), func.grad(loss)(w, rows.select(0, i)), TIGHT);
  });

  it('grad over pytrees, several arguments and aux', () => {
    const p = { a: vector(1, 2), b: [vector(3)] };
    const [grads, aux] = func.grad(
      (q: typeof p, scale: Tensor) => [q.a.square().sum().add(q.b[0]!.sum()).mul(scale), { kept: q.a.mul(2) }],
      [0, 1],
      true,
    )(p, torch.tensor(2, { dtype: 'float64' }));
    assert.deepEqual(
      torch.tree.leaves(grads).map((t) => t.tolist()),
      [[4, 8], [2], 8],
    );
    assert.deepEqual(Object.keys(grads[0]), ['a', 'b']);
    assert.deepEqual(aux.kept.tolist(), [2, 4]);
    assert.equal(aux.kept.requires_grad, false);
    const [g, [value]] = func.grad_and_value((t: Tensor) => [t.square().sum(), t], { has_aux: true })(x);
    close(g, x.mul(2), TIGHT);
    close(value, x.square().sum(), TIGHT);
  });

  it('what a result does not depend on has gradient zero', () => {
    close(func.grad((_a: Tensor, b: Tensor) => b.sum(), 0)(x, x), torch.zeros_like(x), TIGHT);
    close(func.grad((_: Tensor) => torch.ones([]))(x), torch.zeros_like(x), TIGHT);
    close(func.jvp((_: Tensor) => torch.ones([3]), [x], [x])[1], torch.zeros([3]), TIGHT);
  });

  it('vjp: the pullback works after its level is over, repeatedly and vmapped', () => {
    const [y, pull] = func.vjp((t: Tensor) => ({ s: t.sin(), p: t.prod() }), x);
    const one = pull({ s: torch.ones_like(x), p: torch.zeros([], { dtype: 'float64' }) })[0];
    close(one, x.cos(), TIGHT);
    const two = pull({ s: torch.zeros_like(x), p: torch.ones([], { dtype: 'float64' }) })[0];
    close(two, y.p.div(x), TIGHT);
    const rows = func.vmap((c: Tensor) => pull({ s: c, p: torch.zeros([], { dtype: 'float64' }) })[0])(
      torch.eye(3, { dtype: 'float64' }),
    );
    close(rows, torch.diag(x.cos()), TIGHT);
  });

  it('jacobians of pytrees have the structure of the result around that of the arguments', () => {
    const g = (a: Tensor, b: Tensor): { s: Tensor; m: Tensor } => ({ s: a.dot(b), m: a.outer(b) });
    for (const jacobian of [func.jacrev, func.jacfwd]) {
      const j = jacobian(g, [0, 1])(vector(1, 2), vector(3, 4));
      assert.deepEqual(j.s[0].tolist(), [3, 4]);
      assert.deepEqual(j.s[1].tolist(), [1, 2]);
      assert.deepEqual([...j.m[1].shape], [2, 2, 2]);
      assert.deepEqual(j.m[0].tolist(), [
        [
          [3, 0],
          [4, 0],
        ],
        [
          [0, 3],
          [0, 4],
        ],
      ]);
    }
  });

  it('vmap: in_dims of pytrees, out_dims, chunks and unbatched results', () => {
    const batch = torch.arange(12, { dtype: 'float64' }).reshape([4, 3]);
    const g = ({ a, b }: { a: Tensor; b: Tensor }): [Tensor, Tensor] => [a.add(b), b.mul(1)];
    for (const chunk_size of [null, 1, 3]) {
      const [sum, same] = func.vmap(g, { in_dims: [{ a: 0, b: null }], out_dims: [1, 0], chunk_size })({
        a: batch,
        b: x,
      });
      close(sum, batch.add(x).t(), TIGHT);
      assert.deepEqual([...same.shape], [4, 3]);
    }
    const [, kept] = func.vmap(g, [{ a: 0, b: null }], [0, null])({ a: batch, b: x });
    assert.deepEqual([...kept.shape], [3]);
  });

  it('randomness: refused, the same, or different for the examples', () => {
    const noisy = (t: Tensor): Tensor => t.add(torch.randn_like(t));
    const zeros = torch.zeros([2, 5]);
    fails('BAD_ARGUMENT', /random/, () => func.vmap(noisy)(zeros));
    const rows = (randomness: 'same' | 'different'): Tensor => func.vmap(noisy, { randomness })(zeros);
    assert.equal(torch.equal(rows('same').select(0, 0), rows('same').select(0, 0)), false);
    const same = rows('same');
    assert.equal(torch.equal(same.select(0, 0), same.select(0, 1)), true);
    const different = rows('different');
    assert.equal(torch.equal(different.select(0, 0), different.select(0, 1)), false);
  });

  it('linearize runs the function once, takes pytrees, and its linear function is transformed like any other', () => {
    let calls = 0;
    const g = ({ a }: { a: Tensor }, b: Tensor): { s: Tensor; n: Tensor[] } => {
      calls++;
      return { s: a.mul(b).sin(), n: [b.square().sum()] };
    };
    const [value, push] = func.linearize(g, { a: x }, x);
    const tangents = [{ a: vector(1, 0, 2) }, vector(0, 3, 1)] as const;
    const pushed = push(...tangents);
    push({ a: x }, x);
    assert.equal(calls, 1);
    const [expected, derivative] = func.jvp(g, [{ a: x }, x], tangents);
    close(value.s, expected.s, TIGHT);
    close(pushed.s, derivative.s, TIGHT);
    close(pushed.n[0], derivative.n[0], TIGHT);
    const [, along] = func.linearize((t: Tensor) => t.sin().mul(t.sum()), x);
    close(
      func.vmap(along)(torch.eye(3, { dtype: 'float64' })),
      func
        .jacfwd((t: Tensor) => t.sin().mul(t.sum()))(x)
        .t(),
      TIGHT,
    );
    const hvp = (t: Tensor): Tensor => func.linearize(func.grad(f), t)[1](t);
    for (const run of [hvp, compile(hvp)]) close(run(x), ddf(x).mul(x), TIGHT);
    close(
      func
        .vmap(hvp)(torch.stack([x, x.mul(2)]))
        .select(0, 1),
      ddf(x.mul(2)).mul(x.mul(2)),
      TIGHT,
    );
    fails('BAD_ARGUMENT', /structure of the primals/, () => push(x));
    fails('BAD_ARGUMENT', /shape/, () => along(vector(1)));
  });

  it('linearize goes through a compiled while_loop, in forward mode', () => {
    const doubled = (t: Tensor): Tensor =>
      torch.while_loop(
        (c: Tensor) => c.sum().lt(10),
        (c: Tensor) => [c.mul(2)],
        [t],
      )[0];
    close(compile((t: Tensor) => func.linearize(doubled, t)[1](t))(x), doubled(x), TIGHT);
  });

  it('vmap of jvp through writes in place: tangents get an example for each of the primal’s', () => {
    const inPlace = (t: Tensor): Tensor => {
      const y = t.mul(2);
      y.setAt([1], t.at(1).cos());
      return y.mul_(t).sin();
    };
    const batch = torch.stack([x, x.mul(0.5)]);
    const both = func.vmap((t: Tensor) => func.jvp(inPlace, [t], [x])[1])(batch);
    const rows = [...batch].map((t) => func.jvp(inPlace, [t], [x])[1] as Tensor);
    close(both, torch.stack(rows), TIGHT);
    const hessians = func.vmap(func.hessian((t: Tensor) => inPlace(t).sum()))(batch) as Tensor;
    close(hessians.select(0, 1), func.hessian((t: Tensor) => inPlace(t).sum())(x.mul(0.5)) as Tensor, TIGHT);
  });

  it('linearize and autograd.functional agree with the transforms', () => {
    const [y, push] = func.linearize((t: Tensor) => t.sin(), x);
    close(y, x.sin(), TIGHT);
    close(push(vector(1, 2, 3)), x.cos().mul(vector(1, 2, 3)), TIGHT);
    const { functional } = torch.autograd;
    close(
      functional.jacobian((t: Tensor) => t.sin(), x),
      torch.diag(x.cos()),
      TIGHT,
    );
    close(functional.hessian(f, x), torch.diag(ddf(x)), TIGHT);
    close(functional.hvp(f, x, vector(1, 1, 1))[1], ddf(x), TIGHT);
    close(functional.vhp(f, x, vector(1, 1, 1))[1], ddf(x), TIGHT);
    close(functional.vjp((t: Tensor) => t.sin(), x, vector(1, 2, 3))[1], x.cos().mul(vector(1, 2, 3)), TIGHT);
    const blocks = functional.hessian((a: Tensor, b: Tensor) => a.dot(b), [x, x]) as unknown as Tensor[][];
    close(blocks[0]![1]!, torch.eye(3, { dtype: 'float64' }), TIGHT);
  });

  it('data can be read inside grad, not inside vmap', () => {
    close(func.grad((t: Tensor) => t.mul(t.sum().item()).sum())(x), torch.full_like(x, 1.5), TIGHT);
    fails('CONCRETIZATION', /vmap/, () => func.vmap((t: Tensor) => t.mul(t.sum().item()))(x.reshape([3, 1])));
  });

  it('a throw closes every level', () => {
    const own = new Error('mine');
    const broken = (_: Tensor): Tensor => {
      throw own;
    };
    assert.throws(() => func.vmap(func.grad((t: Tensor) => func.jvp(broken, [t], [t])[1]))(x), own);
    assert.throws(() => compile(func.hessian(broken))(x), own);
    close(func.grad(f)(x), df(x), TIGHT);
    assert.equal(x.sin().requires_grad, false);
  });

  it('the surrounding grad mode does not matter, and comes back', () => {
    close(
      torch.no_grad(() => func.grad(f)(x)),
      df(x),
      TIGHT,
    );
    const leaf = x.clone().requires_grad_(true);
    func.grad(f)(leaf).sum().backward();
    close(leaf.grad!, ddf(x), TIGHT);
    assert.equal(torch.is_grad_enabled(), true);
  });

  it('refuses async functions, vectors, integers and what does not fit', () => {
    fails('BAD_ARGUMENT', /async/, () => func.grad(async (t: Tensor) => t.sum()));
    fails('BAD_ARGUMENT', /async/, () => func.vmap((t: Tensor) => Promise.resolve(t))(x));
    fails('BAD_ARGUMENT', /scalar.*shape \[3\]/, () => func.grad((t: Tensor) => t.sin())(x));
    fails('BAD_ARGUMENT', /int64/, () => func.grad((t: Tensor) => t.sum())(torch.tensor([1, 2], { dtype: 'int64' })));
    fails('BAD_ARGUMENT', /argnums 3/, () => func.grad((t: Tensor) => t.sum(), 3)(x));
    fails('BAD_ARGUMENT', /shape \[1\]/, () => func.jvp(f, [x], [vector(1)]));
    fails('BAD_ARGUMENT', /sizes 3 and 1/, () => func.vmap((a: Tensor, b: Tensor) => a.add(b))(x, vector(1)));
    fails('BAD_ARGUMENT', /in_dim/, () => func.vmap((t: Tensor) => t, { in_dim: 0 } as never));
    fails('BAD_ARGUMENT', /out of range/, () => func.vmap((t: Tensor) => t, 3)(x));
    fails('BAD_ARGUMENT', /a number/, () => func.vmap((_: Tensor) => 3 as never)(x));
  });
});
