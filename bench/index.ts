/**
 * @file `npm run bench [-- --only TEXT] [--peers FOLDER] [--torch PYTHON] [--jax PYTHON] [--rounds N] [--json FILE] [--svg FILE]`: eager against compiled, medians of
 * alternating runs; then the same and more next to the peers, as far as there are any (bench/peers).
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Bench } from 'tinybench';
import { comparePeers } from './peers/index.js';
import { workloads } from './workloads.js';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    only: text,
    json: text,
    svg: text,
    peers: text,
    torch: text,
    jax: text,
    rounds: { ...text, default: '5' },
  },
});

const median = (bench: Bench, name: string): number => {
  const result = bench.getTask(name)?.result;
  return result && 'latency' in result ? result.latency.p50 * 1000 : Number.NaN;
};

const main = async (): Promise<void> => {
  const rows: { name: string; eager: number; compiled: number; ratio: number }[] = [];
  console.log(
    `${'median of one call, µs'.padEnd(66)}${'eager'.padStart(12)}${'compiled'.padStart(12)}${'ratio'.padStart(9)}`,
  );
  for (const { name, eager, compiled } of workloads()) {
    if (values.only !== undefined && !name.includes(values.only)) continue;
    const bench = new Bench({ time: 700, warmupTime: 300 });
    bench.add('eager', eager).add('compiled', compiled);
    await bench.run();
    const row = { name, eager: median(bench, 'eager'), compiled: median(bench, 'compiled'), ratio: 0 };
    row.ratio = row.compiled / row.eager;
    rows.push(row);
    console.log(
      name.padEnd(66) +
        row.eager.toFixed(1).padStart(12) +
        row.compiled.toFixed(1).padStart(12) +
        `${row.ratio.toFixed(3)}×`.padStart(9),
    );
  }
  const peers = await comparePeers({ ...values, rounds: Number(values.rounds) });
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), rows, peers }, null, 2)}\n`,
    );
};

void main();
