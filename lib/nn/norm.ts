/** @file Normalisation layers. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import * as F from '../torch/python-functional.js';
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
import { layer } from './layer.js';
import { Module } from './module.js';
import { Buffer, Parameter } from './parameter.js';
import { float, python } from './repr.js';
import { OPTIONAL_KEYS } from './state-dict.js';

export interface BatchNormOptions extends FactoryOptions {
  eps?: number | undefined;
  /** The weight of the newest batch in the running statistics; null averages over all batches. */
  momentum?: number | null | undefined;
  affine?: boolean | undefined;
  track_running_stats?: boolean | undefined;
}
export type BatchNormRest = Rest<
  BatchNormOptions,
  ['eps', 'momentum', 'affine', 'track_running_stats', ...FactoryNames]
>;
export const BATCH = { eps: 1e-5, momentum: 0.1 as number | null, affine: true, track_running_stats: true, ...FACTORY };
const INSTANCE = { ...BATCH, affine: false, track_running_stats: false };

/** Statistics per channel: what batch and instance norm share. */
abstract class NormBase extends Module {
  readonly eps: number;
  readonly momentum: number | null;
  readonly affine: boolean;
  readonly track_running_stats: boolean;
  /** [num_features] */
  weight: Parameter | null;
  bias: Parameter | null;
  running_mean: Buffer | null;
  running_var: Buffer | null;
  /** int64, 0-d */
  num_batches_tracked: Buffer | null;
  // Files from before PyTorch 0.4.1 lack it.
  readonly [OPTIONAL_KEYS] = ['num_batches_tracked'];

