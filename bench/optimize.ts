/**
 * @file `npm run bench:optimize [-- OPTIONS]`, which `--help` lists: minimising Rosenbrock's function, beside SciPy and jax in the Pythons
 * that are named (also by JORCH_BENCH_PYTHON, separated by colons), in turns. Prints medians, and how many times faster jorch is.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { optionsOf } from './options.js';
import { rosenbrock } from './peers/cases.js';
import { APART, distance, median, type Row } from './peers/table.js';

/** One peer's runs of one problem. */
interface Run {
  readonly peer: string;
  readonly method: 'BFGS' | 'L-BFGS-B';
  readonly n: number;
  /** Median. */
  readonly ms: number;
  readonly nit: number;
  readonly nfev: number;
  readonly fun: number;
}

/** [method, N, runs of a peer]. */
const PROBLEMS = [
  ['BFGS', 100, 15],
  ['BFGS', 1000, 1], // SciPy takes a minute for a run
  ['L-BFGS-B', 10_000, 9],
] as const;
const OUR_RUNS = 30;

const ours = (peer: string, method: Run['method'], n: number, run: () => torch.OptimizeResult<Tensor>): Run => {
  const { nit, nfev, fun } = run();
  const times = Array.from({ length: OUR_RUNS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return { peer, method, n, ms: median(times), nit, nfev, fun };
};

const jorch = (method: Run['method'], n: number): Run[] => {
  const x0 = torch.full([n], 2, { dtype: 'float64' });
  const both = torch.compile((x: Tensor) => torch.func.grad_and_value(rosenbrock)(x).reverse() as [Tensor, Tensor]);
  return [
    ours('jorch', method, n, () => torch.minimize(rosenbrock, x0, { method, compileLoop: 'always' })),
    ours('jorch, driven from JavaScript', method, n, () => torch.minimize(both, x0, { method, jac: true })),
  ];
};

const peersFile = join(__dirname, '../../bench/peers/optimize.py');

const peers = (python: string, problem: string): Run[] =>
  execFileSync(python, [peersFile, problem], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Run);

/**
 * Prints what each takes, and how many times faster jorch is: as one program, and driven from JavaScript. Who ends in another minimum than the first is named;
 * `quick` leaves out N = 1000, which takes SciPy minutes.
 */
export const compareMinimisers = (pythons: readonly string[], quick: boolean): Row[] =>
  PROBLEMS.filter(([, n]) => !(quick && n === 1000)).map(([method, n, repeats]) => {
    const theirs = pythons.flatMap((python) => peers(python, `${method}:${n}:${repeats}`));
    const mine = jorch(method, n);
    const name = `${method}, N = ${n}`;
    console.log(`\n${name}`);
    const notes: string[] = [];
    for (const row of [...mine, ...theirs]) {
      const ratios = mine.map(({ ms }) => `${(row.ms / ms).toFixed(1)}×`.padStart(10)).join('');
      console.log(
        `${row.peer.padEnd(32)}${row.ms.toFixed(3).padStart(12)} ms${ratios}  ${row.nit} iterations, ${row.nfev} evaluations, f = ${row.fun.toExponential(1)}`,
      );
      if (distance([1 + row.fun], [1 + mine[0]!.fun]) > APART)
        notes.push(`${row.peer} ends in another place: f = ${row.fun.toPrecision(3)}`);
    }
    for (const note of notes) console.log(`    ${note}`);
    return {
      name,
      unit: 'ms',
      values: Object.fromEntries([...mine, ...theirs].map(({ peer, ms }) => [peer, ms])),
      notes,
    };
  });

const main = (): void => {
  const options = optionsOf<{ python?: string[]; json?: string; quick?: true }>(
    new Command('npm run bench:optimize --')
      .description('Minimises Rosenbrock’s function in jorch, and with SciPy and jax, in turns.')
      .option('--python <executable...>', 'Pythons that have SciPy, jax or torch (default: JORCH_BENCH_PYTHON)')
      .option('--json <file>', 'write all figures')
      .option('--quick', 'without N = 1000, which takes SciPy minutes'),
  );
  const pythons = options.python ?? process.env['JORCH_BENCH_PYTHON']?.split(':') ?? [];
  const missing = pythons.find((p) => !existsSync(p));
  if (missing !== undefined) {
    console.error(`error: there is no ${missing}`);
    process.exitCode = 1;
    return;
  }
  const rows = compareMinimisers(pythons, options.quick ?? false);
  if (options.json !== undefined)
    writeFileSync(
      options.json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), rows }, null, 2)}\n`,
    );
};

if (require.main === module) main();
