/** @file The conformance corpus as programs: every sample with its gradients, traced and lowered, nothing run. */
import { plan } from '../../lib/compile/build.js';
import { traceAlone } from '../../lib/compile/compile.js';
import * as torch from '../../lib/index.js';
import { type Cases, caseFiles, readCases, readManifest } from '../opinfo/cases.js';
import { argumentsOf, traceSample } from '../opinfo/compiled.js';
import type { Program } from './programs.js';

/** The program of one sample; undefined when it cannot be traced (its shape depends on data, or torch refuses it). */
const programOf = (cases: Cases, index: number): Program | undefined => {
  const sample = cases.samples[index]!;
  const traced: { error?: unknown } = {};
  const { trace } = traceAlone(
    (args: Parameters<typeof traceSample>[1]) => traceSample(sample, args, traced, true),
    [argumentsOf(cases, sample)],
  );
  if (traced.error !== undefined) return undefined;
  const values = { ...trace, backward: null, views: trace.views.map(() => null) };
  const [lowered] = plan(values, { fallback: 'aten', optimize: 'xla', target: 'gpu' }).programs;
  return {
    source: `opinfo ${cases.file}/${sample.id}`,
    text: lowered!.text,
    rules: lowered!.lowered,
    calls: lowered!.calls.map(({ op }) => op),
  };
};

/** Programs of every sample of the folder; `files`: of these operators only. */
export const opinfoPrograms = (folder: string, files: readonly string[] = caseFiles(folder)): Program[] => {
  const manifest = readManifest(folder);
  const programs: Program[] = [];
  for (const file of files) {
    const cases = readCases(folder, file, manifest);
    torch.scope(() => {
      for (let i = 0; i < cases.samples.length; i++) {
        try {
          const program = programOf(cases, i);
          if (program) programs.push(program);
        } catch (error) {
          // What does not trace or lower is the conformance run's to judge.
          if (!torch.isJorchError(error)) throw error;
        }
      }
    });
  }
  return programs;
};
