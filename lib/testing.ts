/** @file torch.testing: assert_close. */
import { AssertionError } from 'node:assert';
import { JorchError } from './runtime/errors.js';
import { native } from './runtime/load.js';
import { type DType, isComplex, isFloating } from './torch/dtype.js';
import * as torch from './torch/generated/ops.js';
import { no_grad } from './torch/modes.js';
import { unravel_index } from './torch/python.js';
import { checkKeywords } from './torch/python-call.js';
import type { Tensor } from './torch/tensor.js';

const TOLERANCES: Partial<Record<DType, readonly [rtol: number, atol: number]>> = {
  float16: [1e-3, 1e-5],
  bfloat16: [1.6e-2, 1e-5],
  float32: [1.3e-6, 1e-5],
  float64: [1e-7, 1e-7],
  complex64: [1.3e-6, 1e-5],
  complex128: [1e-7, 1e-7],
};

/** By how much numbers of a dtype may differ: |a − b| ≤ atol + rtol · |b|. Others than floating and complex ones not at all. */
export const tolerances = (dtype: DType): readonly [rtol: number, atol: number] => TOLERANCES[dtype] ?? [0, 0];

export interface AssertCloseOptions {
  /** Relative and absolute tolerance, both or neither; by default those of the dtype. */
  rtol?: number | undefined;
  atol?: number | undefined;
  /** Whether NaN is near NaN; false unless told otherwise, as in torch. */
  equal_nan?: boolean | undefined;
  check_device?: boolean | undefined;
  check_dtype?: boolean | undefined;
  check_stride?: boolean | undefined;
  /** The message, or what makes it of the one there would be. */
  msg?: string | ((message: string) => string) | undefined;
}

const KNOWN = ['rtol', 'atol', 'equal_nan', 'check_device', 'check_dtype', 'check_stride', 'msg'];

/** What is compared, and how; `fail` has the place in nested values. */
interface Comparison {
  readonly options: AssertCloseOptions;
  fail(message: string): never;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));

/**
 * Asserts that tensors (or numbers, or arrays, plain objects and Maps of them) have equal shapes, dtypes and devices and near values.
 * @throws node:assert's AssertionError where they do not; JorchError BAD_ARGUMENT for values of other kinds.
 * @see https://docs.pytorch.org/docs/stable/testing.html
 */
export const assert_close = (actual: unknown, expected: unknown, options: AssertCloseOptions = {}): void => {
  checkKeywords('assert_close', options, KNOWN);
  if ((options.rtol === undefined) !== (options.atol === undefined))
    throw new JorchError('BAD_ARGUMENT', 'assert_close: rtol and atol must both be given, or neither');
  compare(actual, expected, options, '');
};

const compare = (actual: unknown, expected: unknown, options: AssertCloseOptions, place: string): void => {
  const at = place === '' ? '' : `\n\nThe failure occurred for item ${place}`;
  const fail = (text: string): never => {
    const { msg } = options;
    const message = typeof msg === 'string' ? msg : (msg?.(text + at) ?? text + at);
    throw new AssertionError({ message, operator: 'assert_close', stackStartFn: assert_close });
  };
  const comparison: Comparison = { options, fail };
  const tensors = [actual, expected].map((v) => native().isTensor(v));
  const keys = [actual, expected].map((v) =>
    v instanceof Map ? [...v.keys()] : isPlain(v) ? Object.keys(v) : undefined,
  );
  if (tensors[0] && tensors[1]) no_grad(() => compareTensors(actual as Tensor, expected as Tensor, comparison));
  else if (Array.isArray(actual) && Array.isArray(expected)) {
    if (actual.length !== expected.length)
      fail(`The length of the sequences mismatch: ${actual.length} != ${expected.length}`);
    for (const [i, item] of actual.entries()) compare(item, expected[i], options, `${place}[${i}]`);
  } else if (keys[0] !== undefined && keys[1] !== undefined) {
    const [mine, theirs] = [keys[0], keys[1]];
    const missing = theirs.filter((key) => !mine.includes(key));
    const additional = mine.filter((key) => !theirs.includes(key));
    if (missing.length + additional.length > 0)
      fail(
        `The keys of the mappings do not match:\nMissing keys in the actual mapping: ${missing.map(String).join(', ') || 'none'}\nAdditional keys in the actual mapping: ${additional.map(String).join(', ') || 'none'}`,
      );
    const get = (v: unknown, key: unknown): unknown =>
      v instanceof Map ? v.get(key) : (v as Record<string, unknown>)[key as string];
    for (const key of mine) compare(get(actual, key), get(expected, key), options, `${place}[${String(key)}]`);
  } else if (typeof actual === 'number' && typeof expected === 'number') compareNumbers(actual, expected, comparison);
  else if (typeof actual === typeof expected && (typeof actual === 'boolean' || typeof actual === 'bigint')) {
    if (actual !== expected) fail(`Expected ${String(expected)} but got ${String(actual)}.`);
  } else
    throw new JorchError(
      'BAD_ARGUMENT',
      `assert_close: expected two tensors, numbers, or arrays, plain objects or Maps of them, got ${kindOf(actual)} and ${kindOf(expected)}${place && ` at ${place}`}`,
    );
};

