/**
 * @file Fits a local linear trend, a state-space model, to ten years of the S&P 500 by maximum likelihood: the Kalman filter is one `scan`, its gradient
 * goes back through it, and BFGS runs from four starts at once in one XLA program. Writes each month next to its forecast from those
 * before to examples/state-space.svg, or to the path given.
 */
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { loadSp500 } from './lib/sp500.js';

const f64 = { dtype: 'float64' } as const;
const { dates, prices } = loadSp500();
const y = torch.tensor(Float64Array.from(prices, Math.log), f64);
const transition = torch.tensor(
  [
    [1, 1],
    [0, 1],
  ],
  f64,
);

interface Filtered {
  readonly loss: Tensor;
  /** Mean and variance of each measurement given those before. */
  readonly ahead: Tensor;
  readonly spread: Tensor;
}

/** Kalman filter of y = level + noise, level' = level + slope + noise, slope' = slope + noise; `p`: the logarithms of the three standard deviations. */
const filter = (p: Tensor): Filtered => {
  const variance = p.mul(2).exp();
  const noise = torch.diag(variance.narrow(0, 1, 2));
  const start = { mean: torch.stack([y.at(0), torch.zeros([], f64)]), cov: torch.eye(2, f64) };
  const [, steps] = torch.scan(
    ({ mean, cov }: { mean: Tensor; cov: Tensor }, seen: Tensor) => {
      const m = transition.mv(mean);
      const P = transition.matmul(cov).matmul(transition.t()).add(noise);
      const error = seen.sub(m.at(0));
      const s = P.at(0, 0).add(variance.at(0));
      const gain = P.at(':', 0).div(s);
      const next = { mean: m.add(gain.mul(error)), cov: P.sub(gain.outer(P.at(0))) };
      return [next, { loss: s.log().add(error.square().div(s)).mul(0.5), ahead: m.at(0), spread: s }];
    },
    start,
    y,
  );
  return { loss: steps.loss.narrow(0, 5, y.shape[0] - 5).mean(), ahead: steps.ahead, spread: steps.spread };
};

const loss = (p: Tensor): Tensor => filter(p).loss;
const starts = torch.tensor(
  [
    [-3, -3, -6],
    [-2, -4, -4],
    [-5, -3, -8],
    [-4, -4, -5],
  ],
  f64,
);
console.log(`S&P 500, ${y.shape[0]} months, local linear trend, BFGS from ${starts.shape[0]} starts in one program`);

const program = torch.compile(
  torch.func.vmap((p: Tensor) => torch.minimize.loop(loss, p, { gtol: 1e-4, maxiter: 60 })),
);
const main = async (): Promise<void> => {
  let begin = performance.now();
  await program.warmup(starts);
  console.log(`compiled in ${((performance.now() - begin) / 1000).toFixed(2)} s`);
  begin = performance.now();
  const found = program(starts);
  const values = found.fun.tolist() as number[];
  console.log(
    `all fitted in ${(performance.now() - begin).toFixed(1)} ms; iterations ${String(found.nit.tolist())}, evaluations ${String(found.nfev.tolist())}\n`,
  );
  console.log('negative log-likelihood per month   noise     level     slope (standard deviations)');
  const sigmas = found.x.exp().tolist() as number[][];
  values.forEach((value, i) => {
    console.log(value.toFixed(6).padStart(33), ...sigmas[i]!.map((s) => s.toExponential(2).padStart(9)));
  });

  const best = found.x.at(values.indexOf(Math.min(...values)));
  const { ahead, spread } = torch.compile(filter)(best);
  const edge = (sigmas: number) => (ahead.add(spread.sqrt().mul(sigmas)).exp().tolist() as number[]).slice(5);
  const path = process.argv[2] ?? relative('', join(__dirname, '../../examples/state-space.svg'));
  const plot = torch.linePlot(
    [
      {
        label: 'forecast a month ahead, ± 2 σ',
        x: dates.slice(5),
        y: edge(0),
        band: { low: edge(-2), high: edge(2) },
      },
      { label: 'S&P 500', x: dates, y: prices, style: 'points' },
    ],
    { title: 'S&P 500: local linear trend by maximum likelihood', xLabel: 'year', yLabel: 'index', logY: false },
  );
  writeFileSync(path, plot);
  console.log(`\nwritten to ${path}`);
};

void main();
