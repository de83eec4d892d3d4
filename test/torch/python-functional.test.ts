import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { FUNCTIONAL } from '../../lib/torch/generated/python-signatures.js';
import { close, refuses } from './python-check.js';

const { tensor } = torch;
const F = torch.nn.functional;

describe('nn.functional', () => {
  it("has every function of torch's file", () => {
    const missing = Object.keys(FUNCTIONAL).filter((name) => !(name in F) && name !== 'assert_int_or_pair');
    assert.deepEqual(missing, []);
  });
  it('warns once of a target that broadcasts against the input', async () => {
    const heard: string[] = [];
    const listen = ({ name, message }: Error): void => void (name === 'JorchBroadcast' && heard.push(message));
    process.on('warning', listen);
    try {
      const [column, row] = [torch.zeros(3, 1), torch.zeros(3)];
      const losses = [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.mse_loss] as (typeof F.mse_loss)[];
      for (const loss of losses) close(loss(column, row), 0);
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('warning', listen);
    }
    assert.equal(heard.length, 4);
    assert.match(heard[0]!, /mse_loss: the target has shape \[3\], the input \[3, 1\]/);
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
