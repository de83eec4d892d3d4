/** @file Calls of ATen operators by torch's argument rules: overloads, keywords, scalars, lists, several results. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { ones, tensor } = torch;

describe('arguments', () => {
  const x = torch.arange(6, { dtype: 'float32' }).reshape([2, 3]);

  it('positional, keywords, and keywords after any number of positionals mean the same', () => {
    for (const y of [
      x.sum(1, true),
      x.sum(1, { keepdim: true }),
      x.sum({ dim: 1, keepdim: true }),
      torch.sum(x, 1, true),
      torch.sum(x, { dim: 1, keepdim: true }),
      torch.sum(x, { dim: [1], keepdim: true }),
    ])
      assert.deepEqual(y.tolist(), [[3], [12]]);
  });

  it('undefined is an omitted argument, null is None', () => {
    assert.deepEqual(torch.clamp(x, undefined, 2).tolist(), torch.clamp(x, null, 2).tolist());
    assert.equal(x.sum(undefined as never).item(), 15);
    assert.deepEqual(x.sum({ dim: undefined as never }).tolist(), 15);
  });

  it('a size as an array or as arguments', () => {
    assert.deepEqual([...x.view(3, 2).shape], [3, 2]);
    assert.deepEqual([...x.view([3, 2]).shape], [3, 2]);
    assert.deepEqual([...x.permute(1, 0).shape], [3, 2]);
    assert.deepEqual([...x.expand([4, 2, 3]).shape], [4, 2, 3]);
  });

  it('overloads by kind of argument', () => {
    assert.deepEqual([...(x.max(1)[0].tolist() as number[])], [2, 5]);
    assert.equal(x.max().item(), 5);
    assert.deepEqual(x.max(ones(2, 3).mul(3)).tolist(), [
      [3, 3, 3],
      [3, 4, 5],
    ]);
    assert.deepEqual(torch.pow(2, tensor([1, 2])).tolist(), [2, 4]);
    assert.deepEqual(tensor([1, 2]).pow(2).tolist(), [1, 4]);
    assert.deepEqual(
      tensor([2, 3])
        .pow(tensor([2, 3]))
        .tolist(),
      [4, 27],
    );
  });

  it('several results: by position, by name, as an iterable', () => {
    const result = x.max(1);
    const [values, indices] = result;
    assert.deepEqual(values.tolist(), [2, 5]);
    assert.deepEqual(indices.tolist(), [2, 2]);
    assert.equal(result.values, values);
    assert.equal(result.indices, indices);
    assert.equal(result.length, 2);
  });

  it('a result list is an array', () => {
    const parts = x.split(1);
    assert.ok(Array.isArray(parts));
    assert.equal(parts.length, 2);
    assert.equal(x.unbind(1).length, 3);
  });

  it('lists of tensors', () => {
    assert.deepEqual([...torch.cat([x, x]).shape], [4, 3]);
    assert.deepEqual([...torch.stack([x, x], 1).shape], [2, 2, 3]);
    assert.deepEqual([...torch.einsum('ij,kj->ik', x, x).shape], [2, 2]);
  });

  it('an array of another realm', () => {
    const foreign = require('node:vm').runInNewContext('[3, 2]') as number[];
    assert.deepEqual([...x.view(foreign).shape], [3, 2]);
  });

  it('out= writes and returns the tensor given', () => {
    const out = torch.zeros(2, 3);
    assert.equal(torch.mul(x, 2, { out }), out);
    assert.deepEqual(out.tolist(), x.mul(2).tolist());
  });

  it('in-place operators return the tensor itself', () => {
    const y = ones(2);
    assert.equal(y.add_(1), y);
    assert.equal(y.mul_(2).sub_(1), y);
  });

  it('string arguments', () => {
    close(torch.div(tensor([7]), 2, { rounding_mode: 'floor' }), tensor([3]));
    fails('BAD_ARGUMENT', /floor/, () => torch.div(tensor([7]), 2, { rounding_mode: 'down' }));
  });

  it('torch.ops.aten reaches every overload by name', () => {
    const { aten } = torch.ops;
    assert.deepEqual((aten!.add!.Tensor!(ones(1), ones(1)) as Tensor).tolist(), [2]);
    assert.deepEqual((aten!.add!(ones(1), 2) as Tensor).tolist(), [3]);
    assert.deepEqual((aten!.relu!.default!(tensor([-1, 1])) as Tensor).tolist(), [0, 1]);
    fails('BAD_ARGUMENT', /add/, () => aten!.add!.Tensr!(ones(1), ones(1)));
  });
});

describe('numbers and promotion', () => {
  const dtypeOf = (t: Tensor): string => t.dtype;

  it('a safe integer is an integer scalar, any other number floating', () => {
    const i = torch.arange(3);
    assert.equal(dtypeOf(i.mul(2)), 'int64');
    assert.equal(dtypeOf(i.mul(2.5)), 'float32');
    assert.equal(dtypeOf(i.mul(-0)), 'float32');
    assert.equal(dtypeOf(i.mul(2 ** 60)), 'float32');
    assert.equal(dtypeOf(i.mul(2n)), 'int64');
    assert.equal(dtypeOf(i.mul(torch.Scalar.float(2))), 'float32');
    assert.equal(dtypeOf(i.mul(torch.Scalar.complex(0, 1))), 'complex64');
    assert.equal(dtypeOf(i.add(true)), 'int64');
  });

  it('promotes as torch does', () => {
    const of = (dtype: Tensor['dtype']): Tensor => ones(2, { dtype });
    assert.equal(dtypeOf(of('float16').add(of('float32'))), 'float32');
    assert.equal(dtypeOf(of('float16').add(of('bfloat16'))), 'float32');
    assert.equal(dtypeOf(of('int8').add(of('uint8'))), 'int16');
    assert.equal(dtypeOf(of('bool').add(of('bool'))), 'bool');
    assert.equal(dtypeOf(of('int32').div(of('int32'))), 'float32');
    assert.equal(dtypeOf(of('float64').add(of('complex64'))), 'complex128');
    assert.equal(dtypeOf(of('float32').add(torch.ones([], { dtype: 'float64' }))), 'float32');
  });

  it('bigints beyond 2^53 are exact', () => {
    const t = tensor([0n]).add(2n ** 60n + 1n);
    assert.deepEqual([...(t.toTypedArray() as BigInt64Array)], [2n ** 60n + 1n]);
  });
});
