/** @file Runs hostile calls in processes of their own, finds out which one ended a process or never came back, and makes it as small as it gets. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { callNumber, recipesOf, seedOf } from './hostile-schemas.js';
import type { Recipe } from './recipes.js';

const fixture = join(__dirname, '..', 'torch', 'fixtures', 'hostile-calls.js');
/** A call that takes longer never comes back: sizes are tiny. */
const HANG_MS = 60_000;

/** Where the calls are made: as they are, or inside compiled functions. */
export type How = 'eager' | 'compiled';

interface Told {
  readonly results: number;
  readonly refused: number;
  readonly wrong: readonly { readonly call: Recipe; readonly words: string }[];
}

/** What stands in the file of progress while numbered calls are made: the one being made, and what became of those before. */
export interface Progress extends Told {
  readonly at: number;
}

/** What a process told; undefined, with its last words, when it did not live to. */
const inProcess = (args: readonly string[], progress: string, how: How): Promise<{ told?: Told; death: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [fixture, progress, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, JORCH_HOSTILE: how },
    });
    // MKL writes its complaints to standard output.
    let [out, err, seen, since, hung] = ['', '', '', Date.now(), false];
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err = (err + chunk).slice(-2000);
    });
    const watch = setInterval(() => {
      const now = readFileSync(progress, 'utf8');
      if (now !== seen) [seen, since] = [now, Date.now()];
      else if (Date.now() - since > HANG_MS) {
        hung = true;
        child.kill('SIGKILL');
      }
    }, 1000);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      if (code === 0) resolve({ told: JSON.parse(out.slice(out.lastIndexOf('{"results"'))) as Told, death: '' });
      else
        resolve({
          death: hung
            ? 'never comes back'
            : `${signal ?? `exit ${code}`}: ${err.trim().split('\n').slice(-3).join(' ')}`,
        });
    });
  });

const withProgress = async <T>(body: (progress: string) => Promise<T>): Promise<T> => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-hostile-'));
  try {
    const progress = join(dir, 'progress');
    writeFileSync(progress, '');
    return await body(progress);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

export interface Failure {
  readonly call: Recipe;
  readonly words: string;
}
export interface Campaign {
  readonly results: number;
  readonly refused: number;
  readonly failures: readonly Failure[];
}

/** Calls that were kept, in one process, and those that end it one after the other. */
export const performKept = async (calls: readonly Recipe[], how: How = 'eager'): Promise<Campaign> =>
  withProgress(async (progress) => {
    writeFileSync(progress, JSON.stringify(calls));
    const { told, death } = await inProcess([], progress, how);
    if (told) return { results: told.results, refused: told.refused, failures: told.wrong };
    if (calls.length === 1) return { results: 0, refused: 0, failures: [{ call: calls[0]!, words: death }] };
    const middle = calls.length >> 1;
    const [a, b] = [await performKept(calls.slice(0, middle), how), await performKept(calls.slice(middle), how)];
    return { results: a.results + b.results, refused: a.refused + b.refused, failures: [...a.failures, ...b.failures] };
  });

/** The smallest call with the same operator, found from this one, that fails in any way. */
const shrink = async (seed: number, i: number, words: string, how: How): Promise<Failure> => {
  let smallest: Failure = { call: callNumber(seed, i), words };
  await fc.check(
    fc.asyncProperty(recipesOf(smallest.call.operator), async (call) => {
      const [failure] = (await performKept([call], how)).failures;
      if (failure) smallest = failure;
      return failure === undefined;
    }),
    { seed: seedOf(seed, i), numRuns: 1, interruptAfterTimeLimit: 120_000 },
  );
  return smallest;
};

/** Calls number `from`, `from + stride` …, `count` of them. */
export const campaign = (
  seed: number,
  from: number,
  count: number,
  {
    shrink: smaller = false,
    how = 'eager',
    stride = 1,
  }: { readonly shrink?: boolean; readonly how?: How; readonly stride?: number } = {},
): Promise<Campaign> =>
  withProgress(async (progress) => {
    const failures: Failure[] = [];
    let [results, refused] = [0, 0];
    const add = (told: Told): void => {
      results += told.results;
      refused += told.refused;
      failures.push(...told.wrong);
    };
    for (let done = 0; done < count; ) {
      writeFileSync(progress, '');
      const { told, death } = await inProcess(
        [seed, from + done * stride, count - done, stride].map(String),
        progress,
        how,
      );
      if (told) {
        add(told);
        break;
      }
      const last = readFileSync(progress, 'utf8');
      if (last === '') throw new Error(`no call was made: ${death}`);
      const { at, ...before } = JSON.parse(last) as Progress;
      add(before);
      failures.push(smaller ? await shrink(seed, at, death, how) : { call: callNumber(seed, at), words: death });
      done = (at - from) / stride + 1;
    }
    return { results, refused, failures };
  });
