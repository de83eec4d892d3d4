/** @file Runs a function eagerly and compiled on equal data and compares everything that its caller can observe. */
import assert from 'node:assert/strict';
import {
  type Compiled,
  type CompileOptions,
  compile,
  manual_seed,
  no_grad,
  type Tensor,
  tree,
} from '../../lib/index.js';
import { close } from './close.js';

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => unknown;

/** One case: the function, its arguments, and tensors that it captures and may change. Made afresh for each side. */
export interface Case {
  readonly f: AnyFunction;
  readonly args?: readonly unknown[];
  readonly captured?: readonly Tensor[];
}

export interface AgreeOptions {
  readonly rtol?: number;
  readonly atol?: number;
  /** How often each side is called; from the second call on the compiled side runs the cached program. */
  readonly calls?: number;
  readonly compile?: CompileOptions;
  /** false: the memory order of results is not compared (an eager kernel that has an order of its own). */
  readonly strides?: boolean;
}

/** What a tensor looks like from outside. */
export interface Seen {
  readonly values: Tensor;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly requires_grad: boolean;
  readonly grad: Seen | null;
}

export const see = (t: Tensor): Seen => ({
  values: no_grad(() => t.detach().clone()),
  dtype: t.dtype,
  shape: [...t.shape],
  strides: [...t.strides],
  requires_grad: t.requires_grad,
  grad: t.is_leaf && t.grad ? see(t.grad) : null,
});

/** Dense memory: every element once, no holes. Expanded results come back row-major, so only these strides are compared. */
const isDense = (shape: readonly number[], strides: readonly number[]): boolean => {
  const dims = shape.map((size, d) => ({ size, stride: strides[d]! })).filter(({ size }) => size !== 1);
  dims.sort((a, b) => a.stride - b.stride);
  let expected = 1;
  for (const { size, stride } of dims) {
    if (stride !== expected) return false;
    expected *= size;
  }
  return true;
};

/** Strides that matter: those of dimensions with more than one element. */
const movingStrides = ({ shape, strides }: Seen): readonly number[] => strides.filter((_, d) => shape[d] !== 1);

export const compare = (
  what: string,
  actual: Seen,
  expected: Seen,
  options: { readonly rtol?: number; readonly atol?: number; readonly values?: boolean },
  checkStrides: boolean,
): void => {
  assert.equal(actual.dtype, expected.dtype, `${what}: dtype`);
  assert.deepEqual(actual.shape, expected.shape, `${what}: shape`);
  if (checkStrides && !expected.shape.includes(0) && isDense(expected.shape, expected.strides))
    assert.deepEqual(movingStrides(actual), movingStrides(expected), `${what}: strides`);
  if (options.values !== false) close(actual.values, expected.values, { what, ...options });
  assert.equal(actual.grad === null, expected.grad === null, `${what}: whether it has a grad`);
  if (actual.grad && expected.grad) compare(`${what}.grad`, actual.grad, expected.grad, options, false);
};

/** The state after a call: results, arguments, captured tensors, and which results are arguments or captured themselves. */
interface After {
  readonly results: readonly Seen[];
  readonly structure: string;
  readonly same: readonly number[];
  readonly inputs: readonly Seen[];
}

export const shapeOf = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(shapeOf).join()}]`;
  if (value instanceof Map) return `Map{${[...value].map(([k, v]) => `${String(k)}:${shapeOf(v)}`).join()}}`;
  if (typeof value === 'object' && value !== null && !('dtype' in value))
    return `{${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => `${k}:${shapeOf(v)}`)
      .join()}}`;
  return value === null || value === undefined ? String(value) : 'tensor';
};

const runSide = (make: () => Case, options: AgreeOptions, wrap: (f: AnyFunction) => AnyFunction): After[] => {
  const { f, args = [], captured = [] } = make();
  const inputs = [...tree.leaves(args), ...captured];
  const call = wrap(f);
  return Array.from({ length: options.calls ?? 2 }, (_, i) => {
    manual_seed(1234 + i);
    const value = call(...args);
    const results = tree.leaves(value);
    return {
      results: results.map(see),
      structure: shapeOf(value),
      same: results.map((r) => inputs.indexOf(r)),
      inputs: inputs.map(see),
    };
  });
};

/**
 * Asserts that the compiled function does what the eager one does: values, dtypes, shapes and strides of the results, which
 * results are the arguments themselves, and what became of arguments, captured tensors and their gradients, after each call.
 * Returns the compiled function, for questions about its programs.
 */
export const agree = (make: () => Case, options: AgreeOptions = {}): Compiled<AnyFunction> => {
  const expected = runSide(make, options, (f) => f);
  let compiled: Compiled<AnyFunction> | undefined;
  const actual = runSide(make, options, (f) => {
    compiled = compile(f, options.compile ?? {});
    return compiled;
  });
  actual.forEach((after, i) => {
    const before = expected[i]!;
    assert.equal(after.structure, before.structure, `call ${i}: structure of the result`);
    assert.deepEqual(after.same, before.same, `call ${i}: which results are inputs`);
    after.results.forEach((r, k) => {
      // An input that is returned keeps its own strides.
      compare(`call ${i}, result ${k}`, r, before.results[k]!, options, options.strides ?? true);
    });
    after.inputs.forEach((r, k) => {
      compare(`call ${i}, input ${k}`, r, before.inputs[k]!, options, true);
      assert.equal(r.requires_grad, before.inputs[k]!.requires_grad, `call ${i}, input ${k}: requires_grad`);
    });
  });
  return compiled!;
};

/** The same for a function of tensors alone, which are cloned for each side. */
export const agreeOn = (f: AnyFunction, ...given: readonly Tensor[]): Compiled<AnyFunction> =>
  agree(() => ({ f, args: given.map((t) => copyOf(t)) }));

/** The same values, strides and requires_grad in memory of its own. */
const copyOf = (t: Tensor): Tensor => {
  const copy = t.detach().clone({ memory_format: 'preserve_format' });
  return t.requires_grad ? copy.requires_grad_(true) : copy;
};
