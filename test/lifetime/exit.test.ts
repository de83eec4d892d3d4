/** @file However a process or a worker that used jorch ends, it ends with the right code and without a signal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { figure } from '../support/figure.js';

const run = (
  fixture: string,
  ...args: string[]
): { status: number | null; signal: string | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [join(__dirname, 'fixtures', `${fixture}.js`), ...args], {
    encoding: 'utf8',
    // On a busy machine OpenMP's threads would wait for each other by spinning, a minute long. What takes this long never ends, and is told from
    // a process that SIGTERM ended.
    env: { ...process.env, OMP_WAIT_POLICY: 'PASSIVE' },
    timeout: 300_000,
    killSignal: 'SIGKILL',
  });

describe('process exit', () => {
  const codes: Readonly<Record<string, number | null>> = { return: 0, exit: 7, throw: 1, rejection: 1, SIGTERM: null };
  for (const use of ['imported', 'eager', 'gradient', 'compiled', 'in flight', 'inside a trace']) {
    it(`after ${use}: return, process.exit, throw, rejection and SIGTERM end as they should`, () => {
      for (const [end, code] of Object.entries(codes)) {
        // A signal is taken by the event loop, and `return` inside a trace is `compiled`.
        if (use === 'inside a trace' && end === 'SIGTERM') continue;
        const { status, signal, stderr } = run('exit', use, end);
        assert.equal(signal, end === 'SIGTERM' ? 'SIGTERM' : null, `${end}: ${stderr}`);
        assert.equal(status, code, `${end}: ${stderr}`);
        assert.doesNotMatch(stderr, /terminate called|Segmentation|core dumped|mutex/);
      }
    });
  }
});

describe('exit of a worker', () => {
  // All uses, three times: row 7 of test/stress/lifetime.stress.ts.
  for (const use of ['gradient', 'in flight'])
    it(`after ${use}: return, process.exit, throw, rejection and terminate end the worker, not the process`, () => {
      for (const [end, code] of Object.entries({ return: 0, exit: 7, throw: 1, rejection: 1, terminate: 1 })) {
        const { status, signal, stdout, stderr } = run('exit', use, end, 'worker');
        assert.deepEqual([status, signal, stdout], [0, null, String(code)], `${end}: ${stderr}`);
      }
    });
});

describe('child processes', () => {
  it('fork, four at once, and a cluster of three compute what their parent computes, and end', () => {
    const { status, signal, stdout, stderr } = run('children');
    assert.deepEqual([status, signal], [0, null], stderr);
    const { parent, forked, cluster } = JSON.parse(stdout) as { parent: number; forked: unknown; cluster: unknown };
    assert.equal(parent, 200);
    assert.deepEqual(
      forked,
      Array.from({ length: 4 }, () => ({ told: 200, code: 0 })),
    );
    assert.deepEqual(
      cluster,
      Array.from({ length: 3 }, () => ({ told: 200, code: 0 })),
    );
  });
});

describe('the event loop', () => {
  it('turns while a large program is compiled asynchronously: timers and file reads come in time', function () {
    this.timeout(120_000);
    const { status, stdout, stderr } = run('event-loop');
    assert.equal(status, 0, stderr);
    const { turns, longestTrace, value } = JSON.parse(stdout) as { turns: number; longestTrace: number; value: number };
    // XLA takes seconds for this program: a loop that waits for it turns a few times only.
    assert.ok(turns > 50, `${turns} turns; the trace alone ${longestTrace} ms`);
    assert.equal(value, 0);
  });

  it('threads: at most 4 × cores + 16, and those of the workers themselves, where eager code, programs and workers run side by side', () => {
    const { status, stdout, stderr } = run('threads');
    assert.equal(status, 0, stderr);
    const { threads, cores, shares } = JSON.parse(stdout) as { threads: number; cores: number; shares: number[] };
    figure(24, `${threads} threads on ${cores} cores, with two workers`);
    assert.ok(threads <= 4 * cores + 16 + 2, `${threads} threads on ${cores} cores`);
    // The second to come has half of the cores, the third a third.
    assert.deepEqual(
      shares.sort((a, b) => b - a),
      [2, 3].map((n) => Math.max(1, Math.floor(cores / n))),
    );
  });
});

describe('worker_threads', () => {
  const right = [100, 100, 300];
  const results = (...args: string[]): { told: unknown; code: number }[] => {
    const { status, signal, stdout, stderr } = run('worker', ...args);
    assert.equal(signal, null, stderr);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as { told: unknown; code: number }[];
  };

  it('compute in workers only, and every worker exits with 0', () => {
    assert.deepEqual(
      results('worker', '3'),
      Array.from({ length: 3 }, () => ({ told: right, code: 0 })),
    );
  });

  it('compute in the main thread and in workers, and every worker exits with 0', () => {
    assert.deepEqual(
      results('both', '2'),
      Array.from({ length: 2 }, () => ({ told: right, code: 0 })),
    );
  });

  it('workers terminated at random moments, while they load, trace, compile, run or write, take nothing with them', () => {
    const { status, signal, stdout, stderr } = run('terminate', '4', '7');
    assert.deepEqual([status, signal], [0, null], stderr);
    assert.deepEqual(JSON.parse(stdout), [4, 3]);
  });

  for (const [mode, what] of [
    ['terminate', 'it computes'],
    ['flight', 'asynchronous calls and a compilation are under way'],
  ] as const)
    it(`a worker terminated while ${what} takes nothing with it`, () => {
      for (const { told, code } of results(mode, '2')) {
        assert.deepEqual(told, right);
        assert.equal(code, 1);
      }
    });
});
