/** @file RMSprop, Adagrad, Adadelta: learning rates from sums of squares. */
import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/python-types.js';
import { decay } from './adam.js';
import { atLeastZero } from './check.js';
import type { ParamGroup } from './group.js';
import { add, addcdiv_, addcmul_, addScaled_, div, lerp_, mul, neg, scale_, sub } from './numbers.js';
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

export interface RMSpropOptions {
  lr?: number | undefined;
  alpha?: number | undefined;
  eps?: number | undefined;
  weight_decay?: number | undefined;
  momentum?: number | undefined;
  centered?: boolean | undefined;
  maximize?: boolean | undefined;
}
const RMSPROP = {
  lr: 1e-2,
  alpha: 0.99,
  eps: 1e-8,
  weight_decay: 0,
  momentum: 0,
  centered: false,
  ...IMPLEMENTATION,
};
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html */
export class RMSprop extends Optimizer<typeof RMSPROP> {
  constructor(
    params: Params<RMSpropOptions>,
    ...rest: Rest<RMSpropOptions, ['lr', 'alpha', 'eps', 'weight_decay', 'momentum', 'centered']>
  ) {
    super(params as Params<typeof RMSPROP>, bind('RMSprop', RMSPROP, rest));
  }
  protected override check(o: typeof RMSPROP): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('epsilon value', o.eps);
    atLeastZero('momentum value', o.momentum);
    atLeastZero('weight_decay value', o.weight_decay);
    atLeastZero('alpha value', o.alpha);
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof RMSPROP>): State {
    return {
      step: counter(),
      square_avg: zerosLike(parameter),
      ...(this.isOn(group, 'momentum') ? { momentum_buffer: zerosLike(parameter) } : {}),
      ...(group.centered ? { grad_avg: zerosLike(parameter) } : {}),
    };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof RMSPROP>,
    numbers: Numbers,
  ): void {
    const { square_avg, step } = state as Record<'square_avg' | 'step', Tensor>;
    const lr = numbers.of('lr');
    const alpha = numbers.of('alpha');
    step.add_(1);
    const grad = decay(this.isOn(group, 'weight_decay'), false, parameter, gradient, lr, numbers);
    addcmul_(scale_(square_avg, alpha), grad, grad, sub(1, alpha));
    let average: Tensor;
    if (group.centered) {
      state['grad_avg'] ??= zerosLike(parameter);
      const mean = lerp_(state['grad_avg'], grad, sub(1, alpha));
      average = square_avg.addcmul(mean, mean, { value: -1 }).sqrt_();
    } else average = square_avg.sqrt();
    average.add_(numbers.of('eps') as Tensor);
    if (this.isOn(group, 'momentum')) {
      state['momentum_buffer'] ??= zerosLike(parameter);
      const buffer = scale_(state['momentum_buffer'], numbers.of('momentum'));
      addScaled_(parameter, buffer.addcdiv_(grad, average), neg(lr));
    } else addcdiv_(parameter, grad, average, neg(lr));
  }
}

export interface AdagradOptions {
  lr?: number | undefined;
  lr_decay?: number | undefined;
  weight_decay?: number | undefined;
  initial_accumulator_value?: number | undefined;
  eps?: number | undefined;
  maximize?: boolean | undefined;
}
const { capturable: _, ...flags } = IMPLEMENTATION;
const ADAGRAD = {
  lr: 1e-2,
  lr_decay: 0,
  weight_decay: 0,
  initial_accumulator_value: 0,
  eps: 1e-10,
  ...flags,
  fused: null as boolean | null,
};
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html */
export class Adagrad extends Optimizer<typeof ADAGRAD> {
  constructor(
    params: Params<AdagradOptions>,
    ...rest: Rest<AdagradOptions, ['lr', 'lr_decay', 'weight_decay', 'initial_accumulator_value', 'eps']>
  ) {
    super(params as Params<typeof ADAGRAD>, bind('Adagrad', ADAGRAD, rest));
  }
  protected override check(o: typeof ADAGRAD): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('lr_decay value', o.lr_decay);
    atLeastZero('weight_decay value', o.weight_decay);
    atLeastZero('initial_accumulator_value value', o.initial_accumulator_value);
    atLeastZero('epsilon value', o.eps);
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof ADAGRAD>): State {
    return { step: counter(), sum: zerosLike(parameter).fill_(group.initial_accumulator_value) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ADAGRAD>,
    numbers: Numbers,
  ): void {
    const { sum, step } = state as Record<'sum' | 'step', Tensor>;
    const lr = numbers.of('lr');
    const t = advance(step);
    const grad = decay(this.isOn(group, 'weight_decay'), false, parameter, gradient, lr, numbers);
    const rate = div(lr, add(1, mul(sub(t, 1), numbers.of('lr_decay'))));
    sum.addcmul_(grad, grad, { value: 1 });
    const deviation = sum.sqrt().add_(numbers.of('eps') as Tensor);
    addcdiv_(parameter, grad, deviation, neg(rate));
  }
}

export interface AdadeltaOptions {
  lr?: number | undefined;
  rho?: number | undefined;
  eps?: number | undefined;
  weight_decay?: number | undefined;
  maximize?: boolean | undefined;
}
const ADADELTA = { lr: 1, rho: 0.9, eps: 1e-6, weight_decay: 0, ...IMPLEMENTATION };
/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html */
export class Adadelta extends Optimizer<typeof ADADELTA> {
  constructor(params: Params<AdadeltaOptions>, ...rest: Rest<AdadeltaOptions, ['lr', 'rho', 'eps', 'weight_decay']>) {
    super(params as Params<typeof ADADELTA>, bind('Adadelta', ADADELTA, rest));
  }
  protected override check(o: typeof ADADELTA): void {
    atLeastZero('learning rate', o.lr);
    if (!(o.rho >= 0 && o.rho <= 1)) throw new JorchError('BAD_ARGUMENT', `Invalid rho value: ${o.rho}`);
    atLeastZero('epsilon value', o.eps);
    atLeastZero('weight_decay value', o.weight_decay);
  }
  protected override initial(parameter: Tensor): State {
    return { step: counter(), square_avg: zerosLike(parameter), acc_delta: zerosLike(parameter) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ADADELTA>,
    numbers: Numbers,
  ): void {
    const { square_avg, acc_delta, step } = state as Record<'square_avg' | 'acc_delta' | 'step', Tensor>;
    const lr = numbers.of('lr');
    const rho = numbers.of('rho');
    const eps = numbers.of('eps') as Tensor;
    step.add_(1);
    const grad = decay(this.isOn(group, 'weight_decay'), false, parameter, gradient, lr, numbers);
    addcmul_(scale_(square_avg, rho), grad, grad, sub(1, rho));
    const deviation = square_avg.add(eps).sqrt_();
    const delta = acc_delta.add(eps).sqrt_().div_(deviation).mul_(grad);
    addcmul_(scale_(acc_delta, rho), delta, delta, sub(1, rho));
    addScaled_(parameter, delta, neg(lr));
  }
}
