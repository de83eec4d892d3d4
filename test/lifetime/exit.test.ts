/** @file However a process or a worker that used jorch ends, it ends with the right code and without a signal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const run = (
  fixture: string,
  ...args: string[]
): { status: number | null; signal: string | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [join(__dirname, 'fixtures', `${fixture}.js`), ...args], {
    encoding: 'utf8',
    timeout: 60_000,
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
