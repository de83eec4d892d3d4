/** @file Small results that nobody has looked at are handles without tensors: what is done with them never shows it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { collectGarbage, native } from '../../lib/runtime/load.js';
import { fails } from '../support/fails.js';

const { compile, memory, ones, scope } = torch;

const COUNT = 24;
const many = compile((x: Tensor) => Array.from({ length: COUNT }, (_, i) => x.add(i)));
const values = (t: Tensor): unknown => t.tolist();
const expected = Array.from({ length: COUNT }, (_, i) => [i + 1, i + 1]);

describe('compile: results that nobody has looked at', () => {
  beforeEach(() => void many(ones(2)));

  it('are tensors in every respect, one object each', () => {
    const results = many(ones(2));
    const [y] = results as [Tensor];
    assert.ok(torch.is_tensor(y));
    assert.ok(y instanceof native().Tensor.prototype.constructor);
    assert.equal(Object.getPrototypeOf(y), Object.getPrototypeOf(ones(1)));
    assert.deepEqual(Reflect.ownKeys(y), []);
    assert.deepEqual(y.shape, [2]);
    assert.equal(y, results[0]);
    assert.equal(y.requires_grad, false);
    assert.equal(y._version, 0);
    assert.deepEqual(results.map(values), expected);
    assert.deepEqual(results.map(values), expected);
  });

  it('are arguments of compiled functions, and captured by them', () => {
    const sum = compile((ys: readonly Tensor[]) => ys.reduce((a, b) => a.add(b)));
    assert.deepEqual(values(sum(many(ones(2)))), [300, 300]);
    assert.deepEqual(values(sum(many(ones(2)))), [300, 300]);
    const [, , y] = many(ones(2)) as [Tensor, Tensor, Tensor];
    const plus = compile((x: Tensor) => x.add(y));
    assert.deepEqual(values(plus(ones(2))), [4, 4]);
  });

  it('may be changed in place before anybody reads them', () => {
    const bump = compile((y: Tensor) => void y.add_(10));
    bump(ones(2));
    const results = many(ones(2));
    bump(results[3]!);
    results[4]!.add_(20);
    assert.deepEqual(results.map(values), [...expected.slice(0, 3), [14, 14], [25, 25], ...expected.slice(5)]);
    assert.equal(results[3]!._version, 1);
  });

  it('may be leaves of a gradient', () => {
    const [, y] = many(ones(2)) as [Tensor, Tensor];
    y.requires_grad_();
    y.square().sum().backward();
    assert.deepEqual(values(y.grad!), [4, 4]);
  });

  it('are disposed of one by one', () => {
    const x = ones(2);
    collectGarbage();
    const before = memory();
    const results = many(x);
    assert.equal(memory().tensors - before.tensors, COUNT);
    assert.equal(memory().bytes - before.bytes, 8 * COUNT);
    results[5]!.dispose();
    assert.equal(results[5]!.disposed, true);
    assert.equal(results[6]!.disposed, false);
    assert.equal(memory().tensors - before.tensors, COUNT - 1);
    for (const y of results) y.dispose();
    assert.deepEqual(memory(), before);
    fails('DISPOSED', /was disposed/, () => results[5]!.tolist());
    fails('DISPOSED', /was disposed/, () => many(results[5]!));
    x.dispose();
  });

  it('are garbage when the last of them is, and hold nothing else', () => {
    collectGarbage();
    const before = memory();
    (() => {
      const kept = (() => many(ones(2))[7]!)();
      collectGarbage();
      assert.deepEqual(values(kept), [8, 8]);
    })();
    collectGarbage();
    const after = memory();
    assert.ok(after.tensors <= before.tensors, `${after.tensors - before.tensors} tensors`);
  });

  it('belong to the scope that is open, and to inference mode', () => {
    collectGarbage();
    const before = memory().tensors;
    const [first] = scope(() => [many(ones(2))[1]!]);
    assert.equal(memory().tensors - before, 1);
    assert.deepEqual(values(first!), [2, 2]);
    first!.dispose();
    const [made] = torch.inference_mode(() => many(ones(2))) as [Tensor];
    fails('BAD_ARGUMENT', /inference/i, () => made.requires_grad_());
    const ordinary = many(ones(2))[0]!;
    torch.inference_mode(() => ordinary.shape);
    assert.equal(ordinary.requires_grad_().requires_grad, true);
  });

  it('come with large ones and with arguments, each in its place', () => {
    const mixed = compile((x: Tensor, big: Tensor) => ({
      b: Array.from({ length: COUNT }, (_, i) => x.mul(i)),
      a: big.add(1),
      c: [x, null, x.at(0)] as const,
    }));
    const [x, big] = [ones(2), ones(1000)];
    for (let round = 0; round < 3; round++) {
      const { a, b, c } = mixed(x, big);
      assert.deepEqual(a.shape, [1000]);
      assert.deepEqual(
        b.map(values),
        expected.map(([v]) => [v! - 1, v! - 1]),
      );
      assert.equal(c[0], x);
      assert.equal(c[1], null);
      assert.equal(values(c[2]), 1);
    }
  });

  it('of many calls keep their values, whichever of them is kept, read or dropped', () => {
    const calls = {
      single: compile((x: Tensor) => x.mul(2)),
      integers: compile((x: Tensor) => x.to(torch.int64).sum()),
      pair: compile((x: Tensor) => [x.sum(), x.outer(x).t()] as const),
      nothing: compile((x: Tensor) => x.narrow(0, 0, 0)),
      tree: compile((x: Tensor) => ({ a: x.gt(1), b: { c: x.add(0.5).to(torch.float64) } })),
    };
    const check = [
      (k: number) => [calls.single(torch.tensor([k, 1])), [2 * k, 2]],
      (k: number) => [calls.integers(torch.tensor([k, 1])), k + 1],
      (k: number) => [
        calls.pair(torch.tensor([k, 1]))[1],
        [
          [k * k, k],
          [k, 1],
        ],
      ],
      (k: number) => [calls.nothing(torch.tensor([k, 1])), []],
      (k: number) => [calls.tree(torch.tensor([k, 1])).b.c, [k + 0.5, 1.5]],
    ] as readonly ((k: number) => readonly [Tensor, unknown])[];
    const kept: (readonly [Tensor, unknown])[] = [];
    for (let k = 0; k < 3000; k++) {
      const made = check[k % check.length]!(k);
      if (k % 7 === 0) assert.deepEqual(values(made[0]), made[1]);
      if (k % 13 < 2 || (k > 1000 && k < 1100)) kept.push(made);
      if (k % 500 === 0) collectGarbage();
    }
    collectGarbage();
    for (const [given, wanted] of kept) assert.deepEqual(values(given), wanted);
  });

  it('of many calls leave nothing behind', () => {
    const loss = compile((x: Tensor) => x.sum());
    const step = compile((x: Tensor) => x.mul(0.5));
    const x = ones(16);
    loss(step(x));
    collectGarbage();
    const before = memory();
    (() => {
      let y = x;
      let last = 0;
      for (let i = 0; i < 20_000; i++) {
        y = step(y);
        if (i % 100 === 0) last = loss(y).item() as number;
      }
      assert.equal(last, 0);
    })();
    collectGarbage();
    const after = memory();
    assert.ok(after.tensors <= before.tensors + 1, `${after.tensors - before.tensors} tensors`);
  });

  it('live on when another thread that made some ends', async () => {
    const file = require.resolve('../../lib/index.js');
    const code = `const torch = require(${JSON.stringify(file)});
      const f = torch.compile((x) => x.add(1));
      const kept = [];
      for (let i = 0; i < 100; i++) kept.push(f(torch.full([2], i)));
      require('node:worker_threads').parentPort.postMessage(kept[70].tolist());`;
    const worker = new Worker(code, { eval: true });
    const exit = once(worker, 'exit');
    assert.deepEqual(await once(worker, 'message'), [[71, 71]]);
    assert.deepEqual(await exit, [0]);
    assert.deepEqual(many(ones(2)).map(values), expected);
  });

  it('are not made by anybody else', () => {
    const Tensor = native().Tensor.prototype.constructor as unknown as new (...args: unknown[]) => Tensor;
    fails('BAD_ARGUMENT', /torch\.tensor\(data\)/, () => new Tensor());
    fails('BAD_ARGUMENT', /torch\.tensor\(data\)/, () => new Tensor({}, 1));
    const forged = Object.create(Tensor.prototype) as Tensor;
    fails('BAD_ARGUMENT', /must be a Tensor/, () => forged.shape);
    fails('BAD_ARGUMENT', /must be a Tensor|tensor/i, () => ones(2).add(forged));
    assert.equal(torch.is_tensor(forged), false);
    assert.equal(forged.disposed, true);
  });
});
