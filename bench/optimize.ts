/**
 * @file `npm run bench:optimize [-- --python EXECUTABLE ... --json FILE --quick]`: minimising Rosenbrock's function, beside SciPy and jax in the Pythons
 * that are named (also by JORCH_BENCH_PYTHON, separated by colons), in turns. Prints medians, and how many times faster jorch is.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { rosenbrock } from './workloads.js';

const { values } = parseArgs({
  options: { python: { type: 'string', multiple: true }, json: { type: 'string' }, quick: { type: 'boolean' } },
});

interface Row {
  readonly peer: string;
  readonly method: 'BFGS' | 'L-BFGS-B';
  readonly n: number;
  readonly ms: number;
  readonly nit: number;
  readonly nfev: number;
  readonly fun: number;
}

/** [method, N, runs of a peer]. */
const PROBLEMS = [
  ['BFGS', 100, 15],
  ['BFGS', 1000, 3],
  ['L-BFGS-B', 10_000, 9],
] as const;
const OUR_RUNS = 30;

const median = (times: number[]): number => times.sort((a, b) => a - b)[times.length >> 1]!;

const ours = (peer: string, method: Row['method'], n: number, run: () => torch.OptimizeResult<Tensor>): Row => {
  const { nit, nfev, fun } = run();
  const times = Array.from({ length: OUR_RUNS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return { peer, method, n, ms: median(times), nit, nfev, fun };
};

const jorch = (method: Row['method'], n: number): Row[] => {
  const x0 = torch.full([n], 2, { dtype: 'float64' });
  const both = torch.compile((x: Tensor) => torch.func.grad_and_value(rosenbrock)(x).reverse() as [Tensor, Tensor]);
  return [
    ours('jorch, one program', method, n, () => torch.minimize(rosenbrock, x0, { method, compileLoop: 'always' })),
    ours('jorch, driven from JavaScript', method, n, () => torch.minimize(both, x0, { method, jac: true })),
  ];
};

const peersFile = join(__dirname, '../../bench/peers/optimize.py');

const peers = (python: string, problem: string): Row[] =>
  execFileSync(python, [peersFile, problem], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);

const main = (): void => {
  const pythons = values.python ?? process.env['JORCH_BENCH_PYTHON']?.split(':') ?? [];
  const missing = pythons.find((p) => !existsSync(p));
  if (missing !== undefined) throw new Error(`there is no ${missing}`);
  const all: Row[] = [];
  for (const [method, n, repeats] of PROBLEMS) {
    if (values.quick && n === 1000) continue;
    const theirs = pythons.flatMap((python) => peers(python, `${method}:${n}:${repeats}`));
    const mine = jorch(method, n);
    console.log(`\n${method}, N = ${n}`);
    for (const row of [...theirs, ...mine]) {
      const ratios = mine.map(({ ms }) => `${(row.ms / ms).toFixed(1)}×`.padStart(10)).join('');
      console.log(
        `${row.peer.padEnd(32)}${row.ms.toFixed(3).padStart(12)} ms${ratios}  ${row.nit} iterations, ${row.nfev} evaluations, f = ${row.fun.toExponential(1)}`,
      );
    }
    all.push(...theirs, ...mine);
  }
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), rows: all }, null, 2)}\n`,
    );
};

main();
