/** @file Elements in and out: item, tolist, typed arrays, shared memory, printing, conversion to JavaScript's own kinds. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { tensor } = torch;

describe('reading tensors', () => {
  it('item() is a number, a boolean, or { re, im }', () => {
    assert.equal(tensor(1.5).item(), 1.5);
    assert.equal(tensor([[7n]]).item(), 7);
    assert.equal(tensor(true).item(), true);
    assert.deepEqual(tensor({ re: 1, im: 2 }).item(), { re: 1, im: 2 });
    assert.ok(Number.isNaN(tensor(Number.NaN).item()));
    assert.equal(tensor(1.5, { dtype: 'bfloat16' }).item(), 1.5);
  });

  it('item() of several elements is an error that says so', () => {
    fails('BAD_ARGUMENT', /2 elements/, () => tensor([1, 2]).item());
    fails('BAD_ARGUMENT', /0 elements/, () => tensor([]).item());
  });

  it('an int64 beyond 2^53 throws in item() and tolist(), and is a bigint in toTypedArray()', () => {
    const big = 2n ** 53n + 1n;
    const t = tensor([big, -big]);
    fails('BAD_ARGUMENT', /2\^53|toTypedArray/, () => t.at(0).item());
    fails('BAD_ARGUMENT', [/2\^53/, /toTypedArray/], () => t.tolist());
    assert.deepEqual([...(t.toTypedArray() as BigInt64Array)], [big, -big]);
    assert.equal(t.add(1).sub(1).eq(t).all().item(), true);
    assert.equal(tensor([2n ** 53n - 1n]).item(), Number.MAX_SAFE_INTEGER);
  });

  it('uint64 beyond 2^53 and 2^63', () => {
    const t = tensor(new BigUint64Array([2n ** 64n - 1n]));
    assert.deepEqual([...(t.toTypedArray() as BigUint64Array)], [2n ** 64n - 1n]);
    fails('BAD_ARGUMENT', /./, () => t.item());
  });

  it('tolist() nests as the shape does', () => {
    assert.deepEqual(torch.arange(6).reshape([2, 3]).tolist(), [
      [0, 1, 2],
      [3, 4, 5],
    ]);
    assert.deepEqual(torch.zeros(2, 0).tolist(), [[], []]);
    assert.equal(tensor(3).tolist(), 3);
    assert.deepEqual(tensor([true]).tolist(), [true]);
  });

  it('tolist() and toTypedArray() are row-major whatever the strides', () => {
    const x = torch.arange(6).reshape([2, 3]).t();
    assert.deepEqual(x.tolist(), [
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    assert.deepEqual([...(x.float().toTypedArray() as Float32Array)], [0, 3, 1, 4, 2, 5]);
    assert.deepEqual(tensor([1, 2]).expand([2, 2]).tolist(), [
      [1, 2],
      [1, 2],
    ]);
  });

  it('toTypedArray() has the array of the dtype and is a copy', () => {
    const kinds = {
      float32: Float32Array,
      float64: Float64Array,
      int8: Int8Array,
      int16: Int16Array,
      int32: Int32Array,
      int64: BigInt64Array,
      uint8: Uint8Array,
      uint16: Uint16Array,
      uint32: Uint32Array,
      uint64: BigUint64Array,
      bool: Uint8Array,
      complex64: Float32Array,
      complex128: Float64Array,
      float16: Float32Array,
      bfloat16: Float32Array,
    } as const;
    for (const [dtype, kind] of Object.entries(kinds))
      assert.ok(torch.ones(2, { dtype: dtype as torch.Tensor['dtype'] }).toTypedArray() instanceof kind, dtype);
    const t = torch.zeros(2);
    t.toTypedArray()[0] = 9;
    assert.deepEqual(t.tolist(), [0, 0]);
  });

  it('toTypedArray() of a tensor with conjugate or negative bit resolves it', () => {
    const z = tensor([{ re: 1, im: 2 }]);
    assert.deepEqual([...(z.conj().toTypedArray() as Float32Array)], [1, -2]);
    assert.deepEqual(z.conj().imag.tolist(), [-2]);
  });

  it('await t.ready() gives the tensor', async () => {
    const t = torch.ones(2);
    assert.equal(await t.ready(), t);
  });
});

describe('frombuffer', () => {
  it('shares memory both ways', () => {
    const data = new Float32Array([1, 2, 3]);
    const t = torch.frombuffer(data);
    data[0] = 10;
    assert.deepEqual(t.tolist(), [10, 2, 3]);
    t.mul_(2);
    assert.deepEqual([...data], [20, 4, 6]);
    t.reshape([3, 1]).at('1:').fill_(0);
    assert.deepEqual([...data], [20, 0, 0]);
  });

  it('of a window, of every kind, of nothing', () => {
    const whole = new Float64Array([0, 1, 2, 3]);
    const t = torch.frombuffer(whole.subarray(1, 3));
    t.add_(10);
    assert.deepEqual([...whole], [0, 11, 12, 3]);
    assert.equal(torch.frombuffer(new BigInt64Array(1)).dtype, 'int64');
    assert.equal(torch.frombuffer(new Uint8Array(3)).dtype, 'uint8');
    assert.deepEqual([...torch.frombuffer(new Float32Array(0)).shape], [0]);
  });

  it('keeps the memory alive when the array is forgotten', () => {
    const make = (): torch.Tensor => torch.frombuffer(Float64Array.from({ length: 1 << 16 }, (_, i) => i));
    const t = make();
    for (let i = 0; i < 50; i++) new Float64Array(1 << 16).fill(1);
    assert.equal(t.sum().item(), ((1 << 16) * ((1 << 16) - 1)) / 2);
  });

  it('refuses what is no typed array', () => {
    for (const bad of [[1, 2], new ArrayBuffer(8), 'x', null, undefined, new DataView(new ArrayBuffer(8))])
      fails('BAD_ARGUMENT', /typed array/, () => torch.frombuffer(bad as never));
  });
});

describe('a tensor among JavaScript’s values', () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);

  it('prints as torch does, by String and by console.log', () => {
    assert.equal(String(x), 'tensor([[1., 2.],\n        [3., 4.]])');
    assert.equal(inspect(x), String(x));
    assert.equal(String(torch.arange(3)), 'tensor([0, 1, 2])');
    assert.equal(String(tensor([true, false])), 'tensor([ True, False])');
    assert.equal(String(torch.zeros(2, { dtype: 'float64' })), 'tensor([0., 0.], dtype=torch.float64)');
    assert.equal(String(tensor([1.5, -2]).requires_grad_(true)), 'tensor([ 1.5000, -2.0000], requires_grad=True)');
    assert.equal(String(tensor(3)), 'tensor(3.)');
    assert.equal(String(tensor([])), 'tensor([])');
    assert.match(String(tensor([1]).requires_grad_(true).mul(2)), /tensor\(\[2\.\], grad_fn=<MulBackward\d>\)/);
  });

  it('a disposed tensor prints as such', () => {
    const t = torch.ones(1);
    t.dispose();
    assert.match(String(t), /disposed/);
    assert.match(inspect({ t }), /disposed/);
  });

  it('JSON.stringify gives the nested arrays', () => {
    assert.equal(JSON.stringify({ x }), '{"x":[[1,2],[3,4]]}');
  });

  it('+ throws and says what to write; - * < read one element, and throw for more', () => {
    fails('BAD_ARGUMENT', [/a\.add\(b\)/, /expr/], () => (x as unknown as number) + 1);
    fails('BAD_ARGUMENT', /a\.mul\(b\)/, () => (x as unknown as number) * 2);
    assert.equal(Number(tensor([2.5])), 2.5);
    assert.equal((tensor(3) as unknown as number) > 2, true);
  });

  it('iterates over the first dimension', () => {
    assert.deepEqual(
      [...x].map((row) => row.tolist()),
      [
        [1, 2],
        [3, 4],
      ],
    );
    fails('BAD_ARGUMENT', /0-d/, () => [...tensor(1)]);
  });

  it('is no promise: await gives the tensor itself', async () => {
    assert.equal(await (x as unknown), x);
  });

  it('cannot be made by new', () => {
    const Class = x.constructor as new () => unknown;
    fails('BAD_ARGUMENT', /torch\.tensor/, () => new Class());
  });

  it('an object with a tensor as prototype is no tensor', () => {
    fails('BAD_ARGUMENT', /Tensor/, () => torch.sin(Object.create(x) as torch.Tensor));
    assert.equal(torch.is_tensor(x), true);
    assert.equal(torch.is_tensor({}), false);
  });
});

describe('attributes', () => {
  it('shape, ndim, numel, size, stride, itemsize, nbytes, storage_offset', () => {
    const x = torch.zeros(2, 3, 4, { dtype: 'float64' }).transpose(1, 2);
    assert.deepEqual([...x.shape], [2, 4, 3]);
    assert.deepEqual([x.ndim, x.dim(), x.numel(), x.size(-1), x.size(0)], [3, 3, 24, 3, 2]);
    assert.deepEqual([...x.stride()], [12, 1, 4]);
    assert.equal(x.stride(-1), 4);
    assert.deepEqual([x.itemsize, x.nbytes], [8, 192]);
    assert.equal(x.at(1).storage_offset(), 12);
    fails('BAD_ARGUMENT', /dimension 5/, () => x.size(5));
  });

  it('T, mT, H, real, imag, data', () => {
    const x = torch.arange(6).reshape([2, 3]);
    assert.deepEqual([...x.T.shape], [3, 2]);
    assert.deepEqual([...x.mT.shape], [3, 2]);
    assert.equal(x.real, x);
    fails('BAD_ARGUMENT', /complex/, () => x.imag);
    const z = tensor([{ re: 1, im: 2 }]);
    assert.deepEqual([z.real.tolist(), z.imag.tolist()], [[1], [2]]);
    z.real.fill_(7);
    assert.deepEqual(z.tolist(), [{ re: 7, im: 2 }]);
  });

  it('devices are interned objects with a name', () => {
    assert.equal(torch.ones(1).device, torch.device('cpu'));
    assert.equal(String(torch.device('cuda', 1)), 'cuda:1');
    assert.equal(inspect(torch.device('cuda', 1)), "device(type='cuda', index=1)");
    fails('BAD_ARGUMENT', /gpu/, () => torch.device('gpu'));
  });

  it('to: dtype, device, another tensor, copies', () => {
    const x = torch.ones(2);
    assert.equal(x.to('int32').dtype, 'int32');
    assert.equal(x.to('cpu').dtype, 'float32');
    assert.equal(x.to('cpu', 'float64').dtype, 'float64');
    assert.equal(x.to(torch.ones(1, { dtype: 'int8' })).dtype, 'int8');
    assert.equal(x.to({ dtype: 'bool' }).dtype, 'bool');
    assert.equal(x.to('double' as 'float64').dtype, 'float64');
    fails('BAD_ARGUMENT', /^to: 'mps' is neither a dtype \(float32, .*\) nor a device/, () => x.to('mps'));
    assert.equal(x.double().float().half().int().long().bool().dtype, 'bool');
  });
});
