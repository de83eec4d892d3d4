/** @file Adam and AdamW. */
import { bind, type Rest } from '../nn/arguments.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { atLeastZero, betasInRange } from './check.js';
import type { ParamGroup } from './group.js';
import {
  addcdiv_,
  addcmul_,
  addScaled,
  div,
  lerp_,
  mul,
  neg,
  pow,
  type Quantity,
  scale_,
  sqrt,
  sub,
} from './numbers.js';
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

export interface AdamOptions {
  lr?: number | undefined;
  betas?: readonly [number, number] | undefined;
  eps?: number | undefined;
  weight_decay?: number | undefined;
  amsgrad?: boolean | undefined;
  maximize?: boolean | undefined;
  decoupled_weight_decay?: boolean | undefined;
}
const ADAM = {
  lr: 1e-3,
  betas: [0.9, 0.999] as readonly [number, number],
  eps: 1e-8,
  weight_decay: 0,
  amsgrad: false,
  ...IMPLEMENTATION,
  fused: null as boolean | null,
  decoupled_weight_decay: false,
};
const ADAMW = { ...ADAM, weight_decay: 1e-2, decoupled_weight_decay: true };
type AdamRest = Rest<AdamOptions, ['lr', 'betas', 'eps', 'weight_decay', 'amsgrad']>;

/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html */
export class Adam extends Optimizer<typeof ADAM> {
  constructor(params: Params<AdamOptions>, ...rest: AdamRest) {
    super(params as Params<typeof ADAM>, bind(new.target.name, new.target.defaults, rest));
  }
  protected static readonly defaults = ADAM;
  protected override check(o: typeof ADAM): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('epsilon value', o.eps);
    betasInRange(o.betas);
    atLeastZero('weight_decay value', o.weight_decay);
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof ADAM>): State {
    return {
      step: counter(),
      exp_avg: zerosLike(parameter),
      exp_avg_sq: zerosLike(parameter),
      ...(group.amsgrad ? { max_exp_avg_sq: zerosLike(parameter) } : {}),
    };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ADAM>,
    numbers: Numbers,
  ): void {
    const { exp_avg, exp_avg_sq, step } = state as Record<'exp_avg' | 'exp_avg_sq' | 'step', Tensor>;
    const [beta1, beta2] = numbers.pair('betas');
    const lr = numbers.of('lr');
    const t = advance(step);
    const grad = decay(
      this.isOn(group, 'weight_decay'),
      group.decoupled_weight_decay,
      parameter,
      gradient,
      lr,
      numbers,
    );
    lerp_(exp_avg, grad, sub(1, beta1));
    addcmul_(scale_(exp_avg_sq, beta2), grad, grad, sub(1, beta2));
    const correction1 = sub(1, pow(beta1, t));
    const correction2 = sqrt(sub(1, pow(beta2, t)));
    let second = exp_avg_sq;
    if (group.amsgrad) {
      state['max_exp_avg_sq'] ??= zerosLike(parameter);
      second = state['max_exp_avg_sq'];
      second.copy_(torch.maximum(second, exp_avg_sq));
    }
    const denominator = second
      .sqrt()
      .div(correction2 as Tensor)
      .add_(numbers.of('eps') as Tensor);
    addcdiv_(parameter, exp_avg, denominator, neg(div(lr, correction1)));
  }
}

/** Weight decay: on the parameter itself (decoupled), or added to the gradient, which is returned. */
export const decay = (
  on: boolean,
  decoupled: boolean,
  parameter: Tensor,
  gradient: Tensor,
  lr: Quantity,
  numbers: Numbers,
): Tensor => {
  if (!on) return gradient;
  const amount = numbers.of('weight_decay');
  if (!decoupled) return addScaled(gradient, parameter, amount);
  scale_(parameter, sub(1, mul(lr, amount)));
  return gradient;
};

/** Adam with decoupled weight decay. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html */
export class AdamW extends Adam {
  protected static override readonly defaults = ADAMW;
}
