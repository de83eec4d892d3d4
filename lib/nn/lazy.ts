/** @file Layers that learn their number of inputs from the first one they see, and then are the ordinary layer. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import type { FactoryNames, FactoryOptions, Rest, Size } from './arguments.js';
import { bind, FACTORY, factory } from './arguments.js';
import {
  CONV,
  CONV_TRANSPOSE,
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvRest,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeRest,
} from './conv.js';
import { Linear, type LinearOptions } from './linear.js';
import type { Module } from './module.js';
import {
  BATCH,
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormRest,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
} from './norm.js';
import { isUninitialized, materialize, UninitializedBuffer, UninitializedParameter } from './parameter.js';

// biome-ignore lint/suspicious/noExplicitAny: the classes differ in their arguments
type AnyClass = abstract new (...args: any[]) => Module;
/** Fields of a layer, to be set once. */
type Fields = Module & Record<string, unknown>;

interface Plan {
  /** The shapes of the uninitialised tensors, by field, for a first input; sets the numbers that the layer shows. */
  shapes(self: Fields, input: Tensor): Readonly<Record<string, readonly number[]>>;
  reset(self: Fields): void;
}

/** Makes `Class` lazy: `Ordinary` is what its objects become at their first input. */
const makeLazy = (Class: AnyClass, Ordinary: AnyClass, plan: Plan): void => {
  const forward = Ordinary.prototype['forward'] as (...args: unknown[]) => unknown;
  const method = (name: string, value: (this: Fields, ...args: never[]) => unknown): void => {
    Object.defineProperty(Class.prototype, name, { configurable: true, writable: true, value });
  };
  const lacking = (self: Fields): string[] => Object.keys(self).filter((name) => isUninitialized(self[name]));
  method('has_uninitialized_params', function () {
    return lacking(this).length > 0;
  });
  method('reset_parameters', () => {
    // The ordinary constructor asks for it before there is anything to fill.
  });
  method('forward', function (this: Fields, ...args: unknown[]) {
    const input = args[0];
    if (!native().isTensor(input))
      throw new JorchError('BAD_ARGUMENT', `${this._get_name()}: expected a tensor, got ${typeof input}`);
    if (Object.getPrototypeOf(this) === Class.prototype) {
      const names = lacking(this);
      if (names.length > 0 && native().isTracing())
        throw new JorchError(
          'BAD_ARGUMENT',
          `${this._get_name()} has not seen an input yet: call the model once outside compile, so that its parameters exist`,
        );
      const shapes = plan.shapes(this, input);
      for (const name of names) materialize(this[name] as Tensor, shapes[name]!);
      Object.setPrototypeOf(this, Ordinary.prototype as object);
      if (names.length > 0) no_grad(() => plan.reset(this));
    }
    return forward.apply(this, args);
  });
};

type LazyLinearRest = Rest<LinearOptions, ['bias', ...FactoryNames]>;
const LINEAR = { bias: true, ...FACTORY };
/** A Linear whose in_features is the last size of its first input. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html */
export class LazyLinear extends Linear {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_features: number, ...rest: LazyLinearRest) {
    const { bias, ...made } = bind('LazyLinear', LINEAR, rest);
    super(0, out_features, { bias: false });
    this.weight = new UninitializedParameter(factory(made));
    this.bias = bias ? new UninitializedParameter(factory(made)) : null;
  }
}
makeLazy(LazyLinear, Linear, {
  shapes: (self, input) => {
    const { out_features } = self;
    self['in_features'] = input.shape.at(-1)!;
    return { weight: [out_features as number, input.shape.at(-1)!], bias: [out_features as number] };
  },
  reset: (self) => (self as unknown as Linear).reset_parameters(),
});

const unwanted = (self: Module, options: FactoryOptions & { readonly bias: boolean }): void => {
  const made = factory(options);
  Object.assign(self, {
    weight: new UninitializedParameter(made),
    bias: options.bias ? new UninitializedParameter(made) : null,
  });
};

