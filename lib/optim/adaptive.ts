/** @file Adamax, NAdam, RAdam: Adam's relatives. */
import { bind, type Rest } from '../nn/arguments.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { type AdamOptions, decay } from './adam.js';
import { atLeastZero, betasInRange } from './check.js';
import type { ParamGroup } from './group.js';
import { add, addcdiv_, addcmul_, div, lerp_, mul, neg, pow, type Quantity, scale_, sqrt, sub } from './numbers.js';
import {
  advance,
  counter,
  IMPLEMENTATION,
  type Numbers,
  Optimizer,
  type Params,
  type State,
  zerosLike,
} from './optimizer.js';

const checkAdam = (o: { lr: number; eps: number; betas: readonly [number, number]; weight_decay: number }): void => {
  atLeastZero('learning rate', o.lr);
  atLeastZero('epsilon value', o.eps);
  betasInRange(o.betas);
  atLeastZero('weight_decay value', o.weight_decay);
};

export type AdamaxOptions = Omit<AdamOptions, 'amsgrad' | 'decoupled_weight_decay'>;
const ADAMAX = {
  lr: 2e-3,
  betas: [0.9, 0.999] as readonly [number, number],
  eps: 1e-8,
  weight_decay: 0,
  ...IMPLEMENTATION,
};
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html */
export class Adamax extends Optimizer<typeof ADAMAX> {
  constructor(params: Params<AdamaxOptions>, ...rest: Rest<AdamaxOptions, ['lr', 'betas', 'eps', 'weight_decay']>) {
    super(params as Params<typeof ADAMAX>, bind('Adamax', ADAMAX, rest));
  }
  protected override check(o: typeof ADAMAX): void {
    checkAdam(o);
  }
  protected override initial(parameter: Tensor): State {
    return { step: counter(), exp_avg: zerosLike(parameter), exp_inf: zerosLike(parameter) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ADAMAX>,
    numbers: Numbers,
  ): void {
    const { exp_avg, exp_inf, step } = state as Record<'exp_avg' | 'exp_inf' | 'step', Tensor>;
    const [beta1, beta2] = numbers.pair('betas');
    const lr = numbers.of('lr');
    const t = advance(step);
    const grad = decay(this.isOn(group, 'weight_decay'), false, parameter, gradient, lr, numbers);
    lerp_(exp_avg, grad, sub(1, beta1));
    exp_inf.copy_(torch.maximum(scale_(exp_inf, beta2), grad.abs().add_(numbers.of('eps') as Tensor)));
    addcdiv_(parameter, exp_avg, exp_inf, neg(div(lr, sub(1, pow(beta1, t)))));
  }
}

export interface NAdamOptions extends Omit<AdamOptions, 'amsgrad'> {
  momentum_decay?: number | undefined;
}
const NADAM = {
  lr: 2e-3,
  betas: [0.9, 0.999] as readonly [number, number],
  eps: 1e-8,
  weight_decay: 0,
  momentum_decay: 4e-3,
  decoupled_weight_decay: false,
  ...IMPLEMENTATION,
};
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html */
export class NAdam extends Optimizer<typeof NADAM> {
  constructor(
    params: Params<NAdamOptions>,
    ...rest: Rest<NAdamOptions, ['lr', 'betas', 'eps', 'weight_decay', 'momentum_decay', 'decoupled_weight_decay']>
  ) {
    super(params as Params<typeof NADAM>, bind('NAdam', NADAM, rest));
  }
  protected override check(o: typeof NADAM): void {
    checkAdam(o);
    atLeastZero('momentum_decay value', o.momentum_decay);
  }
  protected override initial(parameter: Tensor): State {
    return {
      step: counter(),
      mu_product: counter(1),
      exp_avg: zerosLike(parameter),
      exp_avg_sq: zerosLike(parameter),
    };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof NADAM>,
    numbers: Numbers,
  ): void {
    const { exp_avg, exp_avg_sq, step, mu_product } = state as Record<
      'exp_avg' | 'exp_avg_sq' | 'step' | 'mu_product',
      Tensor
    >;
    const [beta1, beta2] = numbers.pair('betas');
    const lr = numbers.of('lr');
    const t = advance(step);
    const slowdown = numbers.of('momentum_decay');
    const on = this.isOn(group, 'weight_decay');
    const grad = decay(on, group.decoupled_weight_decay, parameter, gradient, lr, numbers);
    const momentum = (at: Quantity): Quantity => mul(beta1, sub(1, mul(0.5, pow(0.96, mul(at, slowdown)))));
    const mu = momentum(t);
    const muNext = momentum(add(t, 1));
    scale_(mu_product, mu);
    lerp_(exp_avg, grad, sub(1, beta1));
    addcmul_(scale_(exp_avg_sq, beta2), grad, grad, sub(1, beta2));
    const correction2 = sub(1, pow(beta2, t));
    const denominator = exp_avg_sq
      .div(correction2 as Tensor)
      .sqrt()
      .add_(numbers.of('eps') as Tensor);
    const product = native().isTracing() ? mu_product.to('float64') : mu_product.item();
    addcdiv_(parameter, grad, denominator, div(mul(neg(lr), sub(1, mu)), sub(1, product)));
    addcdiv_(parameter, exp_avg, denominator, div(mul(neg(lr), muNext), sub(1, mul(product, muNext))));
  }
}

export type RAdamOptions = Omit<AdamOptions, 'amsgrad'>;
const RADAM = {
  lr: 1e-3,
  betas: [0.9, 0.999] as readonly [number, number],
  eps: 1e-8,
  weight_decay: 0,
  decoupled_weight_decay: false,
  ...IMPLEMENTATION,
};
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html */
export class RAdam extends Optimizer<typeof RADAM> {
  constructor(
    params: Params<RAdamOptions>,
    ...rest: Rest<RAdamOptions, ['lr', 'betas', 'eps', 'weight_decay', 'decoupled_weight_decay']>
  ) {
    super(params as Params<typeof RADAM>, bind('RAdam', RADAM, rest));
  }
  protected override check(o: typeof RADAM): void {
    checkAdam(o);
  }
  protected override initial(parameter: Tensor): State {
    return { step: counter(), exp_avg: zerosLike(parameter), exp_avg_sq: zerosLike(parameter) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof RADAM>,
    numbers: Numbers,
  ): void {
    const { exp_avg, exp_avg_sq, step } = state as Record<'exp_avg' | 'exp_avg_sq' | 'step', Tensor>;
    const [beta1, beta2] = numbers.pair('betas');
    const lr = numbers.of('lr');
    const t = advance(step);
    const on = this.isOn(group, 'weight_decay');
    const grad = decay(on, group.decoupled_weight_decay, parameter, gradient, lr, numbers);
    lerp_(exp_avg, grad, sub(1, beta1));
    addcmul_(scale_(exp_avg_sq, beta2), grad, grad, sub(1, beta2));
    const correction2 = sub(1, pow(beta2, t));
    const average = exp_avg.div(sub(1, pow(beta1, t)) as Tensor);
    const longest = sub(div(2, sub(1, beta2)), 1);
    const length = sub(longest, div(mul(mul(2, t), pow(beta2, t)), correction2));
    const rectified = (): Tensor => {
      const top = mul(mul(sub(length, 4), sub(length, 2)), longest);
      const bottom = mul(mul(sub(longest, 4), sub(longest, 2)), length);
      const factor = mul(sqrt(div(top, bottom)), sqrt(correction2));
      return exp_avg_sq
        .sqrt()
        .add_(numbers.of('eps') as Tensor)
        .reciprocal()
        .mul(factor as Tensor);
    };
    const plain = average.mul(lr as Tensor);
    if (typeof length === 'number') parameter.sub_(length > 5 ? plain.mul(rectified()) : plain);
    else parameter.sub_(torch.where(length.gt(5), plain.mul(rectified()), plain));
  }
}
