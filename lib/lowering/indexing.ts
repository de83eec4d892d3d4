/** @file Reading and writing at positions given by index tensors: index, index_put, index_select, take, embedding. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, replaceAt } from '../stablehlo/types.js';
import { opmath, spread, sumOver, wrapDim } from './common.js';
import { flatten, gatherDim, scatterFlat, scatterRows, takeFlat, takeRows, wrapIndex } from './gather.js';
import { NoLowering, type RuleContext, rule, rules } from './registry.js';
import { scan } from './scan.js';

const vector = (b: Builder, x: Op): Op => (x.shape.length === 0 ? b.reshape(x, [1]) : x);

/** torch's advanced indexing in one description: which dimensions are indexed, where their common shape lands. */
interface Advanced {
  readonly dims: readonly number[];
  /** Positions along `dims`, in the last dimension. */
  readonly starts: Op;
  /** Dimensions of the result that are not indexed. */
  readonly window: readonly number[];
  readonly shape: readonly number[];
}
function advanced(b: Builder, self: Op, indices: readonly (Op | undefined)[]): Advanced {
  // index_put's shape function looks at the number of indices no more than at their values: libtorch's kernel says what is wrong.
  if (indices.length > self.shape.length)
    throw new NoLowering(`${indices.length} indices for ${self.shape.length} dimensions`);
  const dims = range(indices.length).filter((d) => indices[d] !== undefined);
  const given = dims.map((d) => indices[d]!);
  if (given.some((i) => i.dtype === 'bool' || i.dtype === 'uint8')) {
    throw new NoLowering('a mask as index: its result has as many elements as the mask has true ones');
  }
  const rank = Math.max(...given.map((i) => i.shape.length));
  const common = range(rank).map((k) =>
    given.reduce((n, i) => {
      const size = i.shape[k - rank + i.shape.length] ?? 1;
      return size === 1 ? n : size;
    }, 1),
  );
  const starts = given.map((i, k) => b.unsqueeze(b.broadcast(wrapIndex(b, i, self.shape[dims[k]!]!), common), rank));
  const adjacent = dims.every((d, k) => k === 0 || d === dims[k - 1]! + 1);
  const first = adjacent ? dims[0]! : 0;
  const rest = range(self.shape.length).filter((d) => !dims.includes(d));
  const window = rest.map((_, k) => (k < first ? k : k + rank));
  const before = rest.slice(0, first).map((d) => self.shape[d]!);
  const after = rest.slice(first).map((d) => self.shape[d]!);
  return { dims, starts: b.concatenate(starts, rank), window, shape: [...before, ...common, ...after] };
}
rules(['aten::index.Tensor', 'aten::_unsafe_index.Tensor'], ({ b, out }, { self, indices }) => {
  if (indices.every((i) => i === undefined)) return self;
  const { dims, starts, window, shape } = advanced(b, self, indices);
  if (numel(shape) === 0 || numel(self.shape) === 0) return b.fill(out, 0);
  const sizes = self.shape.map((n, d) => (dims.includes(d) ? 1 : n));
  return b.gather(self, starts, { offset: window, collapsed: dims, map: dims, sizes });
});

