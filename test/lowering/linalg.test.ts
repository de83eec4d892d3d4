/** @file Linear algebra whose factors are not unique or whose systems are not square, by what must hold of them. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, sample } from './table.js';

const { linalg } = torch;
const LOOSE = { rtol: 1e-4, atol: 1e-4 };

describe('lowering: least squares', () => {
  it('lstsq solves systems of every form, with every driver', () => {
    for (const [a, y] of [
      [
        [5, 3],
        [5, 2],
      ],
      [[3, 3], [3]],
      [
        [2, 5, 3],
        [2, 5, 2],
      ],
      [
        [2, 5, 3],
        [2, 5],
      ],
      [
        [2, 4],
        [2, 2],
      ],
    ]) {
      for (const driver of ['gelsy', 'gels', 'gelsd', 'gelss']) {
        const f = (A?: Tensor, b?: Tensor) => [...linalg.lstsq(A!, b!, { driver })] as Tensor[];
        agree(`${driver} of ${a} and ${y}`, f, [sample(a!, 'float64'), sample(y!, 'float64')], LOOSE);
      }
    }
  });

  it('gelsd gives the shortest solution and the rank of a deficient system', () => {
    const a = sample([6, 2], 'float64').matmul(sample([2, 4], 'float64'));
    const f = (A?: Tensor, b?: Tensor) => {
      const { solution, rank } = linalg.lstsq(A!, b!, { driver: 'gelsd', rcond: 1e-9 });
      return [solution, rank];
    };
    agree('rank 2 of 4', f, [a, sample([6, 1], 'float64')], LOOSE);
  });

  it('has gradients by both sides', () => {
    const f = (A?: Tensor, b?: Tensor) => linalg.lstsq(A!, b!).solution;
    agreeGrad('tall', f, [sample([5, 3], 'float64'), sample([5, 2], 'float64')], LOOSE);
    agreeGrad('wide', f, [sample([2, 4], 'float64'), sample([2, 1], 'float64')], LOOSE);
  });
});

describe('lowering: singular values of nothing', () => {
  it('full bases of an empty matrix are identities', () => {
    for (const shape of [
      [3, 0],
      [0, 2],
      [2, 0, 3],
    ]) {
      for (const full of [true, false])
        agree(`${shape}`, (x) => [...linalg.svd(x!, full)] as Tensor[], [sample(shape)]);
    }
  });
});

describe('lowering: complex logsumexp', () => {
  it('is shifted by the largest real part', () => {
    const x = sample([3, 4], 'complex64');
    agree('along', (v) => v!.logsumexp([1]), [x]);
    agree('of large ones', (v) => v!.mul(100).logsumexp([0, 1]), [x], { rtol: 1e-5 });
  });
});
