/** @file Compares a tensor with what PyTorch answered: dtype, shape, and values within torch's tolerances. */
import type { Tensor } from '../../lib/index.js';
import type { Expected } from './format.js';
import type { Elements, StoredTensors } from './safetensors.js';
import { toleranceFor } from './tolerances.js';

/** `values`, or dtype and shape only. */
export type Depth = 'values' | 'meta';

const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** Why `actual` is not what `expected` says, or undefined when it is. */
export const difference = (
  op: string,
  what: string,
  actual: unknown,
  expected: Expected,
  tensors: StoredTensors,
  depth: Depth,
): string | undefined => {
  const t = actual as Tensor;
  if (typeof actual !== 'object' || actual === null || !('dtype' in actual))
    return `${what} is ${String(actual)}, expected a tensor`;
  if (t.dtype !== expected.dtype) return `${what} has dtype ${t.dtype}, expected ${expected.dtype}`;
  if (!same(t.shape, expected.shape))
    return `${what} has shape [${t.shape.join(', ')}], expected [${expected.shape.join(', ')}]`;
  if (depth === 'meta' || expected.key === null) return undefined;
  const stored = tensors.get(expected.key);
  if (!stored) return `the safetensors file lacks ${expected.key}`;
  return worst(what, t.detach().toTypedArray() as Elements, stored, expected, bounds(op, expected));
};

interface Bounds {
  readonly rtol: number;
  readonly atol: number;
}

const bounds = (op: string, { dtype, ref64 }: Expected): Bounds => {
  const { rtol, atol } = toleranceFor(op, dtype);
  return { rtol, atol: atol + 4 * (ref64?.abs ?? 0) };
};

/** The element farthest outside the bounds, in words. */
const worst = (
  what: string,
  actual: Elements,
  expected: Elements,
  { dtype, shape }: Expected,
  { rtol, atol }: Bounds,
): string | undefined => {
  if (actual.length !== expected.length)
    return `${what} has ${actual.length} stored numbers, expected ${expected.length}`;
  const width = dtype === 'complex64' || dtype === 'complex128' ? 2 : 1;
  let count = 0;
  let excess = 0;
  let index = -1;
  for (let i = 0; i < actual.length; i += width) {
    const over =
      width === 2 ? complexExcess(actual, expected, i, rtol, atol) : realExcess(actual[i]!, expected[i]!, rtol, atol);
    if (over <= 0) continue;
    count++;
    if (index < 0 || over > excess) {
      excess = over;
      index = i;
    }
  }
  if (count === 0) return undefined;
  const show = (data: Elements): string =>
    width === 2 ? `${data[index]}${Number(data[index + 1]) < 0 ? '' : '+'}${data[index + 1]}i` : String(data[index]);
  return `${what}${position(index / width, shape)} is ${show(actual)}, expected ${show(expected)}; ${count} of ${actual.length / width} elements differ (rtol ${rtol}, atol ${atol.toPrecision(3)})`;
};

/** By how much |a - b| exceeds atol + rtol |b|; ≤ 0 is near enough. NaN equals NaN, infinities only themselves. */
const realExcess = (a: number | bigint, b: number | bigint, rtol: number, atol: number): number => {
  if (a === b) return 0;
  if (typeof a === 'bigint' || typeof b === 'bigint') return Math.abs(Number(BigInt(a) - BigInt(b)));
  if (Number.isNaN(a) && Number.isNaN(b)) return 0;
  const over = Math.abs(a - b) - (atol + rtol * Math.abs(b));
  return Number.isFinite(a) && Number.isFinite(b) ? over : Number.POSITIVE_INFINITY;
};

/** The same by modulus, as torch.isclose does; a number with a NaN part is NaN. */
const complexExcess = (actual: Elements, expected: Elements, i: number, rtol: number, atol: number): number => {
  const [ar, ai, br, bi] = [Number(actual[i]), Number(actual[i + 1]), Number(expected[i]), Number(expected[i + 1])];
  if (ar === br && ai === bi) return 0;
  if ((Number.isNaN(ar) || Number.isNaN(ai)) && (Number.isNaN(br) || Number.isNaN(bi))) return 0;
  const over = Math.hypot(ar - br, ai - bi) - (atol + rtol * Math.hypot(br, bi));
  return [ar, ai, br, bi].every(Number.isFinite) ? over : Number.POSITIVE_INFINITY;
};

const position = (flat: number, shape: readonly number[]): string => {
  const index: number[] = [];
  let rest = flat;
  for (const size of [...shape].reverse()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${index.join(', ')}]`;
};
