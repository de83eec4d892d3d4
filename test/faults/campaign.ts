/** @file Runs fixtures/campaign.ts until it has come through all scenarios, past the places where the process ended. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { located } from '../../lib/runtime/load.js';
import { faultLibraries } from './library.js';

/** What fails: an allocation of jorch's code, a kernel of libtorch by its own error or by bad_alloc, a call that reaches the plugin. */
export const KINDS = { allocation: 1, 'kernel error': 2, 'kernel allocation': 3, 'plugin call': 4 } as const;

export interface FaultsTold {
  readonly runs: number;
  /** Runs that ended in an error; the others came through. */
  readonly refused: number;
  readonly wrong: readonly string[];
}

/** Faults of a kind in every scenario; `growth` 1 takes place after place, 1.5 ever fewer. undefined where the libraries cannot be built. */
export const faultCampaign = (kind: keyof typeof KINDS, growth: number, only?: string): FaultsTold | undefined => {
  const libraries = faultLibraries();
  if (typeof libraries === 'string') return undefined;
  const { torch, cpuPlugin } = located();
  const dir = mkdtempSync(join(tmpdir(), 'jorch-faults-'));
  const progress = join(dir, 'progress');
  const env = {
    ...process.env,
    LD_PRELOAD: libraries.faults,
    JORCH_FAULTS: libraries.faults,
    JORCH_FAULTY_MEMORY: libraries.memory,
    JORCH_TORCH_DIR: torch,
    JORCH_PJRT_PLUGIN: cpuPlugin,
    JORCH_CACHE_DIR: join(dir, 'cache'),
    ...(only === undefined ? {} : { JORCH_FAULT_SCENARIO: only }),
  };
  let [runs, refused] = [0, 0];
  const wrong: string[] = [];
  try {
    for (let from: [string, number] | undefined; ; ) {
      const args = [join(__dirname, 'fixtures', 'campaign.js'), String(KINDS[kind]), String(growth), progress];
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...args, ...(from ?? []).map(String)], {
        encoding: 'utf8',
        env,
        maxBuffer: 1 << 28,
      });
      if (status === 0) {
        const told = JSON.parse(stdout.slice(stdout.lastIndexOf('\n'))) as FaultsTold;
        return { runs: runs + told.runs, refused: refused + told.refused, wrong: [...wrong, ...told.wrong] };
      }
      const [scenario, n]: [string, number] = JSON.parse(readFileSync(progress, 'utf8'));
      wrong.push(`${scenario}, place ${n}: ${signal ?? `exit ${status}`}: ${stderr.trim().slice(-3000)}`);
      // What came before in this process is not told; a run has failed anyway.
      if (wrong.length > 40) return { runs, refused, wrong };
      from = [scenario, n + 1];
      runs++;
      refused++;
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
