/**
 * @file Three Gaussians on the bills of 342 penguins by maximum likelihood. The likelihood has many local maxima, so BFGS starts from
 * many random points, as one does: thousands of small evaluations, first eagerly on libtorch, then compiled by XLA.
 * Takes the number of starts, 300 unless told.
 */

import type { OptimizeResult, Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { loadPenguins, logDensities, negativeLogLikelihood, randomStart, xorshift } from './lib/penguins.js';

const penguins = loadPenguins();
const starts = Number(process.argv[2] ?? 300);
const negative = negativeLogLikelihood(penguins);

const valueAndGradient = (p: Tensor): [Tensor, Tensor] => {
  const at = p.detach().requires_grad_(true);
  const value = negative(at);
  const [gradient] = torch.autograd.grad([value], [at]);
  return [value.detach(), gradient!];
};

interface Search {
  readonly label: string;
  readonly best: OptimizeResult<Tensor>;
  readonly reached: number;
  readonly evaluations: number;
  readonly seconds: number;
}

function search(label: string, fun: (p: Tensor) => [Tensor, Tensor]): Search {
  const random = xorshift(2463534242);
  const begin = performance.now();
  const all = Array.from({ length: starts }, () =>
    // 200 iterations: where a component shrinks onto one penguin the likelihood is unbounded, and no search ends.
    torch.minimize(fun, randomStart(penguins, random), { jac: true, compile: false, options: { maxiter: 200 } }),
  );
  const seconds = (performance.now() - begin) / 1000;
  const results = all.filter(({ success }) => success);
  const best = results.reduce((a, b) => (b.fun < a.fun ? b : a));
  return {
    label,
    best,
    reached: results.filter(({ fun }) => fun < best.fun + 1e-3).length,
    evaluations: all.reduce((sum, { nfev }) => sum + nfev, 0),
    seconds,
  };
}

console.log(
  `Palmer penguins, ${penguins.length.length} bills, mixture of 3 Gaussians (17 parameters), BFGS from ${starts} random starts`,
);
const searches = [search('eager', valueAndGradient), search('compiled', torch.compile(valueAndGradient))];
const row = (name: string, show: (s: Search) => string) =>
  console.log(name.padEnd(40) + searches.map((s) => show(s).padStart(14)).join(''));
console.log();
row('', ({ label }) => label);
row('best log-likelihood', ({ best }) => (-best.fun).toFixed(6));
row('starts that reached it', ({ reached }) => String(reached));
row('evaluations (value and gradient)', ({ evaluations }) => String(evaluations));
row('time, compilation included, s', ({ seconds }) => seconds.toFixed(2));
row('per evaluation, µs', ({ seconds, evaluations }) => ((1e6 * seconds) / evaluations).toFixed(0));
const [eager, compiled] = searches as [Search, Search];
console.log(`\ncompiled is ${(eager.seconds / compiled.seconds).toFixed(1)} times faster\n`);

// Which component each penguin most likely comes from; the species were not told.
const component = logDensities(penguins)(compiled.best.x).argmax(1).tolist() as number[];
const names = [...new Set(penguins.species)];
console.log('species'.padEnd(16) + [0, 1, 2].map((k) => `component ${k}`.padStart(14)).join(''));
for (const name of names) {
  const counts = [0, 1, 2].map((k) => component.filter((c, i) => c === k && penguins.species[i] === name).length);
  console.log(name.padEnd(16) + counts.map((c) => String(c).padStart(14)).join(''));
}
