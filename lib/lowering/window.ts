/** @file Window functions, computed in float64. A periodic window is a symmetric one of one more element without its last. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { type RuleContext, type RuleName, rule } from './registry.js';
import { besselI0 } from './special.js';

/** `of` the places -1 … 1 of a window's elements; a window of one element is 1. */
function windowOf({ b, out }: RuleContext, periodic: boolean | undefined, of: (x: Op) => Op): Op {
  const like = { shape: out.shape, dtype: 'float64' } as const;
  const n = out.shape[0]!;
  if (n <= 1) return b.fill(out, 1);
  const intervals = (periodic ?? true) ? n : n - 1;
  const place = b.subtract(b.multiply(b.iota(out.shape, 0, 'float64'), b.fill(like, 2 / intervals)), b.fill(like, 1));
  return b.convert(of(place), out.dtype);
}
/** Σ c[k] cos(k·π·x), x from -1 to 1. */
const cosines = (b: Builder, x: Op, c: readonly number[]): Op =>
  c
    .map((factor, k) => b.multiply(b.cosine(b.multiply(x, b.fill(x, k * Math.PI))), b.fill(x, factor)))
    .reduce((sum, term) => b.add(sum, term));

interface Options {
  readonly periodic?: boolean;
  readonly alpha?: number;
  readonly beta?: number;
}
const windows = (names: readonly RuleName[], of: (b: Builder, x: Op, options: Options) => Op): void => {
  for (const name of names)
    rule(name, (ctx, args) => {
      const options = args as unknown as Options;
      return windowOf(ctx, options.periodic, (x) => of(ctx.b, x, options));
    });
};
windows(['aten::bartlett_window', 'aten::bartlett_window.periodic'], (b, x) => b.subtract(b.fill(x, 1), b.abs(x)));
windows(['aten::hann_window', 'aten::hann_window.periodic'], (b, x) => cosines(b, x, [0.5, 0.5]));
windows(
  [
    'aten::hamming_window',
    'aten::hamming_window.periodic',
    'aten::hamming_window.periodic_alpha',
    'aten::hamming_window.periodic_alpha_beta',
  ],
  (b, x, { alpha = 0.54, beta = 0.46 }) => cosines(b, x, [alpha, beta]),
);
windows(['aten::blackman_window', 'aten::blackman_window.periodic'], (b, x) => cosines(b, x, [0.42, 0.5, 0.08]));
windows(['aten::kaiser_window', 'aten::kaiser_window.periodic', 'aten::kaiser_window.beta'], (b, x, { beta = 12 }) => {
  const height = b.sqrt(b.maximum(b.subtract(b.fill(x, 1), b.multiply(x, x)), b.fill(x, 0)));
  return b.divide(besselI0(b, b.multiply(height, b.fill(x, beta))), besselI0(b, b.fill(x, beta)));
});
