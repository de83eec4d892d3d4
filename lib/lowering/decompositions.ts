/** @file QR, symmetric eigenvalues and singular values, with the matrix exponential. Signs and phases are free, as in LAPACK's answers. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, sameShape, type TensorType } from '../stablehlo/types.js';
import { realOf } from '../torch/dtype.js';
import { sumOver } from './common.js';
import { eye, mH } from './linalg.js';
import { batchMatmul } from './matmul.js';
import { tril, triu } from './rearrange.js';
import { NoLowering, rule } from './registry.js';
import { jacobiSvd } from './svd.js';
import { diagonal } from './view.js';

/** LAPACK's packed reflectors and their factors. */
function geqrf(b: Builder, a: Op): readonly [Op, Op] {
  const [m, n] = a.shape.slice(-2) as [number, number];
  const taus = { shape: [...a.shape.slice(0, -2), Math.min(m, n)], dtype: a.dtype };
  if (numel(a.shape) === 0) return [a, b.fill(taus, 0)];
  const [packed, tau] = b.customCall('Qr', [a], [a, taus]);
  return [packed!, tau!];
}
/** Multiplies `c` by the reflectors in `v` (unit lower trapezoidal), the last one first, or in reverse for the adjoint. */
function applyReflectors(b: Builder, v: Op, tau: Op, c: Op, adjoint: boolean): Op {
  const k = tau.shape.at(-1)!;
  const lead = v.shape.slice(0, -2);
  const batch = numel(lead);
  const flat = (x: Op, rank: number) => b.reshape(x, [batch, ...x.shape.slice(x.shape.length - rank)]);
  const m = v.shape.at(-2)!;
  if (k === 0 || numel(c.shape) === 0) return c;
  const [y] = b.forLoop(k, [flat(c, 2), flat(v, 2), flat(tau, 1)], (i, [x, w, t]) => {
    const at = adjoint ? i : b.subtract(b.scalar(k - 1, 'int64'), i);
    const zero = b.scalar(0, 'int64');
    const column = b.reshape(b.dynamicSlice(w!, [zero, zero, at], [batch, m, 1]), [batch, m]);
    const row = b.iota([batch, m], 1, 'int64');
    const here = b.broadcast(at, [batch, m]);
    const below = b.select(b.compare('GT', row, here), column, b.fill(column, 0));
    const reflector = b.select(b.compare('EQ', row, here), b.fill(column, 1), below);
    const factor = b.reshape(b.dynamicSlice(t!, [zero, at], [batch, 1]), [batch]);
    const dots = b.dot(b.conj(reflector), x!, { batch: [[0], [0]], contract: [[1], [1]] });
    const scaled = b.multiply(dots, b.broadcastInDim(adjoint ? b.conj(factor) : factor, dots.shape, [0]));
    const outer = b.multiply(b.broadcastInDim(reflector, x!.shape, [0, 1]), b.broadcastInDim(scaled, x!.shape, [0, 2]));
    return [b.subtract(x!, outer), w!, t!];
  });
  return b.reshape(y!, c.shape);
}
/** The first `columns` columns of the product of the reflectors. */
function householder(b: Builder, v: Op, tau: Op, columns: number): Op {
  const m = v.shape.at(-2)!;
  const basis = b.sliceDim(eye(b, v.shape.slice(0, -2), m, v.dtype), v.shape.length - 1, 0, columns);
  return applyReflectors(b, v, tau, basis, false);
}
rule('aten::geqrf', ({ b }, { self }) => geqrf(b, self));
rule('aten::linalg_householder_product', ({ b, out }, { input, tau }) => {
  return householder(b, input, tau, out.shape.at(-1)!);
});
rule('aten::ormqr', ({ b }, { self, input2, input3, left, transpose }) => {
  if (left) return applyReflectors(b, self, input2, input3, transpose);
  return mH(b, applyReflectors(b, self, input2, mH(b, input3), !transpose));
});
rule('aten::linalg_qr', ({ b, outs }, { A, mode }) => {
  const [packed, tau] = geqrf(b, A);
  const rank = A.shape.length;
  const r = triu(b, b.sliceDim(packed, rank - 2, 0, outs[1]!.shape.at(-2)!));
  if (mode === 'r') return [b.fill(outs[0]!, 0), r];
  return [householder(b, packed, tau, outs[0]!.shape.at(-1)!), r];
});

