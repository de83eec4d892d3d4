/** @file MultiheadAttention. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryNames, type FactoryOptions, factory, type Rest } from './arguments.js';
import * as init from './init.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

export interface MultiheadAttentionOptions extends FactoryOptions {
  dropout?: number | undefined;
  bias?: boolean | undefined;
  add_bias_kv?: boolean | undefined;
  add_zero_attn?: boolean | undefined;
  /** Width of the keys, if not embed_dim. */
  kdim?: number | null | undefined;
  vdim?: number | null | undefined;
  /** Sequences are [N, L, E] instead of [L, N, E]. */
  batch_first?: boolean | undefined;
}
const ATTENTION = {
  dropout: 0,
  bias: true,
  add_bias_kv: false,
  add_zero_attn: false,
  kdim: null as number | null,
  vdim: null as number | null,
  batch_first: false,
  ...FACTORY,
};

export interface AttentionMasks {
  /** [N, S] or [S]: true, or -inf, where a key is padding. */
  key_padding_mask?: Tensor | null | undefined;
  need_weights?: boolean | undefined;
  /** [L, S] or [N · heads, L, S]: true, or -inf, where attention is not allowed. */
  attn_mask?: Tensor | null | undefined;
  average_attn_weights?: boolean | undefined;
  is_causal?: boolean | undefined;
}

class NonDynamicallyQuantizableLinear extends Linear {}

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html */
export class MultiheadAttention extends Module {
  readonly kdim: number;
  readonly vdim: number;
  readonly dropout: number;
  readonly batch_first: boolean;
  readonly add_zero_attn: boolean;
  readonly head_dim: number;
  private readonly same: boolean;
  /** [3 · embed_dim, embed_dim], or null with kdim or vdim of their own. */
  in_proj_weight: Parameter | null;
  q_proj_weight: Parameter | null;
  k_proj_weight: Parameter | null;
  v_proj_weight: Parameter | null;
  in_proj_bias: Parameter | null;
  bias_k: Parameter | null;
  bias_v: Parameter | null;
  out_proj: Linear;

  constructor(
    readonly embed_dim: number,
    readonly num_heads: number,
    ...rest: Rest<
      MultiheadAttentionOptions,
      ['dropout', 'bias', 'add_bias_kv', 'add_zero_attn', 'kdim', 'vdim', 'batch_first', ...FactoryNames]
    >
  ) {
    super();
    const options = bind('MultiheadAttention', ATTENTION, rest);
    if (!(embed_dim > 0) || !(num_heads > 0) || embed_dim % num_heads !== 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `MultiheadAttention: embed_dim ${embed_dim} must be a positive multiple of num_heads ${num_heads}`,
      );
    this.kdim = options.kdim ?? embed_dim;
    this.vdim = options.vdim ?? embed_dim;
    this.dropout = options.dropout;
    this.batch_first = options.batch_first;
    this.add_zero_attn = options.add_zero_attn;
    this.head_dim = embed_dim / num_heads;
    this.same = this.kdim === embed_dim && this.vdim === embed_dim;
    const made = factory(options);
    const weight = (...shape: number[]): Parameter => new Parameter(torch.empty(shape, made));
    this.q_proj_weight = this.same ? null : weight(embed_dim, embed_dim);
    this.k_proj_weight = this.same ? null : weight(embed_dim, this.kdim);
    this.v_proj_weight = this.same ? null : weight(embed_dim, this.vdim);
    this.in_proj_weight = this.same ? weight(3 * embed_dim, embed_dim) : null;
    this.in_proj_bias = options.bias ? weight(3 * embed_dim) : null;
    this.out_proj = new NonDynamicallyQuantizableLinear(embed_dim, embed_dim, { bias: options.bias, ...made });
    this.bias_k = options.add_bias_kv ? weight(1, 1, embed_dim) : null;
    this.bias_v = options.add_bias_kv ? weight(1, 1, embed_dim) : null;
    this.reset();
  }
  private reset(): void {
    for (const weight of [this.in_proj_weight, this.q_proj_weight, this.k_proj_weight, this.v_proj_weight])
      if (weight !== null) init.xavier_uniform_(weight);
    if (this.in_proj_bias !== null) init.zeros_(this.in_proj_bias);
    if (this.out_proj.bias !== null) init.zeros_(this.out_proj.bias);
    if (this.bias_k !== null) init.xavier_normal_(this.bias_k);
    if (this.bias_v !== null) init.xavier_normal_(this.bias_v);
  }

  /** The output in the query's shape, and the attention weights ([N, L, S]; [N, heads, L, S] unless averaged; null if not needed). */
  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    {
      key_padding_mask = null,
      need_weights = true,
      attn_mask = null,
      average_attn_weights = true,
      is_causal = false,
    }: AttentionMasks = {},
  ): [output: Tensor, weights: Tensor | null] {
    const swap = this.batch_first && query.ndim === 3;
    // One tensor in several places stays one: the packed projection depends on it.
    const turned = new Map<Tensor, Tensor>();
    const turn = (x: Tensor): Tensor => {
      const known = turned.get(x) ?? (swap ? x.transpose(0, 1) : x);
      turned.set(x, known);
      return known;
    };
    const [output, weights] = F.multi_head_attention_forward(
      turn(query),
      turn(key),
      turn(value),
      this.embed_dim,
      this.num_heads,
      this.in_proj_weight,
      this.in_proj_bias,
      this.bias_k,
      this.bias_v,
      this.add_zero_attn,
      this.dropout,
      this.out_proj.weight,
      this.out_proj.bias,
      {
        training: this.training,
        key_padding_mask,
        need_weights,
        attn_mask,
        use_separate_proj_weight: !this.same,
        q_proj_weight: this.q_proj_weight,
        k_proj_weight: this.k_proj_weight,
        v_proj_weight: this.v_proj_weight,
        average_attn_weights,
        is_causal,
      },
    );
    return [swap ? output.transpose(0, 1) : output, (weights as Tensor | null | undefined) ?? null];
  }
}
