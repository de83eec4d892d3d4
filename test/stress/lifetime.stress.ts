/** @file Long campaigns of the rows of docs/RELIABILITY.md; `npm test` runs short ones of most (test/lifetime). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { figure, slope } from '../support/figure.js';

const lifetime = join(__dirname, '..', 'lifetime', 'fixtures');
const own = join(__dirname, 'fixtures');
const run = (file: string, ...args: string[]): string => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', file, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  assert.equal(signal, null, stderr.slice(-2000));
  assert.equal(status, 0, stderr.slice(-2000));
  return stdout;
};

describe('stress: memory', () => {
  const soak = (loop: string, count: number): { perStep: number; live: number } => {
    const { points, live } = JSON.parse(run(join(own, 'soak.js'), loop, String(count))) as {
      points: [number, number][];
      live: number;
    };
    return { perStep: slope(points), live };
  };

  it('row 2: 1 000 000 tensors in scopes, back to the exact start', () => {
    const before = torch.memory();
    for (let i = 0; i < 1000; i++)
      torch.scope(() => {
        for (let k = 0; k < 1000; k++) torch.zeros(4);
      });
    assert.deepEqual(torch.memory(), before);
    figure(2, '1 000 000 tensors made in scopes, none left');
  });

  it('row 3: 1 000 000 compiled calls and 100 000 backward passes grow by at most 1 MiB per 100 000', () => {
    for (const [loop, count] of [
      ['calls', 1_000_000],
      ['backward', 100_000],
    ] as const) {
      const { perStep, live } = soak(loop, count);
      figure(3, `${loop}: ${((perStep * 1e5) / 2 ** 20).toFixed(2)} MiB per 100 000, ${live} tensors live`);
      assert.ok(perStep * 1e5 <= 2 ** 20, `${loop}: ${perStep} bytes a step`);
      assert.ok(live < 20, `${live} tensors`);
    }
  });

  it('row 4: 300 functions compiled and dropped leave at most 100 KiB each', () => {
    const { perStep } = soak('programs', 300);
    figure(4, `${(perStep / 1024).toFixed(1)} KiB per function`);
    assert.ok(perStep <= 100 * 1024, `${perStep} bytes`);
  });
});

describe('stress: workers and exits', () => {
  it('row 5: 10 rounds of 8 workers, in workers only and in the main thread too: every worker exits with 0', () => {
    for (let round = 0; round < 10; round++) {
      const told = JSON.parse(run(join(lifetime, 'worker.js'), round % 2 ? 'both' : 'worker', '8')) as {
        code: number;
      }[];
      assert.deepEqual(
        told.map(({ code }) => code),
        Array.from({ length: 8 }, () => 0),
      );
    }
    figure(5, '80 workers, all exit with 0');
  });

  it('row 6: 300 workers terminated at random moments: no process dies', () => {
    for (let seed = 1; seed <= 10; seed++)
      assert.deepEqual(JSON.parse(run(join(lifetime, 'terminate.js'), '30', String(seed))), [30, 3]);
    figure(6, '300 of 300 survived');
  });

  it('row 7: every way to use jorch and every way to end, three times', () => {
    const codes = { return: 0, exit: 7, throw: 1, rejection: 1, SIGTERM: null } as const;
    let ended = 0;
    for (const use of ['imported', 'eager', 'gradient', 'compiled', 'in flight'])
      for (const [end, code] of Object.entries(codes))
        for (let time = 0; time < 3; time++) {
          const { status, signal, stderr } = spawnSync(process.execPath, [join(lifetime, 'exit.js'), use, end], {
            encoding: 'utf8',
          });
          assert.deepEqual([status, signal], [code, end === 'SIGTERM' ? 'SIGTERM' : null], `${use}, ${end}: ${stderr}`);
          ended++;
        }
    const inWorkers = { return: 0, exit: 7, throw: 1, rejection: 1, terminate: 1 };
    for (const use of ['imported', 'eager', 'gradient', 'compiled', 'in flight'])
      for (const [end, code] of Object.entries(inWorkers))
        for (let time = 0; time < 3; time++) {
          assert.equal(run(join(lifetime, 'exit.js'), use, end, 'worker'), String(code), `${use}, ${end}, in a worker`);
          ended++;
        }
    figure(7, `${ended} of ${ended} end as they should, half of them in workers`);
  });

  it('row 23: the event loop while a program is compiled for seconds', () => {
    const { timers, reads, seconds } = JSON.parse(run(join(lifetime, 'event-loop.js'), '200')) as Record<
      string,
      number
    >;
    figure(
      23,
      `p99 of timers ${timers!.toFixed(1)} ms, of readFile ${reads!.toFixed(1)} ms, through ${seconds!.toFixed(1)} s of compiling`,
    );
    assert.ok(timers! <= 50 && reads! <= 50);
  });
});

describe('stress: threads', () => {
  it('row 24: four workers get at least 0.8 times as much done as one thread', () => {
    const { ratio } = JSON.parse(run(join(own, 'throughput.js'))) as { ratio: number };
    figure(24, `four workers: ${ratio.toFixed(2)} times the throughput of one thread`);
    assert.ok(ratio >= 0.8, `${ratio}`);
  });
});

describe('stress: XLA', () => {
  it('row 12: 10 000 damaged programs: no process dies', () => {
    let [refused, compiled] = [0, 0];
    for (let seed = 1; seed <= 20; seed++) {
      const told = JSON.parse(run(join(own, 'mutants.js'), '500', String(seed))) as {
        refused: number;
        compiled: number;
      };
      refused += told.refused;
      compiled += told.compiled;
    }
    figure(12, `damaged programs: ${refused} refused, ${compiled} compiled, none ended the process`);
    assert.equal(refused + compiled, 10_000);
  });

  it('row 25: a seed gives the same bits 100 times; without one the numbers differ', () => {
    const draw = torch.compile((x: torch.Tensor) => torch.rand_like(x).add(torch.randn_like(x)));
    const x = torch.zeros(64);
    const once = (seed: number): string => {
      torch.manual_seed(seed);
      return JSON.stringify([draw(x).tolist(), torch.randn(64).tolist()]);
    };
    const first = once(7);
    for (let i = 0; i < 100; i++) assert.equal(once(7), first);
    assert.notEqual(JSON.stringify(draw(x).tolist()), JSON.stringify(draw(x).tolist()));
    figure(25, '100 of 100 the same bits, eager and compiled');
  });
});
