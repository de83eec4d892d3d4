/** @file Indices among equal values are a matter of choice: they are judged by the elements they point at. */
import * as torch from '../../lib/index.js';
import type { Cases } from './cases.js';
import { difference } from './compare.js';
import type { Call, Encoded, ExpectedAt, ExpectedInput, Ref, Sample } from './format.js';
import { runCalls } from './program.js';
import type { Elements } from './safetensors.js';
import { decode, makeInput, makeTensor } from './values.js';

/** How an operator's indices are meant. */
interface Meaning {
  /** Where the indices stand in its result; [] when they are the result. */
  readonly path: readonly number[];
  /** Position of `dim` among the arguments and its default; null is "over all elements". */
  readonly dim?: { readonly at: number; readonly otherwise: number | null };
  /** Windows over so many last dimensions, indices into them flattened. */
  readonly spatial?: number;
  /** No index comes twice along `dim`. */
  readonly distinct?: boolean;
  /** Each index is at most its own position along `dim`. */
  readonly behind?: boolean;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  sort: { path: [1], dim: { at: 1, otherwise: -1 }, distinct: true },
  argsort: { path: [], dim: { at: 1, otherwise: -1 }, distinct: true },
  topk: { path: [1], dim: { at: 2, otherwise: -1 }, distinct: true },
  kthvalue: { path: [1], dim: { at: 2, otherwise: -1 } },
  mode: { path: [1], dim: { at: 1, otherwise: -1 } },
  median: { path: [1], dim: { at: 1, otherwise: -1 } },
  nanmedian: { path: [1], dim: { at: 1, otherwise: -1 } },
  max: { path: [1], dim: { at: 1, otherwise: -1 } },
  min: { path: [1], dim: { at: 1, otherwise: -1 } },
  cummax: { path: [1], dim: { at: 1, otherwise: -1 }, behind: true },
  cummin: { path: [1], dim: { at: 1, otherwise: -1 }, behind: true },
  argmax: { path: [], dim: { at: 1, otherwise: null } },
  argmin: { path: [], dim: { at: 1, otherwise: null } },
};
const POOL = /^(?:adaptive_|fractional_)?max_pool([123])d(?:_with_indices)?$/;

/** By base name: `torch.sort`, `Tensor.sort`, `aten.sort.stable`, `torch.masked.argmin`. */
const meaningOf = ({ fn, kind }: Call): Meaning | undefined => {
  const names = fn.split('.');
  const name = (kind === 'aten' ? names[1] : names.at(-1)) ?? '';
  const pool = POOL.exec(name);
  return pool ? { path: [1], spatial: Number(pool[1]) } : MEANINGS[name];
};

/** A stable sort leaves no choice. */
const isStable = ({ args, kwargs }: Call): boolean => kwargs.stable === true || args[3] === true;

/** An output that is indices, the call it comes from and what they mean. */
interface Chosen {
  readonly call: Call;
  readonly at: number;
  readonly meaning: Meaning;
}

const chosenBy = (sample: Sample, { ref, dtype }: { ref: Ref; dtype: string }): Chosen | undefined => {
  const call = sample.ties && dtype === 'int64' && ref.$r !== undefined ? sample.program[ref.$r] : undefined;
  const meaning = call && meaningOf(call);
  if (!call || !meaning || String(ref.path ?? []) !== String(meaning.path)) return undefined;
  return /sort/.test(call.fn) && isStable(call) ? undefined : { call, at: ref.$r!, meaning };
};

/** Tensors with the indexed dimension, and which one it is. */
interface Indexed {
  readonly sources: readonly torch.Tensor[];
  readonly dim: number;
  /** Brings indices to the sources' rank. */
  readonly aligned: (indices: torch.Tensor) => torch.Tensor;
}

/** The indexed tensors as the call saw them: earlier calls run again on fresh inputs. */
const indexedBy = (cases: Cases, sample: Sample, { call, at, meaning }: Chosen): Indexed => {
  const inputs = sample.inputs.map((input) => makeInput(input, cases.tensors).detach());
  const results: unknown[] = [];
  runCalls(sample.program.slice(0, at), inputs, results);
  const value = (encoded: Encoded | undefined): unknown => decode(encoded ?? null, { inputs, results }, false);
  const self = value(call.args[0]) as torch.Tensor;
  const mask = value(call.kwargs.mask) as torch.Tensor | null;
  // Which elements count is part of what an index points at.
  const sources = mask ? [self, mask.expand([...self.shape])] : [self];
  if (meaning.spatial !== undefined) {
    const flat = (t: torch.Tensor): torch.Tensor => t.flatten(-meaning.spatial!);
    return { sources: sources.map(flat), dim: self.dim() - meaning.spatial, aligned: flat };
  }
  const { at: position, otherwise } = meaning.dim!;
  const dim = (value(call.kwargs.dim ?? call.args[position]) ?? otherwise) as number | null;
  if (dim === null) return { sources: sources.map((t) => t.flatten()), dim: 0, aligned: (t) => t.flatten() };
  const axis = dim < 0 ? dim + Math.max(self.dim(), 1) : dim;
  return { sources, dim: axis, aligned: (t) => (t.dim() < self.dim() ? t.unsqueeze(axis) : t) };
};

