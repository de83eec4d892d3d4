/** @file Sums, products, extrema, moments and norms. 16-bit floats accumulate in float32, integers in int64 where torch does. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, numel, type Op, range } from '../stablehlo/types.js';
import { isComplex, isFloating } from '../torch/dtype.js';
import { inOpmath, keepShape, limit, num, opmath, sumOver, wrapDim, wrapDims } from './common.js';
import { NoLowering, type RuleContext, rule, rules } from './registry.js';
import type { RuleArgs } from './rule-args.js';

/** Casts to the dtype libtorch accumulates in, reduces, casts to the result's dtype and shape. */
function accumulate(
  ctx: RuleContext,
  self: Op,
  dims: readonly number[] | undefined,
  body: (x: Op, d: number[]) => Op,
): Op {
  const x = ctx.b.convert(self, opmath(ctx.out.dtype));
  return ctx.b.reshape(ctx.b.convert(body(x, wrapDims(dims, self.shape.length)), ctx.out.dtype), ctx.out.shape);
}
const count = (shape: readonly number[], dims: readonly number[]): number => dims.reduce((n, d) => n * shape[d]!, 1);
export const mean = (b: Builder, x: Op, dims: readonly number[], keepdim = false): Op => {
  const sum = sumOver(b, x, dims, keepdim);
  return b.divide(sum, b.fill(sum, count(x.shape, dims)));
};

rule('aten::sum', (ctx, { self }) => accumulate(ctx, self, undefined, (x, d) => sumOver(ctx.b, x, d)));
rule('aten::sum.dim_IntList', (ctx, { self, dim }) => accumulate(ctx, self, dim, (x, d) => sumOver(ctx.b, x, d)));
rule('aten::mean', (ctx, { self }) => accumulate(ctx, self, undefined, (x, d) => mean(ctx.b, x, d)));
rule('aten::mean.dim', (ctx, { self, dim }) => accumulate(ctx, self, dim, (x, d) => mean(ctx.b, x, d)));
rule('aten::nansum', (ctx, { self, dim }) =>
  accumulate(ctx, self, dim, (x, d) => sumOver(ctx.b, ctx.b.select(ctx.b.isNan(x), ctx.b.fill(x, 0), x), d)),
);
const product = (b: Builder, x: Op, dims: readonly number[]): Op => b.reduce(x, b.scalar(1, x.dtype), 'multiply', dims);
rule('aten::prod', (ctx, { self }) => accumulate(ctx, self, undefined, (x, d) => product(ctx.b, x, d)));
rule('aten::prod.dim_int', (ctx, { self, dim }) => accumulate(ctx, self, [dim], (x, d) => product(ctx.b, x, d)));

/** NaN wins over every number. */
export const extremum = (b: Builder, x: Op, dims: readonly number[], kind: 'maximum' | 'minimum'): Op =>
  b.reduce(x, b.scalar(limit(x.dtype, kind === 'maximum' ? 'lowest' : 'highest'), x.dtype), kind, dims);
rule('aten::amax', (ctx, { self, dim }) => accumulate(ctx, self, dim, (x, d) => extremum(ctx.b, x, d, 'maximum')));
rule('aten::amin', (ctx, { self, dim }) => accumulate(ctx, self, dim, (x, d) => extremum(ctx.b, x, d, 'minimum')));
rule('aten::max', (ctx, { self }) => accumulate(ctx, self, [], (x, d) => extremum(ctx.b, x, d, 'maximum')));
rule('aten::min', (ctx, { self }) => accumulate(ctx, self, [], (x, d) => extremum(ctx.b, x, d, 'minimum')));
rules(['aten::aminmax', 'aten::_aminmax', 'aten::_aminmax.dim'], ({ b, out }, args) => {
  const { self, dim } = args as RuleArgs['aten::aminmax'];
  const dims = wrapDims(dim === undefined ? undefined : [dim], self.shape.length);
  return (['minimum', 'maximum'] as const).map((k) => b.reshape(extremum(b, self, dims, k), out.shape));
});

