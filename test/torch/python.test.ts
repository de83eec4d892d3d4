import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { FUNCTIONAL } from '../../lib/torch/generated/python-signatures.js';
import { bindArguments, nearest } from '../../lib/torch/python-call.js';

const { tensor } = torch;
const F = torch.nn.functional;

/** Elements within 1e-5 of what is expected, nested alike. */
function close(actual: unknown, expected: unknown): void {
  const list = torch.is_tensor(actual) ? actual.tolist() : actual;
  const compare = (a: unknown, b: unknown): void => {
    if (Array.isArray(b)) {
      assert.ok(
        Array.isArray(a) && a.length === b.length,
        `${JSON.stringify(list)} is not shaped like ${JSON.stringify(expected)}`,
      );
      b.forEach((x, i) => void compare(a[i], x));
    } else if (typeof b === 'number' && typeof a === 'number')
      assert.ok(
        Object.is(a, b) || a === b || Math.abs(a - b) < 1e-5,
        `${JSON.stringify(list)} is not ${JSON.stringify(expected)}`,
      );
    else assert.deepEqual(a, b);
  };
  compare(list, expected);
}
const refuses = (run: () => unknown, message: RegExp): void => {
  assert.throws(
    run,
    (e: unknown) => torch.isJorchError(e) && e.code === 'BAD_ARGUMENT' && message.test(e.message),
    String(message),
  );
};

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
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);

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

