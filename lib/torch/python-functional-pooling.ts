/** @file nn.functional: pooling and its inverses. */

import { avg_pool1d, avg_pool2d, avg_pool3d } from './generated/functional.js';
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import type { FunctionalArguments } from './generated/python-signatures.js';
import { bad, define, type Ints, tuple } from './python-functional-common.js';
import type { Tensor } from './python-types.js';

/** No stride means the kernel's size, which ATen writes as an empty list. */
const strideOf = (stride: Ints | null): Ints => stride ?? [];

type MaxPool = FunctionalArguments['max_pool2d'];
const plain1d = (a: MaxPool) =>
  torch.max_pool1d(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);
const plain2d = (a: MaxPool) =>
  torch.max_pool2d(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);
const plain3d = (a: MaxPool) =>
  torch.max_pool3d(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);
const indexed1d = (a: MaxPool) =>
  torch.max_pool1d_with_indices(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);
const indexed2d = (a: MaxPool) =>
  nn.max_pool2d_with_indices(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);
const indexed3d = (a: MaxPool) =>
  nn.max_pool3d_with_indices(a.input, a.kernel_size, strideOf(a.stride), a.padding, a.dilation, a.ceil_mode);

export const max_pool1d_with_indices = define('max_pool1d_with_indices', indexed1d);
export const max_pool2d_with_indices = define('max_pool2d_with_indices', indexed2d);
export const max_pool3d_with_indices = define('max_pool3d_with_indices', indexed3d);
export const max_pool1d = define('max_pool1d', (a) => (a.return_indices ? indexed1d(a) : plain1d(a)));
export const max_pool2d = define('max_pool2d', (a) => (a.return_indices ? indexed2d(a) : plain2d(a)));
export const max_pool3d = define('max_pool3d', (a) => (a.return_indices ? indexed3d(a) : plain3d(a)));

/** An output size's gaps (null) keep the input's own size. */
const filled = (output: Ints, input: Tensor, n: number): readonly number[] =>
  tuple(output, n).map((size, i) => size ?? (input.shape.at(i - n) as number));

const adaptive1d = (a: FunctionalArguments['adaptive_max_pool1d']) => torch.adaptive_max_pool1d(a.input, a.output_size);
const adaptive2d = (a: FunctionalArguments['adaptive_max_pool2d']) =>
  nn.adaptive_max_pool2d(a.input, filled(a.output_size, a.input, 2));
const adaptive3d = (a: FunctionalArguments['adaptive_max_pool3d']) =>
  nn.adaptive_max_pool3d(a.input, filled(a.output_size, a.input, 3));
export const adaptive_max_pool1d_with_indices = define('adaptive_max_pool1d_with_indices', adaptive1d);
export const adaptive_max_pool2d_with_indices = define('adaptive_max_pool2d_with_indices', adaptive2d);
export const adaptive_max_pool3d_with_indices = define('adaptive_max_pool3d_with_indices', adaptive3d);
export const adaptive_max_pool1d = define('adaptive_max_pool1d', (a) =>
  a.return_indices ? adaptive1d(a) : adaptive1d(a)[0],
);
export const adaptive_max_pool2d = define('adaptive_max_pool2d', (a) =>
  a.return_indices ? adaptive2d(a) : adaptive2d(a)[0],
);
export const adaptive_max_pool3d = define('adaptive_max_pool3d', (a) =>
  a.return_indices ? adaptive3d(a) : adaptive3d(a)[0],
);
export const adaptive_avg_pool2d = define('adaptive_avg_pool2d', ({ input, output_size }) =>
  nn.adaptive_avg_pool2d(input, filled(output_size, input, 2)),
);
export const adaptive_avg_pool3d = define('adaptive_avg_pool3d', ({ input, output_size }) =>
  nn.adaptive_avg_pool3d(input, filled(output_size, input, 3)),
);

