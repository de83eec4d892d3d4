/** @file Upsample, PixelShuffle, Fold, Unfold, distances. */
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import type { Size } from './arguments.js';
import { layer } from './layer.js';
import { Module } from './module.js';
import { float, python } from './repr.js';

export type UpsampleMode = 'nearest' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'nearest-exact';

const sizeOrScale = (s: { size: Size | null; scale_factor: Size | null }): string =>
  s.scale_factor === null
    ? `size=${python(s.size)}`
    : `scale_factor=${typeof s.scale_factor === 'number' ? float(s.scale_factor) : `(${s.scale_factor.map(float).join(', ')})`}`;

/** To a size or by a factor. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html */
export class Upsample extends layer(
  'Upsample',
  {
    size: null as Size | null,
    scale_factor: null as Size | null,
    mode: 'nearest' as UpsampleMode,
    align_corners: null as boolean | null,
    recompute_scale_factor: null as boolean | null,
  },
  ['size', 'scale_factor', 'mode', 'align_corners', 'recompute_scale_factor'],
  (s) => `${sizeOrScale(s)}, mode=${python(s.mode)}`,
) {
  override forward(input: Tensor): Tensor {
    return F.interpolate(
      input,
      this.size,
      this.scale_factor,
      this.mode,
      this.align_corners,
      this.recompute_scale_factor,
    );
  }
}
const SIZES = { size: null as Size | null, scale_factor: null as Size | null };
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingNearest2d.html */
export class UpsamplingNearest2d extends layer(
  'UpsamplingNearest2d',
  SIZES,
  ['size', 'scale_factor'],
  (s) => `${sizeOrScale(s)}, mode='nearest'`,
) {
  override forward(input: Tensor): Tensor {
    return F.interpolate(input, this.size, this.scale_factor, 'nearest');
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingBilinear2d.html */
export class UpsamplingBilinear2d extends layer(
  'UpsamplingBilinear2d',
  SIZES,
  ['size', 'scale_factor'],
  (s) => `${sizeOrScale(s)}, mode='bilinear'`,
) {
  override forward(input: Tensor): Tensor {
    return F.interpolate(input, this.size, this.scale_factor, 'bilinear', true);
  }
}

/** [*, C·r², H, W] → [*, C, H·r, W·r]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html */
export class PixelShuffle extends Module {
  constructor(readonly upscale_factor: number) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return F.pixel_shuffle(input, this.upscale_factor);
  }
  override extra_repr(): string {
    return `upscale_factor=${this.upscale_factor}`;
  }
}
/** [*, C, H·r, W·r] → [*, C·r², H, W]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html */
export class PixelUnshuffle extends Module {
  constructor(readonly downscale_factor: number) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return F.pixel_unshuffle(input, this.downscale_factor);
  }
  override extra_repr(): string {
    return `downscale_factor=${this.downscale_factor}`;
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html */
export class ChannelShuffle extends Module {
  constructor(readonly groups: number) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return F.channel_shuffle(input, this.groups);
  }
  override extra_repr(): string {
    return `groups=${this.groups}`;
  }
}

const WINDOWS = { dilation: 1 as Size, padding: 0 as Size, stride: 1 as Size };
const windows = (s: typeof WINDOWS): string =>
  `dilation=${python(s.dilation)}, padding=${python(s.padding)}, stride=${python(s.stride)}`;
const Windows = layer('Unfold', WINDOWS, ['dilation', 'padding', 'stride']);
/** [N, C, *] → [N, C·kernel, L]: sliding windows as columns. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html */
export class Unfold extends Windows {
  readonly kernel_size: Size;
  constructor(kernel_size: Size, ...rest: ConstructorParameters<typeof Windows>) {
    super(...rest);
    this.kernel_size = kernel_size;
  }
  override forward(input: Tensor): Tensor {
    return F.unfold(input, this.kernel_size, this.dilation, this.padding, this.stride);
  }
  override extra_repr(): string {
    return `kernel_size=${python(this.kernel_size)}, ${windows(this)}`;
  }
}
/** [N, C·kernel, L] → [N, C, *output_size]: columns summed back. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html */
export class Fold extends Windows {
  readonly output_size: Size;
  readonly kernel_size: Size;
  constructor(output_size: Size, kernel_size: Size, ...rest: ConstructorParameters<typeof Windows>) {
    super(...rest);
    this.output_size = output_size;
    this.kernel_size = kernel_size;
  }
  override forward(input: Tensor): Tensor {
    return F.fold(input, this.output_size, this.kernel_size, this.dilation, this.padding, this.stride);
  }
  override extra_repr(): string {
    return `output_size=${python(this.output_size)}, kernel_size=${python(this.kernel_size)}, ${windows(this)}`;
  }
}

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html */
export class CosineSimilarity extends layer('CosineSimilarity', { dim: 1, eps: 1e-8 }, ['dim', 'eps']) {
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return F.cosine_similarity(x1, x2, this.dim, this.eps);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html */
export class PairwiseDistance extends layer('PairwiseDistance', { p: 2, eps: 1e-6, keepdim: false }, [
  'p',
  'eps',
  'keepdim',
]) {
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return F.pairwise_distance(x1, x2, this.p, this.eps, this.keepdim);
  }
}
