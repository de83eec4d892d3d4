/** @file Hessians through softmax, log_softmax and cross_entropy: forward mode over backward operators that libtorch alone refuses. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, func } = torch;
const x = torch.tensor(
  [
    [0.1, 0.5, -0.3],
    [1, 2, 0],
  ],
  { dtype: 'float64' },
);
const classes = torch.tensor([1, -100], { dtype: 'int64' });
const weight = torch.tensor([1, 2, 3], { dtype: 'float64' });
const { cross_entropy } = torch.nn.functional;

describe('forward over reverse mode', () => {
  const LOSSES: Record<string, (t: Tensor) => Tensor> = {
    softmax: (t) => t.softmax(1).square().sum(),
    log_softmax: (t) => t.log_softmax(1).sin().sum(),
    'cross_entropy with an ignored class': (t) => cross_entropy(t, classes),
    'weighted cross_entropy, summed': (t) => cross_entropy(t, classes, { reduction: 'sum', weight }),
  };
  for (const [name, f] of Object.entries(LOSSES))
    it(`${name}: equals reverse over reverse mode, eager and compiled`, () => {
      const expected = func.jacrev(func.jacrev(f))(x);
      for (const hessian of [func.hessian(f), compile(func.hessian(f))])
        close(hessian(x), expected, { rtol: 1e-12, atol: 1e-12 });
    });
});
