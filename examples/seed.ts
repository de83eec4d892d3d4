/** @file The seed: one torch function, eager on libtorch and compiled by XLA, with its gradient. */

import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';

const f = (x: Tensor) =>
  torch
    .sin(x)
    .add(torch.exp(x.mul(2)))
    .sum();

const valueAndGradient = (x: Tensor): [Tensor, Tensor] => {
  const at = x.detach().requires_grad_(true);
  const value = f(at);
  const [gradient] = torch.autograd.grad([value], [at]);
  return [value.detach(), gradient!];
};

/** The median time of one call, in µs. */
function time(call: () => readonly Tensor[], rounds: number): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (const t of call()) t.dispose();
    return 1000 * (performance.now() - start);
  });
  return times.sort((a, b) => a - b)[rounds >> 1]!;
}

const zeros = torch.zeros([10, 10]);
const fast = torch.compile(f);
console.log('f(x) = sum(sin(x) + exp(2x)) at zeros([10, 10])');
console.log(`  eager     ${f(zeros).item()}`);
console.log(`  compiled  ${fast(zeros).item()}`);

const x = torch.linspace(-1, 1, 100).reshape([10, 10]);
const fastBoth = torch.compile(valueAndGradient);
const expected = torch.cos(x).add(torch.exp(x.mul(2)).mul(2));
const error = (g: Tensor) => g.sub(expected).abs().max().item().toExponential(1);
console.log('gradient against cos(x) + 2 exp(2x), largest difference');
console.log(`  eager     ${error(valueAndGradient(x)[1])}`);
console.log(`  compiled  ${error(fastBoth(x)[1])}`);

const eager = time(() => valueAndGradient(x), 2000);
const compiled = time(() => fastBoth(x), 20000);
console.log('value and gradient, median of one call from JavaScript');
console.log(`  eager     ${eager.toFixed(1)} µs`);
console.log(`  compiled  ${compiled.toFixed(1)} µs  (${(eager / compiled).toFixed(1)} times faster)`);