/** The extremum and where it stands first; NaN counts as beyond every number. */
export function argExtremum(b: Builder, x: Op, dim: number, kind: 'maximum' | 'minimum'): readonly [Op, Op] {
  const inits = [
    b.scalar(limit(x.dtype, kind === 'maximum' ? 'lowest' : 'highest'), x.dtype),
    b.scalar(0x7fffffff, 'int64'),
  ];
  const places = b.iota(x.shape, dim, 'int64');
  const [value, place] = b.reduceMany([x, places], inits, [dim], ([v, i], [w, j]) => {
    const direction = kind === 'maximum' ? 'GT' : 'LT';
    const beyond = (p: Op, q: Op) =>
      isFloating(x.dtype)
        ? b.or(b.compare(direction, p, q), b.and(b.isNan(p), b.not(b.isNan(q))))
        : b.compare(direction, p, q);
    const [left, right] = [beyond(v!, w!), beyond(w!, v!)];
    const tie = b.not(b.or(left, right));
    const first = b.or(left, b.and(tie, b.compare('LE', i!, j!)));
    return [b.select(first, v!, w!), b.select(first, i!, j!)];
  });
  return [value!, place!];
}
/** Without a dimension the answer is a position in the flat tensor. */
for (const [name, kind] of [
  ['aten::argmax', 'maximum'],
  ['aten::argmin', 'minimum'],
] as const) {
  rule(name, ({ b, out }, { self, dim }) => {
    const x = dim === undefined || self.shape.length === 0 ? b.reshape(self, [numel(self.shape)]) : self;
    return b.reshape(argExtremum(b, x, wrapDim(dim ?? 0, x.shape.length), kind)[1], out.shape);
  });
}
for (const [name, kind] of [
  ['aten::max.dim', 'maximum'],
  ['aten::min.dim', 'minimum'],
] as const) {
  rule(name, ({ b, out }, { self, dim }) => {
    const x = self.shape.length === 0 ? b.reshape(self, [1]) : self;
    return argExtremum(b, x, wrapDim(dim, x.shape.length), kind).map((y) => b.reshape(y, out.shape));
  });
}

const logicalReduce = (combine: 'and' | 'or') => (ctx: RuleContext, self: Op, dims: readonly number[] | undefined) => {
  const { b, out } = ctx;
  const hits = b.convert(self, 'bool');
  const y = b.reduce(hits, b.scalar(combine === 'and', 'bool'), combine, wrapDims(dims, self.shape.length));
  return b.reshape(b.convert(y, out.dtype), out.shape);
};
rule('aten::all', (ctx, { self }) => logicalReduce('and')(ctx, self, undefined));
rule('aten::all.dim', (ctx, { self, dim }) => logicalReduce('and')(ctx, self, [dim]));
rule('aten::all.dims', (ctx, { self, dim }) => logicalReduce('and')(ctx, self, dim));
rule('aten::any', (ctx, { self }) => logicalReduce('or')(ctx, self, undefined));
rule('aten::any.dim', (ctx, { self, dim }) => logicalReduce('or')(ctx, self, [dim]));
rule('aten::any.dims', (ctx, { self, dim }) => logicalReduce('or')(ctx, self, dim));
rule('aten::count_nonzero.dim_IntList', ({ b, out }, { self, dim }) =>
  sumOver(b, b.convert(b.convert(self, 'bool'), out.dtype), wrapDims(dim, self.shape.length)),
);
rule('aten::count_nonzero', ({ b, out }, { self, dim }) => {
  const dims = wrapDims(dim === undefined ? undefined : [dim], self.shape.length);
  return sumOver(b, b.convert(b.convert(self, 'bool'), out.dtype), dims);
});

/** Sum of squared distances from the mean, divided by n - correction (at least 0); complex: both parts together. */
export function variance(b: Builder, x: Op, dims: readonly number[], correction: number): readonly [Op, Op] {
  const center = mean(b, x, dims, true);
  const d = b.subtract(x, b.broadcast(center, x.shape));
  const square = isComplex(x.dtype)
    ? b.add(b.multiply(b.real(d), b.real(d)), b.multiply(b.imag(d), b.imag(d)))
    : b.multiply(d, d);
  const sum = sumOver(b, square, dims, true);
  return [b.divide(sum, b.fill(sum, Math.max(count(x.shape, dims) - correction, 0))), center];
}
function moments(
  ctx: RuleContext,
  args: { self: Op; dim: readonly number[] | undefined; correction: Literal | undefined },
  root: boolean,
) {
  const { b, outs } = ctx;
  return inOpmath(ctx, [args.self], ([x]) => {
    const dims = wrapDims(args.dim, x!.shape.length);
    const [v, m] = variance(b, x!, dims, args.correction === undefined ? 1 : num(args.correction));
    const spread = b.reshape(root ? b.sqrt(v) : v, outs[0]!.shape);
    return outs.length === 1 ? spread : [spread, b.reshape(m, outs[1]!.shape)];
  });
}
rules(['aten::var.correction', 'aten::var_mean.correction'], (ctx, args) => moments(ctx, args, false));
rules(['aten::std.correction', 'aten::std_mean.correction'], (ctx, args) => moments(ctx, args, true));
rule('aten::var.dim', (ctx, { self, dim, unbiased }) =>
  moments(ctx, { self, dim, correction: unbiased ? 1 : 0 }, false),
);

