/** @file Views and copies. Values are logically row-major, so a view is a reshape, a transpose or a slice. */

import type { Value } from '../compile/graph.js';
import { physicalOrder } from '../compile/layout.js';
import type { Builder } from '../stablehlo/builder.js';
import { BuilderError, numel, type Op, range, replaceAt, type TensorType } from '../stablehlo/types.js';
import { ITEM_BYTES, isComplex } from '../torch/dtype.js';
import { spread, wrapDim } from './common.js';
import { flatten, scatterFlat, takeFlat } from './gather.js';
import { NoLowering, rule, rules } from './registry.js';

rules(
  [
    'aten::view',
    'aten::_unsafe_view',
    'aten::reshape',
    'aten::view_copy',
    'aten::_reshape_alias',
    'aten::_reshape_copy',
    'aten::unsqueeze',
    'aten::unsqueeze_copy',
    'aten::squeeze',
    'aten::squeeze.dim',
    'aten::squeeze.dims',
    'aten::squeeze_copy',
    'aten::squeeze_copy.dim',
    'aten::squeeze_copy.dims',
  ],
  ({ b, out }, { self }) => b.reshape(self, out.shape),
);
rules(['aten::view.dtype', 'aten::view_copy.dtype'], ({ b, out }, { self }) => {
  if (isComplex(out.dtype) || isComplex(self.dtype) || [out.dtype, self.dtype].includes('bool')) {
    throw new NoLowering(`view of ${self.dtype} as ${out.dtype}`);
  }
  const [from, to] = [ITEM_BYTES[self.dtype], ITEM_BYTES[out.dtype]];
  if (from === to) return b.bitcast(self, out.shape, out.dtype);
  if (from > to) return b.reshape(b.bitcast(self, [...self.shape, from / to], out.dtype), out.shape);
  return b.bitcast(b.reshape(self, [...out.shape, to / from]), out.shape, out.dtype);
});
rules(['aten::expand', 'aten::expand_copy'], ({ b, out }, { self }) => b.broadcast(self, out.shape));
rules(['aten::permute', 'aten::permute_copy'], ({ b }, { self, dims }) =>
  b.transpose(
    self,
    dims.map((d) => wrapDim(d, self.shape.length)),
  ),
);
rules(['aten::transpose.int', 'aten::transpose_copy.int'], ({ b }, { self, dim0, dim1 }) => {
  const rank = self.shape.length;
  return rank === 0 ? self : b.swap(self, wrapDim(dim0, rank), wrapDim(dim1, rank));
});
rules(['aten::t', 'aten::t_copy'], ({ b }, { self }) => (self.shape.length < 2 ? self : b.swap(self, 0, 1)));

rules(
  [
    'aten::alias',
    'aten::alias_copy',
    'aten::detach',
    'aten::detach_copy',
    'aten::lift',
    'aten::lift_fresh',
    'aten::lift_fresh_copy',
    'aten::clone',
    'aten::contiguous',
    'aten::resolve_conj',
    'aten::resolve_neg',
    'aten::positive',
  ],
  (_, { self }) => self,
);
rule('aten::_to_copy', ({ b, out }, { self }) => b.convert(self, out.dtype));
rule('aten::copy', ({ b, out }, { src }) => spread(b, src, out));

rules(['aten::_conj', 'aten::_conj_copy'], ({ b }, { self }) => b.conj(self));
rules(['aten::_neg_view', 'aten::_neg_view_copy'], ({ b }, { self }) => b.negate(self));
rules(['aten::view_as_real', 'aten::view_as_real_copy'], ({ b }, { self }) => {
  const rank = self.shape.length;
  return b.concatenate([b.unsqueeze(b.real(self), rank), b.unsqueeze(b.imag(self), rank)], rank);
});
rules(['aten::view_as_complex', 'aten::view_as_complex_copy'], ({ b, out }, { self }) => {
  const last = self.shape.length - 1;
  const part = (i: number) => b.reshape(b.sliceDim(self, last, i, i + 1), out.shape);
  return b.complex(part(0), part(1));
});

