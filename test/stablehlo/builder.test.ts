/** @file The builder prints what XLA parses, computes result types and refuses operands that do not fit. */
import assert from 'node:assert/strict';
import { Builder } from '../../lib/stablehlo/builder.js';
import { type Op, typeText } from '../../lib/stablehlo/types.js';
import type { DType } from '../../lib/torch/dtype.js';

const input = (shape: number[], dtype: DType = 'float32', name = '%x'): Op => ({
  name,
  shape,
  dtype,
  type: typeText(shape, dtype),
});
const lines = (body: (b: Builder) => unknown): readonly string[] => {
  const b = new Builder();
  body(b);
  return b.lines();
};

describe('stablehlo builder', () => {
  it('prints elementwise operations with their type', () => {
    const x = input([2, 3]);
    assert.deepEqual(
      lines((b) => b.add(b.sine(x), b.unary('chlo.erf', x))),
      [
        '%0 = stablehlo.sine %x : tensor<2x3xf32>',
        '%1 = chlo.erf %x : tensor<2x3xf32> -> tensor<2x3xf32>',
        '%2 = stablehlo.add %0, %1 : tensor<2x3xf32>',
      ],
    );
  });

  it('emits identical pure operations once', () => {
    const x = input([4]);
    assert.equal(lines((b) => b.multiply(b.exp(x), b.exp(x))).length, 2);
    assert.equal(lines((b) => b.add(b.fill(x, 1), b.fill(x, 1))).length, 2);
  });

  it('does not merge operations with an effect', () => {
    const call = (b: Builder) => b.customCall('jorch_aten', [], [input([2])], '', true);
    assert.equal(lines((b) => [call(b), call(b)]).length, 2);
  });

  it('gives every operation its result type', () => {
    const b = new Builder();
    const x = input([2, 3, 5]);
    assert.deepEqual(b.transpose(x, [2, 0, 1]).shape, [5, 2, 3]);
    assert.deepEqual(b.broadcast(input([3, 1]), [2, 3, 5]).shape, [2, 3, 5]);
    assert.deepEqual(b.slice(x, [0, 1, 0], [2, 3, 5], [1, 1, 2]).shape, [2, 2, 3]);
    assert.deepEqual(b.pad(x, b.scalar(0, 'float32'), [1, 0, -1], [0, 0, -1], [0, 1, 0]).shape, [3, 5, 3]);
    assert.deepEqual(b.concatenate([x, x], 1).shape, [2, 6, 5]);
    assert.deepEqual(b.reduce(x, b.scalar(0, 'float32'), 'add', [0, 2]).shape, [3]);
    assert.equal(b.compare('LT', x, x).dtype, 'bool');
    assert.equal(b.abs(input([2], 'complex64')).dtype, 'float32');
    assert.equal(b.complex(x, x).dtype, 'complex64');
    const product = b.dot(x, input([2, 5, 7]), { batch: [[0], [0]], contract: [[2], [1]] });
    assert.deepEqual(product.shape, [2, 3, 7]);
  });

  it('handles 0-d tensors and tensors without elements', () => {
    const b = new Builder();
    assert.equal(b.scalar(2, 'float32').type, 'tensor<f32>');
    assert.equal(b.reshape(input([1, 1]), []).type, 'tensor<f32>');
    assert.equal(b.constant(1, [0, 3], 'int64').type, 'tensor<0x3xi64>');
    assert.ok(b.lines().includes('%2 = stablehlo.constant dense<> : tensor<0x3xi64>'));
    assert.deepEqual(b.sliceDim(input([0, 3]), 0, 0, 0).shape, [0, 3]);
  });

  it('leaves out what changes nothing', () => {
    const x = input([2, 3]);
    const b = new Builder();
    const same = [b.reshape(x, [2, 3]), b.transpose(x, [0, 1]), b.broadcast(x, [2, 3]), b.convert(x, 'float32')];
    assert.ok(same.every((y) => y === x));
    assert.equal(b.lines().length, 0);
  });

  it('names values of a region apart from those outside', () => {
    const text = lines((b) =>
      b.reduceMany([input([3])], [b.scalar(0, 'float32')], [0], ([p], [q]) => [b.add(p!, q!)]),
    ).join('\n');
    assert.match(text, /\^bb0\(%a1_0: tensor<f32>, %a1_1: tensor<f32>\):\n%r1_0 = stablehlo.add %a1_0, %a1_1/);
  });

  it('writes a function once for each key and operand type, and calls it', () => {
    const [x, wide] = [input([4]), input([4], 'float64', '%y')];
    const b = new Builder();
    const twice = (key: string, op: Op): Op => b.called(key, [op], (y) => b.add(y, b.exp(y)));
    const results = [twice('f', x), twice('f', x), twice('f', wide), twice('g', x), twice('f', twice('f', x))];
    assert.equal(results[0], results[1]);
    assert.deepEqual(b.lines(), [
      '%0 = func.call @function0(%x) : (tensor<4xf32>) -> tensor<4xf32>',
      '%1 = func.call @function1(%y) : (tensor<4xf64>) -> tensor<4xf64>',
      '%2 = func.call @function2(%x) : (tensor<4xf32>) -> tensor<4xf32>',
      '%3 = func.call @function0(%0) : (tensor<4xf32>) -> tensor<4xf32>',
    ]);
    assert.deepEqual(b.functions().slice(0, 5), [
      'func.func private @function0(%a1_0: tensor<4xf32>) -> tensor<4xf32> {',
      '%r1_0 = stablehlo.exponential %a1_0 : tensor<4xf32>',
      '%r1_1 = stablehlo.add %a1_0, %r1_0 : tensor<4xf32>',
      'return %r1_1 : tensor<4xf32>',
      '}',
    ]);
  });

  it('refuses operands that do not fit, with their types', () => {
    const b = new Builder();
    assert.throws(
      () => b.add(input([2]), input([3])),
      /stablehlo\.add: operands differ: tensor<2xf32> and tensor<3xf32>/,
    );
    assert.throws(() => b.add(input([2]), input([2], 'float64')), /tensor<2xf32> and tensor<2xf64>/);
    assert.throws(() => b.reshape(input([2]), [3]), /stablehlo\.reshape/);
    assert.throws(() => b.broadcast(input([2]), [3]), /stablehlo\.broadcast_in_dim/);
    assert.throws(() => b.slice(input([2]), [0], [3]), /stablehlo\.slice/);
    assert.throws(() => b.select(input([2]), input([2]), input([2])), /a choice by float32/);
    assert.throws(() => b.select(input([3], 'bool'), input([2]), input([2])), /stablehlo\.select: tensor<3xi1>/);
    assert.throws(() => b.constant([1, 2], [3], 'float32'), /2 elements for tensor<3xf32>/);
  });
});
