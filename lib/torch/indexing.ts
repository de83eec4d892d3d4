/** @file x.at(...) and x.setAt(...): Python's subscripts, on libtorch's own view and index operators. */
import { runAsProgram } from '../cuda/devices.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from './data.js';
import type { Scalar } from './scalar.js';
import type { Tensor } from './tensor.js';

/** `start:end:step` with computed bounds. */
export interface Slice {
  readonly sliceOf: readonly [start: number | null, end: number | null, step: number];
}

/** Bounds for one dimension, as Python's slice: `x.at(slice(1, n))`. Steps must be positive; use `flip` to reverse. */
export const slice = (start?: number | null, end?: number | null, step: number | null = 1): Slice => {
  const by = step ?? 1;
  if (!Number.isInteger(by) || by < 1)
    throw new JorchError(
      'BAD_ARGUMENT',
      `slice: the step must be a positive integer, got ${by}; use flip() to reverse`,
    );
  return { sliceOf: [start ?? null, end ?? null, by] };
};

/** One subscript: an integer, `'1:3'`, `'::2'`, `'...'`, null (a new axis), a boolean, a slice, a mask or index tensor, or an array of indices. */
export type Index =
  | number
  | string
  | null
  | boolean
  | Slice
  | Tensor
  | readonly (number | boolean | readonly number[])[];

const isSlice = (index: unknown): index is Slice => typeof index === 'object' && index !== null && 'sliceOf' in index;

const parseSlice = (text: string): Slice => {
  const match = /^\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?$/.exec(text);
  if (!match)
    throw new JorchError(
      'BAD_ARGUMENT',
      `at: cannot read the subscript '${text}'; expected '1:3', '::2', ':' or '...'`,
    );
  const bound = (part: string | undefined): number | null => (part === undefined ? null : Number(part));
  return slice(bound(match[1]), bound(match[2]), bound(match[3]));
};

const asIndexTensor = (index: Tensor | readonly unknown[]): Tensor => {
  if (native().isTensor(index)) return index;
  if (!Array.isArray(index)) {
    const given = index === undefined ? 'undefined' : typeof index === 'object' ? 'an object' : `a ${typeof index}`;
    throw new JorchError(
      'BAD_ARGUMENT',
      `at: ${given} is no subscript; expected an integer, '1:3', null, '...', a boolean, a slice, a tensor or an array of indices`,
    );
  }
  const flat = index.flat(Number.POSITIVE_INFINITY) as unknown[];
  const masks = flat.length > 0 && flat.every((x) => typeof x === 'boolean');
  return tensor(index as never, { dtype: masks ? 'bool' : 'int64' });
};

/** How many dimensions a subscript consumes. */
const consumed = (index: Index): number => {
  if (index === null || index === '...' || typeof index === 'boolean') return 0;
  if (typeof index === 'number' || typeof index === 'string' || isSlice(index)) return 1;
  const t = asIndexTensor(index);
  return t.dtype === 'bool' || t.dtype === 'uint8' ? t.ndim : 1;
};

/** Basic subscripts applied as views; what is left for index.Tensor, per dimension of the view. */
const applyBasic = (x: Tensor, indices: readonly Index[]): { view: Tensor; advanced: (Tensor | null)[] } => {
  if (indices.filter((i) => i === '...').length > 1)
    throw new JorchError('BAD_ARGUMENT', "at: only one '...' is allowed");
  const taken = indices.reduce<number>((n, i) => n + consumed(i), 0);
  if (taken > x.ndim)
    throw new JorchError(
      'BAD_ARGUMENT',
      `at: ${taken} subscripts for a tensor with ${x.ndim} dimensions (shape [${x.shape.join(', ')}])`,
    );
  let view = x;
  let dim = 0;
  /** Where `dim` of the view is in x: integers take dimensions away, null and booleans add some. */
  let source = 0;
  const advanced: (Tensor | null)[] = [];
  for (const index of indices) {
    if (index === '...') {
      dim += x.ndim - taken;
      source += x.ndim - taken;
    } else if (index === null) view = view.unsqueeze(dim++);
    else if (typeof index === 'number') {
      const size = view.shape[dim]!;
      if (!Number.isInteger(index))
        throw new JorchError('BAD_ARGUMENT', `at: an index is a whole number, not ${index}`);
      if (index >= size || index < -size) {
        throw new JorchError(
          'BAD_ARGUMENT',
          `at: index ${index} is out of range for dimension ${source} with size ${size}`,
        );
      }
      view = view.select(dim, index);
      source++;
    } else if (typeof index === 'boolean') {
      view = view.unsqueeze(dim);
      // True takes the new dimension's one element, false none of it.
      advanced[dim++] = tensor(index ? [0] : [], { dtype: 'int64' });
    } else if (typeof index === 'string' || isSlice(index)) {
      const [start, end, step] = (typeof index === 'string' ? parseSlice(index) : index).sliceOf;
      if (start !== null || end !== null || step !== 1) view = sliceOp(view, dim, start, end, step);
      dim++;
      source++;
    } else {
      const t = asIndexTensor(index);
      advanced[dim] = t;
      const taking = t.dtype === 'bool' || t.dtype === 'uint8' ? t.ndim : 1;
      dim += taking;
      source += taking;
    }
  }
  return { view, advanced: Array.from(advanced, (t) => t ?? null) };
};

const sliceOp = (t: Tensor, dim: number, start: number | null, end: number | null, step: number): Tensor =>
  native().packet('aten::slice')(t, dim, start, end, step) as Tensor;

/** index.Tensor takes one entry per indexed dimension; a mask of k dimensions stands for k of them. */
const indexList = (advanced: readonly (Tensor | null)[]): (Tensor | null)[] => {
  const list: (Tensor | null)[] = [];
  for (let dim = 0; dim < advanced.length; ) {
    const t = advanced[dim] ?? null;
    list.push(t);
    dim += t !== null && (t.dtype === 'bool' || t.dtype === 'uint8') ? Math.max(t.ndim, 1) : 1;
  }
  return list;
};

/** Reads `x[indices]`: views for basic subscripts, a copy when there are masks or index tensors. */
export const at = (x: Tensor, indices: readonly Index[]): Tensor => {
  const { view, advanced } = applyBasic(x, indices);
  if (advanced.length === 0) return view === x ? (native().packet('aten::alias')(x) as Tensor) : view;
  return native().packet('aten::index')(view, indexList(advanced)) as Tensor;
};

/** Writes `x[indices] = value` in place and returns x. */
export const setAt = (
  x: Tensor,
  indices: readonly Index[],
  value: Tensor | number | boolean | bigint | Scalar,
): Tensor => {
  if (!native().isTracing() && native().isOpaque(x)) return runAsProgram('setAt', setAt, [x, indices, value]) as Tensor;
  const { view, advanced } = applyBasic(x, indices);
  if (advanced.length === 0) {
    if (native().isTensor(value)) view.copy_(value);
    else view.fill_(value);
    return x;
  }
  const source = native().isTensor(value)
    ? value.to(x.dtype)
    : (native().packet('aten::scalar_tensor')(value, { dtype: x.dtype }) as Tensor);
  native().packet('aten::index_put_')(view, indexList(advanced), source);
  return x;
};
