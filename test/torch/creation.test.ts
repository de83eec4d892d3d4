/** @file Making tensors: from data, by factories, of every dtype. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { tensor } = torch;

describe('torch.tensor', () => {
  it('numbers become float32, bigints int64, booleans bool', () => {
    assert.equal(tensor(1).dtype, 'float32');
    assert.equal(tensor([1, 2]).dtype, 'float32');
    assert.equal(tensor([1n, 2n]).dtype, 'int64');
    assert.equal(tensor([true, false]).dtype, 'bool');
    assert.equal(tensor([1n, 2]).dtype, 'float32');
    assert.equal(tensor([true, 1n]).dtype, 'int64');
  });

  it('nested arrays of any depth, 0-d and empty', () => {
    assert.deepEqual([...tensor([[[1], [2]]]).shape], [1, 2, 1]);
    assert.deepEqual([...tensor(5).shape], []);
    assert.deepEqual([...tensor([]).shape], [0]);
    assert.deepEqual([...tensor([[], []]).shape], [2, 0]);
  });

  it('complex numbers as { re, im } and Scalar.complex', () => {
    const z = tensor([{ re: 1, im: 2 }, 3]);
    assert.equal(z.dtype, 'complex64');
    assert.deepEqual(z.tolist(), [
      { re: 1, im: 2 },
      { re: 3, im: 0 },
    ]);
    assert.deepEqual(tensor(torch.Scalar.complex(1, -1)).tolist(), { re: 1, im: -1 });
  });

  it('elements of several kinds are named with their place', () => {
    fails('BAD_ARGUMENT', /data\[1\]\[0\] must be a number/, () => tensor([[1], ['2']] as never));
    fails('BAD_ARGUMENT', /data\[1\] has 1 elements, expected 2/, () => tensor([[1, 2], [3]]));
    fails('BAD_ARGUMENT', /data\[1\] must be an array of 2/, () => tensor([[1, 2], 3]));
    fails('BAD_ARGUMENT', /data\[0\]\[1\] is an array/, () => tensor([[1, [2]]]));
  });

  it('as_tensor gives a tensor back, or what the options make of it', () => {
    const x = torch.ones(2, { requires_grad: true });
    assert.equal(torch.as_tensor(x), x);
    assert.equal(torch.as_tensor(x, { dtype: 'float32', device: 'cpu' }), x);
    assert.equal(torch.as_tensor(x, { dtype: 'float64' }).requires_grad, true);
    assert.equal(torch.as_tensor([1, 2], { dtype: 'int8' }).dtype, 'int8');
    assert.deepEqual(torch.as_tensor(new Float64Array([1])).tolist(), [1]);
    fails('BAD_ARGUMENT', /as_tensor.*'float'/, () => torch.as_tensor(x, { dtype: 'float' as never }));
  });

  it('Scalar.int and Scalar.float say the kind of a number', () => {
    assert.equal(tensor([torch.Scalar.int(1)]).dtype, 'int64');
    assert.equal(tensor([torch.Scalar.float(1)]).dtype, 'float32');
  });

  it('every dtype by name, as a string or as torch.float64', () => {
    for (const dtype of [
      'float32',
      'float64',
      'float16',
      'bfloat16',
      'int8',
      'int16',
      'int32',
      'int64',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
      'bool',
    ] as const) {
      const t = tensor([0, 1, 1], { dtype });
      assert.equal(t.dtype, dtype);
      assert.deepEqual(t.tolist(), dtype === 'bool' ? [false, true, true] : [0, 1, 1]);
    }
    assert.equal(torch.float64, 'float64');
    assert.equal(tensor([1], { dtype: torch.float64 }).dtype, torch.float64);
  });

  it('typed arrays keep their own dtype and are copied', () => {
    const data = new Float64Array([1, 2]);
    const t = tensor(data);
    data[0] = 9;
    assert.equal(t.dtype, 'float64');
    assert.deepEqual(t.tolist(), [1, 2]);
    assert.equal(tensor(new Int32Array(2)).dtype, 'int32');
    assert.equal(tensor(new Uint8ClampedArray(2)).dtype, 'uint8');
    assert.equal(tensor(new BigInt64Array(2)).dtype, 'int64');
    assert.equal(tensor(new Float64Array(2), { dtype: 'float32' }).dtype, 'float32');
  });

  it('a typed array that is a window of a larger buffer', () => {
    const window = new Float32Array([0, 1, 2, 3, 4]).subarray(1, 3);
    assert.deepEqual(tensor(window).tolist(), [1, 2]);
  });

  it('one-element tensors among the elements, and a tensor as data', () => {
    const x = torch.arange(3);
    assert.deepEqual(
      tensor([
        [x.at(0), x.at(1)],
        [x.at(2), 7n],
      ] as never).tolist(),
      [
        [0, 1],
        [2, 7],
      ],
    );
    const copy = tensor(x);
    x.add_(1);
    assert.deepEqual(copy.tolist(), [0, 1, 2]);
  });

  it('requires_grad', () => {
    assert.equal(tensor([1], { requires_grad: true }).requires_grad, true);
    fails('BAD_ARGUMENT', /floating|complex/, () => tensor([1n], { requires_grad: true }));
  });

  it('refuses ragged nesting, wrong elements and unknown keywords, with the path', () => {
    fails('BAD_ARGUMENT', /data\[1\] has 1 elements, expected 2/, () => tensor([[1, 2], [3]]));
    fails('BAD_ARGUMENT', /data\[1\]/, () => tensor([[1], 2]));
    fails('BAD_ARGUMENT', /string/, () => tensor(['a'] as never));
    fails('BAD_ARGUMENT', /./, () => tensor([null] as never));
    fails('BAD_ARGUMENT', /./, () => tensor(undefined as never));
    fails('BAD_ARGUMENT', /./, () => tensor([Symbol('x')] as never));
    fails('BAD_ARGUMENT', [/'dtpye'/, /dtype/], () => tensor([1], { dtpye: 'float32' } as never));
    fails('BAD_ARGUMENT', [/float33/, /float32/], () => tensor([1], { dtype: 'float33' as never }));
  });

  it('refuses NaN and fractions beyond int64 where an integer is needed', () => {
    fails('BAD_ARGUMENT', /./, () => tensor([Number.NaN], { dtype: 'int64' }));
    fails('BAD_ARGUMENT', /./, () => tensor([2n ** 70n]));
  });
});

describe('factories', () => {
  it('shapes as an array or as arguments', () => {
    assert.deepEqual([...torch.zeros([2, 3]).shape], [2, 3]);
    assert.deepEqual([...torch.zeros(2, 3).shape], [2, 3]);
    assert.deepEqual([...torch.zeros(2, 3, { dtype: 'int32' }).shape], [2, 3]);
    assert.deepEqual([...torch.zeros([]).shape], []);
    assert.deepEqual([...torch.rand(0, 3).shape], [0, 3]);
  });

  it('zeros, ones, full, eye, empty, linspace, logspace', () => {
    assert.deepEqual(torch.zeros(2).tolist(), [0, 0]);
    assert.deepEqual(torch.ones(2, { dtype: 'int64' }).tolist(), [1, 1]);
    assert.deepEqual(torch.full([2], 1.5).tolist(), [1.5, 1.5]);
    assert.deepEqual(torch.eye(2).tolist(), [
      [1, 0],
      [0, 1],
    ]);
    assert.deepEqual([...torch.empty(3).shape], [3]);
    assert.deepEqual(torch.linspace(0, 1, 3).tolist(), [0, 0.5, 1]);
    assert.deepEqual(torch.logspace(0, 2, 3).tolist(), [1, 10, 100]);
  });

  it('full: numbers are float32, bigints int64, booleans bool', () => {
    assert.equal(torch.full([1], 2).dtype, 'float32');
    assert.equal(torch.full([1], 2n).dtype, 'int64');
    assert.equal(torch.full([1], true).dtype, 'bool');
  });

  it('arange of integers is int64, of fractions float32', () => {
    assert.equal(torch.arange(3).dtype, 'int64');
    assert.equal(torch.arange(0, 1, 0.5).dtype, 'float32');
    assert.deepEqual(torch.arange(1, 10, 3).tolist(), [1, 4, 7]);
    assert.deepEqual(torch.arange(3, { dtype: 'float64' }).tolist(), [0, 1, 2]);
  });

  it('the same seed gives the same numbers, also with a generator of one’s own', () => {
    torch.manual_seed(3);
    const a = torch.randn(4).tolist();
    torch.manual_seed(3);
    assert.deepEqual(torch.randn(4).tolist(), a);
    const g = new torch.Generator().manual_seed(3);
    assert.deepEqual(torch.randn([4], { generator: g }).tolist(), a);
    assert.equal(g.initial_seed(), 3n);
    assert.equal(torch.initial_seed(), 3n);
  });

  it('randint and randperm are int64 and in range', () => {
    const r = torch.randint(0, 5, [100]);
    assert.equal(r.dtype, 'int64');
    assert.ok((r.min().item() as number) >= 0 && (r.max().item() as number) < 5);
    assert.deepEqual((torch.randperm(5).tolist() as number[]).sort(), [0, 1, 2, 3, 4]);
  });

  it('requires_grad and device as keywords', () => {
    assert.equal(torch.zeros(2, { requires_grad: true }).requires_grad, true);
    assert.equal(torch.ones(2, { device: 'cpu' }).device, torch.device('cpu'));
    assert.equal(torch.ones(2, { device: torch.device('cpu') }).device.type, 'cpu');
  });

  it('default dtype', () => {
    torch.set_default_dtype('float64');
    try {
      assert.equal(torch.get_default_dtype(), 'float64');
      assert.equal(tensor([1]).dtype, 'float64');
      assert.equal(torch.zeros(1).dtype, 'float64');
    } finally {
      torch.set_default_dtype('float32');
    }
    assert.equal(torch.zeros(1).dtype, 'float32');
  });

  it('TOO_LARGE or OUT_OF_MEMORY for shapes that cannot be, and the process lives on', () => {
    for (const size of [2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER]) {
      let code = '';
      try {
        torch.zeros(size);
      } catch (e) {
        assert.ok(torch.isJorchError(e), String(e));
        code = e.code;
      }
      assert.ok(['TOO_LARGE', 'OUT_OF_MEMORY', 'BAD_ARGUMENT'].includes(code), `zeros(${size}): ${code || 'no error'}`);
    }
    fails('BAD_ARGUMENT', /negative/, () => torch.zeros(-1));
    fails('BAD_ARGUMENT', /./, () => torch.zeros(1.5));
    fails('BAD_ARGUMENT', /./, () => torch.zeros(Number.NaN));
  });
});
