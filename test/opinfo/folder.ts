/** @file One run over a folder: units out, results in. */
import { caseFiles, readCases, readManifest } from './cases.js';
import { runUnits } from './pool.js';
import { emptyResult, type Finding, type SampleResult } from './result.js';
import type { Unit } from './worker.js';

export interface RunOptions {
  readonly folder: string;
  /** Case files or operators to run; all where undefined. */
  readonly ops?: readonly string[] | undefined;
  /** Which samples of those; all where undefined. */
  readonly ids?: ReadonlySet<string> | undefined;
  readonly modes?: readonly Unit['mode'][];
  /** compile's option. `xla` (the default here): every operator that has a lowering is lowered, so every lowering is tested. */
  readonly optimize?: Unit['optimize'];
  /** Where compiled samples run; default: the CPU. */
  readonly device?: string;
  readonly jobs?: number;
  readonly limitSeconds?: number;
  /** Nothing is begun after so many seconds: then the results are those of a sample of all operators. */
  readonly budgetSeconds?: number;
  readonly onProgress?: (done: number, total: number, file: string) => void;
}

/** Samples in one program: more share XLA's fixed cost of a compilation, fewer are quicker to split when one fails. */
const BATCH = 32;

const chunks = (samples: readonly number[], size: number): number[][] =>
  Array.from({ length: Math.ceil(samples.length / size) }, (_, i) => samples.slice(i * size, (i + 1) * size));

/** The same in an order in which neighbours are far apart, the same one every time. */
const scattered = (units: readonly Unit[]): Unit[] =>
  units
    .map((unit, i) => ({ unit, key: (i * 0.6180339887498949) % 1 }))
    .sort((a, b) => a.key - b.key)
    .map(({ unit }) => unit);

const merge = (result: SampleResult, unit: Unit, finding: Finding): void => {
  result.messages.push(...finding.messages);
  result.expanded ||= finding.expanded;
  if (unit.mode === 'eager') result.eager = finding.status;
  else {
    result.compiled = finding.status;
    // A crash tells nothing of the gradient: where the sample has one, it did not come.
    result.gradient = finding.gradient;
    result.atenCalls = finding.atenCalls;
  }
};

/** Runs the samples; one result each, in the order of the files. */
export const runFolder = async (options: RunOptions): Promise<SampleResult[]> => {
  const {
    folder,
    ops,
    ids,
    modes = ['eager', 'compiled'],
    optimize = 'xla',
    jobs = 2,
    device,
    limitSeconds = 30,
    budgetSeconds,
    onProgress,
  } = options;
  const manifest = readManifest(folder);
  const results = new Map<string, (SampleResult | undefined)[]>();
  const units: Unit[] = [];
  const withGradient = new Set<SampleResult>();
  for (const file of caseFiles(folder)) {
    const cases = readCases(folder, file, manifest, false);
    if (ops && !ops.includes(file) && !ops.includes(cases.op)) continue;
    const rows = cases.samples.map((s) =>
      ids && !ids.has(`${file}/${s.id}`) ? undefined : emptyResult(file, cases.op, s.id, s.dtype),
    );
    rows.forEach((row, i) => {
      if (row && (cases.samples[i]!.grad || cases.samples[i]!.grad_error)) withGradient.add(row);
    });
    results.set(file, rows);
    const chosen = rows.flatMap((row, i) => (row ? [i] : []));
    for (const mode of modes)
      for (const samples of mode === 'eager' && chosen.length > 0 ? [chosen] : chunks(chosen, BATCH))
        units.push({ folder, file, mode, samples, optimize, ...(device === undefined ? {} : { device }) });
  }
  const total = units.reduce((n, u) => n + u.samples.length, 0);
  let done = 0;
  const met = new Set<SampleResult>();
  await runUnits(budgetSeconds === undefined ? units : scattered(units), {
    jobs,
    limitSeconds,
    ...(budgetSeconds === undefined ? {} : { budgetSeconds }),
    onFindings: (unit, findings) => {
      for (const finding of findings) {
        const row = results.get(unit.file)![finding.sample]!;
        merge(row, unit, finding);
        met.add(row);
        if (unit.mode === 'compiled' && row.compiled === 'fail' && row.gradient === 'none' && withGradient.has(row))
          row.gradient = 'fail';
      }
      done += findings.length;
      onProgress?.(done, total, unit.file);
    },
  });
  return [...results.values()]
    .flat()
    .filter((row) => row !== undefined && (budgetSeconds === undefined || met.has(row))) as SampleResult[];
};
