/**
 * @file The Gaussian process of Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006), section 5.4.3, on CO2:
 * four covariances, eq. (5.15)–(5.18), and the negative log marginal likelihood, eq. (5.8).
 */

import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Series } from './co2.js';

/** The hyper-parameters in order, with the values to start from; the search is over their logarithms. */
export const start: Readonly<Record<string, number>> = {
  'trend amplitude': 50,
  'trend length': 50,
  'seasonal amplitude': 2,
  'seasonal decay': 100,
  'seasonal smoothness': 1,
  'medium-term amplitude': 0.5,
  'medium-term length': 1,
  'medium-term shape': 1,
  'correlated noise amplitude': 0.1,
  'correlated noise length': 0.1,
  'white noise': 0.1,
};

export const startTensor = (): Tensor => torch.tensor(Object.values(start).map(Math.log), { dtype: torch.float64 });

/** The negative log marginal likelihood of the series as a function of the logarithms of the 11 hyper-parameters, float64 [11] → []. */
export function negativeLogLikelihood({ t, y }: Series): (p: Tensor) => Tensor {
  const times = torch.tensor(t);
  const values = torch.tensor(y).unsqueeze(1);
  const lag = times.unsqueeze(1).sub(times);
  const squared = lag.square();
  // Only years repeat: the period is fixed at one.
  const sine = torch.sin(lag.mul(Math.PI)).square();
  const eye = torch.eye(t.length, { dtype: torch.float64 });
  const constant = 0.5 * t.length * Math.log(2 * Math.PI);

  /** a² exp(-d² / 2l²) */
  const smooth = (a: Tensor, l: Tensor) => squared.div(l.square().mul(-2)).exp().mul(a.square());

  return (p) => {
    const [a1, l1, a2, l2, s2, a3, l3, shape, a4, l4, noise] = p.exp().unbind(0) as unknown as Eleven;
    const trend = smooth(a1, l1);
    const season = smooth(a2, l2).mul(sine.mul(-2).div(s2.square()).exp());
    const medium = squared.div(shape.mul(l3.square()).mul(2)).add(1).pow(shape.neg()).mul(a3.square());
    const K = trend.add(season).add(medium).add(smooth(a4, l4)).add(eye.mul(noise.square()));
    const L = torch.linalg.cholesky(K);
    const z = torch.linalg.solve_triangular(L, values, { upper: false });
    return z.square().sum().mul(0.5).add(L.diagonal().log().sum()).add(constant);
  };
}

type Eleven = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
