/** @file Runs many samples of one operator in one compiled program that returns their outputs and gradients. */
import * as torch from '../../lib/index.js';
import type { Cases } from './cases.js';
import { checkGradients, checkOutcome, checkPlainOutput } from './check.js';
import type { Sample } from './format.js';
import { gradients, type Ran, refusedGradients, runProgram } from './program.js';
import { describeError, type Finding, type Status } from './result.js';
import { makeInput, makeTensor } from './values.js';

export type Optimize = NonNullable<torch.CompileOptions['optimize']>;

/** One sample's arguments to the program. */
interface Arguments {
  readonly inputs: torch.Tensor[];
  readonly cotangents: torch.Tensor[];
}

/** One sample's results; what could not be traced is empty here and told in Traced. */
interface Results {
  readonly outputs: (torch.Tensor | null)[];
  readonly post: (torch.Tensor | null)[];
  readonly grads: (torch.Tensor | null)[];
}

/** What tracing one sample brought to light. */
interface Traced {
  ran?: Ran;
  error?: unknown;
  gradientError?: unknown;
}

export const argumentsOf = (cases: Cases, sample: Sample): Arguments => ({
  inputs: sample.inputs.map((input) => makeInput(input, cases.tensors)),
  cotangents: (sample.grad?.cotangents ?? []).map((c) => makeTensor(c, cases.tensors)),
});

const isTensor = (value: unknown): value is torch.Tensor => torch.is_tensor(value);
const tensorsOnly = (values: readonly unknown[]): (torch.Tensor | null)[] =>
  values.map((v) => (isTensor(v) ? v : null));

/** The body for one sample: an error is this sample's own and leaves the rest of the program alone. */
export const traceSample = (
  sample: Sample,
  { inputs, cotangents }: Arguments,
  traced: Traced,
  withGradients: boolean,
): Results => {
  try {
    traced.ran = runProgram(sample, inputs);
  } catch (error) {
    traced.error = error;
    return { outputs: [], post: [], grads: [] };
  }
  const results = { outputs: tensorsOnly(traced.ran.outputs), post: tensorsOnly(traced.ran.post) };
  try {
    if (sample.grad && withGradients) return { ...results, grads: gradients(sample, traced.ran, inputs, cotangents) };
    if (sample.grad_error && withGradients) refusedGradients(sample, traced.ran, inputs);
  } catch (error) {
    traced.gradientError = error;
  }
  return { ...results, grads: [] };
};

const REFUSALS = new Set(['CONCRETIZATION', 'DYNAMIC_SHAPE']);

/** Whether compile was right to refuse: the operator's result is a JavaScript value, or its shape depends on data. */
const isRefusal = (cases: Cases, sample: Sample, error: unknown): boolean => {
  const flags = cases.manifest?.flags;
  const dependsOnData =
    sample.expect.length === 0 || flags?.dynamic_output_shape === true || flags?.data_dependent_output === true;
  return dependsOnData && error instanceof torch.JorchError && REFUSALS.has(error.code);
};

const judgeForward = (
  cases: Cases,
  sample: Sample,
  traced: Traced,
  results: Results,
  inputs: readonly torch.Tensor[],
): { status: Status; messages: string[] } => {
  const { ran, error } = traced;
  if (!ran) {
    if (isRefusal(cases, sample, error)) return { status: 'refused', messages: [] };
    return { status: 'fail', messages: [`compiled: ${describeError(error)}`] };
  }
  const found = [...checkOutcome(cases, sample, { ...results, inputs }, 'compiled'), ...checkPlainOutput(sample, ran)];
  return { status: found.length === 0 ? 'pass' : 'fail', messages: found.map((m) => `compiled: ${m}`) };
};

const judgeGradient = (
  cases: Cases,
  sample: Sample,
  traced: Traced,
  results: Results,
): { status: Status; messages: string[] } => {
  const prefix = 'compiled gradient: ';
  if (sample.grad_error) {
    if (traced.gradientError !== undefined || traced.error !== undefined) return { status: 'pass', messages: [] };
    return { status: 'fail', messages: [`${prefix}there are gradients where torch fails (${sample.grad_error})`] };
  }
  if (!sample.grad || isRefusal(cases, sample, traced.error)) return { status: 'none', messages: [] };
  if (traced.error !== undefined) return { status: 'fail', messages: [] };
  if (traced.gradientError !== undefined)
    return { status: 'fail', messages: [`${prefix}${describeError(traced.gradientError)}`] };
  const found = checkGradients(cases, sample, results.grads, 'compiled');
  return { status: found.length === 0 ? 'pass' : 'fail', messages: found.map((m) => prefix + m) };
};

/** Compiles and runs the samples as one program. @throws what the compilation or the run throws, for the caller to look for the culprit. */
const runTogether = (
  cases: Cases,
  indices: readonly number[],
  optimize: Optimize,
  withGradients: boolean,
  device?: string,
): Finding[] => {
  const samples = indices.map((i) => cases.samples[i]!);
  const traced: Traced[] = samples.map(() => ({}));
  const program = torch.compile(
    (batch: Arguments[]): Results[] =>
      batch.map((args, k) => traceSample(samples[k]!, args, traced[k]!, withGradients)),
    { name: cases.op, optimize, ...(device === undefined ? {} : { device }) },
  );
  try {
    const batch = samples.map((sample) => argumentsOf(cases, sample));
    const results = program(batch);
    const atenCalls = [...new Set(program.explain().calls.map((call) => call.op))].sort();
    return indices.map((sample, k) => {
      const forward = judgeForward(cases, samples[k]!, traced[k]!, results[k]!, batch[k]!.inputs);
      const gradient = judgeGradient(cases, samples[k]!, traced[k]!, results[k]!);
      const messages = [...forward.messages, ...gradient.messages];
      return {
        sample,
        status: forward.status,
        gradient: gradient.status,
        messages,
        atenCalls,
        expanded: traced[k]!.ran?.expanded ?? false,
      };
    });
  } finally {
    program.dispose();
  }
};

/** One sample whose program with gradients cannot be compiled or run: perhaps the outputs alone can. */
const runAlone = (cases: Cases, index: number, optimize: Optimize, error: unknown, device?: string): Finding => {
  const sample = cases.samples[index]!;
  const gradient: Status = sample.grad || sample.grad_error ? 'fail' : 'none';
  const failed = { sample: index, gradient, atenCalls: [], expanded: false };
  if (gradient === 'none') return { ...failed, status: 'fail', messages: [`compiled: ${describeError(error)}`] };
  try {
    const [forward] = runTogether(cases, [index], optimize, false, device);
    return {
      ...forward!,
      gradient,
      messages: [
        ...forward!.messages.filter((m) => m.startsWith('compiled: ')),
        `compiled gradient: ${describeError(error)}`,
      ],
    };
  } catch (again) {
    return { ...failed, status: 'fail', messages: [`compiled: ${describeError(again)}`] };
  }
};

/** Findings for samples of one operator, compiled, for a device if one is named. @throws when several samples fail together. */
export const runCompiled = (
  cases: Cases,
  indices: readonly number[],
  optimize: Optimize,
  device?: string,
): Finding[] => {
  try {
    return runTogether(cases, indices, optimize, true, device);
  } catch (error) {
    if (indices.length > 1) throw error;
    return [runAlone(cases, indices[0]!, optimize, error, device)];
  }
};