/** XLA stops at about the square root of float64's precision: one step of perturbation theory squares the error away. */
function refine(b: Builder, a: Op, v: Op, w: Op): Op {
  if (w.dtype !== 'float64') return v;
  const rest = batchMatmul(b, mH(b, v), batchMatmul(b, a, v));
  const last = rest.shape.length - 1;
  const lead = range(last - 1);
  const gap = b.subtract(
    b.broadcastInDim(w, rest.shape, [...lead, last]),
    b.broadcastInDim(w, rest.shape, [...lead, last - 1]),
  );
  const apart = b.compare('LT', b.abs(rest), b.multiply(b.abs(gap), b.fill(gap, 0.1)));
  const safe = b.select(apart, gap, b.fill(gap, 1));
  const turn = b.select(apart, b.divide(rest, b.convert(safe, rest.dtype)), b.fill(rest, 0));
  return b.add(v, batchMatmul(b, v, turn));
}
/** Only the named triangle is read; eigenvalues ascend. */
function eigh(b: Builder, a: Op, triangle: string): readonly [Op, Op] {
  const lower = triangle.toUpperCase() === 'L' ? a : mH(b, a);
  const full = b.add(tril(b, lower), mH(b, tril(b, lower, -1)));
  const values = { shape: a.shape.slice(0, -1), dtype: realOf(a.dtype) };
  const [vectors, w] = b.customCall('Eigh', [full], [a, values], 'backend_config = "1,1,100,1e-7"');
  return [w!, refine(b, full, vectors!, w!)];
}
rule('aten::_linalg_eigh', ({ b, outs }, { A, UPLO, compute_v }) => {
  if (numel(A.shape) === 0) return outs.map((o) => b.fill(o!, 0));
  const [w, v] = eigh(b, A, UPLO);
  return [w, compute_v ? v : b.fill(outs[1]!, 0)];
});

/** Completes the first columns of U to an orthonormal basis of `columns`; null columns are replaced. */
function completeBasis(b: Builder, u: Op, columns: number): Op {
  const [packed, tau] = geqrf(b, u);
  const q = householder(b, packed, tau, columns);
  const r = diagonal(b, packed, 0, -2, -1);
  const last = q.shape.length - 1;
  const size = b.abs(r);
  const null_ = b.compare('EQ', size, b.fill(size, 0));
  const signs = b.select(null_, b.fill(r, 1), b.divide(r, b.convert(b.select(null_, b.fill(size, 1), size), r.dtype)));
  const all = b.padDim(signs, last - 1, b.scalar(1, r.dtype), 0, columns - r.shape.at(-1)!);
  return b.multiply(q, b.broadcastInDim(all, q.shape, [...range(last - 1), last]));
}
rule('aten::_linalg_svd', ({ b, outs }, { A, full_matrices, compute_uv }) => {
  const [m, n] = A.shape.slice(-2) as [number, number];
  if (numel(A.shape) === 0) {
    const basis = (o: TensorType) => eye(b, o.shape.slice(0, -2), o.shape.at(-1)!, o.dtype);
    return outs.map((o, i) => (full_matrices && compute_uv && i !== 1 ? basis(o!) : b.fill(o!, 0)));
  }
  const tall = m >= n;
  const { u, s, v } = jacobiSvd(b, tall ? A : mH(b, A));
  if (!compute_uv) return [b.fill(outs[0]!, 0), s, b.fill(outs[2]!, 0)];
  const left = completeBasis(b, u, full_matrices ? Math.max(m, n) : Math.min(m, n));
  return tall ? [left, s, mH(b, v)] : [v, s, mH(b, left)];
});

/** Both bases and the singular values of a matrix of any form, of the smaller of its sizes. */
function thinSvd(b: Builder, a: Op): readonly [left: Op, values: Op, right: Op] {
  const [m, n] = a.shape.slice(-2) as [number, number];
  const { u, s, v } = jacobiSvd(b, m >= n ? a : mH(b, a));
  return m >= n ? [u, s, v] : [v, s, u];
}
/** The shortest of the nearest solutions, by singular values above `rcond` times the largest. */
rule('aten::linalg_lstsq', ({ b, out, outs }, { self, b: given, rcond }) => {
  const [m, n] = self.shape.slice(-2) as [number, number];
  if (numel(self.shape) === 0 || numel(given.shape) === 0) throw new NoLowering('an empty system');
  const isVector =
    given.shape.length === 1 ||
    (given.shape.length === self.shape.length - 1 && sameShape(given.shape, self.shape.slice(0, -1)));
  const rhs = isVector ? b.unsqueeze(given, given.shape.length) : given;
  const batch = out.shape.slice(0, isVector ? -1 : -2);
  const over = (x: Op) => b.broadcast(x, [...batch, ...x.shape.slice(-2)]);
  const [left, values, right] = thinSvd(b, self);
  const last = values.shape.length - 1;
  const largest = b.reduce(values, b.scalar(0, values.dtype), 'maximum', [last]);
  const relative = rcond ?? (values.dtype === 'float64' ? 2 ** -52 : 2 ** -23) * Math.max(m, n);
  const tolerance = b.multiply(largest, b.fill(largest, relative));
  const kept = b.compare('GT', values, b.broadcastInDim(tolerance, values.shape, range(last)));
  const inverse = b.select(kept, b.divide(b.fill(values, 1), values), b.fill(values, 0));
  const scale = b.broadcastInDim(b.convert(inverse, right.dtype), right.shape, [...range(last), last + 1]);
  const x = batchMatmul(b, over(b.multiply(right, scale)), batchMatmul(b, over(mH(b, left)), over(rhs)));
  const rest = b.abs(b.subtract(batchMatmul(b, over(self), x), over(rhs)));
  const [, residuals, rank, singular] = outs;
  return [
    b.reshape(x, out.shape),
    sameShape(residuals!.shape, [0]) ? b.fill(residuals!, 0) : sumOver(b, b.multiply(rest, rest), [batch.length]),
    sameShape(rank!.shape, [0]) ? b.fill(rank!, 0) : sumOver(b, b.convert(kept, 'int64'), [last]),
    sameShape(singular!.shape, [0]) ? b.fill(singular!, 0) : values,
  ];
});