describe('nn.functional', () => {
  it("has every function of torch's file", () => {
    const missing = Object.keys(FUNCTIONAL).filter((name) => !(name in F) && name !== 'assert_int_or_pair');
    assert.deepEqual(missing, []);
  });
  it('activates', () => {
    const x = tensor([-2, 0.5, 7]);
    close(F.relu(x), [0, 0.5, 7]);
    close(F.relu6(x), [0, 0.5, 6]);
    close(F.elu(x, { alpha: 2 }), [2 * Math.expm1(-2), 0.5, 7]);
    close(F.leaky_relu(x, 0.1), [-0.2, 0.5, 7]);
    close(F.hardtanh(x, -1, 1), [-1, 0.5, 1]);
    close(F.threshold(x, 1, -9), [-9, -9, 7]);
    close(F.softsign(x), [-2 / 3, 1 / 3, 7 / 8]);
    close(F.tanhshrink(tensor([0.5])), [0.5 - Math.tanh(0.5)]);
    close(F.softmin(tensor([0, Math.log(3)]), 0), [0.75, 0.25]);
    close(F.log_softmax(tensor([[0, 0]]), 1, { dtype: 'float64' }), [[-Math.LN2, -Math.LN2]]);
    close(F.glu(tensor([2, 0])), [1]);
    const y = x.clone();
    F.relu(y, true);
    close(y, [0, 0.5, 7]);
    refuses(() => F.hardtanh(x, 2, 1), /min_val 2 is greater than max_val 1/);
  });
  it('drops elements and channels, scaling the rest', () => {
    torch.manual_seed(0);
    const x = torch.ones(4, 6, 5, 5);
    const values = new Set((F.dropout(x, 0.5).reshape([-1]).tolist() as number[]).values());
    assert.deepEqual([...values].sort(), [0, 2]);
    assert.equal(F.dropout(x, 0.5, false).sum().item(), 600);
    const sums = F.dropout2d(x, 0.5).sum([2, 3]).reshape([-1]).tolist() as number[];
    assert.ok(sums.every((s) => s === 0 || s === 50));
    assert.deepEqual(F.dropout3d(torch.ones(2, 3, 3, 3), 0.5).shape, [2, 3, 3, 3]);
    assert.deepEqual(F.dropout1d(torch.ones(2, 3)).shape, [2, 3]);
    refuses(() => F.dropout(x, 2), /dropout probability has to be between 0 and 1, got 2/);
  });
  it('samples one-hot vectors with a gradient', () => {
    const logits = torch.zeros([3, 4], { requires_grad: true });
    const hard = F.gumbel_softmax(logits, { hard: true });
    close(hard.sum(1), [1, 1, 1]);
    hard.max(1).values.sum().backward();
    assert.ok(logits.grad !== null);
  });
  it('computes losses', () => {
    const x = tensor([1, 2]);
    const y = tensor([0, 4]);
    close(F.mse_loss(x, y), 2.5);
    close(F.mse_loss(x, y, { reduction: 'sum' }), 5);
    close(F.mse_loss(x, y, { weight: tensor([1, 3]) }), 13 / 4);
    close(F.l1_loss(x, y, { reduction: 'none' }), [1, 2]);
    close(F.huber_loss(x, y, { delta: 1 }), 1);
    close(F.smooth_l1_loss(x, y, { beta: 0 }), 1.5);
    close(F.mse_loss(x, y, { size_average: false }), 5);
    const logits = tensor([[0, 0, 0]]);
    close(F.cross_entropy(logits, tensor([1n])), Math.log(3));
    close(F.nll_loss(F.log_softmax(logits, 1), tensor([1n])), Math.log(3));
    close(F.binary_cross_entropy(tensor([0.5]), tensor([1])), Math.LN2);
    close(F.binary_cross_entropy_with_logits(tensor([0]), tensor([1])), Math.LN2);
    close(F.kl_div(tensor([[0, 0]]), tensor([[1, 1]]), { reduction: 'batchmean' }), 0);
    close(
      F.gaussian_nll_loss(tensor([1]), tensor([3]), tensor([4]), { full: true }),
      0.5 * (Math.log(4) + 1) + 0.5 * Math.log(2 * Math.PI),
    );
    close(F.gaussian_nll_loss(tensor([1]), tensor([3]), 4), 0.5 * (Math.log(4) + 1));
    close(F.poisson_nll_loss(tensor([0]), tensor([1])), 1);
    close(F.margin_ranking_loss(tensor([1]), tensor([3]), tensor([1])), 2);
    close(F.hinge_embedding_loss(tensor([0.5]), tensor([-1])), 0.5);
    close(F.soft_margin_loss(tensor([0]), tensor([1])), Math.LN2);
    close(F.multilabel_soft_margin_loss(tensor([[0, 0]]), tensor([[1, 0]])), Math.LN2);
    close(F.multi_margin_loss(tensor([[0, 0]]), tensor([0n])), 0.5);
    close(F.triplet_margin_with_distance_loss(x, x, y, { distance_function: (a, b) => a.sub(b).abs().sum() }), 0);
    refuses(
      () => F.mse_loss(x, y, { reduction: 'average' }),
      /reduction must be 'none', 'mean' or 'sum', got 'average'/,
    );
    refuses(() => F.triplet_margin_loss(x, x, y, { margin: 0 }), /margin must be greater than 0/);
  });
  it('normalizes', () => {
    const x = tensor([
      [1, 3],
      [5, 7],
    ]);
    close(F.layer_norm(x, [2], { eps: 1e-12 }), [
      [-1, 1],
      [-1, 1],
    ]);
    close(F.batch_norm(x, null, null, { training: true, eps: 1e-12 }), [
      [-1, -1],
      [1, 1],
    ]);
    close(F.normalize(tensor([[3, 4]])), [[0.6, 0.8]]);
    close(
      F.group_norm(
        tensor([
          [
            [1, 3],
            [5, 7],
          ],
        ]),
        2,
        { eps: 1e-12 },
      ),
      [
        [
          [-1, 1],
          [-1, 1],
        ],
      ],
    );
    close(
      F.instance_norm(
        tensor([
          [
            [1, 3],
            [5, 7],
          ],
        ]),
        { eps: 1e-12 },
      ),
      [
        [
          [-1, 1],
          [-1, 1],
        ],
      ],
    );
    close(F.rms_norm(tensor([3, 3]), [2], { eps: 0 }), [1, 1]);
    close(F.local_response_norm(torch.ones(1, 2, 1), 2, { alpha: 2, beta: 1, k: 0 }), [[[1], [0.5]]]);
    refuses(() => F.batch_norm(torch.ones(1, 2), null, null, { training: true }), /more than 1 value per channel/);
  });
  it('looks up embeddings', () => {
    const weight = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    close(F.embedding(tensor([2n, 0n]), weight), [
      [5, 6],
      [1, 2],
    ]);
    close(F.embedding_bag(tensor([[0n, 1n]]), weight, { mode: 'sum' }), [[4, 6]]);
    close(F.embedding_bag(tensor([0n, 1n, 2n]), weight, tensor([0n, 2n])), [
      [2, 3],
      [5, 6],
    ]);
    close(F.one_hot(tensor([1n, 0n]), 3), [
      [0, 1, 0],
      [1, 0, 0],
    ]);
    const long = weight.clone();
    F.embedding(tensor([2n]), long, { max_norm: 1 });
    close(long.at(2).norm(), 1);
    refuses(() => F.embedding(tensor([0n]), weight, { padding_idx: 3 }), /padding_idx 3 is outside the 3 rows/);
  });
  it('pools and unpools', () => {
    const x = torch.arange(16, { dtype: 'float32' }).reshape([1, 1, 4, 4]);
    close(F.max_pool2d(x, 2), [
      [
        [
          [5, 7],
          [13, 15],
        ],
      ],
    ]);
    const [values, indices] = F.max_pool2d(x, 2, { return_indices: true });
    close(indices, [
      [
        [
          [5, 7],
          [13, 15],
        ],
      ],
    ]);
    close(F.max_unpool2d(values, indices, 2).sum(), 40);
    close(F.avg_pool2d(x, 2), [
      [
        [
          [2.5, 4.5],
          [10.5, 12.5],
        ],
      ],
    ]);
    close(F.adaptive_avg_pool2d(x, 1), [[[[7.5]]]]);
    close(F.adaptive_max_pool2d(x, [1, 2]), [[[[13, 15]]]]);
    close(F.lp_pool1d(tensor([[[3, 4]]]), 2, 2), [[[5]]]);
    close(F.lp_pool2d(torch.ones(1, 1, 2, 2), 1, 2), [[[[4]]]]);
    assert.deepEqual(F.fractional_max_pool2d(x, 2, { output_size: 2 }).shape, [1, 1, 2, 2]);
    refuses(() => F.max_unpool2d(values, indices, 2, { output_size: [9, 9] }), /dimension 0 must be between 2 and 6/);
  });
  it('resamples and pads', () => {
    const x = tensor([[[1, 2]]]);
    close(F.interpolate(x, { scale_factor: 2 }), [[[1, 1, 2, 2]]]);
    close(F.interpolate(x, { size: 3, mode: 'linear', align_corners: true }), [[[1, 1.5, 2]]]);
    close(F.interpolate(x, { size: 1, mode: 'area' }), [[[1.5]]]);
    close(F.upsample_nearest(x, 4), [[[1, 1, 2, 2]]]);
    close(F.pad(tensor([1, 2]), [1, 1], { value: 9 }), [9, 1, 2, 9]);
    close(F.pad(x, [1, 0], 'replicate'), [[[1, 1, 2]]]);
    const image = torch.arange(4, { dtype: 'float32' }).reshape([1, 1, 2, 2]);
    const grid = F.affine_grid(
      tensor([
        [
          [1, 0, 0],
          [0, 1, 0],
        ],
      ]),
      [1, 1, 2, 2],
      { align_corners: false },
    );
    close(F.grid_sample(image, grid, { align_corners: false }), [
      [
        [
          [0, 1],
          [2, 3],
        ],
      ],
    ]);
    close(F.fold(F.unfold(image, 1), 2, 1), image.tolist());
    refuses(() => F.interpolate(x, {}), /give either size or scale_factor/);
    refuses(
      () => F.interpolate(x, { size: 2, mode: 'bilinear' }),
      /mode 'bilinear' does not fit an input of shape \[1, 1, 2\]/,
    );
  });
  it('attends: with weights and without they agree', () => {
    torch.manual_seed(1);
    const [query, weight, out] = [torch.randn(5, 2, 8), torch.randn(24, 8), torch.randn(8, 8)];
    const run = (need_weights: boolean) =>
      F.multi_head_attention_forward(query, query, query, 8, 2, weight, null, null, null, false, 0, out, null, {
        need_weights,
        training: false,
      });
    const [full, weights] = run(true);
    const [fast, none] = run(false);
    close(fast, full.tolist());
    assert.deepEqual((weights as torch.Tensor).shape, [2, 5, 5]);
    close((weights as torch.Tensor).sum(-1), torch.ones(2, 5).tolist());
    assert.equal(none, null);
    const mask = torch.zeros([2, 5], { dtype: 'bool' });
    mask.setAt([0, 4], true);
    const [, masked] = F.multi_head_attention_forward(
      query,
      query,
      query,
      8,
      2,
      weight,
      null,
      null,
      null,
      false,
      0,
      out,
      null,
      { key_padding_mask: mask },
    );
    close((masked as torch.Tensor).at(0, ':', 4), [0, 0, 0, 0, 0]);
  });
});

