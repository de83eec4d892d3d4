/** @file Losses against eager: unbatched inputs, targets with gaps, alignments that cannot be. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, sample } from './table.js';

const F = torch.nn.functional;
const ints = (list: number[] | number[][]): Tensor => torch.tensor(list, { dtype: 'int64' });

describe('lowering: margin losses', () => {
  it('multi_margin_loss takes a batch, one sample and one class', () => {
    for (const [shape, target] of [
      [[4, 3], ints([0, 2, 1, 1])],
      [[3], torch.tensor(1, { dtype: 'int64' })],
      [[], torch.tensor(0, { dtype: 'int64' })],
    ] as const) {
      for (const p of [1, 2]) {
        agree(`${shape}, p ${p}`, (x) => F.multi_margin_loss(x!, target, p), [sample([...shape])]);
        agreeGrad(`${shape}, p ${p}`, (x) => F.multi_margin_loss(x!, target, p), [sample([...shape], 'float64')]);
      }
    }
  });
});

describe('lowering: bilinear', () => {
  it('takes a batch of nothing', () => {
    const f = (x?: Tensor, y?: Tensor, w?: Tensor) => F.bilinear(x!, y!, w!);
    agree('bilinear', f, [sample([0, 2]), sample([0, 3]), sample([4, 2, 3])]);
    agreeGrad('bilinear', f, [sample([5, 2], 'float64'), sample([5, 3], 'float64'), sample([4, 2, 3], 'float64')]);
  });
});

describe('lowering: ctc_loss', () => {
  const TARGETS = ints([
    [1, 2, 2, 3],
    [3, 1, 0, 0],
    [2, 2, 2, 2],
  ]);
  const logProbs = (dtype: 'float32' | 'float64' = 'float64') => sample([7, 3, 5], dtype).log_softmax(-1);
  const REDUCTIONS = [0, 1, 2];

  it('agrees for lengths in lists and in tensors, targets in rows and one after the other', () => {
    for (const reduction of REDUCTIONS) {
      const inputs = [7, 4, 6];
      const f = (x?: Tensor) => torch.ctc_loss(x!, TARGETS, inputs, [4, 2, 0], 0, reduction);
      agree(`lists, ${reduction}`, f, [logProbs('float32')]);
      agreeGrad(`lists, ${reduction}`, f, [logProbs()]);
      const named = (x?: Tensor) => torch.nn.functional.ctc_loss(x!, TARGETS, inputs, [4, 2, 0], { blank: 0 });
      agree('nn.functional takes lists, too', named, [logProbs()]);
      const g = (x?: Tensor, t?: Tensor, il?: Tensor, tl?: Tensor) => torch.ctc_loss(x!, t!, il!, tl!, 4, reduction);
      const lengths = [ints(inputs), ints([4, 2, 1])];
      agree(`tensors, ${reduction}`, g, [logProbs(), TARGETS, ...lengths]);
      agreeGrad(`tensors, ${reduction}`, (x) => g(x, ints([1, 2, 2, 3, 3, 1, 2]), ...lengths), [logProbs()]);
    }
  });

  it('is infinite where no alignment fits, and 0 with zero_infinity', () => {
    for (const zero of [false, true]) {
      const f = (x?: Tensor) => torch.ctc_loss(x!, TARGETS, [7, 1, 4], [4, 2, 4], 0, 0, zero);
      agree(`zero_infinity ${zero}`, f, [logProbs()]);
      const gradient = (x?: Tensor) => {
        const leaf = x!.detach().requires_grad_(true);
        return [...torch.autograd.grad(f(leaf).sum(), [leaf])] as Tensor[];
      };
      agree(`gradient, zero_infinity ${zero}`, gradient, [logProbs()]);
    }
  });
});
