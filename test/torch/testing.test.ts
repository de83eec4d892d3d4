/** @file torch.testing.assert_close: what PyTorch 2.11 says of the same values. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { ones, tensor } = torch;
const { assert_close } = torch.testing;

/** Throws node:assert's error with these words. */
const differs = (words: RegExp, call: () => void): void => {
  assert.throws(call, (error) => error instanceof assert.AssertionError && words.test(error.message));
};

describe('testing.assert_close', () => {
  it('accepts what is within the tolerances of the dtype', () => {
    assert_close(ones(2), ones(2).add(1e-5));
    assert_close(ones(2, { dtype: 'bfloat16' }), ones(2, { dtype: 'bfloat16' }).mul(1.01));
    assert_close(tensor([1n, 2n]), tensor([1n, 2n]));
    assert_close(ones(0), ones(0));
    assert_close(1, 1 + 1e-9);
    assert_close(ones(2), ones(2).add(0.5), { rtol: 0, atol: 0.6 });
    assert_close(tensor([Number.NaN]), tensor([Number.NaN]), { equal_nan: true });
    assert_close(ones(2), ones(2, { dtype: 'float64' }), { check_dtype: false });
    assert_close({ a: [ones(1)], b: new Map([['c', 1]]) }, { a: [ones(1)], b: new Map([['c', 1]]) });
  });

  it('says how many elements differ, and where most', () => {
    differs(
      /not close![\s\S]*Mismatched elements: 1 \/ 3 \(33\.3%\)\nGreatest absolute difference: 3 at index \(1,\)[\s\S]*relative difference: 0\.6000\d* at index \(1,\)/,
      () => assert_close(tensor([1, 2, 3]), tensor([1, 5, 3])),
    );
    differs(/not equal![\s\S]*Greatest absolute difference: 1 at index \(0, 1\)\n/, () =>
      assert_close(tensor([[1n, 2n]]), tensor([[1n, 3n]])),
    );
    differs(/Expected 2 but got 1/, () => assert_close(tensor(1), tensor(2)));
    differs(/NaN at index \(0,\)/, () => assert_close(tensor([Number.NaN]), tensor([Number.NaN])));
    differs(/not close/, () => assert_close(torch.complex(ones(2), ones(2)), torch.complex(ones(2), ones(2).neg())));
  });

  it('compares shapes, dtypes and nested values, and names the place', () => {
    differs(/'shape' do not match: \[2\] != \[3\]/, () => assert_close(ones(2), ones(3)));
    differs(/'dtype' do not match: float32 != float64/, () => assert_close(ones(2), ones(2, { dtype: 'float64' })));
    differs(/stride\(\)/, () => assert_close(ones(2, 3).t(), ones(3, 2), { check_stride: true }));
    differs(/for item \[a\]\[1\]/, () => assert_close({ a: [ones(1), ones(1)] }, { a: [ones(1), ones(1).neg()] }));
    differs(/length of the sequences mismatch: 1 != 2/, () => assert_close([1], [1, 2]));
    differs(/Missing keys in the actual mapping: b/, () => assert_close({ a: 1 }, { b: 1 }));
    differs(/^mine$/, () => assert_close(1, 2, { msg: 'mine' }));
    differs(/^so: Scalars/, () => assert_close(1, 2, { msg: (text) => `so: ${text}` }));
  });

  it('refuses what it cannot compare and options it does not have', () => {
    fails('BAD_ARGUMENT', /a tensor and number/, () => assert_close(ones(1), 1));
    fails('BAD_ARGUMENT', /both/, () => assert_close(ones(1), ones(1), { rtol: 1 }));
    fails('BAD_ARGUMENT', /'tol'/, () => assert_close(ones(1), ones(1), { tol: 1 } as never));
  });
});

describe('tensors and deep equality', () => {
  it('two tensors are never deep-equal, whatever they hold; one is to itself', () => {
    const x = ones(2);
    assert.notDeepStrictEqual(x, ones(2));
    assert.notDeepEqual({ a: [x] }, { a: [ones(2)] });
    assert.deepStrictEqual({ a: [x] }, { a: [x] });
  });
});
