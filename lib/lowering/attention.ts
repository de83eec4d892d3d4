/** @file Scaled dot-product attention as matrix products and a softmax; XLA fuses what it can. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { keepShape, opmath, spread, sumOver } from './common.js';
import { mT } from './linalg.js';
import { batchMatmul } from './matmul.js';
import { triangle } from './rearrange.js';
import { logSumExp } from './reduction.js';
import { NoLowering, rule } from './registry.js';

/** Scaled, masked scores [B, H, L, S] in the compute dtype. */
function scores(b: Builder, query: Op, key: Op, mask: Op | undefined, causal: boolean, scale: number | undefined): Op {
  const s = batchMatmul(b, query, mT(b, key));
  const scaled = b.multiply(s, b.fill(s, scale ?? 1 / Math.sqrt(query.shape.at(-1)!)));
  const low = b.fill(s, -Infinity);
  const causalScores = causal ? b.select(triangle(b, s.shape, 'LE', 0), scaled, low) : scaled;
  if (mask === undefined) return causalScores;
  if (mask.dtype === 'bool') return b.select(b.broadcast(mask, s.shape), causalScores, low);
  return b.add(causalScores, spread(b, mask, s));
}
rule('aten::_scaled_dot_product_flash_attention_for_cpu', ({ b, outs }, args) => {
  const { query, key, value, dropout_p, is_causal, attn_mask, scale } = args;
  if (dropout_p !== 0) throw new NoLowering('dropout inside attention');
  const dtype = opmath(query.dtype);
  const [q, k, v] = [query, key, value].map((x) => b.convert(x, dtype)) as [Op, Op, Op];
  const s = scores(b, q, k, attn_mask, is_causal, scale);
  const lse = logSumExp(b, s, [3]);
  const p = b.exp(b.subtract(s, b.broadcast(lse, s.shape)));
  return [b.convert(batchMatmul(b, p, v), outs[0]!.dtype), b.convert(b.reshape(lse, outs[1]!.shape), outs[1]!.dtype)];
});
rule('aten::_scaled_dot_product_flash_attention_for_cpu_backward', ({ b, outs }, args) => {
  const { grad_out, query, key, value, out, logsumexp, dropout_p, is_causal, attn_mask, scale } = args;
  if (dropout_p !== 0) throw new NoLowering('dropout inside attention');
  const dtype = opmath(query.dtype);
  const [g, q, k, v, o] = [grad_out, query, key, value, out].map((x) => b.convert(x, dtype)) as [Op, Op, Op, Op, Op];
  const s = scores(b, q, k, attn_mask, is_causal, scale);
  const lse = b.reshape(b.convert(logsumexp, dtype), keepShape(s.shape, [3]));
  const p = b.exp(b.subtract(s, b.broadcast(lse, s.shape)));
  const inner = b.broadcast(sumOver(b, b.multiply(g, o), [3], true), s.shape);
  const ds = b.multiply(p, b.subtract(batchMatmul(b, g, mT(b, v)), inner));
  const scaled = b.multiply(ds, b.fill(ds, scale ?? 1 / Math.sqrt(q.shape.at(-1)!)));
  const grads = [batchMatmul(b, scaled, k), batchMatmul(b, mT(b, scaled), q), batchMatmul(b, mT(b, p), g)];
  return grads.map((x, i) => b.convert(x, outs[i]!.dtype));
});
