/** @file Transformer, its encoder and decoder, and their layers. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import * as F from '../torch/python-functional.js';
import type { DType, Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryOptions, factory, type Rest } from './arguments.js';
import { MultiheadAttention } from './attention.js';
import { ModuleList } from './containers.js';
import { deepcopy } from './copy.js';
import { Dropout } from './dropout.js';
import { isModule } from './fields.js';
import * as init from './init.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import { LayerNorm } from './norm.js';

export type Activation = 'relu' | 'gelu' | ((x: Tensor) => Tensor);
const activationOf = (name: string, activation: Activation): ((x: Tensor) => Tensor) => {
  if (typeof activation === 'function') return activation;
  if (activation === 'relu') return (x) => F.relu(x);
  if (activation === 'gelu') return (x) => F.gelu(x);
  throw new JorchError('BAD_ARGUMENT', `${name}: activation must be 'relu', 'gelu' or a function`);
};

export interface TransformerLayerOptions extends FactoryOptions {
  dim_feedforward?: number | undefined;
  dropout?: number | undefined;
  activation?: Activation | undefined;
  layer_norm_eps?: number | undefined;
  batch_first?: boolean | undefined;
  /** Normalise before attention and feed-forward instead of after. */
  norm_first?: boolean | undefined;
  bias?: boolean | undefined;
}
type LayerNames = ['dim_feedforward', 'dropout', 'activation', 'layer_norm_eps', 'batch_first', 'norm_first', 'bias'];
const LAYER = {
  dim_feedforward: 2048,
  dropout: 0.1,
  activation: 'relu' as Activation,
  layer_norm_eps: 1e-5,
  batch_first: false,
  norm_first: false,
  bias: true,
  ...FACTORY,
};

export interface EncoderMasks {
  /** [S, S] or [N · heads, S, S]: true, or -inf, where attention is not allowed. */
  src_mask?: Tensor | null | undefined;
  /** [N, S]: true where a token is padding. */
  src_key_padding_mask?: Tensor | null | undefined;
  is_causal?: boolean | undefined;
}

/** Self-attention and feed-forward. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html */
export class TransformerEncoderLayer extends Module {
  self_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  readonly norm_first: boolean;
  readonly activation: (x: Tensor) => Tensor;
  constructor(d_model: number, nhead: number, ...rest: Rest<TransformerLayerOptions, LayerNames>) {
    super();
    const o = bind('TransformerEncoderLayer', LAYER, rest);
    const made = factory(o);
    const { bias, dropout, batch_first } = o;
    this.self_attn = new MultiheadAttention(d_model, nhead, { dropout, bias, batch_first, ...made });
    this.linear1 = new Linear(d_model, o.dim_feedforward, { bias, ...made });
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(o.dim_feedforward, d_model, { bias, ...made });
    this.norm1 = new LayerNorm(d_model, { eps: o.layer_norm_eps, bias, ...made });
    this.norm2 = new LayerNorm(d_model, { eps: o.layer_norm_eps, bias, ...made });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.norm_first = o.norm_first;
    this.activation = activationOf('TransformerEncoderLayer', o.activation);
  }
  override forward(src: Tensor, { src_mask, src_key_padding_mask, is_causal }: EncoderMasks = {}): Tensor {
    const attend = (x: Tensor): Tensor => {
      const masks = { attn_mask: src_mask, key_padding_mask: src_key_padding_mask, need_weights: false, is_causal };
      return this.dropout1.forward(this.self_attn.forward(x, x, x, masks)[0]);
    };
    const feed = (x: Tensor): Tensor =>
      this.dropout2.forward(this.linear2.forward(this.dropout.forward(this.activation(this.linear1.forward(x)))));
    if (this.norm_first) {
      const x = src.add(attend(this.norm1.forward(src)));
      return x.add(feed(this.norm2.forward(x)));
    }
    const x = this.norm1.forward(src.add(attend(src)));
    return this.norm2.forward(x.add(feed(x)));
  }
}

export interface DecoderMasks {
  tgt_mask?: Tensor | null | undefined;
  memory_mask?: Tensor | null | undefined;
  tgt_key_padding_mask?: Tensor | null | undefined;
  memory_key_padding_mask?: Tensor | null | undefined;
  tgt_is_causal?: boolean | undefined;
  memory_is_causal?: boolean | undefined;
}

