/** @file Views, indexing, matrix products, convolutions, pooling, linear algebra and FFTs against eager, with gradients. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, NUMBERS, sample } from './table.js';

const F = torch.nn.functional;
const d64 = (...shape: number[]): Tensor => sample(shape, 'float64');
const spd = (n: number): Tensor => {
  const a = d64(n, n);
  return a.matmul(a.t()).add(torch.eye(n, { dtype: 'float64' }).mul(n));
};

describe('lowering: structure', () => {
  it('views and rearrangements agree for every dtype', () => {
    const table: Readonly<Record<string, (x: Tensor) => Tensor>> = {
      transpose: (x) => x.transpose(0, 2),
      narrow: (x) => x.narrow(1, 1, 2),
      select: (x) => x.select(-1, -2),
      diagonal: (x) => x.diagonal(1, 0, 2),
      unfold: (x) => x.unfold(1, 2, 2),
      expand: (x) => x.unsqueeze(0).expand([2, -1, -1, -1]),
      flip: (x) => x.flip([0, 2]),
      roll: (x) => x.roll([1, -2], [0, 1]),
      repeat: (x) => x.repeat([2, 1, 1, 2]),
      tril: (x) => x.tril(-1),
      cat: (x) => torch.cat([x, x.add(1)], 1),
    };
    for (const [name, f] of Object.entries(table)) {
      for (const dtype of NUMBERS) agree(`${name} of ${dtype}`, (x) => f(x!), [sample([3, 4, 5], dtype)]);
      agreeGrad(name, (x) => f(x!), [d64(3, 4, 5)]);
    }
  });

  it('as_strided reads the memory of its strided input', () => {
    agree('as_strided', (x) => x!.as_strided([2, 3], [4, 1], 3), [sample([4, 5]).t()]);
  });

  it('gather, scatter and index operations agree', () => {
    const at = torch.tensor(
      [
        [0, 1, 1],
        [2, 0, 2],
      ],
      { dtype: 'int64' },
    );
    const rows = torch.tensor([2, 0, 2], { dtype: 'int64' });
    agreeGrad('gather', (x) => x!.gather(1, at), [d64(3, 4)]);
    agree('scatter_add', (x, s) => x!.scatter_add(1, at, s!), [sample([3, 4]), sample([2, 3])]);
    for (const reduce of ['sum', 'prod', 'mean', 'amax', 'amin'] as const) {
      for (const include_self of [true, false]) {
        const f = (x?: Tensor, s?: Tensor) => x!.scatter_reduce(1, at, s!, reduce, { include_self });
        agree(`scatter_reduce ${reduce}`, f, [sample([3, 4]), sample([2, 3])]);
      }
    }
    agreeGrad('index_select', (x) => x!.index_select(0, rows), [d64(3, 4)]);
    agree('index_add', (x, s) => x!.index_add(0, rows, s!), [sample([3, 4]), sample([3, 4])]);
    agree('index_put', (x, s) => x!.index_put([rows], s!, true), [sample([3, 4]), sample([3, 4])]);
    agree('masked_fill', (x) => x!.masked_fill(x!.gt(0), -1), [sample([3, 4])]);
  });

  it('matrix products agree, also without elements', () => {
    for (const dtype of ['float32', 'float64', 'int64'] as const) {
      agree(`mm of ${dtype}`, (x, y) => x!.mm(y!), [sample([3, 4], dtype), sample([4, 2], dtype)]);
    }
    agree('mm over nothing', (x, y) => x!.mm(y!), [torch.zeros([3, 0]), torch.zeros([0, 2])]);
    agreeGrad('addmm', (c, x, y) => torch.addmm(c!, x!, y!, { beta: 2, alpha: 3 }), [d64(2), d64(3, 4), d64(4, 2)]);
    agreeGrad('attention', (q, k, v) => F.scaled_dot_product_attention(q!, k!, v!), [
      d64(1, 2, 4, 8),
      d64(1, 2, 5, 8),
      d64(1, 2, 5, 8),
    ]);
  });

  it('convolutions agree with groups, dilation and transposition', () => {
    agreeGrad('conv2d', (x, w, c) => F.conv2d(x!, w!, c!, 2, 1, 2, 2), [d64(2, 4, 9, 8), d64(6, 2, 3, 3), d64(6)]);
    agreeGrad('conv1d', (x, w) => F.conv1d(x!, w!), [d64(2, 3, 7), d64(4, 3, 3)]);
    agreeGrad('conv_transpose2d', (x, w) => F.conv_transpose2d(x!, w!, undefined, 2, 1, 1, 2), [
      d64(2, 4, 5, 4),
      d64(4, 3, 3, 3),
    ]);
  });

  it('pooling agrees with padding and ceil_mode', () => {
    agreeGrad('max_pool2d', (x) => F.max_pool2d(x!, 3, 2, 1, 1, true), [d64(2, 3, 7, 8)]);
    agreeGrad('avg_pool2d', (x) => F.avg_pool2d(x!, 3, 2, 1, true, false), [d64(2, 3, 7, 8)]);
    agreeGrad('adaptive_avg_pool2d', (x) => F.adaptive_avg_pool2d(x!, [3, 5]), [d64(2, 3, 7, 8)]);
  });

  it('normalisations and losses agree', () => {
    agreeGrad('layer_norm', (x, w, c) => F.layer_norm(x!, [6], w!, c!), [d64(2, 3, 6), d64(6), d64(6)]);
    agreeGrad('group_norm', (x, w, c) => F.group_norm(x!, 2, w!, c!), [d64(2, 4, 3), d64(4), d64(4)]);
    const target = torch.tensor([1, 0, 3], { dtype: 'int64' });
    agreeGrad('cross_entropy', (x) => F.cross_entropy(x!, target), [d64(3, 4)]);
    agreeGrad('mse_loss', (x, y) => F.mse_loss(x!, y!), [d64(3, 4), d64(3, 4)]);
  });

  it('linear algebra agrees', () => {
    const b = d64(4, 2);
    agreeGrad('cholesky', (a) => torch.linalg.cholesky_ex(a!.add(a!.t()))[0]!, [spd(4)]);
    agree('solve', (a, y) => torch.linalg.solve_ex(a!, y!)[0]!, [spd(4), b]);
    agree('solve with a strided matrix', (a, y) => torch.linalg.solve_ex(a!.t(), y!)[0]!, [d64(4, 4), b]);
    agree('det', (a) => torch.linalg.det(a!), [d64(4, 4)]);
    agree('qr', (a) => [...torch.linalg.qr(a!)] as Tensor[], [d64(5, 3)]);
    agree('eigvalsh', (a) => torch.linalg.eigvalsh(a!), [spd(5)]);
    agree('singular values', (a) => torch.linalg.svdvals(a!), [d64(5, 3)]);
  });

  it('Fourier transforms agree for every normalisation', () => {
    for (const norm of ['backward', 'ortho', 'forward'] as const) {
      agree(`rfft ${norm}`, (x) => torch.view_as_real(torch.fft.rfft(x!, undefined, -1, norm)), [d64(3, 7)]);
      agree(`irfft ${norm}`, (x) => torch.fft.irfft(torch.fft.rfft(x!), 7, -1, norm), [d64(3, 7)]);
    }
  });

  it('interpolation and padding agree', () => {
    agreeGrad('reflect', (x) => F.pad(x!, [1, 2], 'reflect'), [d64(2, 3, 5)]);
    agreeGrad('bilinear', (x) => F.interpolate(x!, { size: [7, 4], mode: 'bilinear' }), [d64(1, 2, 5, 6)]);
  });
});
