/** @file Replays recorded calls through jorch's public API. */
import * as torch from '../../lib/index.js';
import type { Call, Ref, Sample } from './format.js';
import { decode, resolveRef, type Scope } from './values.js';

/** The API lacks the function: the sample's `expanded` program is tried instead. */
export class MissingFunction extends Error {}

type Callable = (...args: unknown[]) => unknown;

/** Where functions are TypeScript that computes with its numbers, 2.0 is passed as 2. */
const PLAIN_NUMBERS = /^torch\.(nn\.functional|masked|signal)\./;

const lookUp = (path: string): Callable => {
  const names = path.split('.');
  const root = names[0] === 'aten' ? torch.ops.aten : torch;
  let value: unknown = root;
  for (const name of names.slice(1)) value = (value as Record<string, unknown> | undefined)?.[name];
  if (typeof value !== 'function') throw new MissingFunction(`jorch has no ${path}`);
  return value as Callable;
};

const methodName = (fn: string): string => fn.slice('Tensor.'.length);

/** Python's subscripts are `at` and `setAt`. */
const subscript = (name: string, args: readonly unknown[], call: Call): unknown => {
  const [self, index, value] = args as [torch.Tensor, torch.Index | torch.Index[], torch.Tensor];
  const encoded = call.args[1];
  // x[1, 2] is a tuple of subscripts, x[[1, 2]] one subscript.
  const isTuple = typeof encoded === 'object' && encoded !== null && '$tuple' in encoded;
  const indices = isTuple ? (index as torch.Index[]) : [index as torch.Index];
  return name === '__getitem__' ? self.at(...indices) : self.setAt(indices, value);
};

const runCall = (call: Call, scope: Scope): unknown => {
  const exact = !PLAIN_NUMBERS.test(call.fn);
  const args = call.args.map((arg) => decode(arg, scope, exact));
  const keywords = Object.entries(call.kwargs).map(([name, value]) => [name, decode(value, scope, exact)] as const);
  const options = keywords.length > 0 ? [Object.fromEntries(keywords)] : [];
  if (call.kind === 'function' || call.kind === 'aten') return lookUp(call.fn)(...args, ...options);
  const name = methodName(call.fn);
  if (name === '__getitem__' || name === '__setitem__') return subscript(name, args, call);
  const self = args[0] as Record<string, unknown>;
  if (!(name in self)) throw new MissingFunction(`jorch's Tensor has no ${name}`);
  return call.kind === 'property' ? self[name] : (self[name] as Callable)(...args.slice(1), ...options);
};

/** Runs calls in order; their results are appended to `results`. */
export const runCalls = (calls: readonly Call[], inputs: readonly torch.Tensor[], results: unknown[]): void => {
  for (const call of calls) results.push(runCall(call, { inputs, results }));
};

/** What the calls of one sample gave. */
export interface Ran {
  readonly outputs: readonly unknown[];
  readonly post: readonly unknown[];
  /** The last call's result, for samples that give no tensors. */
  readonly last: unknown;
  /** The value a reference of the sample means. */
  readonly find: (ref: Ref) => unknown;
  readonly expanded: boolean;
}

/** Runs a sample's program, or its `expanded` form where the API lacks a function that is only Python in torch. */
export const runProgram = (sample: Sample, inputs: readonly torch.Tensor[]): Ran => {
  const results: unknown[] = [];
  try {
    runCalls(sample.program, inputs, results);
  } catch (error) {
    if (error instanceof MissingFunction && sample.expanded && !sample.post) return runExpanded(sample, inputs);
    throw error;
  }
  runCalls(sample.post ?? [], inputs, results);
  const find = (ref: Ref): unknown => resolveRef(ref, { inputs, results });
  return {
    outputs: sample.expect.map((e) => find(e.ref)),
    post: (sample.post_expect ?? []).map((e) => find(e.ref)),
    last: results[sample.program.length - 1],
    find,
    expanded: false,
  };
};

const runExpanded = (sample: Sample, inputs: readonly torch.Tensor[]): Ran => {
  const { program, refs } = sample.expanded!;
  const results: unknown[] = [];
  runCalls(program, inputs, results);
  const outputs = refs.map((ref) => resolveRef(ref, { inputs, results }));
  const find = (ref: Ref): unknown => {
    const j = sample.expect.findIndex((e) => JSON.stringify(e.ref) === JSON.stringify(ref));
    if (j < 0) throw new Error(`the expanded program has no value for ${JSON.stringify(ref)}`);
    return outputs[j];
  };
  return { outputs, post: [], last: results.at(-1), find, expanded: true };
};

/** Gradients per `grad.wrt`, in order; null where there is none. */
export const gradients = (
  sample: Sample,
  ran: Ran,
  inputs: readonly torch.Tensor[],
  cotangents: readonly torch.Tensor[],
): (torch.Tensor | null)[] => {
  const { cotangents: at, wrt } = sample.grad!;
  return torch.autograd.grad(
    at.map((c) => ran.find(c.ref) as torch.Tensor),
    wrt.map((w) => inputs[w.input]!),
    { grad_outputs: cotangents, allow_unused: true },
  );
};

/** The backward that torch refuses (`grad_error`): all outputs that take part, with ones. */
export const refusedGradients = (sample: Sample, ran: Ran, inputs: readonly torch.Tensor[]): void => {
  const outputs = (ran.outputs as torch.Tensor[]).filter((t) => t.requires_grad);
  const wrt = inputs.filter((_, i) => sample.inputs[i]!.requires_grad);
  torch.autograd.grad(outputs, wrt, { grad_outputs: outputs.map((t) => torch.ones_like(t)), allow_unused: true });
};
