import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';
import type { DType } from '../../lib/torch/dtype.js';
import { type Element, formatTensor, type Printable, set_printoptions } from '../../lib/torch/format.js';

const print = (shape: readonly number[], data: readonly Element[], more: Partial<Printable> = {}): string =>
  formatTensor({ shape, dtype: 'float32', data, ...more });
const f32 = (values: readonly number[]): number[] => Array.from(Float32Array.from(values));
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** A recorded element: `{ f }` a float and `{ i }` an integer, as text. */
type Recorded = boolean | { f: string } | { i: string } | { re: { f: string }; im: { f: string } };
interface Case {
  shape: number[];
  dtype: DType;
  rg: boolean;
  fn: string | null;
  data: Recorded[];
  text: string;
}
const float = (text: string): number =>
  text === 'inf' ? Number.POSITIVE_INFINITY : text === '-inf' ? Number.NEGATIVE_INFINITY : Number(text);
function element(value: Recorded): Element {
  if (typeof value === 'boolean') return value;
  if ('i' in value) return BigInt(value.i);
  return 'f' in value ? float(value.f) : { re: float(value.re.f), im: float(value.im.f) };
}

describe('formatTensor', () => {
  it('writes what Python writes', () => {
    const { cases } = JSON.parse(readFileSync(join(packageRoot, 'test/data/tensor-prints.json'), 'utf8')) as {
      cases: Case[];
    };
    for (const { shape, dtype, rg, fn, data, text } of cases) {
      assert.equal(formatTensor({ shape, dtype, requires_grad: rg, grad_fn: fn, data: data.map(element) }), text);
    }
  });

  it('writes whole floats with a point and no decimals', () => {
    assert.equal(print([2, 2], [1, 2, 3, 4]), 'tensor([[1., 2.],\n        [3., 4.]])');
    assert.equal(print([3], [-1, 0, 10]), 'tensor([-1.,  0., 10.])');
    assert.equal(print([2], [0, 0]), 'tensor([0., 0.])');
    assert.equal(print([1], [-0]), 'tensor([-0.])');
  });

  it('writes four decimals, all of one width', () => {
    assert.equal(print([3], f32([1.5, -2.25, 100])), 'tensor([  1.5000,  -2.2500, 100.0000])');
    assert.equal(print([2], f32([0.1, 0.2])), 'tensor([0.1000, 0.2000])');
    assert.equal(print([], [3.140000104904175]), 'tensor(3.1400)');
  });

  it('rounds ties to even, as printf does', () => {
    assert.equal(print([2], [0.03125, 0.09375]), 'tensor([0.0312, 0.0938])');
    assert.equal(print([2], [-0.03125, 0.5]), 'tensor([-0.0312,  0.5000])');
  });

  it('turns to scientific notation for wide ranges, large and small values', () => {
    assert.equal(print([2], f32([1e-5, 1])), 'tensor([1.0000e-05, 1.0000e+00])');
    assert.equal(print([2], [1, 1e9]), 'tensor([1.0000e+00, 1.0000e+09])');
    assert.equal(print([1], [1e8]), 'tensor([100000000.])');
    assert.equal(print([2], f32([0, 1e-10])), 'tensor([0.0000e+00, 1.0000e-10])');
    assert.equal(print([1], [1e100], { dtype: 'float64' }), 'tensor([1.0000e+100], dtype=torch.float64)');
    assert.equal(print([2], [1e9, 1000050000]), 'tensor([1.0000e+09, 1.0000e+09])');
  });

  it('writes nan and inf without a point', () => {
    assert.equal(print([3], [Number.NaN, 1, Number.POSITIVE_INFINITY]), 'tensor([nan, 1., inf])');
    assert.equal(print([2], [Number.NEGATIVE_INFINITY, 0.5]), 'tensor([  -inf, 0.5000])');
    assert.equal(print([], [Number.NaN]), 'tensor(nan)');
  });

  it('writes integers and booleans', () => {
    assert.equal(print([3], [1n, -20n, 3n], { dtype: 'int64' }), 'tensor([  1, -20,   3])');
    assert.equal(print([2], [1, 2], { dtype: 'int32' }), 'tensor([1, 2], dtype=torch.int32)');
    assert.equal(print([2], [true, false], { dtype: 'bool' }), 'tensor([ True, False])');
    assert.equal(print([], [9223372036854775807n], { dtype: 'int64' }), 'tensor(9223372036854775807)');
  });

  it('writes complex numbers with a formatter for each part', () => {
    assert.equal(
      print(
        [2],
        [
          { re: 1, im: 2 },
          { re: -1.5, im: -0.25 },
        ],
        { dtype: 'complex64' },
      ),
      'tensor([ 1.0000+2.0000j, -1.5000-0.2500j])',
    );
    assert.equal(print([1], [{ re: 1, im: -1 }], { dtype: 'complex64' }), 'tensor([1.-1.j])');
    assert.equal(print([], [{ re: 0, im: 1 }], { dtype: 'complex128' }), 'tensor(0.+1.j, dtype=torch.complex128)');
  });

  it('leaves the default dtypes unsaid', () => {
    assert.equal(print([1], [1], { dtype: 'float64' }), 'tensor([1.], dtype=torch.float64)');
    assert.equal(print([1], [1], { dtype: 'float64', defaultDtype: 'float64' }), 'tensor([1.])');
    assert.equal(print([1], [1], { dtype: 'float32', defaultDtype: 'float64' }), 'tensor([1.], dtype=torch.float32)');
  });

  it('shows the size of empty tensors', () => {
    assert.equal(print([0], []), 'tensor([])');
    assert.equal(print([0, 3], []), 'tensor([], size=(0, 3))');
    assert.equal(print([0], [], { dtype: 'int64' }), 'tensor([], dtype=torch.int64)');
  });

  it('breaks lines at 80 characters', () => {
    assert.equal(
      print(
        [20],
        range(20).map((i) => i + 0.5),
      ),
      'tensor([ 0.5000,  1.5000,  2.5000,  3.5000,  4.5000,  5.5000,  6.5000,  7.5000,\n' +
        '         8.5000,  9.5000, 10.5000, 11.5000, 12.5000, 13.5000, 14.5000, 15.5000,\n' +
        '        16.5000, 17.5000, 18.5000, 19.5000])',
    );
  });

  it('puts empty lines between matrices', () => {
    assert.equal(
      print([2, 2, 2], range(8), { dtype: 'int64' }),
      'tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])',
    );
  });

  it('shortens tensors of more than 1000 elements, reading their edges only', () => {
    assert.equal(print([1001], range(1001), { dtype: 'int64' }), 'tensor([   0,    1,    2,  ...,  998,  999, 1000])');
    const read: number[] = [];
    const text = formatTensor({
      shape: [100, 100],
      dtype: 'int64',
      data: (i) => {
        read.push(i);
        return i;
      },
    });
    assert.equal(
      text,
      'tensor([[   0,    1,    2,  ...,   97,   98,   99],\n' +
        '        [ 100,  101,  102,  ...,  197,  198,  199],\n' +
        '        [ 200,  201,  202,  ...,  297,  298,  299],\n' +
        '        ...,\n' +
        '        [9700, 9701, 9702,  ..., 9797, 9798, 9799],\n' +
        '        [9800, 9801, 9802,  ..., 9897, 9898, 9899],\n' +
        '        [9900, 9901, 9902,  ..., 9997, 9998, 9999]])',
    );
    assert.equal(new Set(read).size, 36);
  });

  it('appends device, grad_fn or requires_grad', () => {
    assert.equal(print([1], [1], { requires_grad: true }), 'tensor([1.], requires_grad=True)');
    assert.equal(
      print([1], [1], { requires_grad: true, grad_fn: 'AddBackward0' }),
      'tensor([1.], grad_fn=<AddBackward0>)',
    );
    assert.equal(
      print([1], [1], { device: 'cuda:0', dtype: 'float64' }),
      "tensor([1.], device='cuda:0', dtype=torch.float64)",
    );
    assert.equal(
      formatTensor({ shape: [2, 3], dtype: 'float32', device: 'meta' }),
      "tensor(..., device='meta', size=(2, 3))",
    );
    assert.equal(
      print([1], [1], { requires_grad: true, parameter: true }),
      'Parameter containing:\ntensor([1.], requires_grad=True)',
    );
  });

  it('moves a suffix that does not fit to a line of its own', () => {
    const text = print(
      [9],
      range(9).map((i) => i + 0.5),
      { dtype: 'float64' },
    );
    assert.equal(
      text,
      'tensor([0.5000, 1.5000, 2.5000, 3.5000, 4.5000, 5.5000, 6.5000, 7.5000, 8.5000],\n       dtype=torch.float64)',
    );
  });

  it('follows set_printoptions', () => {
    try {
      set_printoptions({ precision: 2, sci_mode: true });
      assert.equal(print([1], [1.5]), 'tensor([1.50e+00])');
      set_printoptions({ profile: 'default' });
      assert.equal(print([1], [1.5]), 'tensor([1.5000])');
      assert.throws(
        () => set_printoptions({ precison: 2 } as object),
        /unknown keyword 'precison'; did you mean 'precision'\?/,
      );
    } finally {
      set_printoptions({ profile: 'default' });
    }
  });
});
