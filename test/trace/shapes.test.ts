/** @file Shapes, dtypes and strides that the recorder foretells without data, for 0-d, empty, broadcast and strided inputs: those of eager. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const F = torch.nn.functional;
const { linalg } = torch;
type Case = (x: (...shape: number[]) => Tensor, i: (...shape: number[]) => Tensor) => unknown;

/** Operators whose shapes are jorch's own, by family. `x` makes floating tensors, `i` small indices. */
const FAMILIES: Readonly<Record<string, Readonly<Record<string, Case>>>> = {
  pointwise: {
    'abs, angle, isnan of 0-d': (x) => [x().abs(), x().angle(), x().isnan(), torch.complex(x(), x()).abs()],
    'of nothing': (x) => [x(0, 3).abs(), x(0).relu(), x(2, 0).logit(), x(0).nan_to_num(), F.hardtanh(x(0))],
    'of a transposed one': (x) => [x(2, 3).t().relu(), x(2, 3).t().isnan(), F.hardswish(x(2, 3).t())],
    'logical, broadcast': (x) => [
      x(2, 1).logical_and(x(3)),
      x(3).logical_or(x()),
      x().logical_xor(x(2, 1)),
      x(0).logical_not(),
    ],
    'shifts, broadcast': (_, i) => [
      i(2, 1).bitwise_left_shift(i(3)),
      torch.ops.aten!.__lshift__!(i(3), 2),
      i(0).bitwise_right_shift(i()),
    ],
    'floor_divide, remainder, rsub': (x) => [
      x(2, 1).floor_divide(x(3)),
      torch.remainder(5, x(3)),
      torch.rsub(x(3), x(2, 1)),
    ],
    'where, broadcast and promoted': (x, i) => [torch.where(x(2, 1).gt(0), x(3), i()), torch.where(x().gt(0), x(0), 1)],
    'complex and polar': (x) => [torch.complex(x(2, 1), x(3)), torch.polar(x(0), x(0)), torch.polar(x(), x(2))],
    'frexp, mvlgamma': (x) => [...torch.frexp(x(2, 0)), ...torch.frexp(x()), x(3).abs().add(5).mvlgamma(2)],
    'prelu, glu, log_sigmoid': (x) => [
      F.prelu(x(2, 3), x(3)),
      F.prelu(x(), x(1)),
      F.glu(x(4, 6)),
      F.logsigmoid(x()),
      F.logsigmoid(x(0)),
    ],
  },
  reductions: {
    '0-d': (x) => [
      x().max(),
      x().min(),
      x().median(),
      x().nansum(),
      x().prod(),
      x().count_nonzero(),
      ...x().max(0),
      ...x().mode(0),
    ],
    'kept and not': (x) => [
      ...x(2, 3).median(1, true),
      ...x(2, 3).mode(0),
      ...x(2, 3).kthvalue(2, 1, true),
      ...x(2, 3).nanmedian(-1),
    ],
    'along nothing': (x) => [
      x(2, 0).nansum([1]),
      x(2, 0).prod(1),
      x(2, 0).count_nonzero([0]),
      x(0).prod(),
      x(0).nansum(),
    ],
    'of no rows': (x) => [...x(0, 3).max(1), ...x(0, 3).median(1), ...x(0, 3).mode(1), x(0, 3).std([1])],
    moments: (x) => [
      x(2, 3).std(),
      x(2, 3).var([0], { keepdim: true }),
      ...torch.std_mean(x(2, 3), [1]),
      ...torch.var_mean(x(4)),
    ],
    scans: (x) => [
      ...x().cummax(0),
      ...x(0, 3).cummin(0),
      ...x(2, 3).t().cummax(0),
      x(2, 0).logcumsumexp(1),
      x().logcumsumexp(0),
    ],
    products: (x) => [x(3).dot(x(3)), x(0).vdot(x(0)), x(3, 3).trace(), x(0, 0).trace(), torch.histc(x(5), 4)],
    aminmax: (x) => [...torch.aminmax(x()), ...torch.aminmax(x(2, 3), { dim: 1, keepdim: true })],
  },
  indexing: {
    '0-d': (x, i) => [x().index_select(0, i(1)), x().take(i(2, 2)), x().flip(0), x().roll(2)],
    'of nothing': (x, i) => [
      x(3, 2).index_select(1, i(0)),
      x(3).take(i(0, 2)),
      x(0, 2).flip([0, 1]),
      x(2, 0).roll(1, 0),
    ],
    searches: (x, i) => [
      torch.searchsorted(x(4), x(2, 3)),
      torch.searchsorted(x(4), 0.5),
      torch.bucketize(x(2, 0), x(4), { out_int32: true }),
      torch.bucketize(i(3), x(0)),
    ],
    embeddings: (x, i) => [F.embedding(i(0, 2), x(4, 3)), F.embedding(i(), x(4, 3)), F.embedding_bag(i(2, 2), x(4, 3))],
    'repeat, nonzero': (x, i) => [
      torch.repeat_interleave(i(3).mul(0).add(1), { output_size: 3 }),
      torch.nonzero_static(x(2, 3), { size: 4 }),
      torch.nonzero_static(x(), { size: 1 }),
    ],
    channel_shuffle: (x) => [torch.channel_shuffle(x(1, 4, 2), 2), torch.channel_shuffle(x(0, 4, 2, 2), 2)],
  },
  layers: {
    convolutions: (x) => [
      F.conv1d(x(2, 5), x(3, 2, 3)),
      F.conv2d(x(0, 2, 4, 4), x(3, 2, 3, 3)),
      F.conv_transpose1d(x(1, 2, 4), x(2, 3, 3), x(3), 2, 1, 1),
    ],
    pools: (x) => [
      F.adaptive_avg_pool2d(x(1, 4, 4), [2, 3]),
      F.adaptive_avg_pool2d(x(0, 2, 4, 4), 2),
      F.max_pool3d(x(1, 4, 4, 4), 2),
      F.adaptive_avg_pool3d(x(2, 1, 4, 4, 4), 2),
    ],
    'channels last': (x) => {
      const image = (...shape: number[]) => x(...shape).contiguous({ memory_format: 'channels_last' });
      return [
        F.adaptive_avg_pool2d(image(2, 3, 4, 4), 2),
        F.conv2d(image(2, 3, 4, 4), x(4, 3, 3, 3)),
        F.conv_transpose2d(image(2, 3, 4, 4), x(3, 2, 2, 2)),
        F.pad(image(2, 3, 4, 4), [1, 1, 1, 1], 'reflect'),
        image(2, 3, 4, 4).roll(1, 0),
        torch.channel_shuffle(image(2, 4, 3, 3), 2),
        F.pad(image(2, 3, 4, 4), [1, 1, 0, 2], 'replicate'),
        F.pixel_shuffle(image(2, 8, 3, 3), 2),
        F.pixel_unshuffle(image(2, 2, 4, 4), 2),
      ];
    },
    pads: (x) => [
      F.pad(x(1, 3, 3), [1, 1, 0, 2], 'reflect'),
      F.pad(x(2, 1, 3, 3), [1, 0, 0, 1], 'reflect'),
      F.pixel_shuffle(x(0, 8, 3, 3), 2),
      F.pad(x(2, 3, 3, 3), [1, 1, 1, 0, 0, 1], 'reflect'),
      F.pad(x(2, 3, 3, 3), [1, 1, 1, 0, 0, 1], 'replicate'),
    ],
    norms: (x) => [
      F.layer_norm(x(2, 3), [3]),
      F.layer_norm(x(0, 3), [3], x(3), x(3)),
      F.group_norm(x(2, 4, 3), 2),
      F.batch_norm(x(4, 3), x(3), x(3).abs()),
    ],
    losses: (x, i) => [
      F.mse_loss(x(2, 1), x(2, 1), { reduction: 'none' }),
      F.huber_loss(x(), x()),
      F.multi_margin_loss(x(3), i().squeeze()),
      F.binary_cross_entropy(x(2, 0).sigmoid(), x(2, 0).sigmoid()),
    ],
    'windows of images': (x) => [
      F.unfold(x(1, 4, 4), 2),
      F.unfold(x(2, 1, 4, 4), [2, 3], 1, 1, 2),
      F.fold(x(4, 9), [4, 4], 2),
    ],
    grid_sample: (x) => [
      F.grid_sample(x(1, 2, 3, 3), x(1, 4, 5, 2)),
      F.grid_sample(x(1, 2, 3, 3, 3), x(1, 2, 2, 2, 3)),
    ],
  },
  'linear algebra': {
    'of nothing': (x) => [
      linalg.matrix_exp(x(0, 2, 2)),
      linalg.eigvals(x(0, 2, 2)),
      linalg.pinv(x(0, 3)),
      torch.cdist(x(0, 2), x(3, 2)),
      F.pdist(x(1, 2)),
    ],
    'batches, broadcast': (x) => [
      linalg.solve_triangular(x(3, 1, 2, 2), x(4, 2, 3), { upper: true }),
      torch.cdist(x(2, 1, 3, 2), x(4, 5, 2)),
    ],
    factors: (x) => [
      ...torch.geqrf(x(4, 3)),
      linalg.householder_product(x(4, 3), x(2)),
      linalg.matrix_exp(x(2, 2)),
      linalg.eig(x(2, 2))[1],
    ],
    products: (x) => [torch.addbmm(x(3), x(2, 2, 4), x(2, 4, 3)), torch.addbmm(x(), x(0, 2, 4), x(0, 4, 3))],
    transforms: (x) => [
      torch.fft.fft(x(3)),
      torch.fft.rfft(x(2, 5), null, 0),
      torch.fft.irfft(torch.fft.rfft(x(2, 6))),
      torch.fft.fft2(x(2, 3, 4)),
    ],
  },
};

