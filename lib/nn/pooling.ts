/** @file Pooling layers. */
import * as F from '../torch/python-functional.js';
import type { Results, Tensor } from '../torch/python-types.js';
import type { Size } from './arguments.js';
import { layer } from './layer.js';
import { Module } from './module.js';
import { python } from './repr.js';

const MAX = {
  stride: null as Size | null,
  padding: 0 as Size,
  dilation: 1 as Size,
  return_indices: false,
  ceil_mode: false,
};
const maxNames = ['stride', 'padding', 'dilation', 'return_indices', 'ceil_mode'] as const;

const MaxBase = layer('MaxPool', MAX, maxNames);
/** `return_indices: true` gives [values, indices]. */
abstract class MaxPool extends MaxBase {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof MaxBase>) {
    super(...rest);
    this.kernel_size = kernel_size;
    (this as { stride: Size }).stride = this.stride ?? kernel_size;
  }
  override extra_repr(): string {
    const { kernel_size, stride, padding, dilation, ceil_mode } = this;
    return `kernel_size=${python(kernel_size)}, stride=${python(stride)}, padding=${python(padding)}, dilation=${python(dilation)}, ceil_mode=${python(ceil_mode)}`;
  }
  protected get args(): [Size, Size | null, Size, Size, boolean] {
    return [this.kernel_size, this.stride, this.padding, this.dilation, this.ceil_mode];
  }
}

/** [N, C, L] → [N, C, L']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html */
export class MaxPool1d extends MaxPool {
  override forward(input: Tensor): Tensor {
    return (
      this.return_indices ? F.max_pool1d_with_indices(input, ...this.args) : F.max_pool1d(input, ...this.args)
    ) as Tensor;
  }
}
/** [N, C, H, W] → [N, C, H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html */
export class MaxPool2d extends MaxPool {
  override forward(input: Tensor): Tensor {
    return (
      this.return_indices ? F.max_pool2d_with_indices(input, ...this.args) : F.max_pool2d(input, ...this.args)
    ) as Tensor;
  }
}
/** [N, C, D, H, W] → [N, C, D', H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html */
export class MaxPool3d extends MaxPool {
  override forward(input: Tensor): Tensor {
    return (
      this.return_indices ? F.max_pool3d_with_indices(input, ...this.args) : F.max_pool3d(input, ...this.args)
    ) as Tensor;
  }
}

