/**
 * @file The benches next to what one would use instead: jorch eagerly and compiled, torch, torch.compile, jax.jit, torchax, onnxruntime-node and
 * @jax-js/jax on the same inputs, taking turns, their answers compared. `bench/peers/setup FOLDER` installs the peers.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bench } from 'tinybench';
import * as torch from '../../lib/index.js';
import { cases, type Job } from './cases.js';
import { type Group, makeData, writeData } from './data.js';
import { Peer, type PeerCommand } from './peer.js';
import { picture } from './picture.js';

export interface PeerOptions {
  readonly only?: string | undefined;
  /** What `bench/peers/setup` made. */
  readonly peers?: string | undefined;
  /** Pythons that have torch, or jax, instead of that of `peers`. */
  readonly torch?: string | undefined;
  readonly jax?: string | undefined;
  readonly rounds: number;
  readonly svg?: string | undefined;
}
/** Of one case: microseconds of a call, the median over the rounds, by runner; what disagreed or failed. */
export interface PeerRow {
  readonly name: string;
  readonly us: Readonly<Record<string, number>>;
  readonly first: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

const SECONDS = 0.25;
const sources = join(__dirname, '../../../bench/peers');
const DOUBLE = /^(rosen|gp)\./;

const commandsOf = (options: PeerOptions, data: string): { float32: PeerCommand[]; float64: PeerCommand[] } => {
  const serve = join(sources, 'python/serve.py');
  const installed = options.peers && join(options.peers, 'venv/bin/python');
  const [torchPython, jaxPython] = [options.torch ?? installed, options.jax ?? installed];
  const python = (given: string | undefined, name: string, env = {}): PeerCommand[] =>
    given === undefined
      ? []
      : [{ name, command: [...given.split(' '), serve, name, data], env: { JAX_PLATFORMS: 'cpu', ...env } }];
  const packages = options.peers && join(options.peers, 'js');
  const node = (name: string): PeerCommand[] =>
    packages && existsSync(join(packages, 'node_modules'))
      ? [{ name, command: [process.execPath, join(sources, 'node-peers.mjs'), name, data, packages] }]
      : [];
  const all = (env: Record<string, string>): PeerCommand[] => [
    ...python(torchPython, 'torch'),
    ...python(torchPython, 'torch.compile'),
    ...python(jaxPython, 'jax.jit', env),
    ...(installed ? python(installed, 'torchax', env) : []),
    ...node('onnxruntime-node'),
    ...node('jax-js'),
  ];
  return { float32: all({}), float64: all({ JAX_ENABLE_X64: '1' }) };
};

/** jorch in this process answers as a peer does. */
const own = (name: string, jobs: Map<string, Job>): Pick<Peer, 'name' | 'ask' | 'close'> => ({
  name,
  ask: async (request) => {
    const { do: what, case: which } = request as { do: string; case: string };
    const job = jobs.get(which)!;
    if (what === 'prepare') {
      const began = performance.now();
      const answers = job.answers();
      return { first: (performance.now() - began) / 1000, answers };
    }
    const bench = new Bench({ time: SECONDS * 1000, warmup: false });
    bench.add('call', () => void job.call());
    await bench.run();
    const result = bench.getTask('call')?.result;
    return result && 'latency' in result ? { us: result.latency.p50 * 1000 } : { error: 'no result' };
  },
  close: () => undefined,
});

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((v, i) => Math.abs(v - b[i]!) / Math.max(Math.abs(b[i]!), 1e-12)));

/** Prints the table while it grows. */
export const comparePeers = async (options: PeerOptions): Promise<PeerRow[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'jorch-bench-'));
  const data: Readonly<Record<string, Group>> = makeData();
  writeData(folder, data);
  const names = Object.keys(cases).filter((n) => options.only === undefined || n.includes(options.only));
  const commands = commandsOf(options, folder);
  const started = new Map<string, Peer>();
  const peersOf = (kind: 'float32' | 'float64'): Peer[] =>
    commands[kind].map((command) => {
      // Only jax and torchax decide on float64 when they start.
      const key = `${command.name} ${/jax\.jit|torchax/.test(command.name) ? kind : ''}`;
      if (!started.has(key)) started.set(key, new Peer(command));
      return started.get(key)!;
    });
  const columns = ['jorch', 'jorch eager', ...commands.float32.map(({ name }) => name)];
  console.log(
    `\nµs of one call (median of ${options.rounds} turns), and jorch's share of it\n${'case'.padEnd(17)}${columns.map((c) => c.padStart(20)).join('')}`,
  );
  const rows: PeerRow[] = [];
  try {
    for (const [i, peer] of peersOf('float32').entries())
      if (commands.float32[i]!.name === 'torch' && commands.float32.some(({ name }) => name === 'onnxruntime-node'))
        await peer.ask({ do: 'onnx', folder: join(folder, 'onnx') });
    for (const name of names) {
      const runners = [
        own('jorch', new Map([[name, cases[name]!(data, torch.compile as never)]])),
        own('jorch eager', new Map([[name, cases[name]!(data, (f) => f)]])),
        ...peersOf(DOUBLE.test(name) ? 'float64' : 'float32'),
      ];
      const [notes, first, times] = [[] as string[], {} as Record<string, number>, {} as Record<string, number[]>];
      let expected: readonly number[] | undefined;
      for (const runner of runners) {
        const reply = await runner.ask({ do: 'prepare', case: name });
        if (reply.answers === undefined) {
          if (reply.error !== undefined && !/left out|no graph/.test(reply.error))
            notes.push(`${runner.name}: ${reply.error}`);
          continue;
        }
        expected ??= reply.answers;
        first[runner.name] = reply.first!;
        times[runner.name] = [];
        const apart = distance(reply.answers, expected);
        if (!(apart < 1e-3))
          notes.push(`${runner.name} disagrees with ${runners[0]!.name} by ${apart.toExponential(1)}`);
      }
      for (let round = 0; round < options.rounds; round++)
        for (const runner of runners) {
          if (times[runner.name] === undefined) continue;
          const { us } = await runner.ask({ do: 'time', case: name, seconds: SECONDS });
          if (us !== undefined) times[runner.name]!.push(us);
        }
      const us = Object.fromEntries(Object.entries(times).flatMap(([k, v]) => (v.length > 0 ? [[k, median(v)]] : [])));
      rows.push({ name, us, first, notes });
      const cell = (c: string): string =>
        us[c] === undefined
          ? '–'.padStart(20)
          : `${us[c].toFixed(1)}${c === 'jorch' ? '' : ` (${(us.jorch! / us[c]).toFixed(3)}×)`}`.padStart(20);
      console.log(name.padEnd(17) + columns.map(cell).join(''));
      for (const note of notes) console.log(`    ${note}`);
    }
  } finally {
    for (const peer of started.values()) peer.close();
    rmSync(folder, { recursive: true, force: true });
  }
  if (options.svg !== undefined) writeFileSync(options.svg, picture(rows, columns));
  return rows;
};
