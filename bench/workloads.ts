/** @file What is timed: the same function eagerly and compiled, on the same inputs. */

import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';

export interface Workload {
  readonly name: string;
  readonly eager: () => unknown;
  readonly compiled: () => unknown;
}

/** f and its gradient as one function of a tensor. */
const withGradient =
  (f: (x: Tensor) => Tensor) =>
  (x: Tensor): [Tensor, Tensor] => {
    const leaf = x.detach().requires_grad_();
    const value = f(leaf);
    return [value, torch.autograd.grad([value], [leaf])[0]!];
  };

const seed = (x: Tensor): Tensor =>
  torch
    .sin(x)
    .add(torch.exp(x.mul(2)))
    .sum();

export const rosenbrock = (x: Tensor): Tensor => {
  const next = x.at('1:');
  const here = x.at(':-1');
  return next.sub(here.square()).square().mul(100).add(here.neg().add(1).square()).sum();
};

const workload = (name: string, f: (x: Tensor) => unknown, x: Tensor): Workload => {
  const fast = torch.compile(f);
  return { name, eager: () => f(x), compiled: () => fast(x) };
};

const pointwiseChain = (x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 50; i++) y = y.mul(0.99).add(0.01);
  return y;
};

const minimum = (compile: boolean) => () =>
  torch.minimize(rosenbrock, torch.full([100], 2, { dtype: 'float64' }), { method: 'BFGS', compile });

export const workloads = (): Workload[] => [
  workload('x + 1, 16 elements', (x) => x.add(1), torch.zeros([16])),
  workload('seed, value and gradient, 10×10', withGradient(seed), torch.zeros([10, 10])),
  workload('seed, value and gradient, 1000×1000', withGradient(seed), torch.zeros([1000, 1000])),
  workload(
    'Rosenbrock, value and gradient, N = 100',
    withGradient(rosenbrock),
    torch.full([100], 2, { dtype: 'float64' }),
  ),
  workload('100 pointwise operators, 16 elements', pointwiseChain, torch.zeros([16])),
  workload('100 pointwise operators, 10⁶ elements', pointwiseChain, torch.zeros([1_000_000])),
  {
    name: 'BFGS to convergence, Rosenbrock N = 100 (compilation included)',
    eager: minimum(false),
    compiled: minimum(true),
  },
];