/** A slice's bounds as torch clamps them. */
export function sliceBounds(
  size: number,
  start: number | undefined,
  end: number | undefined,
): readonly [number, number] {
  const clamp = (i: number) => Math.min(Math.max(Number(i < 0 ? i + size : i), 0), size);
  const low = clamp(start ?? 0);
  return [low, Math.max(low, clamp(Number(end ?? size)))];
}
rules(['aten::slice.Tensor', 'aten::slice_copy.Tensor'], ({ b }, { self, dim, start, end, step }) => {
  const d = wrapDim(dim, self.shape.length);
  const [low, high] = sliceBounds(self.shape[d]!, start, end);
  return b.sliceDim(self, d, low, high, step);
});
rule('aten::narrow_copy', ({ b }, { self, dim, start, length }) => {
  const d = wrapDim(dim, self.shape.length);
  const low = start < 0 ? start + self.shape[d]! : start;
  return b.sliceDim(self, d, low, low + length);
});
rules(['aten::select.int', 'aten::select_copy.int'], ({ b, out }, { self, dim, index }) => {
  const d = wrapDim(dim, self.shape.length);
  const i = index < 0 ? index + self.shape[d]! : index;
  return b.reshape(b.sliceDim(self, d, i, i + 1), out.shape);
});
/** Cuts along `dim` into the sizes that libtorch answered with. */
const pieces = (b: Builder, self: Op, dim: number, outs: readonly (TensorType | undefined)[]): Op[] => {
  const d = wrapDim(dim, self.shape.length);
  let at = 0;
  return outs.map((o) => {
    const start = at;
    at += o!.shape[d]!;
    return b.sliceDim(self, d, start, at);
  });
};
rules(
  [
    'aten::split.Tensor',
    'aten::split_copy.Tensor',
    'aten::unsafe_split.Tensor',
    'aten::split_with_sizes',
    'aten::split_with_sizes_copy',
    'aten::unsafe_split_with_sizes',
  ],
  ({ b, outs }, { self, dim }) => pieces(b, self, dim, outs),
);
rules(['aten::unbind.int', 'aten::unbind_copy.int'], ({ b, outs }, { self, dim }) => {
  const d = wrapDim(dim, self.shape.length);
  return outs.map((o, i) => b.reshape(b.sliceDim(self, d, i, i + 1), o!.shape));
});

/** Moves `dim1` and `dim2` to the end, where the diagonal is a strided slice of their flattened plane. */
function planes(shape: readonly number[], offset: number, dim1: number, dim2: number) {
  const rank = shape.length;
  const [d1, d2] = [wrapDim(dim1, rank), wrapDim(dim2, rank)];
  const order = [...range(rank).filter((d) => d !== d1 && d !== d2), d1, d2];
  const [n, m] = [shape[d1]!, shape[d2]!];
  const length = Math.max(0, Math.min(offset < 0 ? n + offset : n, offset > 0 ? m - offset : m));
  return { order, n, m, length, start: offset >= 0 ? offset : -offset * m };
}
export function diagonal(b: Builder, x: Op, offset: number, dim1: number, dim2: number): Op {
  const { order, n, m, length, start } = planes(x.shape, offset, dim1, dim2);
  const batch = order.slice(0, -2).map((d) => x.shape[d]!);
  if (length === 0) return b.constant(0, [...batch, 0], x.dtype);
  const plane = b.reshape(b.transpose(x, order), [...batch, n * m]);
  return b.sliceDim(plane, batch.length, start, start + (length - 1) * (m + 1) + 1, m + 1);
}
/** `src` on the diagonal of `base`. */
export function diagonalInto(b: Builder, base: Op, src: Op, offset: number, dim1: number, dim2: number): Op {
  const { order, n, m, length, start } = planes(base.shape, offset, dim1, dim2);
  if (length === 0) return base;
  const place = (x: Op, outside: Op) => {
    const last = x.shape.length - 1;
    const used = start + (length - 1) * (m + 1) + 1;
    const flat = b.padDim(x, last, outside, start, n * m - used, m);
    const plane = b.reshape(flat, [...x.shape.slice(0, -1), n, m]);
    return b.transpose(
      plane,
      range(order.length).map((d) => order.indexOf(d)),
    );
  };
  const mask = place(b.constant(true, src.shape, 'bool'), b.scalar(false, 'bool'));
  return b.select(mask, place(src, b.scalar(0, src.dtype)), base);
}
rules(['aten::diagonal', 'aten::diagonal_copy'], ({ b }, { self, offset, dim1, dim2 }) =>
  diagonal(b, self, offset, dim1, dim2),
);
rule('aten::diagonal_scatter', ({ b }, { self, src, offset, dim1, dim2 }) =>
  diagonalInto(b, self, b.convert(src, self.dtype), offset, dim1, dim2),
);
rule('aten::diagonal_backward', ({ b, out }, { grad_output, offset, dim1, dim2 }) =>
  diagonalInto(b, b.fill(out, 0), grad_output, offset, dim1, dim2),
);
rule('aten::diag_embed', ({ b, out }, { self, offset, dim1, dim2 }) =>
  diagonalInto(b, b.fill(out, 0), self, offset, dim1, dim2),
);
rule('aten::trace', ({ b, out }, { self }) =>
  b.reduce(b.convert(diagonal(b, self, 0, 0, 1), out.dtype), b.scalar(0, out.dtype), 'add', [0]),
);