  constructor(
    readonly num_features: number,
    options: typeof BATCH,
    private readonly dims: readonly number[],
  ) {
    super();
    requirePositional(this._get_name(), { num_features });
    this.eps = options.eps;
    this.momentum = options.momentum;
    this.affine = options.affine;
    this.track_running_stats = options.track_running_stats;
    const made = factory(options);
    const track = options.track_running_stats;
    this.weight = this.affine ? new Parameter(torch.ones([num_features], made)) : null;
    this.bias = this.affine ? new Parameter(torch.zeros([num_features], made)) : null;
    this.running_mean = track ? new Buffer(torch.zeros([num_features], made)) : null;
    this.running_var = track ? new Buffer(torch.ones([num_features], made)) : null;
    this.num_batches_tracked = track ? new Buffer(torch.zeros([], { ...made, dtype: 'int64' })) : null;
  }
  reset_running_stats(): void {
    no_grad(() => {
      this.running_mean?.zero_();
      this.running_var?.fill_(1);
      this.num_batches_tracked?.zero_();
    });
  }
  reset_parameters(): void {
    this.reset_running_stats();
    no_grad(() => {
      this.weight?.fill_(1);
      this.bias?.zero_();
    });
  }
  protected check(input: Tensor): void {
    if (!this.dims.includes(input.ndim))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()}: expected ${this.dims.map((d) => `${d}D`).join(' or ')} input (got ${input.ndim}D input)`,
      );
  }
  override extra_repr(): string {
    const { num_features, eps, momentum, affine, track_running_stats } = this;
    return `${num_features}, eps=${float(eps)}, momentum=${python(momentum)}, affine=${python(affine)}, track_running_stats=${python(track_running_stats)}`;
  }
}
abstract class BatchNorm extends NormBase {
  constructor(numFeatures: number, rest: BatchNormRest, name: string, dims: readonly number[]) {
    super(numFeatures, bind(name, BATCH, rest), dims);
  }
  override forward(input: Tensor): Tensor {
    this.check(input);
    const { training } = this;
    let momentum: number | Tensor | null = this.momentum ?? 0;
    const counter = this.num_batches_tracked;
    if (training && this.track_running_stats && counter !== null) {
      no_grad(() => counter.add_(1));
      if (this.momentum === null) momentum = counter;
    }
    const own = training || (this.running_mean === null && this.running_var === null);
    const used = !training || this.track_running_stats;
    const mean = used ? this.running_mean : null;
    const variance = used ? this.running_var : null;
    if (typeof momentum === 'number')
      return F.batch_norm(input, mean, variance, this.weight, this.bias, own, momentum, this.eps);
    return this.cumulative(input, mean!, variance!, momentum);
  }
  /** The mean over all batches so far: its weight depends on the counter, which stays a tensor, so that a compiled function can count. */
  private cumulative(input: Tensor, mean: Tensor, variance: Tensor, counter: Tensor): Tensor {
    const batchMean = torch.zeros_like(mean);
    const batchVar = torch.zeros_like(variance);
    const result = F.batch_norm(input, batchMean, batchVar, this.weight, this.bias, true, 1, this.eps);
    no_grad(() => {
      mean.add_(batchMean.sub(mean).div(counter));
      variance.add_(batchVar.sub(variance).div(counter));
    });
    return result;
  }
}
/** [N, C] or [N, C, L]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html */
export class BatchNorm1d extends BatchNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'BatchNorm1d', [2, 3]);
  }
}
/** [N, C, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html */
export class BatchNorm2d extends BatchNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'BatchNorm2d', [4]);
  }
}
/** [N, C, D, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html */
export class BatchNorm3d extends BatchNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'BatchNorm3d', [5]);
  }
}

abstract class InstanceNorm extends NormBase {
  constructor(
    numFeatures: number,
    rest: BatchNormRest,
    name: string,
    private readonly batched: number,
  ) {
    super(numFeatures, bind(name, INSTANCE, rest), [batched - 1, batched]);
  }
  override forward(input: Tensor): Tensor {
    this.check(input);
    const one = input.ndim < this.batched;
    const own = this.training || !this.track_running_stats;
    const { running_mean, running_var, weight, bias, momentum, eps } = this;
    const x = one ? input.unsqueeze(0) : input;
    const result = F.instance_norm(x, running_mean, running_var, weight, bias, own, momentum ?? 0, eps);
    return one ? result.squeeze(0) : result;
  }
}
/** [N, C, L] or [C, L]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html */
export class InstanceNorm1d extends InstanceNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'InstanceNorm1d', 3);
  }
}
/** [N, C, H, W] or [C, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html */
export class InstanceNorm2d extends InstanceNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'InstanceNorm2d', 4);
  }
}
/** [N, C, D, H, W] or [C, D, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html */
export class InstanceNorm3d extends InstanceNorm {
  constructor(num_features: number, ...rest: BatchNormRest) {
    super(num_features, rest, 'InstanceNorm3d', 5);
  }
}

export interface LayerNormOptions extends FactoryOptions {
  eps?: number | undefined;
  elementwise_affine?: boolean | undefined;
  bias?: boolean | undefined;
}
/** Over the last dimensions, those of `normalized_shape`. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html */
export class LayerNorm extends Module {
  readonly normalized_shape: readonly number[];
  readonly eps: number;
  readonly elementwise_affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  constructor(
    normalized_shape: Size,
    ...rest: Rest<LayerNormOptions, ['eps', 'elementwise_affine', 'bias', ...FactoryNames]>
  ) {
    super();
    requirePositional(this._get_name(), { normalized_shape });
    const options = bind('LayerNorm', LAYER, rest);
    this.normalized_shape = typeof normalized_shape === 'number' ? [normalized_shape] : normalized_shape;
    this.eps = options.eps;
    this.elementwise_affine = options.elementwise_affine;
    const made = factory(options);
    this.weight = this.elementwise_affine ? new Parameter(torch.ones(this.normalized_shape, made)) : null;
    this.bias =
      this.elementwise_affine && options.bias ? new Parameter(torch.zeros(this.normalized_shape, made)) : null;
  }
  reset_parameters(): void {
    no_grad(() => {
      this.weight?.fill_(1);
      this.bias?.zero_();
    });
  }
  override forward(input: Tensor): Tensor {
    return F.layer_norm(input, this.normalized_shape, this.weight, this.bias, this.eps);
  }
  override extra_repr(): string {
    const { normalized_shape, eps, elementwise_affine } = this;
    return `${python(normalized_shape)}, eps=${float(eps)}, elementwise_affine=${python(elementwise_affine)}`;
  }
}
const LAYER = { eps: 1e-5, elementwise_affine: true, bias: true, ...FACTORY };

/** Division by the root mean square of the last dimensions. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html */
export class RMSNorm extends Module {
  readonly normalized_shape: readonly number[];
  readonly eps: number | null;
  readonly elementwise_affine: boolean;
  weight: Parameter | null;
  constructor(
    normalized_shape: Size,
    ...rest: Rest<
      FactoryOptions & { eps?: number | null | undefined; elementwise_affine?: boolean | undefined },
      ['eps', 'elementwise_affine', ...FactoryNames]
    >
  ) {
    super();
    const options = bind('RMSNorm', RMS, rest);
    this.normalized_shape = typeof normalized_shape === 'number' ? [normalized_shape] : normalized_shape;
    this.eps = options.eps;
    this.elementwise_affine = options.elementwise_affine;
    this.weight = this.elementwise_affine ? new Parameter(torch.ones(this.normalized_shape, factory(options))) : null;
  }
  override forward(input: Tensor): Tensor {
    return F.rms_norm(input, this.normalized_shape, this.weight, this.eps);
  }
  override extra_repr(): string {
    const eps = this.eps === null ? 'None' : float(this.eps);
    return `${python(this.normalized_shape)}, eps=${eps}, elementwise_affine=${python(this.elementwise_affine)}`;
  }
}
const RMS = { eps: null as number | null, elementwise_affine: true, ...FACTORY };

/** Over groups of channels of [N, C, *]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html */
export class GroupNorm extends Module {
  readonly eps: number;
  readonly affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  constructor(
    readonly num_groups: number,
    readonly num_channels: number,
    ...rest: Rest<
      FactoryOptions & { eps?: number | undefined; affine?: boolean | undefined },
      ['eps', 'affine', ...FactoryNames]
    >
  ) {
    super();
    if (num_channels % num_groups !== 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `GroupNorm: num_channels (${num_channels}) must be divisible by num_groups (${num_groups})`,
      );
    const options = bind('GroupNorm', GROUP, rest);
    this.eps = options.eps;
    this.affine = options.affine;
    this.weight = this.affine ? new Parameter(torch.ones([num_channels], factory(options))) : null;
    this.bias = this.affine ? new Parameter(torch.zeros([num_channels], factory(options))) : null;
  }
  override forward(input: Tensor): Tensor {
    return F.group_norm(input, this.num_groups, this.weight, this.bias, this.eps);
  }
  override extra_repr(): string {
    return `${this.num_groups}, ${this.num_channels}, eps=${float(this.eps)}, affine=${python(this.affine)}`;
  }
}
const GROUP = { eps: 1e-5, affine: true, ...FACTORY };

const LOCAL = { alpha: 1e-4, beta: 0.75, k: 1 };
const LocalBase = layer('LocalResponseNorm', LOCAL, ['alpha', 'beta', 'k']);
/** Across `size` neighbouring channels. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html */
export class LocalResponseNorm extends LocalBase {
  readonly size: number;
  constructor(size: number, ...rest: ConstructorParameters<typeof LocalBase>) {
    super(...rest);
    this.size = size;
  }
  override forward(input: Tensor): Tensor {
    return F.local_response_norm(input, this.size, this.alpha, this.beta, this.k);
  }
  override extra_repr(): string {
    return `${this.size}, alpha=${this.alpha}, beta=${this.beta}, k=${float(this.k)}`;
  }
}