/** V·diag(1/s)·Uᴴ with the reciprocals of what is not above the tolerance left out. */
rule('aten::linalg_pinv.atol_rtol_tensor', ({ b, out }, { self, atol, rtol, hermitian }) => {
  if (numel(self.shape) === 0) return b.fill(out, 0);
  const [m, n] = self.shape.slice(-2) as [number, number];
  const spectral = () => {
    const [w, v] = eigh(b, self, 'L');
    return [v, w, v] as const;
  };
  const [left, values, right] = hermitian ? spectral() : thinSvd(b, self);
  const size = b.abs(values);
  const last = size.shape.length - 1;
  const largest = b.reduce(size, b.scalar(0, size.dtype), 'maximum', [last]);
  const bound = (t: Op | undefined, missing: Op) =>
    t === undefined ? missing : b.broadcast(b.convert(t, size.dtype), largest.shape);
  const absolute = bound(atol, b.fill(largest, 0));
  const epsilon = (size.dtype === 'float64' ? 2 ** -52 : 2 ** -23) * Math.max(m, n);
  const relative = bound(
    rtol,
    b.select(b.compare('GT', absolute, b.fill(largest, 0)), b.fill(largest, 0), b.fill(largest, epsilon)),
  );
  const tolerance = b.maximum(absolute, b.multiply(relative, largest));
  const kept = b.compare('GT', size, b.broadcastInDim(tolerance, size.shape, range(last)));
  const inverse = b.select(kept, b.divide(b.fill(values, 1), values), b.fill(values, 0));
  const scale = b.broadcastInDim(b.convert(inverse, right.dtype), right.shape, [...range(last), last + 1]);
  return batchMatmul(b, b.multiply(right, scale), mH(b, left));
});

/** Taylor's series of degree 18 after halving until the norm is below 1, then squared back; the halvings are counted at run time. */
rule('aten::linalg_matrix_exp', ({ b }, { self }) => {
  const n = self.shape.at(-1)!;
  if (numel(self.shape) === 0 || n === 0) return self;
  const batch = numel(self.shape.slice(0, -2));
  const a = b.reshape(self, [batch, n, n]);
  const norm = b.reduce(sumOver(b, b.abs(a), [1]), b.scalar(0, realOf(a.dtype)), 'maximum', [1]);
  const half = b.divide(b.log(b.maximum(norm, b.fill(norm, 1))), b.fill(norm, Math.LN2));
  const count = b.ceil(half);
  const scale = b.convert(b.power(b.fill(norm, 2), b.negate(count)), a.dtype);
  const x = b.multiply(a, b.broadcastInDim(scale, a.shape, [0]));
  const one = eye(b, [batch], n, a.dtype);
  const series = range(18)
    .map((k) => 18 - k)
    .reduce((y, k) => b.add(one, b.divide(batchMatmul(b, x, y), b.fill(x, k))), one);
  const [, , result] = b.while(
    [b.scalar(0, count.dtype), count, series],
    ([i, c]) => b.compare('LT', i!, b.reduce(c!, b.scalar(0, c!.dtype), 'maximum', [0])),
    ([i, c, y]) => {
      const active = b.compare('LT', b.broadcast(i!, c!.shape), c!);
      const squared = batchMatmul(b, y!, y!);
      const chosen = b.select(b.broadcastInDim(active, y!.shape, [0]), squared, y!);
      return [b.add(i!, b.scalar(1, i!.dtype)), c!, chosen];
    },
  );
  return b.reshape(result!, self.shape);
});