/** `src` at `start, start + step, …` of `dim`, `outside` elsewhere. */
function placeSlice(b: Builder, src: Op, outside: Op, size: number, dim: number, start: number, step: number): Op {
  const n = src.shape[dim]!;
  if (n === 0) return b.broadcast(outside, replaceAt(src.shape, dim, size));
  return b.padDim(src, dim, outside, start, size - start - (n - 1) * step - 1, step - 1);
}
export function sliceInto(b: Builder, base: Op, src: Op, dim: number, start: number, step = 1): Op {
  const size = base.shape[dim]!;
  if (src.shape[dim] === size) return src;
  const mask = placeSlice(b, b.constant(true, src.shape, 'bool'), b.scalar(false, 'bool'), size, dim, start, step);
  return b.select(mask, placeSlice(b, src, b.scalar(0, src.dtype), size, dim, start, step), base);
}
rule('aten::slice_scatter', ({ b }, { self, src, dim, start, end, step }) => {
  const d = wrapDim(dim, self.shape.length);
  const [low, high] = sliceBounds(self.shape[d]!, start, end);
  const shape = replaceAt(self.shape, d, Math.ceil((high - low) / step));
  return sliceInto(b, self, spread(b, src, { shape, dtype: self.dtype }), d, low, step);
});
rule('aten::slice_backward', ({ b, out }, { grad_output, dim, start, end, step }) => {
  const d = wrapDim(dim, out.shape.length);
  const [low] = sliceBounds(out.shape[d]!, start, end);
  return placeSlice(b, grad_output, b.scalar(0, out.dtype), out.shape[d]!, d, low, step);
});
rule('aten::select_scatter', ({ b }, { self, src, dim, index }) => {
  const d = wrapDim(dim, self.shape.length);
  const i = index < 0 ? index + self.shape[d]! : index;
  const row = spread(b, b.convert(src, self.dtype), { shape: self.shape.filter((_, k) => k !== d), dtype: self.dtype });
  return sliceInto(b, self, b.unsqueeze(row, d), d, i);
});
rule('aten::select_backward', ({ b, out }, { grad_output, dim, index }) => {
  const d = wrapDim(dim, out.shape.length);
  const i = index < 0 ? index + out.shape[d]! : index;
  return placeSlice(b, b.unsqueeze(grad_output, d), b.scalar(0, out.dtype), out.shape[d]!, d, i, 1);
});

/** Positions in storage of the elements of a strided view, row-major. */
const addresses = (size: readonly number[], stride: readonly number[], offset: number): number[] =>
  size.reduce((at, n, d) => at.flatMap((p) => range(n).map((i) => p + i * stride[d]!)), [offset]);
interface Strided {
  readonly size: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;
}
/**
 * The elements of `self` in the order of memory, with the view's positions among them. A program has only the elements
 * of the tensor itself, not what lies around or between them in its storage.
 */
function strided(b: Builder, self: Op, v: Value, { size, stride, offset }: Strided): readonly [Op, Op] {
  const refuse = () => {
    const asked = `size [${size}], stride [${stride}], storage_offset ${offset} from the tensor's own`;
    throw new BuilderError(`${asked}: reaches memory outside the tensor of shape [${v.shape}]; pass the whole tensor.`);
  };
  const order = physicalOrder(v.shape, v.strides);
  if (order === undefined) {
    const held = new Map(addresses(v.shape, v.strides, 0).map((address, i) => [address, i]));
    const at = addresses(size, stride, offset).map((address) => held.get(address) ?? refuse());
    return [flatten(b, self), b.constant(at as number[], size, 'int64')];
  }
  if (size.reduce((last, n, d) => last + (n - 1) * stride[d]!, offset) >= numel(v.shape) && !size.includes(0)) refuse();
  const steps = size.map((_, d) => b.multiply(b.iota(size, d, 'int64'), b.constant(stride[d]!, size, 'int64')));
  const at = steps.reduce((sum, step) => b.add(sum, step), b.constant(offset, size, 'int64'));
  return [flatten(b, b.transpose(self, order)), at];
}
rules(['aten::as_strided', 'aten::as_strided_copy'], ({ b, out, node }, { self, size, stride, storage_offset }) => {
  const view = { size, stride, offset: storage_offset ?? 0 };
  return b.reshape(takeFlat(b, ...strided(b, self, node.args.self as Value, view)), out.shape);
});
rule('aten::as_strided_scatter', ({ b, node }, { self, src, size, stride, storage_offset }) => {
  const v = node.args.self as Value;
  const [flat, at] = strided(b, self, v, { size, stride, offset: storage_offset ?? 0 });
  const written = scatterFlat(b, flat, at, b.convert(src, self.dtype), (_, update) => update);
  const order = physicalOrder(v.shape, v.strides) ?? range(v.shape.length);
  const ordered = order.map((d) => v.shape[d]!);
  return b.transpose(
    b.reshape(written, ordered),
    range(order.length).map((d) => order.indexOf(d)),
  );
});
