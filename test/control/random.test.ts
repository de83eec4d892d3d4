/** @file Random numbers in compiled loops and branches: new ones every round, the same ones again where a gradient computes a step again. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, cond, fori, func, Generator, map, rand, scan, while_loop } = torch;
const O = { dtype: 'float64' } as const;

describe('random numbers in compiled control flow', () => {
  // Homogeneous of degree one in x: by Euler <x, gradient> is the value, if both saw the same numbers.
  const generator = new Generator();
  const BODIES: Record<string, (x: Tensor) => Tensor> = {
    fori: (x) => fori(0, 3, (_, c) => c.mul(rand([2], O)), x).sum(),
    'fori with a generator': (x) => fori(0, 3, (_, c) => c.mul(rand([2], { ...O, generator })), x).sum(),
    'scan, two draws a step': (x) =>
      scan((c, row: Tensor) => [c.mul(rand([2], O)), row.mul(rand([], O)).mul(c)], x, torch.ones([3, 2], O))[1].sum(),
    'scan in reverse': (x) =>
      scan((c, u: Tensor) => [c.mul(rand([2], O)).mul(u), null], x, torch.ones([3], O), { reverse: true })[0].sum(),
    map: (x) => map((row) => row.mul(rand([], { ...O, generator })), x).sum(),
    cond: (x) =>
      cond(
        x.sum().gt(0),
        (c) => c.mul(rand([2], O)),
        (c) => c,
        [x],
      ).sum(),
    nested: (x) =>
      fori(
        0,
        2,
        (_, c) =>
          cond(
            c.sum().gt(0),
            (d) => fori(0, 2, (__, e) => e.mul(rand([2], { ...O, generator })).mul(rand([2], O)), d),
            (d) => d,
            [c],
          ),
        x,
      ).sum(),
  };
  for (const [name, f] of Object.entries(BODIES))
    it(`${name}: the gradient is that of the very draws of the value`, () => {
      const x = torch.tensor([1, 2], O);
      const both = compile(func.grad_and_value(f));
      const values = [0, 1].map(() => {
        const [gradient, value] = both(x) as [Tensor, Tensor];
        close(gradient.dot(x), value, { rtol: 1e-12, atol: 1e-12 });
        return value.item();
      });
      assert.notEqual(values[0], values[1]);
      const leaf = x.clone().requires_grad_();
      const value = compile(f)(leaf);
      value.backward();
      close(leaf.grad!.dot(x), value.detach(), { rtol: 1e-12, atol: 1e-12 });
      const [out, tangent] = compile((t: Tensor) => func.jvp(f, [t], [t]))(x) as [Tensor, Tensor];
      close(out, tangent, { rtol: 1e-12, atol: 1e-12 });
    });

  it('a generator of its own gives the same numbers for the same seed, whatever the default one does', () => {
    const loops: Record<string, (g: torch.Generator) => (x: Tensor) => Tensor> = {
      fori: (g) => (x) => fori(0, 3, (_, c) => c.add(rand([2], { generator: g })), x),
      while_loop: (g) => (x) =>
        while_loop(
          (c) => c.sum().lt(4),
          (c) => [c.add(rand([2], { generator: g }))],
          [x],
        )[0],
      cond: (g) => (x) =>
        cond(
          x.sum().ge(0),
          (c) => torch.empty_like(c).normal_(0, 1, { generator: g }),
          (c) => c,
          [x],
        ),
    };
    for (const make of Object.values(loops)) {
      const own = new Generator();
      const loop = compile(make(own));
      const run = (seed: number): unknown => {
        own.manual_seed(seed);
        rand(1);
        return [loop(torch.zeros(2)).tolist(), loop(torch.zeros(2)).tolist()];
      };
      const [first, again, other] = [run(5), run(5), run(6)];
      assert.deepEqual(again, first);
      assert.notDeepEqual(other, first);
      const [a, b] = first as [unknown, unknown];
      assert.notDeepEqual(a, b);
    }
  });

  it('the draws of rounds, loops, generators and of a condition and its body are independent', () => {
    const other = new Generator();
    const rows = compile(() => {
      const steps = torch.zeros(2000);
      const [, a] = scan(
        (c: Tensor, _: Tensor) => [c, torch.stack([rand([]), rand([]), rand([], { generator: other })])],
        torch.zeros([]),
        steps,
      );
      const [, b] = scan((c: Tensor, _: Tensor) => [c, rand([])], torch.zeros([]), steps);
      const [, , tested, drawn] = while_loop(
        (i: Tensor, u: Tensor) => i.lt(2000).logical_and(u.le(rand([]).add(1))),
        (i: Tensor, _: Tensor, t: Tensor, d: Tensor) => {
          const u = rand([]);
          return [
            i.add(1),
            u,
            t.index_copy(0, i.reshape([1]), rand([1])),
            d.index_copy(0, i.reshape([1]), u.reshape([1])),
          ];
        },
        [torch.tensor(0, { dtype: 'int64' }), torch.zeros([]), torch.zeros(2000), torch.zeros(2000)],
      );
      return torch.cat([a.t(), torch.stack([b, tested!, drawn!])]);
    })();
    const means = rows.mean(1).tolist() as number[];
    // Uniform: mean 1/2 with standard error 0.0065, correlations with standard error 0.022.
    for (const mean of means) assert.ok(Math.abs(mean - 0.5) < 0.035, `mean ${mean}`);
    const correlations = torch.corrcoef(rows).sub(torch.eye(rows.shape[0])).abs().max().item();
    assert.ok(correlations < 0.11, `correlation ${correlations}`);
    const shifted = torch
      .corrcoef(torch.stack([rows.at(0, ':-1'), rows.at(0, '1:')]))
      .at(0, 1)
      .item();
    assert.ok(Math.abs(shifted) < 0.11, `correlation of neighbours ${shifted}`);
  });

  it('under vmap, as its randomness says', () => {
    const walk = (x: Tensor): Tensor => fori(0, 3, (_, c) => c.add(rand([])), x);
    const run = (randomness: 'same' | 'different'): number[] =>
      compile(func.vmap(walk, { randomness }))(torch.zeros(4)).tolist() as number[];
    assert.equal(new Set(run('same')).size, 1);
    assert.equal(new Set(run('different')).size, 4);
    assert.throws(() => compile(func.vmap(walk))(torch.zeros(4)), /randomness/);
  });

  it('a choice for each example of a batch: the gradient is that of the draws of the value, eager and compiled', () => {
    const f = (x: Tensor): Tensor =>
      cond(
        x.gt(0),
        (c) => c.mul(rand([])),
        (c) => c.mul(rand([]).add(1)),
        [x],
      );
    const batch = torch.tensor([1, 2, -1, -2]);
    const each = func.vmap(func.grad_and_value(f), { randomness: 'different' });
    for (const run of [each, compile(each)]) {
      const [gradients, values] = run(batch) as [Tensor, Tensor];
      close(gradients.mul(batch), values, { rtol: 1e-6, atol: 1e-6 });
    }
  });
});
