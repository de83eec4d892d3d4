/** @file Runs one sample eagerly: values, changed inputs, gradients, and that in-place forms refuse broadcast inputs. */
import * as torch from '../../lib/index.js';
import type { Cases } from './cases.js';
import { checkFields, checkGradients, checkOutcome, checkPlainOutput } from './check.js';
import type { Sample } from './format.js';
import { gradients, type Ran, refusedGradients, runCalls, runProgram } from './program.js';
import { describeError, type Finding } from './result.js';
import { makeInput, makeTensor } from './values.js';

const makeInputs = (cases: Cases, sample: Sample): torch.Tensor[] =>
  sample.inputs.map((input) => makeInput(input, cases.tensors));

const checkGradient = (cases: Cases, sample: Sample, ran: Ran, inputs: readonly torch.Tensor[]): string[] => {
  const cotangents = sample.grad!.cotangents.map((c) => makeTensor(c, cases.tensors));
  return checkGradients(cases, sample, gradients(sample, ran, inputs, cotangents), 'eager');
};

/** torch's own backward fails here, and so must ours. */
const checkRefusal = (sample: Sample, ran: Ran, inputs: readonly torch.Tensor[]): string[] => {
  try {
    refusedGradients(sample, ran, inputs);
  } catch {
    return [];
  }
  return [`backward gives gradients where torch fails (${sample.grad_error})`];
};

/** The in-place form cannot write a broadcast result into its first input. */
const checkBroadcast = (cases: Cases, sample: Sample): string[] => {
  const name = cases.manifest?.variants?.inplace?.split('.').at(-1);
  const [call] = sample.program;
  // The flag also stands on samples whose other inputs alone are broadcast; those in-place forms are fine.
  if (String(sample.inputs[0]?.shape) === String(sample.expect[0]?.shape)) return [];
  if (!sample.broadcasts_input || !name || !call || sample.program.length !== 1 || sample.variant === 'inplace')
    return [];
  const inputs = makeInputs(cases, sample).map((t) => t.detach());
  try {
    runCalls([{ ...call, fn: `Tensor.${name}`, kind: 'method' }], inputs, []);
  } catch {
    return [];
  }
  return [`${name} accepts a broadcast first input, which torch refuses`];
};

const attempt = (messages: string[], prefix: string, run: () => string[]): void => {
  try {
    messages.push(...run().map((m) => `${prefix}${m}`));
  } catch (error) {
    messages.push(`${prefix}${describeError(error)}`);
  }
};

export const runEager = (cases: Cases, index: number): Finding => {
  const sample = cases.samples[index]!;
  const messages: string[] = [];
  let ran: Ran | undefined;
  attempt(messages, 'eager: ', () => {
    const inputs = makeInputs(cases, sample);
    if (sample.seed !== undefined) torch.manual_seed(sample.seed);
    ran = runProgram(sample, inputs);
    const found = [
      ...checkOutcome(cases, sample, { ...ran, inputs }, 'eager'),
      ...checkPlainOutput(sample, ran),
      ...checkFields(sample, ran),
    ];
    if (sample.grad) attempt(found, 'gradient: ', () => checkGradient(cases, sample, ran!, inputs));
    if (sample.grad_error) attempt(found, 'gradient: ', () => checkRefusal(sample, ran!, inputs));
    return found;
  });
  attempt(messages, 'eager, in-place: ', () => checkBroadcast(cases, sample));
  return {
    sample: index,
    status: messages.length === 0 ? 'pass' : 'fail',
    gradient: 'none',
    messages,
    atenCalls: [],
    expanded: ran?.expanded ?? false,
  };
};
