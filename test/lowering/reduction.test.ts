/** @file Reductions, scans, sorting and selection against eager, with NaN at run time, ties and empty tensors. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, awkward, NUMBERS, sample } from './table.js';

type F = (x: Tensor) => Tensor | readonly Tensor[];
const values = (r: unknown): readonly Tensor[] => [...(r as Iterable<Tensor>)];

const REDUCTIONS: Readonly<Record<string, F>> = {
  sum: (x) => x.sum(),
  'sum of a dim': (x) => x.sum([0], true),
  prod: (x) => x.prod(),
  amax: (x) => x.amax([-1]),
  amin: (x) => x.amin([0]),
  argmax: (x) => x.argmax(-1),
  argmin: (x) => x.argmin(),
  'max with indices': (x) => values(x.max(0)),
  'min with indices': (x) => values(x.min(-1)),
  all: (x) => x.all(),
  'any of a dim': (x) => x.any(0),
  cumsum: (x) => x.cumsum(0),
  cumprod: (x) => x.cumprod(-1),
  cummax: (x) => values(x.cummax(-1)),
  sort: (x) => values(x.sort(-1, true)),
  median: (x) => x.median(),
};

describe('lowering: reductions, scans, sorting', () => {
  for (const [name, f] of Object.entries(REDUCTIONS)) {
    it(`${name} agrees with eager`, () => {
      for (const dtype of NUMBERS) agree(`${name} of ${dtype}`, (x) => f(x!), [sample([3, 4], dtype)]);
      agree(`${name} of NaN and infinities`, (x) => f(x!), [awkward().reshape([3, 4])]);
      agree(`${name} of strided`, (x) => f(x!), [sample([4, 3]).t()]);
    });
  }

  it('sums and means of nothing are 0 and NaN', () => {
    agree('sum', (x) => x!.sum(), [torch.zeros([0, 3])]);
    agree('sum of a dim', (x) => x!.sum([0]), [torch.zeros([0, 3])]);
    agree('mean', (x) => x!.mean(), [torch.zeros([0])]);
  });

  it('variance takes its correction, norms their order', () => {
    for (const correction of [0, 1, 2]) agree('var', (x) => x!.var([0], { correction }), [sample([5, 3])]);
    for (const ord of [0, 1, 2, 3, Number.POSITIVE_INFINITY]) {
      agree(`norm ${ord}`, (x) => torch.linalg.vector_norm(x!, ord), [sample([3, 4])]);
    }
    agreeGrad('std', (x) => x!.std(), [sample([6], 'float64')]);
  });

  it('logsumexp and softmax stay finite with large numbers and rows of -inf', () => {
    const x = torch.tensor([
      [1000, 1001, 999],
      [Number.NEGATIVE_INFINITY, 0, 1],
    ]);
    agree('logsumexp', (v) => v!.logsumexp([1]), [x]);
    agree('softmax', (v) => v!.softmax(-1), [x]);
    agreeGrad('log_softmax', (v) => v!.log_softmax(-1), [sample([3, 4], 'float64')]);
  });

  it('topk, kthvalue, mode and searchsorted agree where nothing ties', () => {
    const x = torch.randn([4, 9]);
    agree('topk', (v) => values(v!.topk(3)), [x]);
    agree('kthvalue', (v) => values(v!.kthvalue(4)), [x]);
    agree('mode', (v) => values(v!.mode())[0]!, [torch.tensor([[1, 2, 2, 3, 3, 3]])]);
    agree('searchsorted', (v) => torch.searchsorted(v!.sort(-1)[0]!, v!), [x]);
  });
});
