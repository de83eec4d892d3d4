/** @file nn.functional: losses. */

import { fromOwnLines } from '../runtime/lines.js';
import { native } from '../runtime/load.js';
import * as nn from './generated/nn.js';
import * as torch from './generated/ops.js';
import { no_grad } from './modes.js';
import { bad, define, reduceLoss, reductionCode, reductionName, sameShape } from './python-functional-common.js';
import type { Tensor } from './python-types.js';

const shapes = (...tensors: Tensor[]): string => tensors.map((t) => `[${t.shape.join(', ')}]`).join(' and ');

export const cross_entropy = define('cross_entropy', (a) =>
  nn.cross_entropy_loss(
    a.input,
    a.target,
    a.weight,
    reductionCode('cross_entropy', a),
    a.ignore_index,
    a.label_smoothing,
  ),
);
export const nll_loss = define('nll_loss', (a) =>
  nn.nll_loss_nd(a.input, a.target, a.weight, reductionCode('nll_loss', a), a.ignore_index),
);
export const ctc_loss = define('ctc_loss', (a) =>
  torch.ctc_loss(
    a.log_probs,
    a.targets,
    a.input_lengths,
    a.target_lengths,
    a.blank,
    reductionCode('ctc_loss', a),
    a.zero_infinity,
  ),
);
export const poisson_nll_loss = define('poisson_nll_loss', (a) =>
  torch.poisson_nll_loss(a.input, a.target, a.log_input, a.full, a.eps, reductionCode('poisson_nll_loss', a)),
);

/** `var` is clamped from below by `eps`, without a gradient of the clamp. */
export const gaussian_nll_loss = define('gaussian_nll_loss', (a) => {
  const { input, target, full, eps } = a;
  const own = typeof a.var === 'number' ? torch.full_like(input, a.var) : a.var;
  // A compiled program has no data to look at.
  if (!native().isTracing() && own.lt(0).any().item()) bad('gaussian_nll_loss', 'var has negative entries');
  let variance = own;
  if (!sameShape(own, input)) {
    const differing = own.shape.length === input.shape.length ? own.shape.filter((n, i) => n !== input.shape[i]) : [];
    if (own.shape.join() === input.shape.slice(0, -1).join()) variance = own.unsqueeze(-1);
    else if (differing.length !== 1 || differing[0] !== 1)
      bad('gaussian_nll_loss', `var of shape ${shapes(own)} does not fit input of shape ${shapes(input)}`);
  }
  const clamped = variance.clone();
  no_grad(() => clamped.clamp_({ min: eps }));
  const loss = clamped.log().add(input.sub(target).pow(2).div(clamped)).mul(0.5);
  return reduceLoss('gaussian_nll_loss', full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, a);
});

/** `batchmean` divides the sum by the batch size: the mathematical definition. */
export const kl_div = define('kl_div', (a) => {
  const { input, target, log_target } = a;
  const batchMean = reductionName(a) === 'batchmean';
  const reduced = torch.kl_div(input, target, batchMean ? 2 : reductionCode('kl_div', a), { log_target });
  return batchMean && input.shape.length > 0 ? reduced.div(input.shape[0] as number) : reduced;
});

export const binary_cross_entropy = define('binary_cross_entropy', (a) => {
  const { input, target, weight } = a;
  if (!sameShape(input, target))
    bad('binary_cross_entropy', `target and input need the same shape, got ${shapes(target, input)}`);
  const expanded = weight === null ? null : torch.broadcast_tensors([weight, target])[0];
  return nn.binary_cross_entropy(input, target, expanded, reductionCode('binary_cross_entropy', a));
});
export const binary_cross_entropy_with_logits = define('binary_cross_entropy_with_logits', (a) => {
  const { input, target, weight, pos_weight } = a;
  if (!sameShape(input, target))
    bad('binary_cross_entropy_with_logits', `target and input need the same shape, got ${shapes(target, input)}`);
  return torch.binary_cross_entropy_with_logits(
    input,
    target,
    weight,
    pos_weight,
    reductionCode('binary_cross_entropy_with_logits', a),
  );
});

const warned = new Set<string>();
/** Both in their common shape. [n, 1] against [n] is [n, n], and seldom meant: said once for each pair of shapes, as PyTorch does. */
function broadcast(name: string, input: Tensor, target: Tensor): readonly [Tensor, Tensor] {
  if (!sameShape(input, target)) {
    const text = `nn.functional.${name}: the target has shape ${shapes(target)}, the input ${shapes(input)}. They broadcast, which is seldom what is meant: give them the same shape`;
    if (!warned.has(text)) process.emitWarning(text, { type: 'JorchBroadcast' });
    warned.add(text);
  }
  return torch.broadcast_tensors([input, target]) as [Tensor, Tensor];
}

