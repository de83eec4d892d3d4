/** @file Compares what one run of a sample gave with what the sample expects. */
import type * as torch from '../../lib/index.js';
import type { Cases } from './cases.js';
import { type Depth, difference } from './compare.js';
import type { Encoded, Sample } from './format.js';
import type { Ran } from './program.js';
import { choiceDifference, chosenGradientDifference, isChoice } from './ties.js';
import { decode } from './values.js';

/** How deep outputs are compared. Random values are libtorch's only when libtorch's generator made them. */
const depthOf = (sample: Sample, mode: 'eager' | 'compiled'): Depth => {
  if (sample.compare === 'seeded') return mode === 'eager' ? 'values' : 'meta';
  return sample.compare === 'values' ? 'values' : 'meta';
};

/** What takes out the freedom of sign or phase, and gradients, are by value unless another generator was at work. */
const depthBehind = (sample: Sample, mode: 'eager' | 'compiled'): Depth =>
  sample.compare === 'seeded' && mode === 'compiled' ? 'meta' : 'values';

export interface Outcome {
  readonly outputs: readonly unknown[];
  readonly post: readonly unknown[];
  readonly inputs: readonly torch.Tensor[];
}

/** Differences in outputs, post-processed outputs and changed inputs. */
export const checkOutcome = (
  cases: Cases,
  sample: Sample,
  { outputs, post, inputs }: Outcome,
  mode: 'eager' | 'compiled',
): string[] => {
  const { op, tensors } = cases;
  const depth = depthOf(sample, mode);
  return [
    ...sample.expect.map((e, j) =>
      depth === 'values' && isChoice(sample, e)
        ? choiceDifference(cases, sample, `output ${j}`, outputs[j], e)
        : difference(op, `output ${j}`, outputs[j], e, tensors, depth),
    ),
    ...(sample.post_expect ?? []).map((e, j) =>
      difference(op, `post-processed output ${j}`, post[j], e, tensors, depthBehind(sample, mode)),
    ),
    ...(sample.mutated ?? []).map((e) =>
      difference(op, `changed input ${e.input}`, inputs[e.input], e, tensors, depth),
    ),
  ].filter((m) => m !== undefined);
};

/** Differences in gradients; a `key` of null says that there is none. */
export const checkGradients = (
  cases: Cases,
  sample: Sample,
  grads: readonly unknown[],
  mode: 'eager' | 'compiled',
): string[] => {
  const depth = depthBehind(sample, mode);
  return sample
    .grad!.wrt.map((e, j) => {
      const what = `gradient of input ${e.input}`;
      if (e.key === null) return grads[j] === null ? undefined : `${what} is a tensor, expected none`;
      if (depth === 'values') return chosenGradientDifference(cases, sample, what, grads[j], e);
      return difference(cases.op, what, grads[j], e, cases.tensors, depth);
    })
    .filter((m) => m !== undefined);
};

const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'object' && value !== null && 're' in value && 'im' in value) return [value.re, value.im];
  if (typeof value === 'object' && value !== null && 'type' in value) return String(value);
  return value;
};

const equal = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((x, i) => equal(x, b[i]));
  return Object.is(a, b) || a === b;
};

const NOTHING = { inputs: [], results: [] };

/** A result without tensors (`item`, `allclose`) against the one recorded. */
export const checkPlainOutput = (sample: Sample, ran: Ran): string[] => {
  if (sample.expect.length > 0 || sample.output === null) return [];
  const expected = plain(decode(sample.output, NOTHING, false));
  const actual = plain(ran.last);
  return equal(actual, expected)
    ? []
    : [`the result is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`];
};

/** A named tuple's fields must be there by name. */
export const checkFields = (sample: Sample, ran: Ran): string[] => {
  const output = sample.output as Readonly<Record<string, Encoded>> | null;
  const fields =
    typeof output === 'object' && output !== null ? (output.fields as readonly string[] | undefined) : undefined;
  if (!fields || ran.expanded) return [];
  const result = ran.last as Record<number | string, unknown>;
  return fields
    .filter((name, i) => result[name] === undefined || result[name] !== result[i])
    .map((name) => `the result lacks the field '${name}'`);
};