type Fractional = FunctionalArguments['fractional_max_pool2d'];
function fractional(n: 2 | 3, a: Fractional) {
  const { input, kernel_size, output_ratio } = a;
  const name = `fractional_max_pool${n}d`;
  if (a.output_size === null && output_ratio === null) bad(name, 'needs output_size or output_ratio');
  const size =
    a.output_size ??
    tuple(output_ratio ?? 1, n).map((ratio, i) => Math.trunc((input.shape.at(i - n) as number) * ratio));
  const batch = input.shape.length === n + 1 ? 1 : (input.shape[0] as number);
  const samples =
    a._random_samples ??
    torch.rand([batch, input.shape.at(-n - 1) as number, n], { dtype: input.dtype, device: input.device });
  return n === 2
    ? nn.fractional_max_pool2d(input, kernel_size, size, samples)
    : nn.fractional_max_pool3d(input, kernel_size, size, samples);
}
export const fractional_max_pool2d_with_indices = define('fractional_max_pool2d_with_indices', (a) => fractional(2, a));
export const fractional_max_pool3d_with_indices = define('fractional_max_pool3d_with_indices', (a) => fractional(3, a));
export const fractional_max_pool2d = define('fractional_max_pool2d', (a) =>
  a.return_indices ? fractional(2, a) : fractional(2, a)[0],
);
export const fractional_max_pool3d = define('fractional_max_pool3d', (a) =>
  a.return_indices ? fractional(3, a) : fractional(3, a)[0],
);

/** The size that the pooled tensor had: given, with or without batch and channel, or the smallest that fits. */
function unpooledSize(
  name: string,
  n: number,
  a: FunctionalArguments['max_unpool2d'],
): { size: readonly number[]; stride: readonly number[]; padding: readonly number[] } {
  const kernel = tuple(a.kernel_size, n);
  const stride = a.stride === null ? kernel : tuple(a.stride, n);
  const padding = tuple(a.padding, n);
  const at = (list: readonly number[], i: number): number => list[i] ?? 0;
  const smallest = kernel.map(
    (k, i) => ((a.input.shape.at(i - n) as number) - 1) * at(stride, i) + k - 2 * at(padding, i),
  );
  if (a.output_size === null) return { size: smallest, stride, padding };
  let size = tuple(a.output_size, n);
  if (size.length === n + 2) size = size.slice(2);
  if (size.length !== n) bad(name, `output_size needs ${n} or ${n + 2} elements, got [${size.join(', ')}]`);
  size.forEach((s, i) => {
    const low = at(smallest, i) - at(stride, i);
    const high = at(smallest, i) + at(stride, i);
    if (!(low < s && s < high))
      bad(name, `output_size [${size.join(', ')}]: dimension ${i} must be between ${low} and ${high}`);
  });
  return { size, stride, padding };
}
export const max_unpool1d = define('max_unpool1d', (a) => {
  const { size } = unpooledSize('max_unpool1d', 1, a);
  return nn.max_unpool2d(a.input.unsqueeze(-1), a.indices.unsqueeze(-1), [...size, 1]).squeeze(-1);
});
export const max_unpool2d = define('max_unpool2d', (a) =>
  nn.max_unpool2d(a.input, a.indices, unpooledSize('max_unpool2d', 2, a).size),
);
export const max_unpool3d = define('max_unpool3d', (a) => {
  const { size, stride, padding } = unpooledSize('max_unpool3d', 3, a);
  return nn.max_unpool3d(a.input, a.indices, size, stride, padding);
});

/** The p-norm over a window, from the window's mean of p-th powers. */
const powerMean = (mean: Tensor, elements: number, p: number): Tensor =>
  mean
    .sign()
    .mul(mean.abs().relu())
    .mul(elements)
    .pow(1 / p);
export const lp_pool1d = define('lp_pool1d', ({ input, norm_type, kernel_size, stride, ceil_mode }) =>
  powerMean(avg_pool1d(input.pow(norm_type), kernel_size, strideOf(stride), 0, ceil_mode), kernel_size, norm_type),
);
export const lp_pool2d = define('lp_pool2d', ({ input, norm_type, kernel_size, stride, ceil_mode }) => {
  const elements = tuple(kernel_size, 2).reduce((a, b) => a * b, 1);
  return powerMean(avg_pool2d(input.pow(norm_type), kernel_size, strideOf(stride), 0, ceil_mode), elements, norm_type);
});
export const lp_pool3d = define('lp_pool3d', ({ input, norm_type, kernel_size, stride, ceil_mode }) => {
  const elements = tuple(kernel_size, 3).reduce((a, b) => a * b, 1);
  return powerMean(avg_pool3d(input.pow(norm_type), kernel_size, strideOf(stride), 0, ceil_mode), elements, norm_type);
});
