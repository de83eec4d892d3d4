/** @file The runners that are compared, each a process of its own: jorch compiled and eager, and what `bench/peers/setup` installed or the command line names. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { PeerCommand } from './peer.js';

export interface RunnerOptions {
  /** What `bench/peers/setup` made. */
  readonly peers?: string | undefined;
  /** Pythons that have torch, or jax, instead of that of `peers`. */
  readonly torch?: string | undefined;
  readonly jax?: string | undefined;
  /** Names, between commas; default: all that there are. */
  readonly runners?: string | undefined;
  /** Cores and threads of each runner; default: all. */
  readonly threads?: number | undefined;
}

/** All names. */
export const RUNNERS = [
  'jorch',
  'jorch eager',
  'torch',
  'torch.compile',
  'jax.jit',
  'torchax',
  'onnxruntime-node',
  'jax-js',
] as const;

const sources = join(__dirname, '../../../bench/peers');
/** Cases in float64. */
const DOUBLE = /^(rosen|gp)\./;

/** Every runner's pools and the cores they may run on. */
const limited = ({ name, command, env }: PeerCommand, threads: number | undefined): PeerCommand => {
  if (threads === undefined || threads >= availableParallelism()) return { name, command, env: env ?? {} };
  const n = String(threads);
  const cores = `0-${threads - 1}`;
  return {
    name,
    command: ['taskset', '-c', cores, ...command],
    env: { ...env, BENCH_THREADS: n, OMP_NUM_THREADS: n, MKL_NUM_THREADS: n, PJRT_NPROC: n },
  };
};

/** The commands of all runners for the inputs in `data`; those of jax decide on float64 when they start. */
export const runnersOf = (options: RunnerOptions, data: string, example: string): PeerCommand[] => {
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
  const ours = (name: string): PeerCommand => ({
    name,
    command: [process.execPath, join(__dirname, 'serve.js'), name, data],
  });
  const wide: Record<string, string> = DOUBLE.test(example) ? { JAX_ENABLE_X64: '1' } : {};
  return [
    ours('jorch'),
    ours('jorch eager'),
    ...python(torchPython, 'torch'),
    ...python(torchPython, 'torch.compile'),
    ...python(jaxPython, 'jax.jit', wide),
    ...python(installed, 'torchax', wide),
    ...node('onnxruntime-node'),
    ...node('jax-js'),
  ]
    .filter(({ name }) => options.runners === undefined || options.runners.split(',').includes(name))
    .map((command) => limited(command, options.threads));
};
