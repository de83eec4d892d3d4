/** @file Padding layers: amounts are given last dimension first, [left, right, top, bottom, front, back], or as one number. */
import { pad } from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import type { Size } from './arguments.js';
import { Module } from './module.js';
import { python } from './repr.js';

type Mode = 'constant' | 'reflect' | 'replicate' | 'circular';

abstract class Pad extends Module {
  readonly padding: readonly number[];
  constructor(
    padding: Size,
    spatial: number,
    private readonly mode: Mode,
    readonly value: number | null = null,
  ) {
    super();
    this.padding = typeof padding === 'number' ? Array.from({ length: 2 * spatial }, () => padding) : padding;
  }
  override forward(input: Tensor): Tensor {
    return pad(input, this.padding, this.mode, this.value);
  }
  override extra_repr(): string {
    return python(this.padding);
  }
}
abstract class ConstantPad extends Pad {
  constructor(padding: Size, spatial: number, value: number) {
    super(padding, spatial, 'constant', value);
  }
  override extra_repr(): string {
    return `padding=${python(this.padding)}, value=${this.value}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad1d.html */
export class ConstantPad1d extends ConstantPad {
  constructor(padding: Size, value: number) {
    super(padding, 1, value);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html */
export class ConstantPad2d extends ConstantPad {
  constructor(padding: Size, value: number) {
    super(padding, 2, value);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad3d.html */
export class ConstantPad3d extends ConstantPad {
  constructor(padding: Size, value: number) {
    super(padding, 3, value);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad1d.html */
export class ZeroPad1d extends Pad {
  constructor(padding: Size) {
    super(padding, 1, 'constant', 0);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html */
export class ZeroPad2d extends Pad {
  constructor(padding: Size) {
    super(padding, 2, 'constant', 0);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad3d.html */
export class ZeroPad3d extends Pad {
  constructor(padding: Size) {
    super(padding, 3, 'constant', 0);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad1d.html */
export class ReflectionPad1d extends Pad {
  constructor(padding: Size) {
    super(padding, 1, 'reflect');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad2d.html */
export class ReflectionPad2d extends Pad {
  constructor(padding: Size) {
    super(padding, 2, 'reflect');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad3d.html */
export class ReflectionPad3d extends Pad {
  constructor(padding: Size) {
    super(padding, 3, 'reflect');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad1d.html */
export class ReplicationPad1d extends Pad {
  constructor(padding: Size) {
    super(padding, 1, 'replicate');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad2d.html */
export class ReplicationPad2d extends Pad {
  constructor(padding: Size) {
    super(padding, 2, 'replicate');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad3d.html */
export class ReplicationPad3d extends Pad {
  constructor(padding: Size) {
    super(padding, 3, 'replicate');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad1d.html */
export class CircularPad1d extends Pad {
  constructor(padding: Size) {
    super(padding, 1, 'circular');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad2d.html */
export class CircularPad2d extends Pad {
  constructor(padding: Size) {
    super(padding, 2, 'circular');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad3d.html */
export class CircularPad3d extends Pad {
  constructor(padding: Size) {
    super(padding, 3, 'circular');
  }
}
