/** @file Small results that nobody has looked at are handles without tensors: what is done with them never shows it. */
import assert from 'node:assert/strict';
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
