/** @file torch.masked: reductions and normalizations that leave out elements where `mask` is false. Strided tensors. */
import { JorchError } from '../runtime/errors.js';
import { type DType, ITEM_BYTES, isComplex, isFloating, realOf } from './dtype.js';
import { vector_norm } from './generated/linalg.js';
import * as torch from './generated/ops.js';
import { MASKED, type MaskedArguments, type MaskedPython } from './generated/python-signatures.js';
import { pythonModule } from './python-call.js';
import {
  log_softmax as logSoftmaxOf,
  softmax as softmaxOf,
  softmin as softminOf,
} from './python-functional-activation.js';
import type { Tensor } from './python-types.js';

const define = pythonModule<MaskedPython, MaskedArguments>('masked', MASKED);

function bad(name: string, message: string): never {
  throw new JorchError('BAD_ARGUMENT', `masked.${name}: ${message}`);
}

/** Smallest and largest value of a dtype, as the neutral elements of maximum and minimum. */
function lowest(dtype: DType): number | bigint {
  if (isFloating(dtype) || isComplex(dtype)) return Number.NEGATIVE_INFINITY;
  return dtype === 'bool' || dtype.startsWith('u') ? 0 : -(2n ** BigInt(ITEM_BYTES[dtype] * 8 - 1));
}
function highest(dtype: DType): number | bigint {
  if (isFloating(dtype) || isComplex(dtype)) return Number.POSITIVE_INFINITY;
  return dtype === 'bool' ? 1 : 2n ** BigInt(ITEM_BYTES[dtype] * 8 - (dtype.startsWith('u') ? 0 : 1)) - 1n;
}
const zero = (): number => 0;
const one = (): number => 1;
const nan = (): number => Number.NaN;

/** The mask in the input's shape. */
function fullMask(name: string, input: Tensor, mask: Tensor): Tensor {
  if (mask.shape.length > input.shape.length)
    bad(
      name,
      `mask of shape [${mask.shape.join(', ')}] does not broadcast to input of shape [${input.shape.join(', ')}]`,
    );
  const own = mask.dtype === 'bool' ? mask : mask.ne(0);
  return own.shape.join() === input.shape.join() ? own : own.broadcast_to(input.shape);
}

/** The input with masked elements replaced by the operation's neutral element. */
function filled(name: string, input: Tensor, mask: Tensor | null, neutral: (dtype: DType) => number | bigint): Tensor {
  if (mask === null) return input;
  const fill = torch.full([], neutral(input.dtype), { dtype: input.dtype, device: input.device });
  return torch.where(fullMask(name, input, mask), input, fill);
}

type Dim = number | readonly number[] | null;

/** Dimensions as a sorted list of distinct, non-negative numbers; none means all. */
function dims(name: string, dim: Dim, ndim: number): number[] {
  const given =
    typeof dim === 'number'
      ? [dim]
      : dim === null || dim.length === 0
        ? Array.from({ length: ndim }, (_, i) => i)
        : dim;
  const range = Math.max(ndim, 1);
  const result = given.map((d) =>
    d < -range || d >= range ? bad(name, `dim ${d} is out of range [${-range}, ${range - 1}]`) : (d + range) % range,
  );
  if (new Set(result).size !== result.length) bad(name, `dim [${given.join(', ')}] names a dimension twice`);
  return result.sort((a, b) => a - b);
}

/** Small integers and bools are summed in int64. */
const summed = (input: Tensor, dtype: DType | null): DType =>
  dtype ?? (['uint8', 'bool', 'int8', 'int16', 'int32'].includes(input.dtype) ? 'int64' : input.dtype);

interface Reduce {
  readonly input: Tensor;
  readonly dim: Dim;
  readonly keepdim: boolean | null;
  readonly dtype: DType | null;
  readonly mask: Tensor | null;
}
const total = ({ input, dim, keepdim, dtype, mask }: Reduce): Tensor =>
  torch.sum(filled('sum', input, mask, zero), dims('sum', dim, input.shape.length), keepdim ?? false, {
    dtype: summed(input, dtype),
  });

export const sum = define('sum', total);
export const prod = define('prod', ({ input, dim, keepdim, dtype, mask }) => {
  const x = filled('prod', input, mask, one).to(summed(input, dtype));
  return dims('prod', dim, input.shape.length).reduceRight((y, d) => y.prod(d, keepdim ?? false), x);
});
export const amax = define('amax', ({ input, dim, keepdim, dtype, mask }) =>
  torch
    .amax(filled('amax', input, mask, lowest), dims('amax', dim, input.shape.length), keepdim ?? false)
    .to(dtype ?? input.dtype),
);
export const amin = define('amin', ({ input, dim, keepdim, dtype, mask }) =>
  torch
    .amin(filled('amin', input, mask, highest), dims('amin', dim, input.shape.length), keepdim ?? false)
    .to(dtype ?? input.dtype),
);
/** The result has the input's dtype, as in torch, where others would expect int64. */
export const argmax = define('argmax', ({ input, dim, keepdim, dtype, mask }) =>
  torch.argmax(filled('argmax', input, mask, lowest), dim, keepdim ?? false).to(dtype ?? input.dtype),
);
export const argmin = define('argmin', ({ input, dim, keepdim, dtype, mask }) =>
  torch.argmin(filled('argmin', input, mask, highest), dim, keepdim ?? false).to(dtype ?? input.dtype),
);
export const cumsum = define('cumsum', ({ input, dim, dtype, mask }) => {
  const out = dtype ?? input.dtype;
  return torch
    .cumsum(filled('cumsum', input, mask, zero), dims('cumsum', dim, input.shape.length)[0] as number, { dtype: out })
    .to(out);
});
export const cumprod = define('cumprod', ({ input, dim, dtype, mask }) => {
  const out = dtype ?? input.dtype;
  return torch
    .cumprod(filled('cumprod', input, mask, one), dims('cumprod', dim, input.shape.length)[0] as number, { dtype: out })
    .to(out);
});

