/** @file Convolutions and transposed convolutions in one, two and three dimensions. */
import { JorchError } from '../runtime/errors.js';
import {
  conv_transpose1d,
  conv_transpose2d,
  conv_transpose3d,
  conv1d,
  conv2d,
  conv3d,
} from '../torch/generated/functional.js';
import * as torch from '../torch/generated/ops.js';
import { pad } from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import {
  bind,
  FACTORY,
  type FactoryNames,
  type FactoryOptions,
  factory,
  type Rest,
  requirePositional,
  type Size,
} from './arguments.js';
import * as init from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { python } from './repr.js';

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';

export interface ConvOptions extends FactoryOptions {
  stride?: Size | undefined;
  /** Elements on both sides, 'same' for outputs of the input's size, 'valid' for none. */
  padding?: Size | 'same' | 'valid' | undefined;
  dilation?: Size | undefined;
  groups?: number | undefined;
  bias?: boolean | undefined;
  padding_mode?: PaddingMode | undefined;
}
export type ConvRest = Rest<
  ConvOptions,
  ['stride', 'padding', 'dilation', 'groups', 'bias', 'padding_mode', ...FactoryNames]
>;
export const CONV = {
  stride: 1 as Size,
  padding: 0 as Size | 'same' | 'valid',
  dilation: 1 as Size,
  groups: 1,
  bias: true,
  padding_mode: 'zeros' as PaddingMode,
  ...FACTORY,
};

export interface ConvTransposeOptions extends FactoryOptions {
  stride?: Size | undefined;
  padding?: Size | undefined;
  output_padding?: Size | undefined;
  groups?: number | undefined;
  bias?: boolean | undefined;
  dilation?: Size | undefined;
  padding_mode?: 'zeros' | undefined;
}
export type ConvTransposeRest = Rest<
  ConvTransposeOptions,
  ['stride', 'padding', 'output_padding', 'groups', 'bias', 'dilation', 'padding_mode', ...FactoryNames]
>;
export const CONV_TRANSPOSE = {
  stride: 1 as Size,
  padding: 0 as Size,
  output_padding: 0 as Size,
  groups: 1,
  bias: true,
  dilation: 1 as Size,
  padding_mode: 'zeros' as const,
  ...FACTORY,
};

const repeat = (value: Size, n: number): readonly number[] =>
  typeof value === 'number' ? Array.from({ length: n }, () => value) : value;

interface Geometry {
  readonly stride: Size;
  readonly padding: Size | 'same' | 'valid';
  readonly dilation: Size;
  readonly output_padding?: Size;
  readonly groups: number;
  readonly bias: boolean;
  readonly padding_mode: PaddingMode;
}

/** What all convolutions share. Weights are [out, in / groups, …kernel], of transposed ones [in, out / groups, …kernel]. */
abstract class ConvNd extends Module {
  weight: Parameter;
  /** [out_channels] */
  bias: Parameter | null;
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[] | 'same' | 'valid';
  readonly dilation: readonly number[];
  readonly output_padding: readonly number[];
  readonly groups: number;
  readonly padding_mode: PaddingMode;

  constructor(
    readonly in_channels: number,
    readonly out_channels: number,
    kernel_size: Size,
    protected readonly spatial: 1 | 2 | 3,
    protected readonly transposed: boolean,
    given: Geometry & FactoryOptions,
  ) {
    super();
    const name = this._get_name();
    requirePositional(name, { in_channels, out_channels, kernel_size });
    const fail = (message: string): never => {
      throw new JorchError('BAD_ARGUMENT', `${name}: ${message}`);
    };
    const { groups, padding } = given;
    if (!(groups > 0)) fail('groups must be a positive integer');
    if (in_channels % groups !== 0) fail(`in_channels ${in_channels} must be divisible by groups ${groups}`);
    if (out_channels % groups !== 0) fail(`out_channels ${out_channels} must be divisible by groups ${groups}`);
    this.kernel_size = repeat(kernel_size, spatial);
    if (!Array.isArray(this.kernel_size))
      fail(`kernel_size must be a number or ${spatial} of them, got ${typeof kernel_size}`);
    this.stride = repeat(given.stride, spatial);
    this.dilation = repeat(given.dilation, spatial);
    this.output_padding = repeat(given.output_padding ?? 0, spatial);
    this.padding = typeof padding === 'string' ? padding : repeat(padding, spatial);
    if (typeof padding === 'string' && padding !== 'same' && padding !== 'valid')
      fail(`padding must be numbers, 'same' or 'valid', got '${String(padding)}'`);
    if (padding === 'same' && this.stride.some((s) => s !== 1))
      fail("padding 'same' is not supported for strided convolutions");
    if (!['zeros', 'reflect', 'replicate', 'circular'].includes(given.padding_mode))
      fail(`unknown padding_mode '${given.padding_mode}'`);
    if (transposed && given.padding_mode !== 'zeros') fail("only padding_mode 'zeros' is supported");
    this.groups = groups;
    this.padding_mode = given.padding_mode;
    const channels = transposed ? [in_channels, out_channels / groups] : [out_channels, in_channels / groups];
    this.weight = new Parameter(torch.empty([...channels, ...this.kernel_size], factory(given)));
    this.bias = given.bias ? new Parameter(torch.empty([out_channels], factory(given))) : null;
    this.reset_parameters();
  }

