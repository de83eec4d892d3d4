/** @file Arguments and results as pytrees: nested arrays, plain objects, Maps, and what is no tensor. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree } from '../support/agree.js';
import { fails } from '../support/fails.js';

const { compile, ones, tree } = torch;

describe('compile: pytrees', () => {
  it('nested objects and arrays in, nested objects and arrays out', () => {
    agree(() => ({
      f: ({ x, layers }: { x: Tensor; layers: { w: Tensor; b: Tensor }[] }) => ({
        y: layers.reduce((h, { w, b }) => h.matmul(w).add(b), x),
        parts: [x, [layers[0]!.w.mul(2)], { deep: { er: layers[1]!.b } }],
      }),
      args: [
        {
          x: ones(2, 3),
          layers: [
            { w: ones(3, 4), b: ones(4) },
            { w: ones(4, 1), b: ones(1) },
          ],
        },
      ],
    }));
  });

  it('{a, b} and {b, a} share a program, and each key keeps its tensor', () => {
    const f = compile(({ a, b }: { a: Tensor; b: Tensor }) => a.sub(b));
    assert.equal(f({ a: ones(1), b: torch.zeros(1) }).item(), 1);
    assert.equal(f({ b: torch.zeros(1), a: ones(1) }).item(), 1);
    assert.equal(f.stats.compiles, 1);
  });

  it('Maps, with keys of any kind, keep their order', () => {
    const key = Symbol('k');
    const f = compile((m: Map<unknown, Tensor>) => new Map([...m].map(([k, v]) => [k, v.add(1)] as const).reverse()));
    const result = f(
      new Map<unknown, Tensor>([
        ['a', ones(1)],
        [2, ones(2)],
        [key, ones(3)],
      ]),
    );
    assert.ok(result instanceof Map);
    assert.deepEqual([...result.keys()], [key, 2, 'a']);
    assert.deepEqual(result.get(key)!.tolist(), [2, 2, 2]);
  });

  it('two Maps with different symbols as keys are different structures', () => {
    const f = compile((m: Map<symbol, Tensor>) => [...m.values()][0]!.add(1));
    f(new Map([[Symbol('k'), ones(1)]]));
    f(new Map([[Symbol('k'), ones(1)]]));
    assert.equal(f.stats.compiles, 2);
  });

  it('arguments that differ from the last ones in a key, a length or a value are told apart', () => {
    const names = (o: object): string => Object.keys(o).sort().join();
    let traces = 0;
    const f = compile((o: Record<string, unknown>) => {
      traces++;
      const leaves = tree.leaves(o);
      return { ['__proto__']: leaves[0]!.mul(leaves.length), [names(o)]: leaves[0]!.add(1) };
    });
    const x = ones(2);
    const variants: Record<string, unknown>[] = [
      { a: x, b: [x, x] },
      { a: x, b: [x] },
      { a: x, c: [x, x] },
      { a: x, b: [x, x], c: undefined },
      { a: x, toString: [x, x] },
      { a: x, b: new Map([['k', x]]) },
      { a: x, b: new Map([['l', x]]) },
      { a: x, b: [x, 1] },
      { a: x, b: [x, 2] },
      { a: x, b: { 0: x, 1: x } },
      { a: x, b: null },
    ];
    for (const round of [1, 2, 3])
      for (const [i, given] of variants.entries()) {
        for (const again of [1, 2]) {
          const result = f(given) as Record<string, unknown>;
          const own = Object.getOwnPropertyDescriptor(result, '__proto__')!.value as Tensor;
          assert.equal(own.at(0).item(), tree.leaves(given).length, `variant ${i}, ${round}.${again}`);
          assert.deepEqual(Object.keys(result).sort(), ['__proto__', names(given)].sort());
        }
        assert.equal(traces, round === 1 ? i + 1 : variants.length);
      }
    assert.ok('a,b' in f({ b: [x, x], a: x }), 'the order of keys does not matter');
    assert.equal(traces, variants.length);
  });

  it('strings, booleans, null and undefined among the arguments are part of the program', () => {
    const f = compile((x: Tensor, o: { mode: string; flip: boolean; mask: Tensor | null }) =>
      o.mask ? x.mul(o.mask) : o.flip ? x.neg() : o.mode === 'double' ? x.mul(2) : x,
    );
    assert.equal(f(ones(1), { mode: 'double', flip: false, mask: null }).item(), 2);
    assert.equal(f(ones(1), { mode: 'double', flip: true, mask: null }).item(), -1);
    assert.equal(f(ones(1), { mode: 'same', flip: false, mask: torch.full([1], 5) }).item(), 5);
    assert.equal(f.stats.compiles, 3);
  });

  it('an optional argument left out', () => {
    const f = compile((x: Tensor, y?: Tensor) => (y ? x.add(y) : x.neg()));
    assert.equal(f(ones(1)).item(), -1);
    assert.equal(f(ones(1), ones(1)).item(), 2);
    assert.equal(f(ones(1)).item(), -1);
  });

  it('no argument at all', () => {
    const w = ones(2);
    const f = compile(() => w.mul(2));
    assert.deepEqual(f().tolist(), [2, 2]);
    w.add_(1);
    assert.deepEqual(f().tolist(), [4, 4]);
    assert.equal(f.stats.compiles, 1);
  });

  it('null, undefined and empty containers may be among the results', () => {
    const f = compile((x: Tensor) => ({ x: x.add(1), none: null, missing: undefined, list: [], more: {} }));
    for (let i = 0; i < 2; i++) {
      const r = f(ones(1));
      assert.equal(r.x.item(), 2);
      assert.deepEqual([r.none, r.missing, r.list, r.more], [null, undefined, [], {}]);
    }
  });

  it('several results of one operator', () => {
    agree(() => ({
      f: (x: Tensor) => {
        const { values, indices } = x.max(1);
        return { values, indices };
      },
      args: [
        torch.tensor([
          [1, 5],
          [7, 2],
        ]),
      ],
    }));
  });

  it('a result that is the argument itself is the very same object', () => {
    const f = compile((x: Tensor, y: Tensor) => [y, x, x.add(1)]);
    const [x, y] = [ones(1), ones(2)];
    for (let i = 0; i < 2; i++) {
      const [first, second, third] = f(x, y);
      assert.equal(first, y);
      assert.equal(second, x);
      assert.notEqual(third, x);
    }
  });

  it('a mutated argument returned is the argument', () => {
    const f = compile((x: Tensor) => x.add_(1));
    const x = ones(1);
    assert.equal(f(x), x);
    assert.equal(f(x), x);
    assert.equal(x.item(), 3);
  });

  it('the same value twice among the results gives two equal tensors', () => {
    const f = compile((x: Tensor) => {
      const y = x.add(1);
      return [y, y];
    });
    const [a, b] = f(ones(1));
    assert.deepEqual([a!.item(), b!.item()], [2, 2]);
  });

  it('a value that contains itself is refused', () => {
    const loop: { x: Tensor; self?: unknown } = { x: ones(1) };
    loop.self = loop;
    const f = compile((o: { x: Tensor }) => o.x.add(1));
    fails('BAD_ARGUMENT', /contains itself/, () => f(loop));
  });

  it('tree.map, leaves, and nothing but tensors are touched', () => {
    const value = { a: ones(1), b: [ones(2), 'text', null], c: new Map([[1, ones(3)]]) };
    assert.deepEqual(
      tree.leaves(value).map((t) => t.numel()),
      [1, 2, 3],
    );
    const doubled = tree.map((t) => t.mul(2), value);
    assert.equal((doubled.b[0] as Tensor).sum().item(), 4);
    assert.equal(doubled.b[1], 'text');
    assert.equal(doubled.c.get(1)!.sum().item(), 6);
  });
});
