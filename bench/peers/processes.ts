/**
 * @file What a process takes: until its first result, where it finds nothing on disk (cold) and where an earlier one left what it compiled (warm),
 * and how much memory at most. Runners in turns, a process for each figure.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDir } from '../../lib/runtime/parts.js';
import { Peer, type PeerCommand } from './peer.js';
import { type RunnerOptions, runnersOf } from './runners.js';
import { median, printHead, printRow, type Row } from './table.js';

/** The big step, whose compilation is what takes the time, and the small one, where starting is. */
const [LARGE, SMALL, TRAINING] = ['tblock.fwdbwd', 'seed.vg.10', 'mlp.step'];

/** Every framework's persistent cache in `folder`. */
const cachesIn = (folder: string): Record<string, string> => ({
  JORCH_CACHE_DIR: folder,
  TORCHINDUCTOR_CACHE_DIR: join(folder, 'inductor'),
  JAX_COMPILATION_CACHE_DIR: join(folder, 'jax'),
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS: '0',
  JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES: '-1',
});

interface Begun {
  /** From the start of the process to the first result, ms. */
  readonly whole: number;
  /** From the call to the first result, ms. */
  readonly first: number;
  /** MiB at most. */
  readonly peak: number;
}

const begin = async (command: PeerCommand, name: string, seconds: number): Promise<Begun | undefined> => {
  const began = performance.now();
  const peer = new Peer(command);
  const { first } = await peer.ask({ do: 'prepare', case: name });
  const whole = performance.now() - began;
  if (first !== undefined && seconds > 0) await peer.ask({ do: 'time', case: name, seconds });
  const { mib } = first === undefined ? { mib: undefined } : await peer.ask({ do: 'memory' });
  await peer.end();
  return first === undefined ? undefined : { whole, first: first * 1000, peak: mib ?? Number.NaN };
};

/** A process with empty caches, and one after it. */
const twice = async (
  command: PeerCommand,
  name: string,
  seconds = 0,
): Promise<{ cold: Begun; warm: Begun } | undefined> => {
  const folder = mkdtempSync(join(tmpdir(), 'jorch-start-'));
  try {
    for (const cache of ['inductor', 'jax']) mkdirSync(join(folder, cache));
    symlinkSync(join(cacheDir(), 'runtime'), join(folder, 'runtime'));
    const inIt = { ...command, env: { ...command.env, ...cachesIn(folder) } };
    const cold = await begin(inIt, name, seconds);
    const warm = cold && (await begin(inIt, name, seconds));
    return cold && warm && { cold, warm };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Prints the table. `folder` has the inputs. */
export const compareProcesses = async (options: RunnerOptions & { rounds: number }, folder: string): Promise<Row[]> => {
  const commands = runnersOf(options, folder, '');
  const columns = commands.map(({ name }) => name);
  printHead(`processes, medians of ${options.rounds}, and jorch's share`, columns);
  const rows: Row[] = [];
  const row = (name: string, unit: Row['unit'], of: ReadonlyMap<string, readonly number[]>): void => {
    const measured = [...of].filter(([, values]) => values.length > 0);
    const values = Object.fromEntries(measured.map(([runner, all]) => [runner, median(all)]));
    rows.push({ name, unit, values, notes: [] });
    printRow(rows.at(-1)!, columns);
  };
  const runs = async (name: string, rounds: number, seconds = 0) => {
    const all = new Map(columns.map((c) => [c, [] as { cold: Begun; warm: Begun }[]]));
    for (let round = 0; round < rounds; round++)
      for (const command of commands) {
        if (round > 0 && all.get(command.name)!.length === 0) continue; // has no such case
        const run = await twice(command, name, seconds);
        if (run) all.get(command.name)!.push(run);
      }
    return (pick: (run: { cold: Begun; warm: Begun }) => number): Map<string, number[]> =>
      new Map([...all].map(([runner, its]) => [runner, its.map(pick)]));
  };
  const large = await runs(LARGE, options.rounds);
  for (const kind of ['cold', 'warm'] as const)
    row(
      `${LARGE}, first call, ${kind}`,
      'ms',
      large((run) => run[kind].first),
    );
  const small = await runs(SMALL, options.rounds);
  for (const [name, of] of [
    [LARGE, large],
    [SMALL, small],
  ] as const)
    for (const kind of ['cold', 'warm'] as const)
      row(
        `${name}, process, ${kind}`,
        'ms',
        of((run) => run[kind].whole),
      );
  const training = await runs(TRAINING, 1, 0.5);
  row(
    `${TRAINING}, peak memory`,
    'MiB',
    training(({ cold }) => cold.peak),
  );
  return rows;
};
