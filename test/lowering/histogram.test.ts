/** @file Histograms and hashes against eager: bounds given and found, edges that rounding moves, weights and densities. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, type DTypeName, sample } from './table.js';

const flat = (r: unknown): Tensor[] =>
  torch.is_tensor(r) ? [r as Tensor] : [...(r as Iterable<unknown>)].flatMap((x) => flat(x));

describe('lowering: histograms', () => {
  it('histogram finds its bounds, takes them, and widens a range without width', () => {
    for (const dtype of ['float32', 'float64'] as const) {
      const x = sample([40], dtype);
      agree(`bounds of ${dtype}`, (v) => flat(torch.histogram(v!, 7)), [x]);
      agree(`given bounds of ${dtype}`, (v) => flat(torch.histogram(v!, 5, { range: [-1, 1] })), [x]);
      agree(`density of ${dtype}`, (v) => flat(torch.histogram(v!, 4, { density: true })), [x]);
      agree(`weights of ${dtype}`, (v, w) => flat(torch.histogram(v!, 4, { weight: w! })), [x, sample([40], dtype)]);
      agree(`edges of ${dtype}`, (v, e) => flat(torch.histogram(v!, e!)), [
        x,
        torch.tensor([-1, 0, 0.1, 2], { dtype }),
      ]);
      agree(`one number of ${dtype}`, (v) => flat(torch.histogram(v!, 3)), [sample([], dtype)]);
      agree(`nothing of ${dtype}`, (v) => flat(torch.histogram(v!, 3)), [sample([0], dtype)]);
      agree(`no width of ${dtype}`, (v) => flat(torch.histogram(v!, 4, { range: [2, 2] })), [x]);
    }
  });

  it('elements on an edge fall where the rounded edges say', () => {
    const x = torch.arange(0, 1.0001, 0.1);
    agree('tenths', (v) => flat(torch.histogram(v!, 10, { range: [0, 1] })), [x]);
    agree('sevenths', (v) => flat(torch.histogram(v!, 7, { range: [0, 1] })), [torch.arange(0, 8).div(7)]);
  });

  it('histogramdd counts points of several dimensions', () => {
    const x = sample([30, 2], 'float64');
    const w = torch.rand([30], { dtype: 'float64' });
    agree('numbers of bins', (v) => flat(torch.histogramdd(v!, [3, 4])), [x]);
    agree('one number for all', (v) => flat(torch.histogramdd(v!, 3, { density: true })), [x]);
    agree('range and weights', (v, u) => flat(torch.histogramdd(v!, [2, 3], { range: [-1, 1, 0, 2], weight: u! })), [
      x,
      w,
    ]);
    const edges = [torch.tensor([-2, 0, 2], { dtype: 'float64' }), torch.tensor([-1, 0, 1, 5], { dtype: 'float64' })];
    agree('edges', (v, p, q) => flat(torch.histogramdd(v!, [p!, q!])), [x, ...edges]);
  });
});

describe('lowering: hash_tensor', () => {
  it('combines the bits of all elements, along dimensions or over all', () => {
    for (const dtype of ['float32', 'float64', 'bfloat16', 'int64', 'uint8', 'bool'] as const satisfies DTypeName[]) {
      const f = (x?: Tensor) => [
        torch.hash_tensor(x!),
        torch.hash_tensor(x!, [1]),
        torch.hash_tensor(x!, [0], { keepdim: true }),
      ];
      agree(`of ${dtype}`, f, [sample([3, 4], dtype)]);
    }
  });
});
