/** @file Tensors from nothing: filled, empty (zeros here), ranges, identity. Options other than the dtype mean nothing inside a program. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op, TensorType } from '../stablehlo/types.js';
import { type DType, isComplex, isFloating, isInteger, realOf } from '../torch/dtype.js';
import { num, opmath } from './common.js';
import { type RuleContext, rule, rules } from './registry.js';

rules(
  [
    'aten::zeros',
    'aten::zeros_like',
    'aten::new_zeros',
    'aten::zero',
    'aten::_efficientzerotensor',
    'aten::empty.memory_format',
    'aten::empty_like',
    'aten::empty_strided',
    'aten::empty_permuted',
    'aten::new_empty',
    'aten::new_empty_strided',
  ],
  ({ b, out }) => b.fill(out, 0),
);
rules(['aten::ones', 'aten::ones_like', 'aten::new_ones'], ({ b, out }) => b.fill(out, 1));
rules(['aten::full', 'aten::full_like', 'aten::new_full'], ({ b, out }, { fill_value }) => b.fill(out, fill_value));
rule('aten::scalar_tensor', ({ b, out }, { s }) => b.fill(out, s));
rule('aten::fill.Scalar', ({ b, out }, { value }) => b.fill(out, value));
rule('aten::fill.Tensor', ({ b, out }, { value }) => b.broadcast(b.convert(value, out.dtype), out.shape));
rules(['aten::eye', 'aten::eye.m'], ({ b, out }) =>
  b.convert(b.compare('EQ', b.iota(out.shape, 0, 'int64'), b.iota(out.shape, 1, 'int64')), out.dtype),
);
export const identity = (b: Builder, n: number, dtype: DType): Op =>
  b.convert(b.compare('EQ', b.iota([n, n], 0, 'int64'), b.iota([n, n], 1, 'int64')), dtype);

/** start + step·i, in float64 for floats as libtorch does, in int64 for integers. */
function arange(b: Builder, out: TensorType, start: number, step: number): Op {
  const dtype = isFloating(out.dtype) ? 'float64' : 'int64';
  const i = b.iota(out.shape, 0, dtype);
  return b.convert(b.add(b.multiply(i, b.fill(i, step)), b.fill(i, start)), out.dtype);
}
rule('aten::arange', ({ b, out }) => arange(b, out, 0, 1));
rule('aten::arange.start', ({ b, out }, { start }) => arange(b, out, num(start), 1));
rule('aten::arange.start_step', ({ b, out }, { start, step }) => arange(b, out, num(start), num(step)));
// Both ends are inside.
rule('aten::range', ({ b, out }, { start }) => arange(b, out, num(start), 1));
rule('aten::range.step', ({ b, out }, { start, step }) => arange(b, out, num(start), num(step)));

/** 0, 1 … ⌈n/2⌉-1 and, of both signs, up from -⌊n/2⌋ to -1, over n·d. */
const frequencies = ({ b, out }: RuleContext, n: number, d: number, signed: boolean): Op => {
  const i = b.iota(out.shape, 0, 'float64');
  const negative = b.compare('GE', i, b.fill(i, Math.ceil(n / 2)));
  const place = signed ? b.select(negative, b.subtract(i, b.fill(i, n)), i) : i;
  return b.convert(b.multiply(place, b.fill(i, 1 / (n * d))), out.dtype);
};
rule('aten::fft_fftfreq', (ctx, { n, d }) => frequencies(ctx, n, d, true));
rule('aten::fft_rfftfreq', (ctx, { n, d }) => frequencies(ctx, n, d, false));

/** Counted from the nearer end, so that the last element is exactly `end`. */
function linspace(b: Builder, shape: readonly number[], start: Op, end: Op): Op {
  const n = shape[0]!;
  if (n === 0) return b.constant(0, shape, start.dtype);
  const i = b.iota(shape, 0, realOf(start.dtype));
  const spreadOut = (x: Op) => b.broadcast(x, shape);
  const step = spreadOut(b.divide(b.subtract(end, start), b.fill(end, Math.max(n - 1, 1))));
  const wide = b.convert(i, start.dtype);
  const up = b.add(spreadOut(start), b.multiply(step, wide));
  const down = b.subtract(spreadOut(end), b.multiply(step, b.subtract(b.fill(wide, n - 1), wide)));
  return n === 1 ? spreadOut(start) : b.select(b.compare('LT', i, b.fill(i, Math.floor(n / 2))), up, down);
}
/** Where a range of the result's dtype is computed: integers in float64. */
const stepDType = (d: DType): DType => (isInteger(d) || d === 'bool' ? 'float64' : opmath(d));
const end = (b: Builder, x: Op | unknown, dtype: DType): Op =>
  typeof x === 'object' && x !== null && 'type' in x
    ? b.convert(b.reshape(x as Op, []), dtype)
    : b.scalar(x as number, dtype);
rules(
  ['aten::linspace', 'aten::linspace.Tensor_Tensor', 'aten::linspace.Scalar_Tensor', 'aten::linspace.Tensor_Scalar'],
  ({ b, out }, { start, end: last }) => {
    const dtype = stepDType(out.dtype);
    // An integer range starts and ends at integers: the bounds are cast first.
    const bound = (x: unknown) => (isInteger(out.dtype) ? b.convert(end(b, x, out.dtype), dtype) : end(b, x, dtype));
    return b.convert(linspace(b, out.shape, bound(start), bound(last)), out.dtype);
  },
);
rules(
  ['aten::logspace', 'aten::logspace.Tensor_Tensor', 'aten::logspace.Scalar_Tensor', 'aten::logspace.Tensor_Scalar'],
  ({ b, out }, { start, end: last, base }) => {
    const dtype = isComplex(out.dtype) ? out.dtype : 'float64';
    const e = linspace(b, out.shape, end(b, start, dtype), end(b, last, dtype));
    return b.convert(b.power(b.fill(e, base), e), out.dtype);
  },
);