/** Self-attention, attention to the encoder's output, feed-forward. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html */
export class TransformerDecoderLayer extends Module {
  self_attn: MultiheadAttention;
  multihead_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  norm3: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  dropout3: Dropout;
  readonly norm_first: boolean;
  readonly activation: (x: Tensor) => Tensor;
  constructor(d_model: number, nhead: number, ...rest: Rest<TransformerLayerOptions, LayerNames>) {
    super();
    const o = bind('TransformerDecoderLayer', LAYER, rest);
    const made = factory(o);
    const { bias, dropout, batch_first } = o;
    this.self_attn = new MultiheadAttention(d_model, nhead, { dropout, bias, batch_first, ...made });
    this.multihead_attn = new MultiheadAttention(d_model, nhead, { dropout, bias, batch_first, ...made });
    this.linear1 = new Linear(d_model, o.dim_feedforward, { bias, ...made });
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(o.dim_feedforward, d_model, { bias, ...made });
    this.norm1 = new LayerNorm(d_model, { eps: o.layer_norm_eps, bias, ...made });
    this.norm2 = new LayerNorm(d_model, { eps: o.layer_norm_eps, bias, ...made });
    this.norm3 = new LayerNorm(d_model, { eps: o.layer_norm_eps, bias, ...made });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.dropout3 = new Dropout(dropout);
    this.norm_first = o.norm_first;
    this.activation = activationOf('TransformerDecoderLayer', o.activation);
  }
  override forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    const attend = (x: Tensor): Tensor =>
      this.dropout1.forward(
        this.self_attn.forward(x, x, x, {
          attn_mask: masks.tgt_mask,
          key_padding_mask: masks.tgt_key_padding_mask,
          is_causal: masks.tgt_is_causal,
          need_weights: false,
        })[0],
      );
    const cross = (x: Tensor): Tensor =>
      this.dropout2.forward(
        this.multihead_attn.forward(x, memory, memory, {
          attn_mask: masks.memory_mask,
          key_padding_mask: masks.memory_key_padding_mask,
          is_causal: masks.memory_is_causal,
          need_weights: false,
        })[0],
      );
    const feed = (x: Tensor): Tensor =>
      this.dropout3.forward(this.linear2.forward(this.dropout.forward(this.activation(this.linear1.forward(x)))));
    let x = tgt;
    if (this.norm_first) {
      x = x.add(attend(this.norm1.forward(x)));
      x = x.add(cross(this.norm2.forward(x)));
      return x.add(feed(this.norm3.forward(x)));
    }
    x = this.norm1.forward(x.add(attend(x)));
    x = this.norm2.forward(x.add(cross(x)));
    return this.norm3.forward(x.add(feed(x)));
  }
}

const checkedNorm = (norm: LayerNorm | null): LayerNorm | null => {
  if (norm !== null && !isModule(norm))
    throw new JorchError('BAD_ARGUMENT', `norm must be a module or null, got ${typeof norm}`);
  return norm;
};

/** A stack of copies of an encoder layer. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html */
export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>;
  norm: LayerNorm | null;
  constructor(
    layer: TransformerEncoderLayer,
    readonly num_layers: number,
    norm: LayerNorm | null = null,
  ) {
    super();
    this.layers = new ModuleList(Array.from({ length: num_layers }, () => deepcopy(layer)));
    this.norm = checkedNorm(norm);
  }
  override forward(
    src: Tensor,
    { mask = null, src_key_padding_mask = null, is_causal = null }: EncoderStackMasks = {},
  ): Tensor {
    let x = src;
    for (const layer of this.layers)
      x = layer.forward(x, { src_mask: mask, src_key_padding_mask, is_causal: is_causal ?? false });
    return this.norm === null ? x : this.norm.forward(x);
  }
}
export interface EncoderStackMasks {
  mask?: Tensor | null | undefined;
  src_key_padding_mask?: Tensor | null | undefined;
  is_causal?: boolean | null | undefined;
}

/** A stack of copies of a decoder layer. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html */
export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>;
  norm: LayerNorm | null;
  constructor(
    layer: TransformerDecoderLayer,
    readonly num_layers: number,
    norm: LayerNorm | null = null,
  ) {
    super();
    this.layers = new ModuleList(Array.from({ length: num_layers }, () => deepcopy(layer)));
    this.norm = checkedNorm(norm);
  }
  override forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    let x = tgt;
    for (const layer of this.layers) x = layer.forward(x, memory, masks);
    return this.norm === null ? x : this.norm.forward(x);
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  d_model?: number | undefined;
  nhead?: number | undefined;
  num_encoder_layers?: number | undefined;
  num_decoder_layers?: number | undefined;
}
const TRANSFORMER = { d_model: 512, nhead: 8, num_encoder_layers: 6, num_decoder_layers: 6, ...LAYER };

export interface TransformerMasks extends DecoderMasks {
  src_mask?: Tensor | null | undefined;
  src_key_padding_mask?: Tensor | null | undefined;
  src_is_causal?: boolean | null | undefined;
}

/** Encoder and decoder. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html */
export class Transformer extends Module {
  encoder: TransformerEncoder;
  decoder: TransformerDecoder;
  readonly d_model: number;
  readonly nhead: number;
  readonly batch_first: boolean;
  constructor(
    ...rest: Rest<TransformerOptions, ['d_model', 'nhead', 'num_encoder_layers', 'num_decoder_layers', ...LayerNames]>
  ) {
    super();
    const { d_model, nhead, num_encoder_layers, num_decoder_layers, ...options } = bind(
      'Transformer',
      TRANSFORMER,
      rest,
    );
    this.d_model = d_model;
    this.nhead = nhead;
    this.batch_first = options.batch_first;
    const norm = () => new LayerNorm(d_model, { eps: options.layer_norm_eps, bias: options.bias, ...factory(options) });
    this.encoder = new TransformerEncoder(
      new TransformerEncoderLayer(d_model, nhead, options),
      num_encoder_layers,
      norm(),
    );
    this.decoder = new TransformerDecoder(
      new TransformerDecoderLayer(d_model, nhead, options),
      num_decoder_layers,
      norm(),
    );
    for (const p of this.parameters()) if (p.ndim > 1) init.xavier_uniform_(p);
  }
  override forward(src: Tensor, tgt: Tensor, masks: TransformerMasks = {}): Tensor {
    const { src_mask, src_key_padding_mask, src_is_causal, ...decoder } = masks;
    const memory = this.encoder.forward(src, { mask: src_mask, src_key_padding_mask, is_causal: src_is_causal });
    return this.decoder.forward(tgt, memory, decoder);
  }
  /** [size, size]: -inf above the diagonal, 0 elsewhere. */
  static generate_square_subsequent_mask(size: number, { dtype }: { dtype?: DType } = {}): Tensor {
    return torch.triu(
      torch.empty([size, size], dtype === undefined ? {} : { dtype }).fill_(Number.NEGATIVE_INFINITY),
      1,
    );
  }
}
