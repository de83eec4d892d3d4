/** @file Embedding and EmbeddingBag. */
import { JorchError } from '../runtime/errors.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, FACTORY, type FactoryOptions, factory, type Rest, requirePositional } from './arguments.js';
import * as init from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { python } from './repr.js';

export interface EmbeddingOptions extends FactoryOptions {
  /** This row is zero at first and gets no gradient. */
  padding_idx?: number | null | undefined;
  max_norm?: number | null | undefined;
  norm_type?: number | undefined;
  scale_grad_by_freq?: boolean | undefined;
  sparse?: boolean | undefined;
}
const EMBEDDING = {
  padding_idx: null as number | null,
  max_norm: null as number | null,
  norm_type: 2,
  scale_grad_by_freq: false,
  sparse: false,
  ...FACTORY,
};

const checkPadding = (name: string, index: number | null, rows: number): number | null => {
  if (index === null) return null;
  if (index >= rows || index < -rows)
    throw new JorchError('BAD_ARGUMENT', `${name}: padding_idx ${index} must be within num_embeddings (${rows})`);
  return index < 0 ? index + rows : index;
};
const refuseSparse = (name: string, sparse: boolean): void => {
  if (sparse)
    throw new JorchError('BAD_ARGUMENT', `${name}: sparse gradients are not supported; leave out { sparse: true }`);
};
const resetRows = (weight: Parameter, padding: number | null): void => {
  init.normal_(weight);
  if (padding !== null) no_grad(() => weight.select(0, padding).zero_());
};

/** Rows of a table by integer: [*] → [*, embedding_dim]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html */
export class Embedding extends Module {
  readonly padding_idx: number | null;
  readonly max_norm: number | null;
  readonly norm_type: number;
  readonly scale_grad_by_freq: boolean;
  /** [num_embeddings, embedding_dim] */
  weight: Parameter;
  constructor(
    readonly num_embeddings: number,
    readonly embedding_dim: number,
    ...rest: Rest<EmbeddingOptions, ['padding_idx', 'max_norm', 'norm_type', 'scale_grad_by_freq', 'sparse']>
  ) {
    super();
    requirePositional('Embedding', { num_embeddings, embedding_dim });
    const options = bind('Embedding', EMBEDDING, rest);
    refuseSparse('Embedding', options.sparse);
    this.padding_idx = checkPadding('Embedding', options.padding_idx, num_embeddings);
    this.max_norm = options.max_norm;
    this.norm_type = options.norm_type;
    this.scale_grad_by_freq = options.scale_grad_by_freq;
    this.weight = new Parameter(torch.empty([num_embeddings, embedding_dim], factory(options)));
    this.reset_parameters();
  }
  reset_parameters(): void {
    resetRows(this.weight, this.padding_idx);
  }
  /** An embedding with given rows, which are not learned unless `freeze` is false. */
  static from_pretrained(
    embeddings: Tensor,
    { freeze = true, ...options }: EmbeddingOptions & { freeze?: boolean } = {},
  ): Embedding {
    if (embeddings.ndim !== 2)
      throw new JorchError('BAD_ARGUMENT', 'Embedding.from_pretrained: embeddings must be 2-dimensional');
    const made = new Embedding(embeddings.shape[0], embeddings.shape[1], options);
    made.weight = new Parameter(embeddings, !freeze);
    return made;
  }
  override forward(input: Tensor): Tensor {
    const { weight, padding_idx, max_norm, norm_type, scale_grad_by_freq } = this;
    return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq);
  }
  override extra_repr(): string {
    const { num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq } = this;
    return [
      `${num_embeddings}, ${embedding_dim}`,
      ...(padding_idx === null ? [] : [`padding_idx=${padding_idx}`]),
      ...(max_norm === null ? [] : [`max_norm=${max_norm}`]),
      ...(norm_type === 2 ? [] : [`norm_type=${norm_type}`]),
      ...(scale_grad_by_freq ? [`scale_grad_by_freq=${python(scale_grad_by_freq)}`] : []),
    ].join(', ');
  }
}

export interface EmbeddingBagOptions extends FactoryOptions {
  max_norm?: number | null | undefined;
  norm_type?: number | undefined;
  scale_grad_by_freq?: boolean | undefined;
  mode?: 'sum' | 'mean' | 'max' | undefined;
  sparse?: boolean | undefined;
  include_last_offset?: boolean | undefined;
  padding_idx?: number | null | undefined;
}
const BAG = {
  max_norm: null as number | null,
  norm_type: 2,
  scale_grad_by_freq: false,
  mode: 'mean' as 'sum' | 'mean' | 'max',
  sparse: false,
  include_last_offset: false,
  padding_idx: null as number | null,
  ...FACTORY,
};

/** Sums, means or maxima of bags of rows. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html */
export class EmbeddingBag extends Module {
  readonly max_norm: number | null;
  readonly norm_type: number;
  readonly scale_grad_by_freq: boolean;
  readonly mode: 'sum' | 'mean' | 'max';
  readonly include_last_offset: boolean;
  readonly padding_idx: number | null;
  /** [num_embeddings, embedding_dim] */
  weight: Parameter;
  constructor(
    readonly num_embeddings: number,
    readonly embedding_dim: number,
    ...rest: Rest<EmbeddingBagOptions, ['max_norm', 'norm_type', 'scale_grad_by_freq', 'mode']>
  ) {
    super();
    const options = bind('EmbeddingBag', BAG, rest);
    refuseSparse('EmbeddingBag', options.sparse);
    this.max_norm = options.max_norm;
    this.norm_type = options.norm_type;
    this.scale_grad_by_freq = options.scale_grad_by_freq;
    this.mode = options.mode;
    this.include_last_offset = options.include_last_offset;
    this.padding_idx = checkPadding('EmbeddingBag', options.padding_idx, num_embeddings);
    this.weight = new Parameter(torch.empty([num_embeddings, embedding_dim], factory(options)));
    this.reset_parameters();
  }
  reset_parameters(): void {
    resetRows(this.weight, this.padding_idx);
  }
  /** @param input [B, n] bags of equal size, or [N] with `offsets` of each bag's beginning. */
  override forward(input: Tensor, offsets: Tensor | null = null, per_sample_weights: Tensor | null = null): Tensor {
    return F.embedding_bag(input, this.weight, offsets, {
      max_norm: this.max_norm,
      norm_type: this.norm_type,
      scale_grad_by_freq: this.scale_grad_by_freq,
      mode: this.mode,
      per_sample_weights,
      include_last_offset: this.include_last_offset,
      padding_idx: this.padding_idx,
    });
  }
  override extra_repr(): string {
    const { num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, mode, padding_idx } = this;
    return [
      `${num_embeddings}, ${embedding_dim}`,
      ...(max_norm === null ? [] : [`max_norm=${max_norm}`]),
      ...(norm_type === 2 ? [] : [`norm_type=${norm_type}`]),
      ...(scale_grad_by_freq ? [`scale_grad_by_freq=${python(scale_grad_by_freq)}`] : []),
      `mode=${python(mode)}`,
      ...(padding_idx === null ? [] : [`padding_idx=${padding_idx}`]),
    ].join(', ');
  }
}
