/**
 * @file Fits a Gaussian process to 45 years of monthly CO2 at Mauna Loa by maximum likelihood: the same function, the same BFGS,
 * first eagerly on libtorch, then compiled by XLA. Writes the convergence to examples/fit.svg, or to the path given.
 */
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { OptimizeResult, Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { loadCo2 } from './lib/co2.js';
import { negativeLogLikelihood, start, startTensor } from './lib/co2-model.js';

interface Run {
  readonly label: string;
  readonly result: OptimizeResult<Tensor>;
  readonly seconds: number;
  readonly at: number[];
  readonly norms: number[];
}

function run(label: string, compile: boolean): Run {
  const at: number[] = [];
  const norms: number[] = [];
  const begin = performance.now();
  const result = torch.minimize(negativeLogLikelihood(series), startTensor(), {
    method: 'BFGS',
    compile,
    // The likelihood of 545 points is known to about ten digits: smaller gradients are rounding.
    options: { gtol: 1e-3 },
    callback: ({ gradientNorm }) => {
      at.push((performance.now() - begin) / 1000);
      norms.push(gradientNorm);
    },
  });
  return { label, result, seconds: (performance.now() - begin) / 1000, at, norms };
}

const series = loadCo2();
console.log(
  `Mauna Loa CO2, ${series.t.length} monthly means, Gaussian process with 11 hyper-parameters, BFGS in float64`,
);
const runs = [run('eager', false), run('compiled', true)];

console.log(`\n${''.padEnd(28)}${'start'.padStart(12)}${runs.map((r) => r.label.padStart(14)).join('')}`);
const found = runs.map((r) => r.result.x.exp().tolist() as number[]);
Object.entries(start).forEach(([name, value], i) => {
  console.log(
    name.padEnd(28) + String(value).padStart(12) + found.map((p) => p[i]!.toPrecision(6).padStart(14)).join(''),
  );
});

const row = (name: string, show: (r: Run) => string) =>
  console.log(name.padEnd(40) + runs.map((r) => show(r).padStart(14)).join(''));
console.log();
row('log-likelihood', ({ result }) => (-result.fun).toFixed(6));
row('iterations', ({ result }) => String(result.nit));
row('evaluations (value and gradient)', ({ result }) => String(result.nfev));
row('time, compilation included, s', ({ seconds }) => seconds.toFixed(2));
row('per evaluation, ms', ({ seconds, result }) => ((1000 * seconds) / result.nfev).toFixed(1));
const [eager, compiled] = runs as [Run, Run];
console.log(`\ncompiled is ${(eager.seconds / compiled.seconds).toFixed(1)} times faster`);
for (const { label, result } of runs) if (!result.success) console.log(`${label}: ${result.message}`);

const path = process.argv[2] ?? relative('', join(__dirname, '../../examples/fit.svg'));
const svg = torch.linePlot(
  runs.map(({ label, at, norms }) => ({ label, x: at, y: norms })),
  { title: 'Gaussian process on Mauna Loa CO2: BFGS', xLabel: 'seconds', yLabel: 'largest component of the gradient' },
);
writeFileSync(path, svg);
console.log(`convergence written to ${path}`);
