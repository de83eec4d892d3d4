/** @file Sums, means and maxima of embedding rows in bags. `mode`: 0 sum, 1 mean, 2 max. */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { opmath, sumOver } from './common.js';
import { scatterDim, scatterFlat, scatterRows, takeFlat, takeRows } from './gather.js';
import { type RuleContext, rule, rules } from './registry.js';

const plus = (b: Builder) => (o: Op, u: Op) => b.add(o, u);
/** The bag of each index: how many offsets are not beyond it, less one. */
function bagOf(b: Builder, offsets: Op, count: number, bags: number): Op {
  const shape = [count, offsets.shape[0]!];
  const begun = b.compare('LE', b.broadcastInDim(b.convert(offsets, 'int64'), shape, [1]), b.iota(shape, 0, 'int64'));
  const bag = sumOver(b, b.convert(begun, 'int64'), [1]);
  return b.minimum(b.subtract(bag, b.fill(bag, 1)), b.fill(bag, bags - 1));
}
rules(['aten::_embedding_bag', 'aten::_embedding_bag_forward_only'], ({ b, outs }, args) => {
  const { weight, indices, offsets, mode, per_sample_weights, padding_idx } = args;
  const [bags, width] = outs[0]!.shape as [number, number];
  const count = indices.shape[0]!;
  const dtype = opmath(weight.dtype);
  const at = b.convert(indices, 'int64');
  const bag = bagOf(b, offsets, count, bags);
  const used = b.compare('NE', at, b.fill(at, padding_idx));
  const over = (x: Op) => b.broadcastInDim(x, [count, width], [0]);
  const rows = b.convert(takeRows(b, weight, 0, at), dtype);
  const scaled = per_sample_weights === undefined ? rows : b.multiply(rows, over(b.convert(per_sample_weights, dtype)));
  const sizes = scatterFlat(b, b.constant(0, [bags], 'int64'), bag, b.convert(used, 'int64'), plus(b));
  const size = b.broadcastInDim(b.convert(b.maximum(sizes, b.fill(sizes, 1)), dtype), [bags, width], [0]);
  const like = { shape: [bags, width], dtype };
  const total = (base: Op, skipped: number, combine: (o: Op, u: Op) => Op) =>
    scatterRows(b, base, 0, bag, b.select(over(used), scaled, b.fill(scaled, skipped)), combine);
  const kept = b.broadcastInDim(b.compare('GT', sizes, b.fill(sizes, 0)), like.shape, [0]);
  const highest = total(b.fill(like, -Infinity), -Infinity, (o, u) => b.maximum(o, u));
  const sum = total(b.fill(like, 0), 0, plus(b));
  const y = mode === 2 ? b.select(kept, highest, b.fill(like, 0)) : mode === 1 ? b.divide(sum, size) : sum;
  const places = () => winners(b, scaled, highest, at, bag, used, kept);
  const extras = [() => bag, () => sizes, () => (mode === 2 ? places() : undefined)];
  const rest = outs.slice(1).map((o, i) => {
    const value = extras[i]!();
    return value !== undefined && numel(value.shape) === numel(o!.shape)
      ? b.reshape(b.convert(value, o!.dtype), o!.shape)
      : b.fill(o!, 0);
  });
  return [b.convert(y, outs[0]!.dtype), ...rest];
});
/** Of a maximum: the row it came from, the first of equal ones; 0 for an empty bag. */
function winners(b: Builder, rows: Op, highest: Op, at: Op, bag: Op, used: Op, kept: Op): Op {
  const shape = rows.shape;
  const top = takeRows(b, highest, 0, bag);
  const hit = b.and(b.compare('EQ', rows, top), b.broadcastInDim(used, shape, [0]));
  const far = BigInt(Number.MAX_SAFE_INTEGER);
  const place = b.select(hit, b.iota(shape, 0, 'int64'), b.constant(far, shape, 'int64'));
  const none = b.constant(far, highest.shape, 'int64');
  const first = scatterRows(b, none, 0, bag, place, (o, u) => b.minimum(o, u));
  const safe = b.select(kept, first, b.fill(first, 0));
  return b.select(kept, takeFlat(b, at, safe), b.fill(safe, 0));
}

interface BackwardArgs {
  readonly grad: Op;
  readonly indices: Op;
  readonly offset2bag: Op;
  readonly bag_size: Op;
  readonly maximum_indices: Op;
  readonly scale_grad_by_freq: boolean;
  readonly mode: number;
  readonly per_sample_weights: Op | undefined;
  readonly padding_idx: number;
}
/** Every index gets its bag's gradient; of a maximum only the winner does. */
function backward({ b, out }: RuleContext, a: BackwardArgs, bag: Op): Op {
  const dtype = opmath(out.dtype);
  const grad = b.convert(a.grad, dtype);
  const zeros = b.constant(0, out.shape, dtype);
  if (a.mode === 2) {
    const full = b.broadcastInDim(b.compare('GT', a.bag_size, b.fill(a.bag_size, 0)), grad.shape, [0]);
    const given = b.select(full, grad, b.fill(grad, 0));
    return b.convert(scatterDim(b, zeros, 0, a.maximum_indices, given, plus(b)), out.dtype);
  }
  const at = b.convert(a.indices, 'int64');
  const shape = [at.shape[0]!, out.shape[1]!];
  const over = (x: Op) => b.broadcastInDim(b.convert(x, dtype), shape, [0]);
  const counts = scatterFlat(b, b.constant(0, [out.shape[0]!], 'int64'), at, b.fill(at, 1), plus(b));
  const size = b.maximum(b.convert(a.bag_size, 'int64'), b.constant(1, a.bag_size.shape, 'int64'));
  const factors = [
    ...(a.per_sample_weights === undefined ? [] : [(g: Op) => b.multiply(g, over(a.per_sample_weights!))]),
    ...(a.mode === 1 ? [(g: Op) => b.divide(g, over(takeFlat(b, size, bag)))] : []),
    ...(a.scale_grad_by_freq ? [(g: Op) => b.divide(g, over(takeFlat(b, counts, at)))] : []),
  ];
  const rows = factors.reduce((g, f) => f(g), takeRows(b, grad, 0, bag));
  const used = b.broadcastInDim(b.compare('NE', at, b.fill(at, a.padding_idx)), shape, [0]);
  return b.convert(scatterRows(b, zeros, 0, at, b.select(used, rows, b.fill(rows, 0)), plus(b)), out.dtype);
}
rule('aten::_embedding_bag_backward', (ctx, a) =>
  backward(ctx, a, bagOf(ctx.b, a.offsets, a.indices.shape[0]!, a.grad.shape[0]!)),
);
rule('aten::_embedding_bag_dense_backward', (ctx, a) => backward(ctx, a, ctx.b.convert(a.offset2bag, 'int64')));
rule('aten::_embedding_bag_per_sample_weights_backward', ({ b, out }, a) => {
  const at = b.convert(a.indices, 'int64');
  const bag = bagOf(b, a.offsets, at.shape[0]!, a.grad.shape[0]!);
  const dot = sumOver(b, b.multiply(takeRows(b, a.grad, 0, bag), takeRows(b, a.weight, 0, at)), [1]);
  const used = b.compare('NE', at, b.fill(at, a.padding_idx));
  return b.convert(b.select(used, dot, b.fill(dot, 0)), out.dtype);
});
