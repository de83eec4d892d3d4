/** @file Runs a function eagerly, compiled, compiled and called again, asynchronously and exported, and compares everything seen from outside. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import {
  type Compiled,
  type CompileOptions,
  compile,
  type ErrorCode,
  loadCompiled,
  manual_seed,
  no_grad,
  type Tensor,
  tree,
} from '../../lib/index.js';
import { type Case, compare, type Seen, see, shapeOf } from './agree.js';
import { fails } from './fails.js';

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => unknown;

export interface Way extends Case {
  /** Runs between two calls, outside the function: a scheduler's step, `eval()`. */
  readonly between?: () => void;
}

export interface Entry {
  /** The function with arguments and captured tensors of its own, made afresh for every way. */
  readonly make: () => Way;
  /** What an exported program cannot do: the refusal. */
  readonly refused?: { readonly code: ErrorCode; readonly words: RegExp };
  /** Programs after two calls; default 1. */
  readonly compiles?: number;
  /** How often the body runs to make them; default once each. Twice where a trace begins again: tensors in one memory, of which one is changed. */
  readonly traces?: number;
  readonly compile?: CompileOptions;
  /** Random numbers: eager's own differ, those of one seed are equal in every compiled way. */
  readonly random?: true;
  /** true: no backward through the results (the function did it itself). */
  readonly inside?: true;
  readonly rtol?: number;
  readonly atol?: number;
}

/** Whether two tensors lie in one storage: their first elements, taken at offset 0 of it, are one. */
const shareMemory = (a: Tensor, b: Tensor): boolean => {
  if (a.dtype !== b.dtype || a.numel() === 0 || b.numel() === 0) return false;
  const start = (t: Tensor): Tensor => no_grad(() => t.detach().as_strided([1], [1], 0));
  return start(a).is_set_to(start(b));
};

/** The pairs of tensors that share memory, by number. */
const sharing = (tensors: readonly Tensor[]): string[] =>
  tensors.flatMap((a, i) => tensors.slice(i + 1).flatMap((b, j) => (shareMemory(a, b) ? [`${i}-${i + 1 + j}`] : [])));

/** backward() through results as a caller would: with a weight of its own for each, so that none can be taken for another. */
const backwardThrough = (results: readonly Tensor[]): void => {
  let loss: Tensor | undefined;
  results.forEach((r, i) => {
    if (!r.requires_grad) return;
    const part = (r.is_complex() ? r.abs() : r).mul(i + 1).sum();
    loss = loss ? loss.add(part) : part;
  });
  if (loss?.grad_fn) loss.backward();
};

interface After {
  readonly results: readonly Seen[];
  readonly flags: readonly string[];
  readonly structure: string;
  readonly same: readonly number[];
  readonly sharing: readonly string[];
  readonly inputs: readonly Seen[];
}

const CALLS = 2;

/** Calls twice, and looks at the world after each call. */
const run = async (
  entry: Entry,
  wrap: (f: AnyFunction) => (...args: unknown[]) => unknown | Promise<unknown>,
  way?: string,
): Promise<After[]> => {
  const { f, args = [], captured = [], between } = entry.make();
  const inputs = [...tree.leaves(args), ...captured];
  let bodies = 0;
  const call = wrap((...given: unknown[]) => {
    bodies++;
    return f(...given);
  });
  const seen: After[] = [];
  for (let i = 0; i < CALLS; i++) {
    if (i > 0) between?.();
    manual_seed(1234 + i);
    const returned = call(...args);
    const value = returned instanceof Promise ? await returned : returned;
    const results = tree.leaves(value);
    const before = results.map(see);
    if (!entry.inside) backwardThrough(results);
    seen.push({
      results: before,
      flags: results.map((r) => `requires_grad ${r.requires_grad}, leaf ${r.is_leaf}`),
      structure: shapeOf(value),
      same: results.map((r) => inputs.indexOf(r)),
      sharing: sharing([...results, ...inputs]),
      inputs: inputs.map(see),
    });
  }
  if (way) assert.equal(bodies, entry.traces ?? entry.compiles ?? 1, `${way}: traces`);
  return seen;
};

const compareRuns = (
  way: string,
  actual: readonly After[],
  expected: readonly After[],
  options: CompareOptions,
): void =>
  actual.forEach((after, i) => {
    const before = expected[i]!;
    const what = `${way}, call ${i + 1}`;
    assert.equal(after.structure, before.structure, `${what}: structure of the result`);
    assert.deepEqual(after.same, before.same, `${what}: which results are inputs`);
    assert.deepEqual(after.flags, before.flags, `${what}: requires_grad of the results`);
    assert.deepEqual(after.sharing, before.sharing, `${what}: which results and inputs share memory`);
    after.results.forEach((r, k) => {
      compare(`${what}, result ${k}`, r, before.results[k]!, options, true);
    });
    after.inputs.forEach((r, k) => {
      compare(`${what}, input ${k}`, r, before.inputs[k]!, options, true);
      assert.equal(r.requires_grad, before.inputs[k]!.requires_grad, `${what}, input ${k}: requires_grad`);
    });
  });

interface CompareOptions {
  readonly rtol?: number;
  readonly atol?: number;
  readonly values?: boolean;
}

/** Exported: the same values as eager's first call, in memory of their own; or the refusal. The function and its tensors are as before. */
const exported = (entry: Entry, file: string, expected: After): void => {
  const { f, args = [], captured = [] } = entry.make();
  const inputs = [...tree.leaves(args), ...captured];
  const untouched = inputs.map(see);
  const write = (): void => compile(f, entry.compile ?? {}).export(file, ...args);
  if (entry.refused) fails(entry.refused.code, entry.refused.words, write);
  else {
    write();
    const value = loadCompiled(file)(...args);
    assert.equal(shapeOf(value), expected.structure, 'exported: structure of the result');
    const results = tree.leaves(value);
    assert.equal(results.length, expected.results.length, 'exported: number of tensors');
    const options = { ...entry, values: !entry.random };
    for (const [k, r] of results.entries()) {
      if (inputs.includes(r)) continue;
      compare(
        `exported, result ${k}`,
        { ...see(r), grad: null },
        { ...expected.results[k]!, grad: null },
        options,
        false,
      );
    }
  }
  inputs.map(see).forEach((r, k) => {
    compare(`exported, input ${k}`, r, untouched[k]!, {}, true);
  });
  rmSync(file, { force: true });
};

/**
 * Asserts that all five ways agree, that each asked for as many programs as it should, and that export refuses what it cannot do.
 * `file` is where the exported program is written for a moment.
 */
export const fiveWays = async (entry: Entry, file: string): Promise<void> => {
  const expected = await run(entry, (f) => f);
  let fast: Compiled<AnyFunction> | undefined;
  const options = entry.compile ?? {};
  const again = await run(
    entry,
    (f) => {
      fast = compile(f, options);
      return fast;
    },
    'compiled',
  );
  compareRuns('compiled', again, expected, { ...entry, values: !entry.random });
  assert.equal(fast!.stats.compiles, entry.compiles ?? 1, `programs:\n${fast!.explain()}`);
  const asynchronous = await run(
    entry,
    (f) => {
      fast = compile(f, options);
      return fast.async;
    },
    'asynchronous',
  );
  compareRuns('asynchronous', asynchronous, entry.random ? again : expected, entry);
  assert.equal(fast!.stats.compiles, entry.compiles ?? 1, `programs, asynchronous:\n${fast!.explain()}`);
  exported(entry, file, expected[0]!);
};
