/** @file ASGD and Rprop. */
import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { decay } from './adam.js';
import { atLeastZero } from './check.js';
import type { ParamGroup } from './group.js';
import { add, addScaled_, div, mul, neg, pow, type Quantity, scale_, sub } from './numbers.js';
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

export interface ASGDOptions {
  lr?: number | undefined;
  lambd?: number | undefined;
  alpha?: number | undefined;
  t0?: number | undefined;
  weight_decay?: number | undefined;
  maximize?: boolean | undefined;
}
const ASGD_DEFAULTS = { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0, ...IMPLEMENTATION };
const quantityOf = (t: Tensor): Quantity => (native().isTracing() ? t.to('float64') : t.item());

/** Averaged stochastic gradient descent. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html */
export class ASGD extends Optimizer<typeof ASGD_DEFAULTS> {
  constructor(params: Params<ASGDOptions>, ...rest: Rest<ASGDOptions, ['lr', 'lambd', 'alpha', 't0', 'weight_decay']>) {
    super(params as Params<typeof ASGD_DEFAULTS>, bind('ASGD', ASGD_DEFAULTS, rest));
  }
  protected override check(o: typeof ASGD_DEFAULTS): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('weight_decay value', o.weight_decay);
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof ASGD_DEFAULTS>): State {
    return { step: counter(), eta: counter(group.lr), mu: counter(1), ax: zerosLike(parameter) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ASGD_DEFAULTS>,
    numbers: Numbers,
  ): void {
    const { step, eta, mu, ax } = state as Record<'step' | 'eta' | 'mu' | 'ax', Tensor>;
    const lr = numbers.of('lr');
    const lambd = numbers.of('lambd');
    const t = advance(step);
    const grad = decay(this.isOn(group, 'weight_decay'), false, parameter, gradient, lr, numbers);
    const rate = quantityOf(eta);
    scale_(parameter, sub(1, mul(lambd, rate)));
    addScaled_(parameter, grad, neg(rate));
    const share = quantityOf(mu);
    if (share === 1) ax.copy_(parameter);
    else ax.add_(parameter.sub(ax).mul_(share as Tensor));
    const past = sub(t, numbers.of('t0'));
    assign(eta, div(lr, pow(add(1, mul(mul(lambd, lr), t)), numbers.of('alpha'))));
    assign(mu, div(1, typeof past === 'number' ? Math.max(1, past) : past.clamp({ min: 1 })));
  }
}
const assign = (t: Tensor, value: Quantity): Tensor => (typeof value === 'number' ? t.fill_(value) : t.copy_(value));

export interface RpropOptions {
  lr?: number | undefined;
  etas?: readonly [number, number] | undefined;
  step_sizes?: readonly [number, number] | undefined;
  maximize?: boolean | undefined;
}
const RPROP = {
  lr: 1e-2,
  etas: [0.5, 1.2] as readonly [number, number],
  step_sizes: [1e-6, 50] as readonly [number, number],
  ...IMPLEMENTATION,
};
/** Resilient propagation. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html */
export class Rprop extends Optimizer<typeof RPROP> {
  constructor(params: Params<RpropOptions>, ...rest: Rest<RpropOptions, ['lr', 'etas', 'step_sizes']>) {
    super(params as Params<typeof RPROP>, bind('Rprop', RPROP, rest));
  }
  protected override check(o: typeof RPROP): void {
    atLeastZero('learning rate', o.lr);
    if (!(o.etas[0] > 0 && o.etas[0] < 1 && o.etas[1] > 1))
      throw new JorchError('BAD_ARGUMENT', `Invalid eta values: ${o.etas[0]}, ${o.etas[1]}`);
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof RPROP>): State {
    return { step: counter(), prev: zerosLike(parameter), step_size: zerosLike(parameter).fill_(group.lr) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    _group: ParamGroup<typeof RPROP>,
    numbers: Numbers,
  ): void {
    const { step, prev, step_size } = state as Record<'step' | 'prev' | 'step_size', Tensor>;
    const [less, more] = numbers.pair('etas') as [Tensor, Tensor];
    const [least, most] = numbers.pair('step_sizes') as [Tensor, Tensor];
    step.add_(1);
    const turn = gradient.mul(prev).sign();
    const turned = turn.lt(0);
    const factor = torch.ones_like(turn).masked_fill(turn.gt(0), more).masked_fill(turned, less);
    step_size.mul_(factor).clamp_(least, most);
    const kept = gradient.masked_fill(turned, 0);
    parameter.addcmul_(kept.sign(), step_size, { value: -1 });
    prev.copy_(kept);
  }
}
