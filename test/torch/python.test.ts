import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { bindArguments, nearest } from '../../lib/torch/python-call.js';
import { close, refuses } from './python-check.js';

const { tensor } = torch;
const F = torch.nn.functional;

describe('arguments of functions that torch writes in Python', () => {
  const parameters = [['input'], ['dim', null], '*', ['keepdim', false]] as const;
  const bind = (...args: unknown[]) => bindArguments('f', parameters, args);

  it('come by position, then as keywords, with defaults for the rest', () => {
    assert.deepEqual(bind(1), { input: 1, dim: null, keepdim: false });
    assert.deepEqual(bind(1, 2, { keepdim: true }), { input: 1, dim: 2, keepdim: true });
    assert.deepEqual(bind(1, undefined), { input: 1, dim: null, keepdim: false });
    assert.deepEqual(bind({ input: 1, dim: 0 }), { input: 1, dim: 0, keepdim: false });
  });
  it("take numpy's names", () => {
    assert.deepEqual(bind({ x: 1, axis: 0, keepdims: true }), { input: 1, dim: 0, keepdim: true });
  });
  it('are refused with the argument named', () => {
    refuses(() => bind(), /f: missing argument 'input'/);
    refuses(() => bind(1, 2, true), /f: takes 2 positional arguments \(input, dim\), got 3/);
    refuses(() => bind(1, 2, { dim: 3 }), /f: 'dim' is given twice/);
    refuses(
      () => bind(1, { keepdims_: true }),
      /f: unknown keyword 'keepdims_'; did you mean 'keepdim'\? It takes input, dim, keepdim\./,
    );
    refuses(
      () => F.relu(tensor([1]), { inplac: true } as never),
      /nn\.functional\.relu: unknown keyword 'inplac'; did you mean 'inplace'\?/,
    );
  });
  it('get a hint only where a slip is likely', () => {
    assert.equal(nearest('dims', ['dim', 'keepdim']), 'dim');
    assert.equal(nearest('banana', ['dim', 'keepdim']), undefined);
  });
});

describe("torch's functions in Python", () => {
  let x: torch.Tensor;
  before(() => {
    x = tensor([
      [1, 2],
      [3, 4],
    ]);
  });

  it('split by one size or by several', () => {
    assert.deepEqual(
      torch.split(torch.arange(5), 2).map((t) => t.tolist()),
      [[0, 1], [2, 3], [4]],
    );
    assert.deepEqual(
      torch
        .arange(5)
        .split([1, 4])
        .map((t) => t.tolist()),
      [[0], [1, 2, 3, 4]],
    );
  });
  it('take operands one by one or as a list', () => {
    close(torch.einsum('ij,jk->ik', x, x), [
      [7, 10],
      [15, 22],
    ]);
    close(torch.einsum('ij->ji', [x]), [
      [1, 3],
      [2, 4],
    ]);
    close(torch.einsum(x, [0, 1], x, [1, 2], [0, 2]), [
      [7, 10],
      [15, 22],
    ]);
    close(torch.cartesian_prod(tensor([1, 2]), tensor([3, 4])), [
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
    ]);
    close(torch.block_diag(tensor([[1]]), tensor([[2]])), [
      [1, 0],
      [0, 2],
    ]);
    assert.deepEqual(torch.broadcast_tensors(tensor([1]), tensor([1, 2]))[0]!.shape, [2]);
    assert.deepEqual(torch.broadcast_shapes([2, 1], [3]), [2, 3]);
    assert.deepEqual(torch.atleast_2d(tensor(1)).shape, [1, 1]);
    assert.deepEqual(
      torch.atleast_2d(tensor(1), x).map((t) => t.shape),
      [
        [1, 1],
        [2, 2],
      ],
    );
    const [rows, columns] = torch.meshgrid(tensor([1, 2]), tensor([3, 4]), { indexing: 'ij' });
    close(rows, [
      [1, 1],
      [2, 2],
    ]);
    close(columns, [
      [3, 4],
      [3, 4],
    ]);
    refuses(() => torch.block_diag(x, 3 as never), /block_diag: argument 1 must be a tensor, got number/);
    refuses(() => torch.broadcast_shapes([2], [3]), /\[2\] and \[3\]/);
  });
  it('have norms of vectors and matrices', () => {
    close(torch.norm(x), Math.sqrt(30));
    close(torch.norm(x, 1, 1), [3, 7]);
    close(x.norm({ dim: 0, p: Number.POSITIVE_INFINITY, keepdim: true }), [[3, 4]]);
    close(torch.norm(x, 'nuc'), 5.8309519);
  });
  it('give distinct elements, with inverse and counts where asked for', () => {
    const y = tensor([3, 1, 3, 2]);
    close(torch.unique(y), [1, 2, 3]);
    const [values, inverse, counts] = torch.unique(y, { return_inverse: true, return_counts: true });
    close(values, [1, 2, 3]);
    close(inverse, [2, 0, 2, 1]);
    close(counts, [1, 1, 2]);
    const [runs, lengths] = tensor([1, 1, 2, 1]).unique_consecutive({ return_counts: true });
    close(runs, [1, 2, 1]);
    close(lengths, [2, 1, 1]);
    close(
      torch.unique(
        tensor([
          [1, 2],
          [1, 2],
          [0, 1],
        ]),
        { dim: 0 },
      ),
      [
        [0, 1],
        [1, 2],
      ],
    );
  });
  it('find and unravel indices', () => {
    close(
      torch.nonzero(
        tensor([
          [0, 1],
          [2, 0],
        ]),
      ),
      [
        [0, 1],
        [1, 0],
      ],
    );
    assert.deepEqual(
      tensor([
        [0, 1],
        [2, 0],
      ])
        .nonzero({ as_tuple: true })
        .map((t) => t.tolist()),
      [
        [0, 1],
        [1, 0],
      ],
    );
    assert.deepEqual(
      torch.unravel_index(torch.arange(6), [2, 3]).map((t) => t.tolist()),
      [
        [0, 0, 0, 1, 1, 1],
        [0, 1, 2, 0, 1, 2],
      ],
    );
  });
  it('measure and contract', () => {
    close(torch.cdist(tensor([[0, 0]]), tensor([[3, 4]])), [[5]]);
    close(torch.tensordot(x, x, 1), [
      [7, 10],
      [15, 22],
    ]);
    close(torch.tensordot(x, x, { dims: [[0], [0]] }), [
      [10, 14],
      [14, 20],
    ]);
    close(torch.tensordot(x, x), 30);
    refuses(() => torch.tensordot(x, x, 3), /tensordot: dims must lie in \[0, 2\], got 3/);
    refuses(() => torch.cdist(x, x, 2, 'fast' as never), /compute_mode must be one of/);
    close(torch.chain_matmul(x, x, x), torch.matmul(torch.matmul(x, x), x).tolist());
  });
  it('take deprecated orders of arguments', () => {
    const y = tensor([1, 2]);
    close(torch.addcmul(y, y, y, { value: 3 }), [4, 14]);
    const old = torch as unknown as Record<'addcmul' | 'add' | 'addmm', (...args: unknown[]) => torch.Tensor>;
    close(old.addcmul(y, 3, y, y), [4, 14]);
    close(old.add(y, 3, y), [4, 8]);
    close(old.addmm(2, x, 3, x, x), x.mul(2).add(x.matmul(x).mul(3)).tolist());
    close((y as unknown as typeof old).add(3, y), [4, 8]);
    close((x as unknown as typeof old).addmm(2, 3, x, x), x.mul(2).add(x.matmul(x).mul(3)).tolist());
    refuses(() => old.add(y, 'three', y), /add/);
  });
  it('factorize', () => {
    const [LU, pivots] = torch.lu(x);
    const [P, L, U] = torch.lu_unpack(LU, pivots);
    close(P.matmul(L).matmul(U), x.tolist());
    const A = torch.randn(6, 2, { dtype: 'float64' }).matmul(torch.randn(2, 4, { dtype: 'float64' }));
    const [left, S, V] = torch.svd_lowrank(A, 2);
    close(left.matmul(S.diag()).matmul(V.mH), A.tolist());
    const [, variances] = torch.pca_lowrank(A, 2);
    close(
      variances,
      torch.linalg
        .svdvals(A.sub(A.mean([0], true)))
        .at('0:2')
        .tolist(),
    );
  });
  it('compute short-time spectra that istft inverts', () => {
    const signal = torch.sin(torch.arange(64, { dtype: 'float32' }));
    const window = torch.hann_window(16);
    const spectrum = torch.stft(signal, 16, { window, return_complex: true });
    assert.deepEqual(spectrum.shape, [9, 17]);
    close(torch.istft(spectrum, 16, { window, length: 64 }), signal.tolist());
  });
});

