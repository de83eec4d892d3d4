/** @file Losses as modules: their nn.functional namesakes with the arguments kept. `reduction` is 'mean', 'sum' or 'none'. */
import * as F from '../torch/python-functional.js';
import type { Tensor } from '../torch/python-types.js';
import { bind, type Rest } from './arguments.js';
import { isModule } from './fields.js';
import { layer } from './layer.js';
import { Module } from './module.js';
import { Buffer } from './parameter.js';
import { PairwiseDistance } from './vision.js';

export type Reduction = 'mean' | 'sum' | 'none';
const reduction = 'mean' as Reduction;

/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html */
export class L1Loss extends layer('L1Loss', { reduction }, ['reduction']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.l1_loss(input, target, { reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html */
export class MSELoss extends layer('MSELoss', { reduction }, ['reduction']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.mse_loss(input, target, { reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html */
export class SmoothL1Loss extends layer('SmoothL1Loss', { reduction, beta: 1 }, []) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.smooth_l1_loss(input, target, { reduction: this.reduction, beta: this.beta });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html */
export class HuberLoss extends layer('HuberLoss', { reduction, delta: 1 }, ['reduction', 'delta']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.huber_loss(input, target, { reduction: this.reduction, delta: this.delta });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html */
export class KLDivLoss extends layer(
  'KLDivLoss',
  { reduction: reduction as Reduction | 'batchmean', log_target: false },
  [],
) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.kl_div(input, target, { reduction: this.reduction, log_target: this.log_target });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html */
export class PoissonNLLLoss extends layer('PoissonNLLLoss', { log_input: true, full: false, eps: 1e-8, reduction }, [
  'log_input',
  'full',
]) {
  override forward(input: Tensor, target: Tensor): Tensor {
    const { log_input, full, eps, reduction } = this;
    return F.poisson_nll_loss(input, target, { log_input, full, eps, reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html */
export class GaussianNLLLoss extends layer('GaussianNLLLoss', { full: false, eps: 1e-6, reduction }, []) {
  override forward(input: Tensor, target: Tensor, variance: Tensor): Tensor {
    return F.gaussian_nll_loss(input, target, variance, this.full, this.eps, this.reduction);
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html */
export class HingeEmbeddingLoss extends layer('HingeEmbeddingLoss', { margin: 1, reduction }, ['margin']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.hinge_embedding_loss(input, target, { margin: this.margin, reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html */
export class CosineEmbeddingLoss extends layer('CosineEmbeddingLoss', { margin: 0, reduction }, ['margin']) {
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return F.cosine_embedding_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html */
export class MarginRankingLoss extends layer('MarginRankingLoss', { margin: 0, reduction }, ['margin']) {
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return F.margin_ranking_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html */
export class MultiLabelMarginLoss extends layer('MultiLabelMarginLoss', { reduction }, ['reduction']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.multilabel_margin_loss(input, target, { reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html */
export class SoftMarginLoss extends layer('SoftMarginLoss', { reduction }, ['reduction']) {
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.soft_margin_loss(input, target, { reduction: this.reduction });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html */
export class TripletMarginLoss extends layer(
  'TripletMarginLoss',
  { margin: 1, p: 2, eps: 1e-6, swap: false, reduction },
  ['margin', 'p', 'eps', 'swap'],
) {
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const { margin, p, eps, swap, reduction } = this;
    return F.triplet_margin_loss(anchor, positive, negative, { margin, p, eps, swap, reduction });
  }
}
type Distance = ((a: Tensor, b: Tensor) => Tensor) | Module;
export interface TripletMarginWithDistanceOptions {
  /** A function or module of two tensors; the Euclidean distance if left out. */
  distance_function?: Distance | null | undefined;
  margin?: number | undefined;
  swap?: boolean | undefined;
  reduction?: Reduction | undefined;
}
const TRIPLET = { distance_function: null as Distance | null, margin: 1, swap: false, reduction };
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html */
export class TripletMarginWithDistanceLoss extends Module {
  readonly distance_function: Distance;
  readonly margin: number;
  readonly swap: boolean;
  readonly reduction: Reduction;
  constructor(options: TripletMarginWithDistanceOptions = {}) {
    super();
    const { distance_function, margin, swap, reduction } = bind('TripletMarginWithDistanceLoss', TRIPLET, [options]);
    this.distance_function = distance_function ?? new PairwiseDistance();
    this.margin = margin;
    this.swap = swap;
    this.reduction = reduction;
  }
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const { distance_function: distance, margin, swap, reduction } = this;
    const measure = isModule(distance) ? (a: Tensor, b: Tensor): Tensor => distance.forward(a, b) as Tensor : distance;
    return F.triplet_margin_with_distance_loss(anchor, positive, negative, {
      distance_function: measure as never,
      margin,
      swap,
      reduction,
    });
  }
}
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html */
export class CTCLoss extends layer('CTCLoss', { blank: 0, reduction, zero_infinity: false }, [
  'blank',
  'reduction',
  'zero_infinity',
]) {
  override forward(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | readonly number[],
    target_lengths: Tensor | readonly number[],
  ): Tensor {
    const { blank, reduction, zero_infinity } = this;
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity);
  }
}

/** A loss with weights for the classes: a buffer, so that they move with the module. */
abstract class Weighted extends Module {
  weight: Buffer | null;
  constructor(weight: Tensor | null) {
    super();
    this.weight = weight === null ? null : new Buffer(weight);
  }
}
const NLL = { weight: null as Tensor | null, ignore_index: -100, reduction };
/** Of log-probabilities [N, C, …] and class numbers [N, …]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html */
export class NLLLoss extends Weighted {
  readonly ignore_index: number;
  readonly reduction: Reduction;
  constructor(
    ...rest: Rest<
      { weight?: Tensor | null | undefined; ignore_index?: number | undefined; reduction?: Reduction | undefined },
      ['weight']
    >
  ) {
    const options = bind('NLLLoss', NLL, rest);
    super(options.weight);
    this.ignore_index = options.ignore_index;
    this.reduction = options.reduction;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, ignore_index, reduction } = this;
    return F.nll_loss(input, target, { weight, ignore_index, reduction });
  }
}
export interface CrossEntropyOptions {
  /** [C] */
  weight?: Tensor | null | undefined;
  ignore_index?: number | undefined;
  reduction?: Reduction | undefined;
  label_smoothing?: number | undefined;
}
const CROSS = { ...NLL, label_smoothing: 0 };
/** Of logits [N, C, …] and class numbers [N, …] or probabilities [N, C, …]. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html */
export class CrossEntropyLoss extends Weighted {
  readonly ignore_index: number;
  readonly reduction: Reduction;
  readonly label_smoothing: number;
  constructor(...rest: Rest<CrossEntropyOptions, ['weight']>) {
    const options = bind('CrossEntropyLoss', CROSS, rest);
    super(options.weight);
    this.ignore_index = options.ignore_index;
    this.reduction = options.reduction;
    this.label_smoothing = options.label_smoothing;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, ignore_index, reduction, label_smoothing } = this;
    return F.cross_entropy(input, target, { weight, ignore_index, reduction, label_smoothing });
  }
}
interface WeightOptions {
  weight?: Tensor | null | undefined;
  reduction?: Reduction | undefined;
}
const WEIGHT = { weight: null as Tensor | null, reduction };
/** Of probabilities. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html */
export class BCELoss extends Weighted {
  readonly reduction: Reduction;
  constructor(...rest: Rest<WeightOptions, ['weight']>) {
    const options = bind('BCELoss', WEIGHT, rest);
    super(options.weight);
    this.reduction = options.reduction;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.binary_cross_entropy(input, target, { weight: this.weight, reduction: this.reduction });
  }
}
/** Of logits. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html */
export class BCEWithLogitsLoss extends Weighted {
  readonly reduction: Reduction;
  pos_weight: Buffer | null;
  constructor(...rest: Rest<WeightOptions & { pos_weight?: Tensor | null | undefined }, ['weight']>) {
    const options = bind('BCEWithLogitsLoss', BCE_LOGITS, rest);
    super(options.weight);
    this.reduction = options.reduction;
    this.pos_weight = options.pos_weight === null ? null : new Buffer(options.pos_weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, reduction, pos_weight } = this;
    return F.binary_cross_entropy_with_logits(input, target, { weight, reduction, pos_weight });
  }
}
const BCE_LOGITS = { ...WEIGHT, pos_weight: null as Tensor | null };
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html */
export class MultiLabelSoftMarginLoss extends Weighted {
  readonly reduction: Reduction;
  constructor(...rest: Rest<WeightOptions, ['weight']>) {
    const options = bind('MultiLabelSoftMarginLoss', WEIGHT, rest);
    super(options.weight);
    this.reduction = options.reduction;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return F.multilabel_soft_margin_loss(input, target, { weight: this.weight, reduction: this.reduction });
  }
}
const MULTI = { p: 1, margin: 1, ...WEIGHT };
/** @see https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html */
export class MultiMarginLoss extends Weighted {
  readonly p: number;
  readonly margin: number;
  readonly reduction: Reduction;
  constructor(...rest: Rest<WeightOptions & { p?: number | undefined; margin?: number | undefined }, ['p', 'margin']>) {
    const options = bind('MultiMarginLoss', MULTI, rest);
    super(options.weight);
    this.p = options.p;
    this.margin = options.margin;
    this.reduction = options.reduction;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    const { p, margin, weight, reduction } = this;
    return F.multi_margin_loss(input, target, { p, margin, weight, reduction });
  }
}
