/**
 * @file Fits a Gaussian process to 45 years of monthly CO2 at Mauna Loa by maximum likelihood: the same function, the same BFGS,
 * first eagerly on libtorch, then compiled by XLA. Writes the convergence to examples/fit.svg and the forecast, next to what was measured later, to
 * examples/fit-forecast.svg, or both into the folder given.
 */
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { OptimizeResult, Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { loadCo2 } from './lib/co2.js';
import { negativeLogLikelihood, prediction, start, startTensor } from './lib/co2-model.js';

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

const folder = process.argv[2] ?? relative('', join(__dirname, '../../examples'));
const write = (name: string, svg: string) => {
  const path = join(folder, name);
  writeFileSync(path, svg);
  console.log(`written to ${path}`);
};
write(
  'fit.svg',
  torch.linePlot(
    runs.map(({ label, at, norms }) => ({ label, x: at, y: norms })),
    {
      title: 'Gaussian process on Mauna Loa CO2: BFGS',
      xLabel: 'seconds',
      yLabel: 'largest component of the gradient',
    },
  ),
);

// The model has seen nothing after 2003: the years that follow are its test.
const later = loadCo2(Infinity, 2004);
const measured = Array.from(later.y, (v) => v + later.mean);
const begin = 1990;
const end = Math.ceil(later.t.at(-1)!);
const times = Float64Array.from({ length: 24 * (end - begin) }, (_, i) => begin + i / 24);
const at = (t: Float64Array) => {
  const { mean, sd } = torch.compile(prediction(series, t))(compiled.result.x);
  const [m, s] = [mean.tolist() as number[], sd.tolist() as number[]];
  return { mean: m, low: m.map((v, i) => v - 2 * s[i]!), high: m.map((v, i) => v + 2 * s[i]!) };
};
const test = at(later.t);
const inside = measured.filter((v, i) => v >= test.low[i]! && v <= test.high[i]!).length;
console.log(
  `\n${inside} of the ${measured.length} months from 2004 on lie within two standard deviations of the forecast`,
);
const forecast = at(times);
const known = Array.from(series.t, (t, i) => [t, series.y[i]! + series.mean] as const).filter(([t]) => t >= begin);
write(
  'fit-forecast.svg',
  torch.linePlot(
    [
      { label: 'mean ± 2 standard deviations', x: times, y: forecast.mean, band: forecast },
      { label: 'measured later', x: later.t, y: measured, style: 'points' },
      { label: 'fitted to (from 1958 on)', x: known.map(([t]) => t), y: known.map(([, v]) => v), style: 'points' },
    ],
    {
      title: 'CO2 at Mauna Loa: Gaussian process fitted until 2003',
      xLabel: 'year',
      yLabel: 'ppm',
      logY: false,
      width: 900,
      height: 480,
    },
  ),
);