  reset_parameters(): void {
    init.kaiming_uniform_(this.weight, Math.sqrt(5));
    if (this.bias === null) return;
    const [fanIn] = init._calculate_fan_in_and_fan_out(this.weight);
    if (fanIn !== 0) init.uniform_(this.bias, -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn));
  }

  /** Amounts of padding, last dimension first, as nn.functional.pad takes them. */
  private pads(): number[] {
    return this.kernel_size
      .map((k, d) => {
        if (this.padding === 'valid') return [0, 0];
        if (this.padding !== 'same') return [this.padding[d]!, this.padding[d]!];
        const total = this.dilation[d]! * (k - 1);
        return [Math.floor(total / 2), total - Math.floor(total / 2)];
      })
      .reverse()
      .flat();
  }
  /** The input with what is not zero padding, and the zero padding left for the kernel. */
  protected padded(input: Tensor): [input: Tensor, padding: readonly number[] | 'same' | 'valid'] {
    if (this.padding_mode === 'zeros') return [input, this.padding];
    return [pad(input, this.pads(), this.padding_mode), repeat(0, this.spatial)];
  }

  override extra_repr(): string {
    const { in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups } = this;
    const zero = (values: readonly number[] | string): boolean => Array.isArray(values) && values.every((v) => v === 0);
    return [
      `${in_channels}, ${out_channels}, kernel_size=${python(kernel_size)}, stride=${python(stride)}`,
      ...(zero(padding) ? [] : [`padding=${typeof padding === 'string' ? padding : python(padding)}`]),
      ...(dilation.every((v) => v === 1) ? [] : [`dilation=${python(dilation)}`]),
      ...(zero(output_padding) ? [] : [`output_padding=${python(output_padding)}`]),
      ...(groups === 1 ? [] : [`groups=${groups}`]),
      ...(this.bias === null ? ['bias=False'] : []),
      ...(this.padding_mode === 'zeros' ? [] : [`padding_mode=${this.padding_mode}`]),
    ].join(', ');
  }
}

abstract class Conv extends ConvNd {
  constructor(inChannels: number, outChannels: number, kernel: Size, spatial: 1 | 2 | 3, name: string, rest: ConvRest) {
    super(inChannels, outChannels, kernel, spatial, false, bind(name, CONV, rest));
  }
  override forward(input: Tensor): Tensor {
    const [x, padding] = this.padded(input);
    const run = [conv1d, conv2d, conv3d][this.spatial - 1]!;
    return run(x, this.weight, this.bias, this.stride, padding, this.dilation, this.groups);
  }
}

/** [N, in, L] → [N, out, L']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html */
export class Conv1d extends Conv {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    super(in_channels, out_channels, kernel_size, 1, 'Conv1d', rest);
  }
}
/** [N, in, H, W] → [N, out, H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html */
export class Conv2d extends Conv {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    super(in_channels, out_channels, kernel_size, 2, 'Conv2d', rest);
  }
}
/** [N, in, D, H, W] → [N, out, D', H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html */
export class Conv3d extends Conv {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    super(in_channels, out_channels, kernel_size, 3, 'Conv3d', rest);
  }
}

abstract class ConvTranspose extends ConvNd {
  constructor(
    inChannels: number,
    outChannels: number,
    kernel: Size,
    spatial: 1 | 2 | 3,
    name: string,
    rest: ConvTransposeRest,
  ) {
    super(inChannels, outChannels, kernel, spatial, true, bind(name, CONV_TRANSPOSE, rest));
  }
  /** @param output_size the spatial sizes wanted, where the stride leaves several possible. */
  override forward(input: Tensor, output_size?: readonly number[]): Tensor {
    const run = [conv_transpose1d, conv_transpose2d, conv_transpose3d][this.spatial - 1]!;
    const extra = output_size === undefined ? this.output_padding : this.missing(input, output_size);
    const padding = this.padding as readonly number[];
    return run(input, this.weight, this.bias, this.stride, padding, extra, this.groups, this.dilation);
  }
  private missing(input: Tensor, wanted: readonly number[]): number[] {
    const sizes = input.shape.slice(-this.spatial);
    return wanted.slice(-this.spatial).map((size, d) => {
      const least =
        (sizes[d]! - 1) * this.stride[d]! -
        2 * (this.padding[d] as number) +
        this.dilation[d]! * (this.kernel_size[d]! - 1) +
        1;
      if (size < least || size >= least + this.stride[d]!)
        throw new JorchError(
          'BAD_ARGUMENT',
          `${this._get_name()}: output size ${size} of dimension ${d} is not between ${least} and ${least + this.stride[d]! - 1}`,
        );
      return size - least;
    });
  }
}

/** [N, in, L] → [N, out, L']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html */
export class ConvTranspose1d extends ConvTranspose {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    super(in_channels, out_channels, kernel_size, 1, 'ConvTranspose1d', rest);
  }
}
/** [N, in, H, W] → [N, out, H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html */
export class ConvTranspose2d extends ConvTranspose {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    super(in_channels, out_channels, kernel_size, 2, 'ConvTranspose2d', rest);
  }
}
/** [N, in, D, H, W] → [N, out, D', H', W']. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html */
export class ConvTranspose3d extends ConvTranspose {
  constructor(in_channels: number, out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    super(in_channels, out_channels, kernel_size, 3, 'ConvTranspose3d', rest);
  }
}