/** A loss of corresponding elements, which broadcast; with a weight it is reduced here. `average` is the weighted mean. */
function elementwise(
  name: string,
  a: { input: Tensor; target: Tensor; weight: Tensor | null; reduction: string },
  loss: (x: Tensor, y: Tensor, code: number) => Tensor,
  average: 'weight' | 'count',
): Tensor {
  const [x, y] = broadcast(name, a.input, a.target);
  const code = reductionCode(name, a);
  if (a.weight === null) return loss(x, y, code);
  if (!sameShape(a.weight, a.input))
    bad(name, `weight and input need the same shape, got ${shapes(a.weight, a.input)}`);
  const weighted = loss(x, y, 0).mul(a.weight);
  if (code === 1 && average === 'weight') return weighted.sum().div(a.weight.sum());
  return reduceLoss(name, weighted, { reduction: ['none', 'mean', 'sum'][code] as string });
}
export const mse_loss = define('mse_loss', (a) =>
  elementwise('mse_loss', { ...a, reduction: reductionName(a) }, nn.mse_loss, 'weight'),
);
export const l1_loss = define('l1_loss', (a) =>
  elementwise('l1_loss', { ...a, reduction: reductionName(a) }, nn.l1_loss, 'weight'),
);
export const huber_loss = define('huber_loss', (a) =>
  elementwise('huber_loss', a, (x, y, code) => nn.huber_loss(x, y, code, a.delta), 'count'),
);
export const smooth_l1_loss = define('smooth_l1_loss', (a) => {
  const [x, y] = broadcast('smooth_l1_loss', a.input, a.target);
  const code = reductionCode('smooth_l1_loss', a);
  return a.beta === 0 ? nn.l1_loss(x, y, code) : nn.smooth_l1_loss(x, y, code, a.beta);
});

export const margin_ranking_loss = define('margin_ranking_loss', (a) => {
  const { input1, input2, target, margin } = a;
  if (input1.shape.length !== input2.shape.length || input1.shape.length !== target.shape.length) {
    bad(
      'margin_ranking_loss',
      `input1, input2 and target need the same number of dimensions, got shapes ${shapes(input1, input2, target)}`,
    );
  }
  return torch.margin_ranking_loss(input1, input2, target, margin, reductionCode('margin_ranking_loss', a));
});
export const hinge_embedding_loss = define('hinge_embedding_loss', (a) =>
  torch.hinge_embedding_loss(a.input, a.target, a.margin, reductionCode('hinge_embedding_loss', a)),
);
export const cosine_embedding_loss = define('cosine_embedding_loss', (a) =>
  torch.cosine_embedding_loss(a.input1, a.input2, a.target, a.margin, reductionCode('cosine_embedding_loss', a)),
);
export const multilabel_margin_loss = define('multilabel_margin_loss', (a) =>
  nn.multilabel_margin_loss(a.input, a.target, reductionCode('multilabel_margin_loss', a)),
);
export const soft_margin_loss = define('soft_margin_loss', (a) =>
  nn.soft_margin_loss(a.input, a.target, reductionCode('soft_margin_loss', a)),
);
export const multilabel_soft_margin_loss = define('multilabel_soft_margin_loss', (a) => {
  const { input, target, weight } = a;
  const positive = target.mul(nn.log_sigmoid(input));
  const negative = target.neg().add(1).mul(nn.log_sigmoid(input.neg()));
  const loss = positive.add(negative).neg();
  const weighted = weight === null ? loss : loss.mul(weight);
  return reduceLoss('multilabel_soft_margin_loss', weighted.sum(-1).div(input.shape.at(-1) ?? 1), a);
});
export const multi_margin_loss = define('multi_margin_loss', (a) => {
  const { input, target, p, margin, weight } = a;
  if (p !== 1 && p !== 2) bad('multi_margin_loss', `p must be 1 or 2, got ${p}`);
  if (weight !== null && weight.shape.length !== 1)
    bad('multi_margin_loss', `weight must be 1-d, got shape ${shapes(weight)}`);
  return nn.multi_margin_loss(input, target, p, margin, weight, reductionCode('multi_margin_loss', a));
});
export const triplet_margin_loss = define('triplet_margin_loss', (a) => {
  if (!(a.margin > 0)) bad('triplet_margin_loss', `margin must be greater than 0, got ${a.margin}`);
  return torch.triplet_margin_loss(
    a.anchor,
    a.positive,
    a.negative,
    a.margin,
    a.p,
    a.eps,
    a.swap,
    reductionCode('triplet_margin_loss', a),
  );
});
export const triplet_margin_with_distance_loss = define('triplet_margin_with_distance_loss', (a) => {
  const { anchor, positive, negative, margin, swap } = a;
  if (!(margin > 0)) bad('triplet_margin_with_distance_loss', `margin must be greater than 0, got ${margin}`);
  const own = a.distance_function;
  const distance = (x: Tensor, y: Tensor): Tensor =>
    own ? fromOwnLines(() => own(x, y)) : torch.pairwise_distance(x, y);
  const near = distance(anchor, positive);
  const far = distance(anchor, negative);
  const other = swap ? torch.minimum(far, distance(positive, negative)) : far;
  return reduceLoss('triplet_margin_with_distance_loss', near.add(margin).sub(other).clamp_min(0), a);
});
