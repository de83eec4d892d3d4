/** @file Activations. Each is its nn.functional namesake with the arguments kept. */
import * as torch from '../torch/generated/ops.js';
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryNames, type FactoryOptions, factory, type Rest } from './arguments.js';
import { layer } from './layer.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { float, python } from './repr.js';

const inplaceOnly = ({ inplace }: { inplace: boolean }): string => (inplace ? 'inplace=True' : '');
const orInplace = (text: string, inplace: boolean): string => (inplace ? `${text}, inplace=True` : text);

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html */
export class Threshold extends Module {
  readonly inplace: boolean;
  constructor(
    readonly threshold: number,
    readonly value: number,
    ...rest: Rest<{ inplace?: boolean | undefined }, ['inplace']>
  ) {
    super();
    this.inplace = bind('Threshold', INPLACE, rest).inplace;
  }
  override forward(input: Tensor): Tensor {
    return F.threshold(input, this.threshold, this.value, this.inplace);
  }
  override extra_repr(): string {
    return orInplace(`threshold=${this.threshold}, value=${this.value}`, this.inplace);
  }
}
const INPLACE = { inplace: false };

/** max(x, 0) @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html */
export class ReLU extends layer('ReLU', { inplace: false }, ['inplace'], inplaceOnly) {
  override forward(input: Tensor): Tensor {
    return F.relu(input, this.inplace);
  }
}
/** min(max(x, 0), 6) @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html */
export class ReLU6 extends layer('ReLU6', { inplace: false }, ['inplace'], inplaceOnly) {
  override forward(input: Tensor): Tensor {
    return F.relu6(input, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html */
export class RReLU extends layer(
  'RReLU',
  { lower: 1 / 8, upper: 1 / 3, inplace: false },
  ['lower', 'upper', 'inplace'],
  (s) => orInplace(`lower=${s.lower}, upper=${s.upper}`, s.inplace),
) {
  override forward(input: Tensor): Tensor {
    return F.rrelu(input, this.lower, this.upper, this.training, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html */
export class Hardtanh extends layer(
  'Hardtanh',
  { min_val: -1, max_val: 1, inplace: false },
  ['min_val', 'max_val', 'inplace'],
  (s) => orInplace(`min_val=${float(s.min_val)}, max_val=${float(s.max_val)}`, s.inplace),
) {
  override forward(input: Tensor): Tensor {
    return F.hardtanh(input, this.min_val, this.max_val, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html */
export class Sigmoid extends Module {
  override forward(input: Tensor): Tensor {
    return input.sigmoid();
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html */
export class Hardsigmoid extends layer('Hardsigmoid', { inplace: false }, ['inplace']) {
  override forward(input: Tensor): Tensor {
    return F.hardsigmoid(input, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html */
export class Tanh extends Module {
  override forward(input: Tensor): Tensor {
    return input.tanh();
  }
}
/** x · sigmoid(x) @see https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html */
export class SiLU extends layer('SiLU', { inplace: false }, ['inplace'], inplaceOnly) {
  override forward(input: Tensor): Tensor {
    return F.silu(input, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html */
export class Mish extends layer('Mish', { inplace: false }, ['inplace'], inplaceOnly) {
  override forward(input: Tensor): Tensor {
    return F.mish(input, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html */
export class Hardswish extends layer('Hardswish', { inplace: false }, ['inplace']) {
  override forward(input: Tensor): Tensor {
    return F.hardswish(input, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html */
export class ELU extends layer('ELU', { alpha: 1, inplace: false }, ['alpha', 'inplace'], (s) =>
  orInplace(`alpha=${float(s.alpha)}`, s.inplace),
) {
  override forward(input: Tensor): Tensor {
    return F.elu(input, this.alpha, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html */
export class CELU extends layer('CELU', { alpha: 1, inplace: false }, ['alpha', 'inplace'], (s) =>
  orInplace(`alpha=${float(s.alpha)}`, s.inplace),
) {
  override forward(input: Tensor): Tensor {
    return F.celu(input, this.alpha, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html */
export class SELU extends layer('SELU', { inplace: false }, ['inplace'], inplaceOnly) {
  override forward(input: Tensor): Tensor {
    return F.selu(input, this.inplace);
  }
}
/** First half times the sigmoid of the second. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GLU.html */
export class GLU extends layer('GLU', { dim: -1 }, ['dim'], (s) => `dim=${s.dim}`) {
  override forward(input: Tensor): Tensor {
    return F.glu(input, this.dim);
  }
}
/** x · Φ(x) @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html */
export class GELU extends layer(
  'GELU',
  { approximate: 'none' as 'none' | 'tanh' },
  ['approximate'],
  (s) => `approximate=${python(s.approximate)}`,
) {
  override forward(input: Tensor): Tensor {
    return F.gelu(input, { approximate: this.approximate });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html */
export class Hardshrink extends layer('Hardshrink', { lambd: 0.5 }, ['lambd'], (s) => float(s.lambd)) {
  override forward(input: Tensor): Tensor {
    return F.hardshrink(input, this.lambd);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html */
export class LeakyReLU extends layer(
  'LeakyReLU',
  { negative_slope: 0.01, inplace: false },
  ['negative_slope', 'inplace'],
  (s) => orInplace(`negative_slope=${s.negative_slope}`, s.inplace),
) {
  override forward(input: Tensor): Tensor {
    return F.leaky_relu(input, this.negative_slope, this.inplace);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html */
export class LogSigmoid extends Module {
  override forward(input: Tensor): Tensor {
    return F.logsigmoid(input);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html */
export class Softplus extends layer(
  'Softplus',
  { beta: 1, threshold: 20 },
  ['beta', 'threshold'],
  (s) => `beta=${float(s.beta)}, threshold=${float(s.threshold)}`,
) {
  override forward(input: Tensor): Tensor {
    return F.softplus(input, this.beta, this.threshold);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html */
export class Softshrink extends layer('Softshrink', { lambd: 0.5 }, ['lambd'], (s) => float(s.lambd)) {
  override forward(input: Tensor): Tensor {
    return F.softshrink(input, this.lambd);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html */
export class Softsign extends Module {
  override forward(input: Tensor): Tensor {
    return F.softsign(input);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html */
export class Tanhshrink extends Module {
  override forward(input: Tensor): Tensor {
    return F.tanhshrink(input);
  }
}

const DIM = { dim: null as number | null };
const dim = (s: typeof DIM): string => `dim=${python(s.dim)}`;
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html */
export class Softmax extends layer('Softmax', DIM, ['dim'], dim) {
  override forward(input: Tensor): Tensor {
    return F.softmax(input, this.dim);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html */
export class Softmin extends layer('Softmin', DIM, ['dim'], dim) {
  override forward(input: Tensor): Tensor {
    return F.softmin(input, this.dim);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html */
export class LogSoftmax extends layer('LogSoftmax', DIM, ['dim'], dim) {
  override forward(input: Tensor): Tensor {
    return F.log_softmax(input, this.dim);
  }
}
/** Softmax over the channels of [N, C, H, W] or [C, H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html */
export class Softmax2d extends Module {
  override forward(input: Tensor): Tensor {
    return input.softmax(-3);
  }
}

export interface PReLUOptions extends FactoryOptions {
  num_parameters?: number | undefined;
  init?: number | undefined;
}
/** max(x, 0) + weight · min(x, 0), one weight or one per channel. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html */
export class PReLU extends Module {
  readonly num_parameters: number;
  readonly init: number;
  /** [num_parameters] */
  weight: Parameter;
  constructor(...rest: Rest<PReLUOptions, ['num_parameters', 'init', ...FactoryNames]>) {
    super();
    const { num_parameters, init, ...made } = bind('PReLU', PRELU, rest);
    this.num_parameters = num_parameters;
    this.init = init;
    this.weight = new Parameter(torch.empty([num_parameters], factory(made)).fill_(init));
  }
  override forward(input: Tensor): Tensor {
    return F.prelu(input, this.weight);
  }
  override extra_repr(): string {
    return `num_parameters=${this.num_parameters}`;
  }
}
const PRELU = { num_parameters: 1, init: 0.25, ...FACTORY };
