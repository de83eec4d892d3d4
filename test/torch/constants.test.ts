/** @file Constants of torch's namespace; limits of dtypes as PyTorch 2.11 gives them. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

describe('finfo, iinfo', () => {
  it('floating dtypes', () => {
    const rows = (['float16', 'bfloat16', 'float32', 'float64', 'complex64'] as const).map((dtype) => {
      const f = torch.finfo(dtype);
      assert.deepEqual([f.min, f.tiny], [-f.max, f.smallest_normal]);
      return [f.dtype, f.bits, f.eps, f.max, f.smallest_normal, f.resolution];
    });
    assert.deepEqual(rows, [
      ['float16', 16, 0.0009765625, 65504, 6.103515625e-5, 0.001],
      ['bfloat16', 16, 0.0078125, 3.3895313892515355e38, 1.1754943508222875e-38, 0.01],
      ['float32', 32, 1.1920928955078125e-7, 3.4028234663852886e38, 1.1754943508222875e-38, 1e-6],
      ['float64', 64, 2.220446049250313e-16, 1.7976931348623157e308, 2.2250738585072014e-308, 1e-15],
      ['float32', 32, 1.1920928955078125e-7, 3.4028234663852886e38, 1.1754943508222875e-38, 1e-6],
    ]);
    assert.equal(torch.finfo().dtype, 'float32');
    fails('BAD_ARGUMENT', /iinfo/, () => torch.finfo('int8'));
  });

  it('integer dtypes; 64 bits as bigints, which tensors of theirs take', () => {
    assert.deepEqual(torch.iinfo('int8'), { bits: 8, dtype: 'int8', max: 127, min: -128 });
    assert.deepEqual(torch.iinfo('uint16'), { bits: 16, dtype: 'uint16', max: 65535, min: 0 });
    const { max, min } = torch.iinfo('int64');
    assert.deepEqual(torch.tensor([min, max]).toTypedArray(), BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n));
    assert.equal(torch.iinfo('uint64').max, 2n ** 64n - 1n);
    for (const dtype of ['float32', 'bool', 'int3'] as const)
      fails('BAD_ARGUMENT', /finfo/, () => torch.iinfo(dtype as 'int8'));
  });

  it('pi, e, inf, nan, newaxis, memory formats', () => {
    assert.deepEqual(
      [torch.pi, torch.e, torch.inf, torch.nan],
      [Math.PI, Math.E, Number.POSITIVE_INFINITY, Number.NaN],
    );
    assert.deepEqual([...torch.ones(2).at(torch.newaxis).shape], [1, 2]);
    const x = torch.ones(1, 2, 3, 3).to({ memory_format: torch.channels_last });
    assert.ok(x.is_contiguous({ memory_format: torch.channels_last }));
  });
});
