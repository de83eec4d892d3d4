/** @file Row 7, the moments: processes and workers that end while programs are compiled or fetched for them, at 0 to 300 ms, in all five ways. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDir } from '../../lib/runtime/parts.js';
import { figure } from '../support/figure.js';

/** Moments between 0 and LAST milliseconds; JORCH_MOMENTS asks for fewer. */
const MOMENTS = Number(process.env['JORCH_MOMENTS'] ?? 13);
const LAST = 300;
const fixture = join(__dirname, 'fixtures', 'ends-at.js');
const PROCESS = { return: 0, exit: 7, throw: 1, rejection: 1, SIGTERM: null } as const;
const WORKER = { return: 0, exit: 7, throw: 1, rejection: 1, terminate: 1 } as const;

describe('stress: moments of ending', () => {
  it(`row 7: ${MOMENTS} moments, five ends, while others compile or fetch`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'jorch-ends-'));
    const run = (...args: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [fixture, ...args], {
        encoding: 'utf8',
        env: { ...process.env, JORCH_CACHE_DIR: dir, OMP_WAIT_POLICY: 'PASSIVE' },
        timeout: 300_000,
        killSignal: 'SIGKILL',
      });
    const wrong: string[] = [];
    let ended = 0;
    try {
      symlinkSync(join(cacheDir(), 'runtime'), join(dir, 'runtime'));
      const noted = run('prefetch', 'note', '0');
      assert.equal(noted.status, 0, String(noted.stderr));
      for (let moment = 0; moment < MOMENTS; moment++) {
        const ms = String(Math.round((moment * LAST) / Math.max(1, MOMENTS - 1)));
        for (const flight of ['compile', 'prefetch']) {
          for (const [end, code] of Object.entries(PROCESS))
            for (const where of [[], ['beside']]) {
              const told = run(flight, end, ms, ...where);
              const wanted = end === 'SIGTERM' ? 'SIGTERM' : null;
              ended++;
              if (told.status !== code || told.signal !== wanted)
                wrong.push(`${flight}, ${end} at ${ms} ms ${where}: ${told.status} ${told.signal} ${told.stderr}`);
            }
          for (const [end, code] of Object.entries(WORKER)) {
            const told = run(flight, end, ms, 'worker');
            ended++;
            if (told.status !== 0 || told.signal !== null || told.stdout !== String(code))
              wrong.push(
                `worker: ${flight}, ${end} at ${ms} ms: ${told.status} ${told.signal} ${told.stdout} ${told.stderr}`,
              );
          }
        }
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    figure(7, `at ${MOMENTS} moments of work: ${ended - wrong.length} of ${ended}`);
    assert.deepEqual(wrong, []);
  });
});
