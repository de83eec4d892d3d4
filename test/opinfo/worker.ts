/** @file The process that runs samples; a crash in native code ends it, not the run. */
import * as torch from '../../lib/index.js';
import { type Cases, readCases, readManifest } from './cases.js';
import { type Optimize, runCompiled } from './compiled.js';
import { runEager } from './eager.js';
import type { ManifestEntry } from './format.js';
import { describeError, type Finding } from './result.js';

/** Samples of one operator to run in one mode; compiled ones share one program. */
export interface Unit {
  readonly folder: string;
  readonly file: string;
  readonly mode: 'eager' | 'compiled';
  readonly samples: readonly number[];
  readonly optimize: Optimize;
  /** Where compiled samples run; default: the CPU. */
  readonly device?: string;
}

/** `error`: the samples fail together, and which of them is to blame is not known yet. */
export type Reply = { readonly findings: readonly Finding[] } | { readonly error: string };

let manifest: { folder: string; entries: ReadonlyMap<string, ManifestEntry> } | undefined;
let cases: (Cases & { folder: string }) | undefined;

const casesOf = ({ folder, file }: Unit): Cases => {
  if (manifest?.folder !== folder) manifest = { folder, entries: readManifest(folder) };
  if (cases?.folder !== folder || cases.file !== file) cases = { ...readCases(folder, file, manifest.entries), folder };
  return cases;
};

const run = (unit: Unit): Reply => {
  try {
    const loaded = casesOf(unit);
    // scope frees the tensors of the unit; findings are plain objects.
    return torch.scope(() => ({
      findings:
        unit.mode === 'eager'
          ? unit.samples.map((i) => runEager(loaded, i))
          : runCompiled(loaded, unit.samples, unit.optimize, unit.device),
    }));
  } catch (error) {
    return { error: describeError(error) };
  }
};

process.on('message', (unit: Unit) => process.send!(run(unit)));
