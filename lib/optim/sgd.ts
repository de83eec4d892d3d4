/** @file SGD with momentum. */

import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { atLeastZero } from './check.js';
import type { ParamGroup } from './group.js';
import { addScaled, addScaled_, neg, scale_, sub } from './numbers.js';
import { IMPLEMENTATION, type Numbers, Optimizer, type Params, type State, zerosLike } from './optimizer.js';

export interface SGDOptions {
  lr?: number | undefined;
  momentum?: number | undefined;
  dampening?: number | undefined;
  weight_decay?: number | undefined;
  nesterov?: boolean | undefined;
  maximize?: boolean | undefined;
}
const { capturable: _, ...flags } = IMPLEMENTATION;
const SGD_DEFAULTS = {
  lr: 1e-3,
  momentum: 0,
  dampening: 0,
  weight_decay: 0,
  nesterov: false,
  ...flags,
  fused: null as boolean | null,
};

/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html */
export class SGD extends Optimizer<typeof SGD_DEFAULTS> {
  /** Whether a buffer holds anything yet: the first gradient is not dampened. A tensor, since a traced step runs many times. */
  private readonly started = new WeakMap<Tensor, Tensor>();

  constructor(
    params: Params<SGDOptions>,
    ...rest: Rest<SGDOptions, ['lr', 'momentum', 'dampening', 'weight_decay', 'nesterov']>
  ) {
    super(params as Params<typeof SGD_DEFAULTS>, bind('SGD', SGD_DEFAULTS, rest));
  }
  protected override check(o: typeof SGD_DEFAULTS): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('momentum value', o.momentum);
    atLeastZero('weight_decay value', o.weight_decay);
    if (o.nesterov && (o.momentum <= 0 || o.dampening !== 0))
      throw new JorchError('BAD_ARGUMENT', 'Nesterov momentum requires a momentum and zero dampening');
  }
  protected override initial(parameter: Tensor, group: ParamGroup<typeof SGD_DEFAULTS>): State {
    return this.isOn(group, 'momentum') ? { momentum_buffer: zerosLike(parameter) } : {};
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof SGD_DEFAULTS>,
    numbers: Numbers,
  ): void {
    let grad = gradient;
    if (this.isOn(group, 'weight_decay')) grad = addScaled(grad, parameter, numbers.of('weight_decay'));
    if (this.isOn(group, 'momentum')) {
      const momentum = numbers.of('momentum');
      state['momentum_buffer'] ??= zerosLike(parameter);
      const buffer = state['momentum_buffer'];
      if (this.isOn(group, 'dampening')) {
        const started = this.flag(buffer);
        const first = grad;
        scale_(buffer, momentum);
        addScaled_(buffer, grad, sub(1, numbers.of('dampening')));
        buffer.copy_(torch.where(started, buffer, first));
        started.fill_(true);
      } else scale_(buffer, momentum).add_(grad);
      grad = group.nesterov ? addScaled(grad, buffer, momentum) : buffer;
    }
    addScaled_(parameter, grad, neg(numbers.of('lr')));
  }
  private flag(buffer: Tensor): Tensor {
    let flag = this.started.get(buffer);
    if (flag === undefined) {
      flag = native().fromBuffer(new Uint8Array(1), 'bool', []);
      this.started.set(buffer, flag);
    }
    return flag;
  }
  protected override restored(): void {
    for (const { momentum_buffer } of this.state.values())
      if (momentum_buffer !== undefined) this.flag(momentum_buffer).fill_(true);
  }
}
