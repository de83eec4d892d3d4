/**
 * @file Row 12, the long form: random functions, eager against compiled, in processes of a few hundred; one that fails stops no other. What differs is made
 * small and belongs into test/compile/random-graphs.json.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure } from '../support/figure.js';

/** All take half an hour of one core; JORCH_GRAPHS asks for fewer. */
const GRAPHS = Number(process.env['JORCH_GRAPHS'] ?? 5000);
const SLICE = 250;
const STEPS = 20;

interface Told {
  readonly equal: number;
  readonly failures: readonly unknown[];
}

/** Numbers `from` to `from + count` of the functions of a seed; what ends the process is a failure, and the next begins after it. */
const slice = (seed: number, from: number, count: number): Told => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-graphs-'));
  const progress = join(dir, 'progress');
  try {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [join(__dirname, 'fixtures', 'random-graphs.js'), progress, ...[seed, from, count, STEPS].map(String)],
      { encoding: 'utf8', maxBuffer: 1 << 28 },
    );
    if (status === 0) return JSON.parse(stdout.slice(stdout.lastIndexOf('{"equal"'))) as Told;
    const at = Number(readFileSync(progress, 'utf8'));
    const words = `seed ${seed}, number ${at}: ${signal ?? `exit code ${status}`} ${stderr.slice(-500)}`;
    const rest = from + count - at - 1;
    const after = rest > 0 ? slice(seed, at + 1, rest) : { equal: 0, failures: [] };
    return { equal: at - from + after.equal, failures: [words, ...after.failures] };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

describe('stress: random graphs', () => {
  it(`row 12: ${GRAPHS} random functions with views, writes, mixed types and gradients: compiled is eager`, () => {
    const seed = Number(process.env['JORCH_SEED'] ?? Math.floor(Date.now() / 86_400_000));
    const failures: unknown[] = [];
    let equal = 0;
    for (let from = 0; from < GRAPHS; from += SLICE) {
      const told = slice(seed, from, Math.min(SLICE, GRAPHS - from));
      equal += told.equal;
      failures.push(...told.failures);
    }
    figure(12, `random graphs, seed ${seed}: ${equal} of ${GRAPHS} equal`);
    assert.equal(failures.length, 0, JSON.stringify(failures, undefined, 1));
  });
});