describe("the Tensor's methods in Python", () => {
  it('cast and describe', () => {
    const x = tensor([1.5, -1.5]);
    assert.deepEqual(
      [x.int(), x.long(), x.double(), x.half(), x.bool()].map((t) => t.dtype),
      ['int32', 'int64', 'float64', 'float16', 'bool'],
    );
    assert.equal(x.type(), 'float32');
    assert.deepEqual([x.dim(), x.numel(), x.element_size(), x.__len__(), x.get_device()], [1, 2, 4, 2, -1]);
    assert.equal(x.new_tensor([1]).dtype, 'float32');
    assert.ok(x.new_zeros([2], { requires_grad: true }).requires_grad);
  });
  it('know whether memory is contiguous', () => {
    const x = torch.zeros(2, 3, 4, 5);
    assert.equal(x.is_contiguous(), true);
    assert.equal(x.transpose(0, 1).is_contiguous(), false);
    const y = x.contiguous({ memory_format: 'channels_last' });
    assert.deepEqual([y.is_contiguous(), y.is_contiguous({ memory_format: 'channels_last' })], [false, true]);
  });
  it("are Python's operators", () => {
    const x = tensor([2, 3]);
    close(x.__radd__(1), [3, 4]);
    close(x.__rsub__(1), [-1, -2]);
    close(x.__rsub__(tensor([1, 1])), [-1, -2]);
    close(x.__rtruediv__(6), [3, 2]);
    close(x.__rpow__(2), [4, 8]);
    close(x.__rmod__(7), [1, 1]);
    close(x.__rfloordiv__(7), [3, 2]);
    close(x.__pow__(2), [4, 9]);
    close(x.__neg__(), [-2, -3]);
    close(tensor([1, 2], { dtype: 'int64' }).__rxor__(3), [2, 1]);
    close(tensor([1, 2], { dtype: 'int64' }).__rlshift__(1), [2, 4]);
    close(x.__getitem__(1), 3);
    assert.equal(x.__contains__(3), true);
    x.__iadd__(1);
    close(x, [3, 4]);
  });
});