/** `x[mask] = values`: one value everywhere, or the k-th value where the mask is true for the k-th time. */
function putMask(b: Builder, self: Op, mask: Op, values: Op, accumulate: boolean): Op {
  const where = b.broadcastInDim(b.convert(mask, 'bool'), self.shape, range(mask.shape.length));
  const picked =
    numel(values.shape) === 1 ? spread(b, b.reshape(values, []), self) : maskedSource(b, where, values, self);
  return b.select(where, accumulate ? b.add(self, picked) : picked, self);
}
/** For each true place of the mask, the element of `source` whose turn it is. */
function maskedSource(b: Builder, mask: Op, source: Op, like: Op): Op {
  const flat = b.convert(flatten(b, mask), 'int64');
  const [total] = scan(b, [flat], 0, [0], ([x], [y]) => [b.add(x!, y!)]);
  const turn = b.subtract(total!, b.fill(total!, 1));
  return b.reshape(takeFlat(b, flatten(b, b.convert(source, like.dtype)), turn), like.shape);
}
rule('aten::masked_scatter', ({ b, out }, { self, mask, source }) => {
  const x = b.broadcast(self, out.shape);
  const where = b.broadcast(mask, out.shape);
  return b.select(where, maskedSource(b, where, source, x), x);
});
/** The gradients of the source's elements that were used, in their order, then zeros. */
rule('aten::masked_scatter_backward', ({ b, out }, { grad_output, mask }) => {
  const where = flatten(b, b.broadcast(mask, grad_output.shape));
  const [total] = scan(b, [b.convert(where, 'int64')], 0, [0], ([x], [y]) => [b.add(x!, y!)]);
  const size = numel(out.shape);
  const slot = b.select(where, b.subtract(total!, b.fill(total!, 1)), b.fill(total!, size));
  const empty = b.constant(0, [size], out.dtype);
  return b.reshape(
    scatterFlat(b, empty, slot, flatten(b, grad_output), (_, u) => u),
    out.shape,
  );
});
/** Row k as often as `repeats[k]` says: the result's place p belongs to the first row whose repeats reach beyond p. */
rule('aten::repeat_interleave.Tensor', ({ b, out }, { repeats }) => {
  const [size, n] = [out.shape[0]!, repeats.shape[0]!];
  const [ends] = scan(b, [b.convert(repeats, 'int64')], 0, [0], ([x], [y]) => [b.add(x!, y!)]);
  const shape = [size, n];
  const passed = b.compare('LE', b.broadcastInDim(ends!, shape, [1]), b.iota(shape, 0, 'int64'));
  return b.convert(sumOver(b, b.convert(passed, 'int64'), [1]), out.dtype);
});
rules(['aten::index_put', 'aten::_unsafe_index_put'], ({ b }, { self, indices, values, accumulate }) => {
  const given = indices.filter((i) => i !== undefined);
  const source = b.convert(values, self.dtype);
  if (given.length === 1 && indices[0]?.dtype === 'bool') {
    const whole = given[0]!.shape.length === self.shape.length;
    if (!whole && numel(values.shape) !== 1) throw new NoLowering('rows for a mask: how many depends on data');
    return putMask(b, self, given[0]!, source, accumulate);
  }
  const { dims, starts, window, shape } = advanced(b, self, indices);
  if (numel(shape) === 0 || numel(self.shape) === 0) return self;
  const updates = b.broadcast(dropLeadingOnes(b, source, shape.length), shape);
  const combine = (old: Op, update: Op) => (accumulate ? b.add(old, update) : update);
  return b.scatter(self, starts, updates, { updateWindow: window, inserted: dims, map: dims }, combine);
});
/** Values may have more dimensions than what they fill, if the extra ones are 1. */
const dropLeadingOnes = (b: Builder, x: Op, rank: number): Op =>
  x.shape.length > rank ? b.reshape(x, x.shape.slice(x.shape.length - rank)) : x;
rule('aten::_unsafe_masked_index', ({ b, out }, { self, mask, indices, fill }) => {
  const { dims, starts, window } = advanced(b, self, indices);
  const sizes = self.shape.map((n, d) => (dims.includes(d) ? 1 : n));
  const picked = b.gather(self, starts, { offset: window, collapsed: dims, map: dims, sizes });
  return b.select(b.broadcast(mask, out.shape), picked, b.fill(out, fill));
});
rule('aten::_unsafe_masked_index_put_accumulate', ({ b }, { self, mask, indices, values }) => {
  const { dims, starts, window, shape } = advanced(b, self, indices);
  const kept = spread(b, values, { shape, dtype: self.dtype });
  const updates = b.select(b.broadcast(mask, shape), kept, b.fill(kept, 0));
  return b.scatter(self, starts, updates, { updateWindow: window, inserted: dims, map: dims }, (o, u) => b.add(o, u));
});

