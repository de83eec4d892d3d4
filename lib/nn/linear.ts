/** @file Identity, Linear, Bilinear, Flatten, Unflatten. */
import { JorchError } from '../runtime/errors.js';
import { bilinear, linear } from '../torch/generated/functional.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import {
  bind,
  FACTORY,
  type FactoryNames,
  type FactoryOptions,
  factory,
  type Rest,
  requirePositional,
} from './arguments.js';
import * as init from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { python } from './repr.js';

/** Gives its input back, whatever it is constructed with. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html */
export class Identity extends Module {
  constructor(..._ignored: readonly unknown[]) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return input;
  }
}

export interface LinearOptions extends FactoryOptions {
  bias?: boolean | undefined;
}

/** `x · weightᵀ + bias`: [*, in_features] → [*, out_features]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html */
export class Linear extends Module {
  /** [out_features, in_features] */
  weight: Parameter;
  /** [out_features] */
  bias: Parameter | null;
  constructor(
    readonly in_features: number,
    readonly out_features: number,
    ...rest: Rest<LinearOptions, ['bias', ...FactoryNames]>
  ) {
    super();
    requirePositional(this._get_name(), { in_features, out_features });
    const { bias, ...made } = bind('Linear', LINEAR, rest);
    this.weight = new Parameter(torch.empty([out_features, in_features], factory(made)));
    this.bias = bias ? new Parameter(torch.empty([out_features], factory(made))) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    init.kaiming_uniform_(this.weight, Math.sqrt(5));
    if (this.bias === null) return;
    const bound = this.in_features > 0 ? 1 / Math.sqrt(this.in_features) : 0;
    init.uniform_(this.bias, -bound, bound);
  }
  override forward(input: Tensor): Tensor {
    return linear(input, this.weight, this.bias);
  }
  override extra_repr(): string {
    return `in_features=${this.in_features}, out_features=${this.out_features}, bias=${python(this.bias !== null)}`;
  }
}
const LINEAR = { bias: true, ...FACTORY };

/** `x1ᵀ · weight · x2 + bias`: [*, in1], [*, in2] → [*, out]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html */
export class Bilinear extends Module {
  /** [out_features, in1_features, in2_features] */
  weight: Parameter;
  bias: Parameter | null;
  constructor(
    readonly in1_features: number,
    readonly in2_features: number,
    readonly out_features: number,
    ...rest: Rest<LinearOptions, ['bias', ...FactoryNames]>
  ) {
    super();
    requirePositional(this._get_name(), { in1_features, in2_features, out_features });
    if (in1_features <= 0)
      throw new JorchError('BAD_ARGUMENT', `Bilinear: in1_features must be > 0, but got ${in1_features}`);
    const { bias, ...made } = bind('Bilinear', LINEAR, rest);
    this.weight = new Parameter(torch.empty([out_features, in1_features, in2_features], factory(made)));
    this.bias = bias ? new Parameter(torch.empty([out_features], factory(made))) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = 1 / Math.sqrt(this.weight.shape[1]);
    init.uniform_(this.weight, -bound, bound);
    if (this.bias !== null) init.uniform_(this.bias, -bound, bound);
  }
  override forward(input1: Tensor, input2: Tensor): Tensor {
    return bilinear(input1, input2, this.weight, this.bias);
  }
  override extra_repr(): string {
    return `in1_features=${this.in1_features}, in2_features=${this.in2_features}, out_features=${this.out_features}, bias=${python(this.bias !== null)}`;
  }
}

/** Dimensions `start_dim` to `end_dim` as one. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html */
export class Flatten extends Module {
  readonly start_dim: number;
  readonly end_dim: number;
  constructor(
    ...rest: Rest<{ start_dim?: number | undefined; end_dim?: number | undefined }, ['start_dim', 'end_dim']>
  ) {
    super();
    const { start_dim, end_dim } = bind('Flatten', FLATTEN, rest);
    this.start_dim = start_dim;
    this.end_dim = end_dim;
  }
  override forward(input: Tensor): Tensor {
    return input.flatten(this.start_dim, this.end_dim);
  }
  override extra_repr(): string {
    return `start_dim=${this.start_dim}, end_dim=${this.end_dim}`;
  }
}
const FLATTEN = { start_dim: 1, end_dim: -1 };

/** One dimension as several. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html */
export class Unflatten extends Module {
  constructor(
    readonly dim: number,
    readonly unflattened_size: readonly number[],
  ) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return input.unflatten(this.dim, this.unflattened_size);
  }
  override extra_repr(): string {
    return `dim=${this.dim}, unflattened_size=${python(this.unflattened_size)}`;
  }
}