/** How many elements are not masked, along `dim`. */
function count(name: string, { input, dim, mask }: Reduce, keepdim: boolean): Tensor {
  if (mask === null)
    return total({
      input: torch.ones(input.shape, { dtype: 'int64', device: input.device }),
      dim,
      keepdim,
      dtype: null,
      mask: null,
    });
  return fullMask(name, input, mask).sum(dims(name, dim, input.shape.length), keepdim);
}

export const mean = define('mean', (a) => {
  const dtype = a.dtype ?? a.input.dtype;
  if (!isFloating(dtype) && !isComplex(dtype))
    bad('mean', `needs a floating or complex dtype, got ${dtype}; give dtype`);
  return total({ ...a, dtype }).div(count('mean', a, a.keepdim ?? false));
});
export const median = define('median', ({ input, dim, keepdim, dtype, mask }) => {
  const floating = isFloating(input.dtype);
  const x = filled('median', floating ? input : input.to('float32'), mask, nan);
  const { values } = torch.nanmedian(x, dims('median', dim, input.shape.length)[0] as number, keepdim);
  if (floating) return values;
  if (values.isnan().any().item())
    bad('median', `a fully masked slice has no median in ${input.dtype}; use a floating dtype`);
  return values.to(dtype ?? input.dtype);
});
export const logsumexp = define('logsumexp', ({ input, dim, keepdim, dtype, mask }) =>
  torch
    .logsumexp(filled('logsumexp', input, mask, lowest), dims('logsumexp', dim, input.shape.length), keepdim)
    .to(dtype ?? input.dtype),
);
export const logaddexp = define('logaddexp', ({ input, other, dtype, input_mask, other_mask }) =>
  torch
    .logaddexp(filled('logaddexp', input, input_mask, lowest), filled('logaddexp', other, other_mask, lowest))
    .to(dtype ?? input.dtype),
);

type Norm = MaskedArguments['norm'];
const vectorNorm = ({ input, ord, dim, keepdim, dtype, mask }: Norm): Tensor => {
  const neutral = ord === Number.NEGATIVE_INFINITY ? highest : zero;
  return vector_norm(
    filled('norm', input, mask, neutral),
    ord ?? 2,
    dims('norm', dim, input.shape.length),
    keepdim ?? false,
    { dtype: dtype ?? input.dtype },
  );
};
export const norm = define('norm', vectorNorm);
export const normalize = define('normalize', ({ input, ord, dim, eps, dtype, mask }) => {
  const length = vectorNorm({ input, ord, dim, keepdim: true, dtype: dtype ?? input.dtype, mask });
  return filled('normalize', input, mask, zero).div(torch.maximum(length, length.new_full([], eps)));
});

/** Sum of squared distances from the mean over the count less `correction` (never below zero). */
function variance(name: string, a: MaskedArguments['var']): Tensor {
  const { input, dim, mask, unbiased } = a;
  if (unbiased !== null && a.correction !== null) bad(name, 'give unbiased or correction, not both');
  const correction = a.correction ?? (unbiased === false ? 0 : 1);
  const own = a.dtype ?? input.dtype;
  const dtype = isFloating(own) || isComplex(own) ? own : (a.dtype ?? 'float32');
  const compute: DType = isFloating(dtype) || isComplex(dtype) ? dtype : 'float32';
  const n = count(name, a, true);
  const x = input.sub(total({ input, dim, keepdim: true, dtype, mask }).div(n));
  const squares = total({ input: x.mul(x.conj()), dim, keepdim: a.keepdim, dtype: compute, mask });
  const shaped = a.keepdim === true ? n : n.reshape(squares.shape);
  if (correction === 0) return squares.div(shaped).to(dtype);
  const freedom = shaped.to(realOf(compute)).sub(correction);
  return squares.div(torch.maximum(freedom, freedom.new_zeros([]))).to(dtype);
}
const var_ = define('var', (a) => variance('var', a));

export { var_ as var };
export const std = define('std', (a) => variance('std', a).sqrt());

export const softmax = define('softmax', ({ input, dim, dtype, mask }) =>
  softmaxOf(filled('softmax', input, mask, lowest), dim, { dtype: dtype ?? input.dtype }),
);
export const log_softmax = define('log_softmax', ({ input, dim, dtype, mask }) =>
  logSoftmaxOf(filled('log_softmax', input, mask, lowest), dim, { dtype: dtype ?? input.dtype }),
);
export const softmin = define('softmin', ({ input, dim, dtype, mask }) =>
  softminOf(filled('softmin', input, mask, highest), dim, { dtype: dtype ?? input.dtype }),
);