const tensors = (r: unknown): Tensor[] =>
  torch.is_tensor(r) ? [r as Tensor] : [...(r as Iterable<unknown>)].flatMap(tensors);
const described = (t: Tensor): string =>
  `${t.dtype}[${t.shape.join(', ')}] strides ${t.numel() > 0 ? t.stride() : '-'}`;

describe('trace: shapes without data', () => {
  for (const [family, cases] of Object.entries(FAMILIES)) {
    for (const [name, f] of Object.entries(cases)) {
      it(`${family}: ${name}`, () => {
        for (const dtype of ['float32', 'float64'] as const) {
          // The inputs are made outside, so that the program cannot know their values.
          const made: Tensor[] = [];
          const keep = (t: Tensor): Tensor => {
            made.push(t);
            return t;
          };
          const eager = tensors(
            f(
              (...s) => keep(torch.rand(s, { dtype })),
              (...s) => keep(torch.zeros(s, { dtype: 'int64' })),
            ),
          );
          const program = torch.compile((...inputs: Tensor[]) => {
            let next = 0;
            const take = () => inputs[next++]!;
            return tensors(f(take, take));
          });
          const compiled = program(...made) as unknown as Tensor[];
          assert.deepEqual(compiled.map(described), eager.map(described));
        }
      });
    }
  }
});