const UNPOOL = { stride: null as Size | null, padding: 0 as Size };
const UnpoolBase = layer('MaxUnpool', UNPOOL, ['stride', 'padding']);
abstract class MaxUnpool extends UnpoolBase {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof UnpoolBase>) {
    super(...rest);
    this.kernel_size = kernel_size;
    (this as { stride: Size }).stride = this.stride ?? kernel_size;
  }
  override extra_repr(): string {
    return `kernel_size=${python(this.kernel_size)}, stride=${python(this.stride)}, padding=${python(this.padding)}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html */
export class MaxUnpool1d extends MaxUnpool {
  override forward(input: Tensor, indices: Tensor, output_size: readonly number[] | null = null): Tensor {
    return F.max_unpool1d(input, indices, this.kernel_size, this.stride, this.padding, output_size);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html */
export class MaxUnpool2d extends MaxUnpool {
  override forward(input: Tensor, indices: Tensor, output_size: readonly number[] | null = null): Tensor {
    return F.max_unpool2d(input, indices, this.kernel_size, this.stride, this.padding, output_size);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html */
export class MaxUnpool3d extends MaxUnpool {
  override forward(input: Tensor, indices: Tensor, output_size: readonly number[] | null = null): Tensor {
    return F.max_unpool3d(input, indices, this.kernel_size, this.stride, this.padding, output_size);
  }
}

const AVG = { stride: null as Size | null, padding: 0 as Size, ceil_mode: false, count_include_pad: true };
const avgNames = ['stride', 'padding', 'ceil_mode', 'count_include_pad'] as const;
const AvgBase = layer('AvgPool', AVG, avgNames);
abstract class AvgPool extends AvgBase {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof AvgBase>) {
    super(...rest);
    this.kernel_size = kernel_size;
    (this as { stride: Size }).stride = this.stride ?? kernel_size;
  }
  override extra_repr(): string {
    return `kernel_size=${python(this.kernel_size)}, stride=${python(this.stride)}, padding=${python(this.padding)}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html */
export class AvgPool1d extends AvgPool {
  override forward(input: Tensor): Tensor {
    return F.avg_pool1d(input, this.kernel_size, this.stride!, this.padding, this.ceil_mode, this.count_include_pad);
  }
  override extra_repr(): string {
    const one = (size: Size | null): string => python(typeof size === 'number' ? [size] : size);
    return `kernel_size=${one(this.kernel_size)}, stride=${one(this.stride)}, padding=${one(this.padding)}`;
  }
}

const AVG_ND = { ...AVG, divisor_override: null as number | null };
const avgNdNames = [...avgNames, 'divisor_override'] as const;
const AvgNdBase = layer('AvgPool', AVG_ND, avgNdNames);
abstract class AvgPoolNd extends AvgNdBase {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof AvgNdBase>) {
    super(...rest);
    this.kernel_size = kernel_size;
    (this as { stride: Size }).stride = this.stride ?? kernel_size;
  }
  override extra_repr(): string {
    return `kernel_size=${python(this.kernel_size)}, stride=${python(this.stride)}, padding=${python(this.padding)}`;
  }
  protected get args(): [Size, Size, Size, boolean, boolean, number | null] {
    const { kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override } = this;
    return [kernel_size, stride!, padding, ceil_mode, count_include_pad, divisor_override];
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html */
export class AvgPool2d extends AvgPoolNd {
  override forward(input: Tensor): Tensor {
    return F.avg_pool2d(input, ...this.args);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html */
export class AvgPool3d extends AvgPoolNd {
  override forward(input: Tensor): Tensor {
    return F.avg_pool3d(input, ...this.args);
  }
}

const LP = { stride: null as Size | null, ceil_mode: false };
const LpBase = layer('LPPool', LP, ['stride', 'ceil_mode']);
abstract class LPPool extends LpBase {
  readonly norm_type: number;
  readonly kernel_size: Size;
  constructor(norm_type: number, kernel_size: Size, ...rest: ConstructorParameters<typeof LpBase>) {
    super(...rest);
    this.norm_type = norm_type;
    this.kernel_size = kernel_size;
  }
  override extra_repr(): string {
    return `norm_type=${this.norm_type}, kernel_size=${python(this.kernel_size)}, stride=${python(this.stride)}, ceil_mode=${python(this.ceil_mode)}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html */
export class LPPool1d extends LPPool {
  override forward(input: Tensor): Tensor {
    return F.lp_pool1d(input, this.norm_type, this.kernel_size as number, this.stride, this.ceil_mode);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html */
export class LPPool2d extends LPPool {
  override forward(input: Tensor): Tensor {
    return F.lp_pool2d(input, this.norm_type, this.kernel_size, this.stride, this.ceil_mode);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html */
export class LPPool3d extends LPPool {
  override forward(input: Tensor): Tensor {
    return F.lp_pool3d(input, this.norm_type, this.kernel_size, this.stride, this.ceil_mode);
  }
}

type AdaptiveSize = number | readonly (number | null)[];
/** A size of null keeps the input's. */
const filled = (size: AdaptiveSize, input: Tensor): Size =>
  typeof size === 'number' || !Array.isArray(size)
    ? (size as Size)
    : size.map((n, d) => n ?? input.shape[input.ndim - size.length + d]!);

abstract class AdaptivePool extends Module {
  constructor(readonly output_size: AdaptiveSize) {
    super();
  }
  override extra_repr(): string {
    return `output_size=${python(this.output_size)}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html */
export class AdaptiveAvgPool1d extends AdaptivePool {
  override forward(input: Tensor): Tensor {
    return F.adaptive_avg_pool1d(input, filled(this.output_size, input));
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html */
export class AdaptiveAvgPool2d extends AdaptivePool {
  override forward(input: Tensor): Tensor {
    return F.adaptive_avg_pool2d(input, filled(this.output_size, input));
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html */
export class AdaptiveAvgPool3d extends AdaptivePool {
  override forward(input: Tensor): Tensor {
    return F.adaptive_avg_pool3d(input, filled(this.output_size, input));
  }
}
abstract class AdaptiveMaxPool extends AdaptivePool {
  constructor(
    output_size: AdaptiveSize,
    readonly return_indices = false,
  ) {
    super(output_size);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html */
export class AdaptiveMaxPool1d extends AdaptiveMaxPool {
  override forward(input: Tensor): Tensor {
    return value(F.adaptive_max_pool1d_with_indices(input, filled(this.output_size, input)), this.return_indices);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html */
export class AdaptiveMaxPool2d extends AdaptiveMaxPool {
  override forward(input: Tensor): Tensor {
    return value(F.adaptive_max_pool2d_with_indices(input, filled(this.output_size, input)), this.return_indices);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html */
export class AdaptiveMaxPool3d extends AdaptiveMaxPool {
  override forward(input: Tensor): Tensor {
    return value(F.adaptive_max_pool3d_with_indices(input, filled(this.output_size, input)), this.return_indices);
  }
}
const value = (found: Results<[Tensor, Tensor]>, both: boolean): Tensor => (both ? (found as never) : found[0]);

const FRACTIONAL = {
  output_size: null as Size | null,
  output_ratio: null as Size | null,
  return_indices: false,
};
const fractionalNames = ['output_size', 'output_ratio', 'return_indices'] as const;
const FractionalBase = layer('FractionalMaxPool', FRACTIONAL, fractionalNames);
abstract class FractionalMaxPool extends FractionalBase {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof FractionalBase>) {
    super(...rest);
    this.kernel_size = kernel_size;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html */
export class FractionalMaxPool2d extends FractionalMaxPool {
  override forward(input: Tensor): Tensor {
    const { kernel_size, output_size, output_ratio, return_indices } = this;
    return value(F.fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio), return_indices);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool3d.html */
export class FractionalMaxPool3d extends FractionalMaxPool {
  override forward(input: Tensor): Tensor {
    const { kernel_size, output_size, output_ratio, return_indices } = this;
    return value(F.fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio), return_indices);
  }
}