rule('aten::index_select', ({ b, out }, { self, dim, index }) =>
  b.reshape(takeRows(b, vector(b, self), wrapDim(dim, self.shape.length), vector(b, index)), out.shape),
);
/** index_add, index_copy and their kind on tensors of any rank; a 0-d one has one row. */
function intoRows(
  ctx: RuleContext,
  self: Op,
  dim: number,
  index: Op,
  source: Op,
  combine: (old: Op, update: Op) => Op,
): Op {
  const { b } = ctx;
  const x = vector(b, self);
  const rows = vector(b, b.convert(source, self.dtype));
  return b.reshape(scatterRows(b, x, wrapDim(dim, x.shape.length), vector(b, index), rows, combine), self.shape);
}
rule('aten::index_add', (ctx, { self, dim, index, source, alpha }) => {
  const { b } = ctx;
  const scaled = b.multiply(b.convert(source, self.dtype), b.constant(alpha, source.shape, self.dtype));
  return intoRows(ctx, self, dim, index, scaled, (o, u) => b.add(o, u));
});
rule('aten::index_copy', (ctx, { self, dim, index, source }) => {
  if (numel(index.shape) !== 1 || self.shape.length === 0) return intoRows(ctx, self, dim, index, source, (_, u) => u);
  // One row: written in its place, where a scatter would be a loop of its own.
  const { b } = ctx;
  const at = wrapDim(dim, self.shape.length);
  const place = b.convert(b.reshape(index, []), 'int64');
  const starts = self.shape.map((_, d) => (d === at ? place : b.scalar(0, 'int64')));
  const row = b.reshape(b.convert(source, self.dtype), replaceAt(self.shape, at, 1));
  return b.dynamicUpdateSlice(self, row, starts);
});
for (const name of ['aten::index_fill.int_Scalar', 'aten::index_fill.int_Tensor'] as const) {
  rule(name, (ctx, { self, dim, index, value }) => {
    const { b } = ctx;
    const x = vector(b, self);
    const shape = replaceAt(x.shape, wrapDim(dim, x.shape.length), numel(index.shape));
    const rows = spread(b, value as never, { shape, dtype: self.dtype });
    const places = wrapIndex(b, index, vector(b, self).shape[wrapDim(dim, self.shape.length)]!);
    return intoRows(ctx, self, dim, places, rows, (_, u) => u);
  });
}
rule('aten::take', ({ b }, { self, index }) => takeFlat(b, flatten(b, self), wrapIndex(b, index, numel(self.shape))));
rule('aten::put', ({ b }, { self, index, source, accumulate }) => {
  const at = flatten(b, wrapIndex(b, index, numel(self.shape)));
  const updates = b.reshape(b.convert(source, self.dtype), at.shape);
  const combine = (old: Op, update: Op) => (accumulate ? b.add(old, update) : update);
  return b.reshape(scatterFlat(b, flatten(b, self), at, updates, combine), self.shape);
});
rule('aten::gather', ({ b, out }, { self, dim, index }) => {
  const i = wrapIndex(b, vector(b, index), vector(b, self).shape[wrapDim(dim, self.shape.length)]!);
  return b.reshape(gatherDim(b, vector(b, self), wrapDim(dim, self.shape.length), i), out.shape);
});

rule('aten::embedding', ({ b, out }, { weight, indices }) =>
  b.reshape(takeRows(b, weight, 0, flatten(b, indices)), out.shape),
);
/** Rows of equal index add up; `padding_idx` gets none, `scale_grad_by_freq` divides by how often an index occurs. */
rule('aten::embedding_dense_backward', ({ b, out }, args) => {
  const { grad_output, indices, padding_idx, scale_grad_by_freq } = args;
  const dtype = opmath(out.dtype);
  const at = b.convert(flatten(b, indices), 'int64');
  const shape = [at.shape[0]!, out.shape[1]!];
  const spreadRow = (x: Op) => b.broadcastInDim(x, shape, [0]);
  let rows = b.reshape(b.convert(grad_output, dtype), shape);
  if (scale_grad_by_freq) {
    const one = b.constant(1, at.shape, dtype);
    const counts = scatterFlat(b, b.constant(0, [out.shape[0]!], dtype), at, one, (o, u) => b.add(o, u));
    rows = b.divide(rows, spreadRow(takeFlat(b, counts, at)));
  }
  const used = spreadRow(b.compare('NE', at, b.fill(at, padding_idx)));
  const zero = b.constant(0, out.shape, dtype);
  return b.convert(
    scatterRows(b, zero, 0, at, b.select(used, rows, b.fill(rows, 0)), (o, u) => b.add(o, u)),
    out.dtype,
  );
});
/** Row-major positions of the first `size` true elements; unused rows hold `fill_value`. */
rule('aten::nonzero_static', ({ b, out }, { self, fill_value }) => {
  const [size, rank] = out.shape as [number, number];
  const mask = flatten(b, b.convert(self, 'bool'));
  if (rank === 0 || size === 0 || mask.shape[0] === 0) return b.fill(out, fill_value);
  const [total] = scan(b, [b.convert(mask, 'int64')], 0, [0], ([x], [y]) => [b.add(x!, y!)]);
  const slot = b.select(mask, b.subtract(total!, b.fill(total!, 1)), b.fill(total!, size));
  const empty = b.constant(fill_value, [size], 'int64');
  const columns = range(rank).map((d) => {
    const place = flatten(b, b.iota(self.shape, d, 'int64'));
    return b.unsqueeze(
      scatterFlat(b, empty, slot, place, (_, u) => u),
      1,
    );
  });
  return b.concatenate(columns, 1);
});
