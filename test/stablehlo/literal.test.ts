/** @file Numbers are printed exactly, whatever the dtype. */
import assert from 'node:assert/strict';
import { denseText, elementText, splatText } from '../../lib/stablehlo/literal.js';

describe('stablehlo literals', () => {
  it('prints floats with a point and an exponent where needed', () => {
    assert.equal(elementText(2, 'float32'), '2.0');
    assert.equal(elementText(0.1, 'float64'), '0.1');
    assert.equal(elementText(1e-7, 'float32'), '1.0e-7');
    assert.equal(elementText(1.5e300, 'float64'), '1.5e+300');
    assert.equal(elementText(-0, 'float32'), '-0.0');
  });

  it('prints NaN and infinities as bits', () => {
    assert.equal(elementText(NaN, 'float32'), '0x7FC00000');
    assert.equal(elementText(Infinity, 'float64'), '0x7FF0000000000000');
    assert.equal(elementText(-Infinity, 'float16'), '0xFC00');
    assert.equal(elementText(NaN, 'bfloat16'), '0x7FC0');
  });

  it('turns what overflows the dtype into an infinity', () => {
    assert.equal(elementText(1e39, 'float32'), '0x7F800000');
    assert.equal(elementText(-70000, 'float16'), '0xFC00');
    assert.equal(elementText(65504, 'float16'), '65504.0');
  });

  it('wraps and truncates integers as C++ does', () => {
    assert.equal(elementText(300, 'uint8'), '44');
    assert.equal(elementText(-1, 'uint8'), '255');
    assert.equal(elementText(200, 'int8'), '-56');
    assert.equal(elementText(-2.7, 'int32'), '-2');
    assert.equal(elementText(9223372036854775807n, 'int64'), '9223372036854775807');
    assert.throws(() => elementText(NaN, 'int32'), /NaN is not a value of int32/);
  });

  it('prints booleans and complex numbers', () => {
    assert.equal(elementText(2, 'bool'), 'true');
    assert.equal(elementText(0, 'bool'), 'false');
    assert.equal(elementText({ re: 1, im: -2.5 }, 'complex64'), '(1.0, -2.5)');
    assert.equal(elementText(3, 'complex128'), '(3.0, 0.0)');
  });

  it('nests lists by shape and splats equal elements', () => {
    assert.equal(denseText([1, 2, 3, 4], [2, 2], 'int32'), 'dense<[[1, 2], [3, 4]]>');
    assert.equal(denseText([7, 7, 7], [3], 'int32'), 'dense<7>');
    assert.equal(denseText([], [0, 2], 'int32'), 'dense<>');
    assert.equal(splatText(1, 'float32'), 'dense<1.0>');
  });
});
