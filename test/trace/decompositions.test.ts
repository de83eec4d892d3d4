/** @file Operators that libtorch's own kernels cannot trace, or not functionalize, against eager. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, sample } from '../lowering/table.js';

describe('trace: statistics', () => {
  it('cov and corrcoef take complex samples, weights and corrections', () => {
    for (const dtype of ['float64', 'complex64'] as const) {
      const x = sample([3, 5], dtype);
      const [f, a] = [torch.tensor([1, 2, 1, 3, 1], { dtype: 'int64' }), torch.rand([5], { dtype: 'float64' })];
      agree(`cov of ${dtype}`, (v) => torch.cov(v!), [x]);
      agree(`corrcoef of ${dtype}`, (v) => torch.corrcoef(v!), [x]);
      agree(`weighted cov of ${dtype}`, (v) => torch.cov(v!, { correction: 2, fweights: f, aweights: a }), [x], {
        rtol: 1e-5,
      });
    }
  });

  it('histogram widens a range without width by a half, histc by one', () => {
    const x = torch.tensor([3, 3, 3], { dtype: 'float64' });
    agree('histogram', (v) => [...torch.histogram(v!, 4)] as Tensor[], [x]);
    agree('histogram of one number', (v) => [...torch.histogram(v!, 3)] as Tensor[], [torch.tensor(-2.5)]);
    agree('density', (v) => [...torch.histogram(v!, 4, { density: true })] as Tensor[], [sample([20], 'float64')]);
    agree('histc', (v) => torch.histc(v!, 4), [x]);
  });
});

describe('trace: signals', () => {
  it('istft inverts stft', () => {
    const window = torch.hann_window(8, { dtype: 'float64' });
    const roundTrip = (x?: Tensor) => {
      const spectrum = torch.stft(x!, 8, { hop_length: 2, window, return_complex: true });
      return torch.istft(spectrum, 8, { hop_length: 2, window, length: 32 });
    };
    agree('istft', roundTrip, [sample([2, 32], 'float64')]);
    agreeGrad('istft', roundTrip, [sample([32], 'float64')]);
  });
});

describe('trace: what libtorch forgot to functionalize', () => {
  it('polygamma_ works in place', () => {
    for (const n of [0, 1, 2]) agree(`polygamma_ ${n}`, (x) => x!.abs().add(1).polygamma_(n), [sample([4], 'float64')]);
  });

  it('native_dropout_backward of integers and booleans is floating', () => {
    const mask = torch.tensor([true, false, true]);
    for (const dtype of ['float64', 'float32', 'int64', 'bool'] as const) {
      agree(`of ${dtype}`, (g) => torch.ops.aten!.native_dropout_backward!(g!, mask, 2) as Tensor, [
        sample([3], dtype),
      ]);
    }
  });

  it('native_dropout_backward promotes its gradient with its mask', () => {
    for (const [grad, mask] of [
      ['bfloat16', 'float32'],
      ['float32', 'float64'],
      ['float64', 'float32'],
    ] as const)
      agree(`${grad} by ${mask}`, (g, m) => torch.ops.aten!.native_dropout_backward!(g!, m!, 2) as Tensor, [
        sample([3], grad),
        sample([3], mask),
      ]);
  });

  it('transposed convolutions with an output padding have gradients', () => {
    const f = (x?: Tensor, w?: Tensor) =>
      torch.nn.functional.conv_transpose2d(x!, w!, null, [3, 2], [1, 2], [2, 3], 2, [4, 4]);
    const args = [sample([2, 2, 4, 4], 'float64'), sample([2, 2, 4, 5], 'float64')];
    agreeGrad('conv_transpose2d', f, args);
  });
});