const kindOf = (value: unknown): string => {
  if (native().isTensor(value)) return 'a tensor';
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return `an object of class ${value.constructor?.name ?? 'null'}`;
};

const compareNumbers = (actual: number, expected: number, { options, fail }: Comparison): void => {
  const { rtol, atol } = { rtol: options.rtol ?? 1e-7, atol: options.atol ?? 1e-7 };
  const apart = Math.abs(actual - expected);
  const same = actual === expected || (options.equal_nan === true && Number.isNaN(actual) && Number.isNaN(expected));
  if (same || (Number.isFinite(apart) && apart <= atol + rtol * Math.abs(expected))) return;
  fail(
    `Scalars are not close!\n\nExpected ${expected} but got ${actual}.\nAbsolute difference: ${apart} (up to ${atol} allowed)\nRelative difference: ${apart / Math.abs(expected)} (up to ${rtol} allowed)`,
  );
};

const shapeText = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;

const compareTensors = (actual: Tensor, expected: Tensor, { options, fail }: Comparison): void => {
  const { check_device = true, check_dtype = true, check_stride = false } = options;
  const differ = (what: string, a: string, b: string): never =>
    fail(`The values for attribute '${what}' do not match: ${a} != ${b}.`);
  if (shapeText(actual.shape) !== shapeText(expected.shape))
    differ('shape', shapeText(actual.shape), shapeText(expected.shape));
  if (check_device && actual.device !== expected.device)
    differ('device', String(actual.device), String(expected.device));
  if (check_dtype && actual.dtype !== expected.dtype) differ('dtype', actual.dtype, expected.dtype);
  if (check_stride && shapeText(actual.stride()) !== shapeText(expected.stride()))
    differ('stride()', shapeText(actual.stride()), shapeText(expected.stride()));
  const both = [actual, expected].map((t) => tolerances(t.dtype));
  const rtol = options.rtol ?? Math.max(...both.map(([r]) => r));
  const atol = options.atol ?? Math.max(...both.map(([, a]) => a));
  const common = torch.promote_types(actual.dtype, expected.dtype);
  const dtype = isFloating(common) || isComplex(common) ? common : 'int64';
  const [a, e] = [actual.detach().cpu().to(dtype), expected.detach().cpu().to(dtype)];
  const near = a.isclose(e, { rtol, atol, equal_nan: options.equal_nan ?? false });
  const wrong = near.logical_not().sum().item();
  if (wrong === 0) return;
  if (a.ndim === 0 && !isComplex(dtype))
    compareNumbers(a.item(), e.item(), { options: { ...options, rtol, atol }, fail });
  const apart = a.sub(e).abs().masked_fill(near, 0);
  const greatest = (t: Tensor): string => {
    const flat = t.flatten();
    const i = flat.argmax();
    const indices = unravel_index(i, [...a.shape]).map((n) => n.item());
    return `${flat.at(i).item()} at index (${indices.join(', ')}${indices.length === 1 ? ',' : ''})`;
  };
  const exact = rtol === 0 && atol === 0;
  fail(
    [
      `Tensor-likes are not ${exact ? 'equal' : 'close'}!`,
      '',
      `Mismatched elements: ${wrong} / ${a.numel()} (${((100 * wrong) / a.numel()).toFixed(1)}%)`,
      `Greatest absolute difference: ${greatest(apart)}${exact ? '' : ` (up to ${atol} allowed)`}`,
      `Greatest relative difference: ${greatest(apart.div(e.abs()).masked_fill(near, 0))}${exact ? '' : ` (up to ${rtol} allowed)`}`,
    ].join('\n'),
  );
};
