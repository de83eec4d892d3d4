/** @file What a call takes once it is compiled: all runners on the same inputs, taking turns, their answers compared. */
import { join } from 'node:path';
import { cases } from './cases.js';
import { Peer } from './peer.js';
import { type RunnerOptions, runnersOf } from './runners.js';
import { APART, distance, median, printHead, printRow, type Row } from './table.js';

export interface CallOptions extends RunnerOptions {
  readonly only?: string | undefined;
  readonly rounds: number;
  /** Of one turn. */
  readonly seconds: number;
}

/** Prints the table while it grows. `folder` has the inputs. */
export const compareCalls = async (options: CallOptions, folder: string): Promise<Row[]> => {
  const names = Object.keys(cases).filter((n) => options.only === undefined || n.includes(options.only));
  const started = new Map<string, Peer>();
  const runners = (name: string): Peer[] =>
    runnersOf(options, folder, name).map((command) => {
      const key = JSON.stringify(command);
      if (!started.has(key)) started.set(key, new Peer(command));
      return started.get(key)!;
    });
  const columns = runnersOf(options, folder, '').map(({ name }) => name);
  printHead(`one call, median of ${options.rounds} turns, and jorch's share of it`, columns);
  const rows: Row[] = [];
  try {
    if (columns.includes('onnxruntime-node'))
      await runners('')
        .find(({ name }) => name === 'torch')!
        .ask({ do: 'onnx', folder: join(folder, 'onnx') });
    for (const name of names) {
      const [notes, times] = [[] as string[], new Map<Peer, number[]>()];
      let expected: readonly number[] | undefined;
      for (const runner of runners(name)) {
        const reply = await runner.ask({ do: 'prepare', case: name });
        if (reply.answers === undefined) {
          if (!/left out|no graph/.test(reply.error ?? '')) notes.push(`${runner.name}: ${reply.error}`);
          continue;
        }
        expected ??= reply.answers;
        times.set(runner, []);
        const apart = distance(reply.answers, expected);
        if (!(apart < APART)) notes.push(`${runner.name} disagrees by ${apart.toExponential(1)}`);
      }
      // The first turn does not count: runners that were made ready a moment ago (torch.compile's workers) may still be busy with that.
      for (let round = -1; round < options.rounds; round++)
        for (const [runner, all] of times) {
          const { us, error } = await runner.ask({ do: 'time', case: name, seconds: options.seconds });
          if (us === undefined) notes.push(`${runner.name}: ${error}`);
          else if (round >= 0) all.push(us);
        }
      const measured = [...times].filter(([, all]) => all.length > 0);
      const row: Row = {
        name,
        unit: 'µs',
        values: Object.fromEntries(measured.map(([runner, all]) => [runner.name, median(all)])),
        notes,
      };
      rows.push(row);
      printRow(row, columns);
    }
  } finally {
    for (const peer of started.values()) peer.close();
  }
  return rows;
};
