/** @file nn.functional: multi-head attention and the scaled matrix products. */
import { linear, scaled_dot_product_attention } from './generated/functional.js';
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import type { FunctionalArguments } from './generated/python-signatures.js';
import { dropout } from './python-functional-activation.js';
import { bad, define } from './python-functional-common.js';
import type { DType, Tensor } from './python-types.js';

const NAME = 'multi_head_attention_forward';
type Attention = FunctionalArguments['multi_head_attention_forward'];

const show = (x: Tensor): string => `[${x.shape.join(', ')}]`;

/** A boolean mask as an additive one: -inf where true. */
function additive(name: string, mask: Tensor, dtype: DType): Tensor {
  if (mask.dtype === 'bool') return torch.zeros_like(mask, { dtype }).masked_fill_(mask, Number.NEGATIVE_INFINITY);
  return mask.is_floating_point() ? mask : bad(NAME, `${name} must be bool or floating, got ${mask.dtype}`);
}

/** Queries, keys and values from one packed weight or three. */
function project(a: Attention, query: Tensor, key: Tensor, value: Tensor): [Tensor, Tensor, Tensor] {
  const biases = a.in_proj_bias === null ? [null, null, null] : a.in_proj_bias.chunk(3);
  let weights: (Tensor | null)[];
  if (a.use_separate_proj_weight) weights = [a.q_proj_weight, a.k_proj_weight, a.v_proj_weight];
  else weights = a.in_proj_weight === null ? [null] : a.in_proj_weight.chunk(3);
  return [query, key, value].map((x, i) => {
    const weight =
      weights[i] ??
      bad(
        NAME,
        a.use_separate_proj_weight
          ? 'q_proj_weight, k_proj_weight and v_proj_weight are needed'
          : 'in_proj_weight is needed',
      );
    return linear(x, weight, biases[i] ?? null);
  }) as [Tensor, Tensor, Tensor];
}

/** The masks of keys and of attention as one additive mask of [batch · heads or 1, targets, sources], or null. */
function combinedMask(
  a: Attention,
  batch: number,
  padding: Tensor | null,
  attention: Tensor | null,
  sources: number,
): Tensor | null {
  if (padding === null) return attention;
  if (padding.shape[0] !== batch || padding.shape[1] !== sources)
    bad(NAME, `key_padding_mask needs shape [${batch}, ${sources}], got ${show(padding)}`);
  const spread = padding
    .view([batch, 1, 1, sources])
    .expand([-1, a.num_heads, -1, -1])
    .reshape([batch * a.num_heads, 1, sources]);
  return attention === null ? spread : attention.add(spread);
}