/** log Σ e^x, shifted by the largest element (of complex ones: real part) unless that is infinite. */
export function logSumExp(b: Builder, x: Op, dims: readonly number[]): Op {
  const top = b.reshape(extremum(b, b.real(x), dims, 'maximum'), keepShape(x.shape, dims));
  const infinite = b.compare('EQ', b.abs(top), b.fill(top, Infinity));
  const shift = b.convert(b.select(infinite, b.fill(top, 0), top), x.dtype);
  const sum = sumOver(b, b.exp(b.subtract(x, b.broadcast(shift, x.shape))), dims, true);
  return b.add(b.log(sum), shift);
}
rule('aten::logsumexp', (ctx, { self, dim }) => accumulate(ctx, self, dim, (x, d) => logSumExp(ctx.b, x, d)));
/** The bits of all elements, as float64 or int64, combined by exclusive or. */
rule('aten::hash_tensor', ({ b, out }, { self, dim, mode }) => {
  if (mode !== 0) throw new NoLowering(`hash mode ${mode}`);
  const wide = b.convert(self, isFloating(self.dtype) ? 'float64' : 'int64');
  const bits = b.bitcast(wide, wide.shape, 'uint64');
  return b.reshape(b.reduce(bits, b.scalar(0, 'uint64'), 'xor', wrapDims(dim, self.shape.length)), out.shape);
});

/** Norms of order `ord` over `dims`; 0 counts, ±inf are extrema. */
export function vectorNorm(b: Builder, self: Op, ord: number, dims: readonly number[]): Op {
  const x = b.abs(self);
  if (ord === Infinity) return extremum(b, x, dims, 'maximum');
  if (ord === -Infinity) return extremum(b, x, dims, 'minimum');
  if (ord === 0) return sumOver(b, b.convert(b.convert(x, 'bool'), x.dtype), dims);
  if (ord === 1) return sumOver(b, x, dims);
  if (ord === 2) return b.sqrt(sumOver(b, b.multiply(x, x), dims));
  const sum = sumOver(b, b.power(x, b.fill(x, ord)), dims);
  return b.power(sum, b.fill(sum, 1 / ord));
}
function norm(ctx: RuleContext, self: Op, ord: Literal | undefined, dim: readonly number[] | undefined): Op {
  const { b, out } = ctx;
  const wide = opmath(out.dtype);
  const x = isComplex(self.dtype) ? self : b.convert(self, wide);
  const y = vectorNorm(b, x, ord === undefined ? 2 : num(ord), wrapDims(dim, self.shape.length));
  return b.reshape(b.convert(y, out.dtype), out.shape);
}
rule('aten::linalg_vector_norm', (ctx, { self, ord, dim }) => norm(ctx, self, ord, dim));
rule('aten::norm.ScalarOpt_dim', (ctx, { self, p, dim }) => norm(ctx, self, p, dim));
rule('aten::norm.ScalarOpt_dim_dtype', (ctx, { self, p, dim }) => norm(ctx, self, p, dim));
rule('aten::norm.Scalar', (ctx, { self, p }) => norm(ctx, self, p, undefined));
/** Slices along `dim` longer than `maxnorm` are scaled down to it. */
rule('aten::renorm', (ctx, { self, p, dim, maxnorm }) =>
  inOpmath(ctx, [self], ([x]) => {
    const { b } = ctx;
    const d = wrapDim(dim, x!.shape.length);
    const n = vectorNorm(
      b,
      x!,
      num(p),
      range(x!.shape.length).filter((i) => i !== d),
    );
    const scale = b.divide(b.fill(n, maxnorm), b.add(n, b.fill(n, 1e-7)));
    const factor = b.select(b.compare('GT', n, b.fill(n, maxnorm)), scale, b.fill(n, 1));
    return b.multiply(x!, b.convert(b.broadcastInDim(factor, x!.shape, [d]), x!.dtype));
  }),
);