/** Channels of a convolution's input, with or without a batch. */
const channels = (self: Fields, input: Tensor, spatial: number): number => {
  if (input.ndim !== spatial + 1 && input.ndim !== spatial + 2)
    throw new JorchError(
      'BAD_ARGUMENT',
      `Expected ${spatial + 1}D (unbatched) or ${spatial + 2}D (batched) input to ${self._get_name()}, but got input of size: [${input.shape.join(', ')}]`,
    );
  return input.shape.at(-spatial - 1)!;
};
const convolution = (spatial: number): Plan => ({
  shapes: (self, input) => {
    const {
      out_channels: out,
      groups,
      kernel_size,
      transposed,
    } = self as Fields & {
      out_channels: number;
      groups: number;
      kernel_size: number[];
      transposed: boolean;
    };
    const size = channels(self, input, spatial);
    if (size % groups !== 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${self._get_name()}: in_channels ${size} must be divisible by groups ${groups}`,
      );
    self['in_channels'] = size;
    return {
      weight: [...(transposed ? [size, out / groups] : [out, size / groups]), ...kernel_size],
      bias: [out],
    };
  },
  reset: (self) => (self as unknown as Conv1d).reset_parameters(),
});

/** A Conv1d whose in_channels its first input tells. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv1d.html */
export class LazyConv1d extends Conv1d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    const options = bind('LazyConv1d', CONV, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv2d.html */
export class LazyConv2d extends Conv2d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    const options = bind('LazyConv2d', CONV, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv3d.html */
export class LazyConv3d extends Conv3d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvRest) {
    const options = bind('LazyConv3d', CONV, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose1d.html */
export class LazyConvTranspose1d extends ConvTranspose1d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    const options = bind('LazyConvTranspose1d', CONV_TRANSPOSE, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose2d.html */
export class LazyConvTranspose2d extends ConvTranspose2d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    const options = bind('LazyConvTranspose2d', CONV_TRANSPOSE, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose3d.html */
export class LazyConvTranspose3d extends ConvTranspose3d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(out_channels: number, kernel_size: Size, ...rest: ConvTransposeRest) {
    const options = bind('LazyConvTranspose3d', CONV_TRANSPOSE, rest);
    super(0, out_channels, kernel_size, { ...options, bias: false });
    unwanted(this, options);
  }
}
makeLazy(LazyConv1d, Conv1d, convolution(1));
makeLazy(LazyConv2d, Conv2d, convolution(2));
makeLazy(LazyConv3d, Conv3d, convolution(3));
makeLazy(LazyConvTranspose1d, ConvTranspose1d, convolution(1));
makeLazy(LazyConvTranspose2d, ConvTranspose2d, convolution(2));
makeLazy(LazyConvTranspose3d, ConvTranspose3d, convolution(3));

// Lazy instance norms too are affine and track statistics unless told otherwise, in PyTorch as here.
const withoutFeatures = (self: Module, options: typeof BATCH): void => {
  const made = factory(options);
  if (options.affine)
    Object.assign(self, { weight: new UninitializedParameter(made), bias: new UninitializedParameter(made) });
  if (options.track_running_stats)
    Object.assign(self, { running_mean: new UninitializedBuffer(made), running_var: new UninitializedBuffer(made) });
};
const norm: Plan = {
  shapes: (self, input) => {
    (self as unknown as { check(input: Tensor): void }).check(input);
    if (self['weight'] === null && self['running_mean'] === null) return {};
    // As in PyTorch: the second size, also of an input without a batch.
    const size = input.shape[1]!;
    self['num_features'] = size;
    return { weight: [size], bias: [size], running_mean: [size], running_var: [size] };
  },
  reset: (self) => (self as unknown as BatchNorm1d).reset_parameters(),
};

/** A BatchNorm1d whose num_features its first input tells. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html */
export class LazyBatchNorm1d extends BatchNorm1d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyBatchNorm1d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html */
export class LazyBatchNorm2d extends BatchNorm2d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyBatchNorm2d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html */
export class LazyBatchNorm3d extends BatchNorm3d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyBatchNorm3d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html */
export class LazyInstanceNorm1d extends InstanceNorm1d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyInstanceNorm1d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html */
export class LazyInstanceNorm2d extends InstanceNorm2d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyInstanceNorm2d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html */
export class LazyInstanceNorm3d extends InstanceNorm3d {
  /** Whether the first input is still to come. */
  declare readonly has_uninitialized_params: () => boolean;
  constructor(...rest: BatchNormRest) {
    const options = bind('LazyInstanceNorm3d', BATCH, rest);
    super(0, options);
    withoutFeatures(this, options);
  }
}
makeLazy(LazyBatchNorm1d, BatchNorm1d, norm);
makeLazy(LazyBatchNorm2d, BatchNorm2d, norm);
makeLazy(LazyBatchNorm3d, BatchNorm3d, norm);
makeLazy(LazyInstanceNorm1d, InstanceNorm1d, norm);
makeLazy(LazyInstanceNorm2d, InstanceNorm2d, norm);
makeLazy(LazyInstanceNorm3d, InstanceNorm3d, norm);