/** torch's own algorithm; `need_weights` gives the attention weights too, averaged over heads unless told otherwise. */
export const multi_head_attention_forward = define(NAME, (a) => {
  const batched = a.query.shape.length === 3;
  if (!batched && a.query.shape.length !== 2) bad(NAME, `query must be 2-d or batched 3-d, got ${show(a.query)}`);
  const [query, key, value] = [a.query, a.key, a.value].map((x) => (batched ? x : x.unsqueeze(1))) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const [targets, batch, width] = query.shape as unknown as [number, number, number];
  if (width !== a.embed_dim_to_check) bad(NAME, `expected an embedding of ${a.embed_dim_to_check}, got ${width}`);
  if (width % a.num_heads !== 0) bad(NAME, `embedding of ${width} is not divisible by ${a.num_heads} heads`);
  if (a.is_causal && a.attn_mask === null) bad(NAME, 'is_causal is a hint about attn_mask, which must be given');
  const headWidth = width / a.num_heads;
  const rows = batch * a.num_heads;

  let padding =
    a.key_padding_mask === null
      ? null
      : additive('key_padding_mask', batched ? a.key_padding_mask : a.key_padding_mask.unsqueeze(0), query.dtype);
  const causalOnly = a.is_causal && padding === null && !a.need_weights;
  let mask = causalOnly || a.attn_mask === null ? null : additive('attn_mask', a.attn_mask, query.dtype);
  if (mask?.shape.length === 2) mask = mask.unsqueeze(0);

  let [q, k, v] = project(a, query, key, value);
  if (a.bias_k !== null && a.bias_v !== null) {
    k = torch.cat([k, a.bias_k.repeat([1, batch, 1])]);
    v = torch.cat([v, a.bias_v.repeat([1, batch, 1])]);
    mask = mask && nn.pad(mask, [0, 1]);
    padding = padding && nn.pad(padding, [0, 1]);
  }
  const heads = (x: Tensor): Tensor => x.view([x.shape[0] as number, rows, headWidth]).transpose(0, 1);
  q = heads(q);
  k = a.static_k ?? heads(k);
  v = a.static_v ?? heads(v);
  if (a.add_zero_attn) {
    const zero = (x: Tensor): Tensor =>
      torch.cat([x, torch.zeros([rows, 1, headWidth], { dtype: x.dtype, device: x.device })], 1);
    k = zero(k);
    v = zero(v);
    mask = mask && nn.pad(mask, [0, 1]);
    padding = padding && nn.pad(padding, [0, 1]);
  }
  const sources = k.shape[1] as number;
  mask = combinedMask(a, batch, padding, mask, sources);
  const rate = a.training ? a.dropout_p : 0;
  const output = (x: Tensor): Tensor => {
    const y = linear(x.view([targets * batch, width]), a.out_proj_weight, a.out_proj_bias);
    const z = y.view([targets, batch, y.shape[1] as number]);
    return batched ? z : z.squeeze(1);
  };

  if (!a.need_weights) {
    if (mask !== null) mask = mask.shape[0] === 1 ? mask.unsqueeze(0) : mask.view([batch, a.num_heads, -1, sources]);
    const split = (x: Tensor): Tensor => x.view([batch, a.num_heads, x.shape[1] as number, headWidth]);
    const attended = scaled_dot_product_attention(split(q), split(k), split(v), mask, rate, causalOnly);
    return [output(attended.permute([2, 0, 1, 3]).contiguous()), null];
  }
  const scaled = q.mul(Math.sqrt(1 / headWidth));
  const scores =
    mask === null ? torch.bmm(scaled, k.transpose(-2, -1)) : torch.baddbmm(mask, scaled, k.transpose(-2, -1));
  const soft = scores.softmax(-1);
  const weights = rate > 0 ? dropout(soft, rate) : soft;
  const result = output(torch.bmm(weights, v).transpose(0, 1).contiguous());
  const perHead = weights.view([batch, a.num_heads, targets, sources]);
  const shown = a.average_attn_weights ? perHead.mean(1) : perHead;
  return [result, batched ? shown : shown.squeeze(0)];
});

const list = <T>(value: T | readonly T[] | null): readonly T[] =>
  value === null ? [] : Array.isArray(value) ? value : [value as T];

export const grouped_mm = define('grouped_mm', ({ mat_a, mat_b, offs, bias, out_dtype }) =>
  torch._grouped_mm(mat_a, mat_b, offs, bias, out_dtype),
);
export const scaled_mm = define('scaled_mm', (a) =>
  torch._scaled_mm_v2(
    a.mat_a,
    a.mat_b,
    list(a.scale_a),
    list(a.scale_recipe_a),
    list(a.swizzle_a),
    list(a.scale_b),
    list(a.scale_recipe_b),
    list(a.swizzle_b),
    a.bias,
    a.output_dtype,
    a.contraction_dim,
    a.use_fast_accum,
  ),
);
export const scaled_grouped_mm = define('scaled_grouped_mm', (a) =>
  torch._scaled_grouped_mm_v2(
    a.mat_a,
    a.mat_b,
    list(a.scale_a),
    list(a.scale_recipe_a),
    list(a.swizzle_a),
    list(a.scale_b),
    list(a.scale_recipe_b),
    list(a.swizzle_b),
    a.offs,
    a.bias,
    a.output_dtype,
    a.contraction_dim,
    a.use_fast_accum,
  ),
);
