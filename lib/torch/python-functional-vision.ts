/** @file nn.functional: resampling, padding, patches. */
import { adaptive_avg_pool1d } from './generated/functional.js';
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import { bad, define, tuple } from './python-functional-common.js';
import { adaptive_avg_pool2d, adaptive_avg_pool3d } from './python-functional-pooling.js';
import type { Tensor } from './python-types.js';

type Sizes = readonly number[] | null;
type Resample = (x: Tensor, size: Sizes, align: boolean, scale: Sizes) => Tensor;

/** Mode and number of spatial dimensions to the operator that resamples so. */
const RESAMPLERS: Readonly<Record<string, Resample>> = {
  nearest1: (x, size, _, scale) => nn.upsample_nearest1d(x, size, scale),
  nearest2: (x, size, _, scale) => nn.upsample_nearest2d(x, size, scale),
  nearest3: (x, size, _, scale) => nn.upsample_nearest3d(x, size, scale),
  'nearest-exact1': (x, size, _, scale) => nn._upsample_nearest_exact1d(x, size, scale),
  'nearest-exact2': (x, size, _, scale) => nn._upsample_nearest_exact2d(x, size, scale),
  'nearest-exact3': (x, size, _, scale) => nn._upsample_nearest_exact3d(x, size, scale),
  area1: (x, size) => adaptive_avg_pool1d(x, size ?? []),
  area2: (x, size) => adaptive_avg_pool2d(x, size ?? []),
  area3: (x, size) => adaptive_avg_pool3d(x, size ?? []),
  linear1: (x, size, align, scale) => nn.upsample_linear1d(x, size, align, scale),
  bilinear2: (x, size, align, scale) => nn.upsample_bilinear2d(x, size, align, scale),
  trilinear3: (x, size, align, scale) => nn.upsample_trilinear3d(x, size, align, scale),
  bicubic2: (x, size, align, scale) => nn.upsample_bicubic2d(x, size, align, scale),
};
const ANTIALIASED: Readonly<Record<string, Resample>> = {
  bilinear2: (x, size, align, scale) => nn._upsample_bilinear2d_aa(x, size, align, scale),
  bicubic2: (x, size, align, scale) => nn._upsample_bicubic2d_aa(x, size, align, scale),
};

interface Interpolation {
  readonly input: Tensor;
  readonly size: number | readonly number[] | null;
  readonly scale_factor: number | readonly number[] | null;
  readonly mode: string;
  readonly align_corners: boolean | null;
  readonly recompute_scale_factor: boolean | null;
  readonly antialias: boolean;
}

/** Either `size` or `scale_factor`; `recompute_scale_factor` turns the factors into a size first. */
function resample(name: string, a: Interpolation): Tensor {
  const { input, mode } = a;
  const spatial = input.shape.length - 2;
  const averaging = mode.startsWith('nearest') || mode === 'area';
  if (averaging && a.align_corners !== null)
    bad(name, `align_corners needs mode linear, bilinear, bicubic or trilinear, got '${mode}'`);
  if ((a.size === null) === (a.scale_factor === null)) bad(name, 'give either size or scale_factor');
  const list = (what: string, value: number | readonly number[]): readonly number[] => {
    const all = tuple(value, spatial);
    return all.length === spatial
      ? all
      : bad(
          name,
          `${what} [${all.join(', ')}] needs ${spatial} elements for an input of shape [${input.shape.join(', ')}]`,
        );
  };
  let size: Sizes = a.size === null ? null : list('size', a.size);
  let scale: Sizes = a.scale_factor === null ? null : list('scale_factor', a.scale_factor);
  if (a.recompute_scale_factor === true && size !== null)
    bad(name, 'recompute_scale_factor means nothing with an explicit size');
  if (scale !== null && (a.recompute_scale_factor === true || mode === 'area')) {
    size = scale.map((factor, i) => Math.trunc((input.shape[i + 2] as number) * factor));
    scale = null;
  }
  const key = `${mode}${spatial}`;
  if (a.antialias && ANTIALIASED[key] === undefined)
    bad(
      name,
      `antialias needs mode bilinear or bicubic and a 4-d input, got '${mode}' and shape [${input.shape.join(', ')}]`,
    );
  const run = a.antialias ? ANTIALIASED[key] : RESAMPLERS[key];
  if (run === undefined)
    bad(
      name,
      `mode '${mode}' does not fit an input of shape [${input.shape.join(', ')}]; 3-d: nearest, nearest-exact, area, linear; 4-d: bilinear, bicubic instead of linear; 5-d: trilinear`,
    );
  return run(input, size, a.align_corners ?? false, scale);
}

const plain = { recompute_scale_factor: null, antialias: false };
export const interpolate = define('interpolate', (a) => resample('interpolate', a));
export const upsample = define('upsample', (a) => resample('upsample', { ...a, ...plain }));
export const upsample_nearest = define('upsample_nearest', (a) =>
  resample('upsample_nearest', { ...a, ...plain, mode: 'nearest', align_corners: null }),
);
export const upsample_bilinear = define('upsample_bilinear', (a) =>
  resample('upsample_bilinear', { ...a, ...plain, mode: 'bilinear', align_corners: true }),
);

/** Position of a name in a list that is also ATen's code of it. */
function code(name: string, what: string, value: string, values: readonly string[]): number {
  const i = values.indexOf(value);
  return i >= 0 ? i : bad(name, `${what} must be one of ${values.join(', ')}, got '${value}'`);
}

export const grid_sample = define('grid_sample', ({ input, grid, mode, padding_mode, align_corners }) => {
  const how = code('grid_sample', 'mode', mode, ['bilinear', 'nearest', 'bicubic']);
  const outside = code('grid_sample', 'padding_mode', padding_mode, ['zeros', 'border', 'reflection']);
  return torch.grid_sampler(input, grid, how, outside, align_corners ?? false);
});

export const affine_grid = define('affine_grid', ({ theta, size, align_corners }) => {
  const spatial = size.length - 2;
  if (spatial !== 2 && spatial !== 3) bad('affine_grid', `size needs 4 or 5 elements, got [${size.join(', ')}]`);
  if (theta.shape.length !== 3 || theta.shape[1] !== spatial || theta.shape[2] !== spatial + 1) {
    bad(
      'affine_grid',
      `theta needs shape [N, ${spatial}, ${spatial + 1}] for size [${size.join(', ')}], got [${theta.shape.join(', ')}]`,
    );
  }
  if (Math.min(...size) <= 0) bad('affine_grid', `size must be positive, got [${size.join(', ')}]`);
  return torch.affine_grid_generator(theta, size, align_corners ?? false);
});

export const pad = define('pad', (a) => nn.pad(a.input, a.pad, a.mode, a.value));
export const unfold = define('unfold', ({ input, kernel_size, dilation, padding, stride }) =>
  nn.im2col(input, tuple(kernel_size, 2), tuple(dilation, 2), tuple(padding, 2), tuple(stride, 2)),
);
export const fold = define('fold', ({ input, output_size, kernel_size, dilation, padding, stride }) =>
  nn.col2im(
    input,
    tuple(output_size, 2),
    tuple(kernel_size, 2),
    tuple(dilation, 2),
    tuple(padding, 2),
    tuple(stride, 2),
  ),
);
