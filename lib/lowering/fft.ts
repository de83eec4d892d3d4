/** @file Fourier transforms. `normalization`: 0 none, 1 by √n, 2 by n, with n the product of the transformed sizes. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, replaceAt } from '../stablehlo/types.js';
import { isComplex, realOf } from '../torch/dtype.js';
import { wrapDim } from './common.js';
import { rule } from './registry.js';

/** Runs `body` with dimension `dim` in the last place. */
function atLast(b: Builder, x: Op, dim: number, body: (x: Op) => Op): Op {
  const last = x.shape.length - 1;
  return b.swap(body(b.swap(x, dim, last)), dim, last);
}
/** One complex transform; XLA divides the inverse by n, libtorch does not. */
function complexDim(b: Builder, x: Op, dim: number, forward: boolean): Op {
  const n = x.shape[dim]!;
  const y = atLast(b, x, dim, (z) => b.fft(z, forward ? 'FFT' : 'IFFT', [n], z));
  return forward ? y : b.multiply(y, b.fill(y, n));
}
const scale = (b: Builder, x: Op, n: number, normalization: number): Op => {
  if (normalization === 0) return x;
  const factor = b.constant(normalization === 1 ? 1 / Math.sqrt(n) : 1 / n, x.shape, realOf(x.dtype));
  // A real factor on both parts: a complex product would turn infinities into NaN.
  return isComplex(x.dtype)
    ? b.complex(b.multiply(b.real(x), factor), b.multiply(b.imag(x), factor))
    : b.multiply(x, factor);
};
const sizeOf = (shape: readonly number[], dims: readonly number[]): number => dims.reduce((n, d) => n * shape[d]!, 1);

rule('aten::_fft_c2c', ({ b }, { self, dim, normalization, forward }) => {
  if (numel(self.shape) === 0) return self;
  const dims = dim.map((d) => wrapDim(d, self.shape.length));
  const y = dims.reduce((x, d) => complexDim(b, x, d, forward), self);
  return scale(b, y, sizeOf(self.shape, dims), normalization);
});
/** The last of `dim` is the one of real numbers; `onesided` keeps its first n/2 + 1 frequencies. */
rule('aten::_fft_r2c', ({ b, out }, { self, dim, normalization, onesided }) => {
  if (numel(out.shape) === 0) return b.fill(out, 0);
  const dims = dim.map((d) => wrapDim(d, self.shape.length));
  const last = dims.at(-1)!;
  const n = self.shape[last]!;
  const half = atLast(b, self, last, (x) => {
    const shape = replaceAt(x.shape, x.shape.length - 1, Math.floor(n / 2) + 1);
    return b.fft(x, 'RFFT', [n], { shape, dtype: out.dtype });
  });
  const start = onesided ? half : complexDim(b, b.convert(self, out.dtype), last, true);
  const y = dims.slice(0, -1).reduce((x, d) => complexDim(b, x, d, true), start);
  return scale(b, y, sizeOf(self.shape, dims), normalization);
});
rule('aten::_fft_c2r', ({ b, out }, { self, dim, normalization, last_dim_size }) => {
  if (numel(out.shape) === 0) return b.fill(out, 0);
  const dims = dim.map((d) => wrapDim(d, self.shape.length));
  const last = dims.at(-1)!;
  const n = last_dim_size;
  const x = dims.slice(0, -1).reduce((z, d) => complexDim(b, z, d, false), self);
  const y = atLast(b, b.sliceDim(x, last, 0, Math.floor(n / 2) + 1), last, (z) =>
    b.fft(z, 'IRFFT', [n], { shape: replaceAt(z.shape, z.shape.length - 1, n), dtype: out.dtype }),
  );
  return scale(b, b.multiply(y, b.fill(y, n)), sizeOf(out.shape, dims), normalization);
});
