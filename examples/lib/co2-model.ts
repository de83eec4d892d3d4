/**
 * @file The Gaussian process of Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006), section 5.4.3, on CO2:
 * four covariances, eq. (5.15)–(5.18), the negative log marginal likelihood, eq. (5.8), and predictions.
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

/** c / e² of a hyper-parameter known by its logarithm. */
const over = (c: number, log: Tensor) => log.mul(-2).exp().mul(c);

/** What measurements that lie `lag` years apart have in common, as a function of the logarithms of the hyper-parameters: eq. (5.19) without white noise. */
function covariance(lag: Tensor): (p: Tensor) => Tensor {
  const squared = lag.square();
  // Only years repeat: the period is fixed at one.
  const sine = torch.sin(lag.mul(Math.PI)).square();
  /** log a² - d² / 2l²; amplitudes are added to exponents, which are logarithms already. */
  const smooth = (a: Tensor, l: Tensor) => squared.mul(over(0.5, l)).neg().add(a.mul(2));
  return (p) => {
    const [a1, l1, a2, l2, s2, a3, l3, shape, a4, l4] = p.unbind(0) as unknown as Eleven;
    const trend = smooth(a1, l1).exp();
    const season = smooth(a2, l2)
      .sub(sine.mul(over(2, s2)))
      .exp();
    const power = squared.mul(over(0.5, l3).div(shape.exp())).add(1).log().mul(shape.exp());
    const medium = a3.mul(2).sub(power).exp();
    const correlated = smooth(a4, l4).exp();
    return trend.add(season).add(medium).add(correlated);
  };
}

const noiseOf = (p: Tensor): Tensor => p.at(-1).mul(2).exp();

/** Cholesky factor of the covariance of the measurements, and the factor applied to them once. */
function factors(t: Float64Array, y: Float64Array): (p: Tensor) => { L: Tensor; z: Tensor } {
  const times = torch.tensor(t);
  const values = torch.tensor(y).unsqueeze(1);
  const common = covariance(times.unsqueeze(1).sub(times));
  const eye = torch.eye(t.length, { dtype: torch.float64 });
  return (p) => {
    const L = torch.linalg.cholesky(common(p).add(eye.mul(noiseOf(p))));
    return { L, z: torch.linalg.solve_triangular(L, values, { upper: false }) };
  };
}

/** The negative log marginal likelihood of the series as a function of the logarithms of the 11 hyper-parameters, float64 [11] → []. */
export function negativeLogLikelihood({ t, y }: Series): (p: Tensor) => Tensor {
  const factored = factors(t, y);
  const constant = 0.5 * t.length * Math.log(2 * Math.PI);
  return (p) => {
    const { L, z } = factored(p);
    return z.square().sum().mul(0.5).add(L.diagonal().log().sum()).add(constant);
  };
}

/** Mean and standard deviation of new measurements at `times`, eq. (2.25) and (2.26): float64 [11] → [times] each, in ppm. */
export function prediction({ t, y, mean }: Series, times: Float64Array): (p: Tensor) => { mean: Tensor; sd: Tensor } {
  const factored = factors(t, y);
  const across = covariance(torch.tensor(t).unsqueeze(1).sub(torch.tensor(times)));
  const own = covariance(torch.zeros([], { dtype: torch.float64 }));
  return (p) => {
    const { L, z } = factored(p);
    const w = torch.linalg.solve_triangular(L, across(p), { upper: false });
    return {
      mean: w.t().matmul(z).squeeze(1).add(mean),
      sd: own(p).add(noiseOf(p)).sub(w.square().sum(0)).sqrt(),
    };
  };
}

type Eleven = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