describe('masked and signal.windows', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const mask = tensor([
    [true, false, true],
    [false, false, true],
  ]);
  it('leave out masked elements', () => {
    close(torch.masked.sum(x, 1, { mask }), [4, 6]);
    close(torch.masked.mean(x, { dim: 1, mask }), [2, 6]);
    close(torch.masked.amax(x, 0, { mask }), [1, Number.NEGATIVE_INFINITY, 6]);
    close(torch.masked.prod(x, [0, 1], { mask }), 18);
    close(torch.masked.softmax(x, 1, { mask })[Symbol.iterator]().next().value, [
      1 / (1 + Math.exp(2)),
      0,
      1 / (1 + Math.exp(-2)),
    ]);
    close(torch.masked.median(x, 1, { mask }), [1, 6]);
    close(torch.masked.norm(x, 2, 1, { mask }), [Math.sqrt(10), 6]);
    close(torch.masked.var(x, 1, { mask, correction: 0 }), [1, 0]);
    close(torch.masked.std(x, 1, false, { mask }), [1, 0]);
    close(torch.masked.argmin(x, 1, { mask }), [0, 2]);
    close(torch.masked.cumsum(x, 1, { mask }), [
      [1, 1, 4],
      [0, 0, 6],
    ]);
    close(torch.masked.logsumexp(x, 1, { mask }), [Math.log(Math.exp(1) + Math.exp(3)), 6]);
    assert.equal(torch.masked.sum(tensor([true, true])).item(), 2);
  });
  it('make windows', () => {
    const { windows } = torch.signal;
    close(windows.hann(5), [0, 0.5, 1, 0.5, 0]);
    close(windows.hann(4, { sym: false }), [0, 0.5, 1, 0.5]);
    close(windows.bartlett(5), [0, 0.5, 1, 0.5, 0]);
    close(windows.cosine(2), [Math.SQRT1_2, Math.SQRT1_2]);
    close(windows.kaiser(3, { beta: 0 }), [1, 1, 1]);
    close(windows.gaussian(3), [Math.exp(-0.5), 1, Math.exp(-0.5)]);
    close(windows.exponential(3), [Math.exp(-1), 1, Math.exp(-1)]);
    assert.deepEqual(windows.hamming(0).shape, [0]);
    assert.equal(windows.blackman(3, { dtype: 'float64' }).dtype, 'float64');
    assert.ok(windows.nuttall(3, { requires_grad: true }).requires_grad);
    refuses(() => windows.hann(-1), /M must not be negative, got -1/);
    refuses(() => windows.general_cosine(3, { a: [] }), /coefficients must not be empty/);
    refuses(() => windows.kaiser(3, { dtype: 'int64' }), /dtype must be float32 or float64/);
  });
});
