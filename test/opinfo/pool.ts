/** @file Runs units of samples in child processes: crashes and endless loops are found down to the one sample. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { watchLimit } from './limit.js';
import type { Finding } from './result.js';
import type { Reply, Unit } from './worker.js';

export interface PoolOptions {
  /** The script of a child process; default: worker.js. */
  readonly script?: string;
  /** Processes at a time. */
  readonly jobs: number;
  /** Seconds of processor time for one sample; a unit of several has up to four times as much. */
  readonly limitSeconds: number;
  /** No unit is begun after so many seconds; default: all are. */
  readonly budgetSeconds?: number;
  readonly onFindings: (unit: Unit, findings: readonly Finding[]) => void;
}

/** What became of a unit: a reply, or why there is none. */
type Outcome = Reply | { readonly died: string };

const failure = (unit: Unit, message: string): Finding => ({
  sample: unit.samples[0]!,
  status: 'fail',
  gradient: 'none',
  messages: [`${unit.mode}: ${message}`],
  atenCalls: [],
  expanded: false,
});

const halves = (unit: Unit): Unit[] => {
  const middle = Math.ceil(unit.samples.length / 2);
  return [unit.samples.slice(0, middle), unit.samples.slice(middle)].map((samples) => ({ ...unit, samples }));
};

/** One child process at a time, replaced when it dies. */
class Worker {
  private child: ChildProcess | undefined;

  constructor(private readonly script: string) {}

  run(unit: Unit, limitSeconds: number): Promise<Outcome> {
    this.child ??= this.start();
    const child = this.child;
    return new Promise((resolve) => {
      let timedOut = false;
      const stopWatching = watchLimit(child.pid!, limitSeconds, () => {
        timedOut = true;
        child.kill('SIGKILL');
      });
      const finish = (outcome: Outcome): void => {
        stopWatching();
        child.off('message', onMessage).off('exit', onExit);
        resolve(outcome);
      };
      const onMessage = (reply: unknown): void => finish(reply as Reply);
      const onExit = (code: number | null, signal: string | null): void => {
        this.child = undefined;
        finish({
          died: timedOut
            ? `no result within ${limitSeconds} s of processor time`
            : `the process ended with ${signal ?? `exit code ${code}`}`,
        });
      };
      child.on('message', onMessage).on('exit', onExit);
      child.send(unit);
    });
  }

  private start(): ChildProcess {
    // What a dying process writes is noise beside the finding; JORCH_OPINFO_STDERR shows it.
    const stderr = process.env.JORCH_OPINFO_STDERR ? 'inherit' : 'ignore';
    return fork(this.script, { stdio: ['ignore', 'ignore', stderr, 'ipc'] });
  }

  stop(): void {
    this.child?.disconnect();
  }
}

/** Runs all units; findings arrive through `onFindings`, each sample exactly once. */
export const runUnits = async (
  units: readonly Unit[],
  { jobs, limitSeconds, budgetSeconds = Infinity, onFindings, script = join(__dirname, 'worker.js') }: PoolOptions,
): Promise<void> => {
  const queue = [...units].reverse();
  const end = performance.now() + 1000 * budgetSeconds;
  const work = async (): Promise<void> => {
    const worker = new Worker(script);
    for (let unit = queue.pop(); unit && performance.now() < end; unit = queue.pop()) {
      const outcome = await worker.run(unit, limitSeconds * Math.min(unit.samples.length, 4));
      if ('findings' in outcome) onFindings(unit, outcome.findings);
      else if (unit.samples.length > 1) queue.push(...halves(unit).reverse());
      else onFindings(unit, [failure(unit, 'died' in outcome ? outcome.died : outcome.error)]);
    }
    worker.stop();
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, work));
};