const elements = (t: torch.Tensor): Elements => t.toTypedArray() as Elements;
const sameNumber = (a: number | bigint, b: number | bigint): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b));

/** Whether indices [outer, n, inner] are in range, distinct or not ahead of their position, as the operator has it. */
const misplaced = (
  indices: torch.Tensor,
  dim: number,
  size: number,
  { distinct, behind }: Meaning,
): string | undefined => {
  const { shape } = indices;
  const n = shape[dim] ?? 1;
  const inner = shape.slice(dim + 1).reduce((a, b) => a * b, 1);
  const taken = new Set<string>();
  for (const [i, index] of [...elements(indices)].map(Number).entries()) {
    const position = Math.floor(i / inner) % n;
    if (index < 0 || index >= size) return `the index ${index} is out of range for ${size} elements`;
    if (behind && index > position) return `the index ${index} is ahead of its position ${position}`;
    if (!distinct) continue;
    const place = `${Math.floor(i / inner / n)},${i % inner},${index}`;
    if (taken.has(place)) return `the index ${index} comes twice along dimension ${dim}`;
    taken.add(place);
  }
  return undefined;
};

/** Whether output `e` is indices that equal values leave to choice. */
export const isChoice = (sample: Sample, e: ExpectedAt): boolean => chosenBy(sample, e) !== undefined;

/** Why indices do not point at what the expected ones point at, or undefined when they do. */
export const choiceDifference = (
  cases: Cases,
  sample: Sample,
  what: string,
  actual: unknown,
  e: ExpectedAt,
): string | undefined => {
  const found = difference(cases.op, what, actual, e, cases.tensors, 'meta');
  if (found !== undefined) return found;
  const chosen = chosenBy(sample, e)!;
  const { sources, dim, aligned } = indexedBy(cases, sample, chosen);
  const ours = aligned((actual as torch.Tensor).detach());
  const theirs = aligned(makeTensor(e, cases.tensors));
  const wrong = misplaced(ours, dim, sources[0]!.shape[dim] ?? 1, chosen.meaning);
  if (wrong !== undefined) return `${what}: ${wrong}`;
  for (const source of sources) {
    const [a, b] = [elements(source.gather(dim, ours)), elements(source.gather(dim, theirs))];
    const i = a.findIndex((x, k) => !sameNumber(x, b[k]!));
    if (i >= 0) return `${what} points at ${a[i]} where ${b[i]} is expected (element ${i})`;
  }
  return undefined;
};

/** A gradient with each element replaced by its sum over the elements that tie with it, which no choice among them changes. */
const overTies = (grad: torch.Tensor, { sources, dim, aligned }: Indexed): torch.Tensor => {
  const [source] = sources as [torch.Tensor];
  const inner = source.shape.slice(dim + 1).reduce((a, b) => a * b, 1);
  const line = inner * (source.shape[dim] ?? 1);
  const sums = new Map<string, number>();
  const groups = [...elements(source)].map((x, i) => `${Math.floor(i / line)},${i % inner},${x}`);
  const gradient = [...elements(aligned(grad.detach()))].map(Number);
  for (const [i, group] of groups.entries()) sums.set(group, (sums.get(group) ?? 0) + gradient[i]!);
  return torch
    .tensor(Float64Array.from(groups, (group) => sums.get(group)!))
    .to(grad.dtype)
    .reshape([...grad.shape]);
};

/** Why a gradient is wrong whichever of the equal values were chosen, or undefined when it is right. */
export const chosenGradientDifference = (
  cases: Cases,
  sample: Sample,
  what: string,
  actual: unknown,
  e: ExpectedInput,
): string | undefined => {
  const { op, tensors } = cases;
  const found = difference(op, what, actual, e, tensors, 'values');
  const at = sample.program.findIndex((c) => meaningOf(c) && (c.args[0] as Ref | null)?.$t === e.input);
  if (found === undefined || !sample.ties || at < 0 || e.key === null) return found;
  if (difference(op, what, actual, e, tensors, 'meta') !== undefined) return found;
  const call = sample.program[at]!;
  const indexed = indexedBy(cases, sample, { call, at, meaning: meaningOf(call)! });
  const expected = elements(overTies(makeTensor(e, tensors), indexed));
  const summed = overTies(actual as torch.Tensor, indexed);
  return difference(op, `${what}, summed over ties,`, summed, e, new Map([...tensors, [e.key, expected]]), 'values');
};
