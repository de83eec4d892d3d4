/** @file torch.optim.lr_scheduler: schedules that depend on the epoch alone. */
import { bind, type Rest } from '../nn/arguments.js';
import type { LayerOptions } from '../nn/layer.js';
import { JorchError } from '../runtime/errors.js';
import { type AnyOptimizer, groupsOf, LRScheduler, required } from './scheduler.js';

export { ChainedScheduler, ReduceLROnPlateau, SequentialLR } from './lr-composed.js';
export { CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR } from './lr-cycles.js';
export { LRScheduler } from './scheduler.js';

const LAST = { last_epoch: -1 };
type Last = Rest<LayerOptions<typeof LAST>, ['last_epoch']>;
const GAMMA = { gamma: 0.1, ...LAST };
type Gamma = Rest<LayerOptions<typeof GAMMA>, ['gamma', 'last_epoch']>;
const CONSTANT = { factor: 1 / 3, total_iters: 5, ...LAST };
const LINEAR = { start_factor: 1 / 3, end_factor: 1, total_iters: 5, ...LAST };
const POLYNOMIAL = { total_iters: 5, power: 1, ...LAST };
const COSINE = { eta_min: 0, ...LAST };

type Lambda = (epoch: number) => number;
const lambdas = (name: string, given: Lambda | readonly Lambda[], groups: number): readonly Lambda[] => {
  if (typeof given === 'function') return Array.from({ length: groups }, () => given);
  if (given.length !== groups)
    throw new JorchError('BAD_ARGUMENT', `${name}: expected ${groups} lr_lambdas, but got ${given.length}`);
  return given;
};

/** Base rates times `lr_lambda(epoch)`. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html */
export class LambdaLR extends LRScheduler {
  readonly #lambdas: readonly Lambda[];
  constructor(optimizer: AnyOptimizer, lr_lambda: Lambda | readonly Lambda[], ...rest: Last) {
    required('LambdaLR', { lr_lambda });
    super(optimizer, bind('LambdaLR', LAST, rest).last_epoch);
    this.#lambdas = lambdas('LambdaLR', lr_lambda, groupsOf(optimizer).length);
    this.begin();
  }
  protected override get_lr(): number[] {
    return this.base_lrs.map((base, i) => base * this.#lambdas[i]!(this.last_epoch));
  }
}
/** The present rates times `lr_lambda(epoch)`. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html */
export class MultiplicativeLR extends LRScheduler {
  readonly #lambdas: readonly Lambda[];
  constructor(optimizer: AnyOptimizer, lr_lambda: Lambda | readonly Lambda[], ...rest: Last) {
    required('MultiplicativeLR', { lr_lambda });
    super(optimizer, bind('MultiplicativeLR', LAST, rest).last_epoch);
    this.#lambdas = lambdas('MultiplicativeLR', lr_lambda, groupsOf(optimizer).length);
    this.begin();
  }
  protected override get_lr(): number[] {
    if (this.last_epoch <= 0) return this.rates;
    return this.rates.map((lr, i) => lr * this.#lambdas[i]!(this.last_epoch));
  }
}
/** Times `gamma` every `step_size` epochs. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html */
export class StepLR extends LRScheduler {
  gamma: number;
  constructor(
    optimizer: AnyOptimizer,
    public step_size: number,
    ...rest: Gamma
  ) {
    required('StepLR', { step_size });
    const { gamma, last_epoch } = bind('StepLR', GAMMA, rest);
    super(optimizer, last_epoch);
    this.gamma = gamma;
    this.begin();
  }
  protected override get_lr(): number[] {
    if (this.last_epoch === 0 || this.last_epoch % this.step_size !== 0) return this.rates;
    return this.rates.map((lr) => lr * this.gamma);
  }
  protected override closedForm(): number[] {
    return this.base_lrs.map((base) => base * this.gamma ** Math.floor(this.last_epoch / this.step_size));
  }
}
/** Times `gamma` at each milestone. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html */
export class MultiStepLR extends LRScheduler {
  milestones: readonly number[];
  gamma: number;
  constructor(optimizer: AnyOptimizer, milestones: readonly number[], ...rest: Gamma) {
    required('MultiStepLR', { milestones });
    const { gamma, last_epoch } = bind('MultiStepLR', GAMMA, rest);
    super(optimizer, last_epoch);
    this.milestones = [...milestones].sort((a, b) => a - b);
    this.gamma = gamma;
    this.begin();
  }
  protected override get_lr(): number[] {
    const here = this.milestones.filter((m) => m === this.last_epoch).length;
    return this.rates.map((lr) => (here === 0 ? lr : lr * this.gamma ** here));
  }
  protected override closedForm(): number[] {
    const past = this.milestones.filter((m) => m <= this.last_epoch).length;
    return this.base_lrs.map((base) => base * this.gamma ** past);
  }
}
/** Times `factor` for the first `total_iters` epochs. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html */
export class ConstantLR extends LRScheduler {
  factor: number;
  total_iters: number;
  constructor(
    optimizer: AnyOptimizer,
    ...rest: Rest<LayerOptions<typeof CONSTANT>, ['factor', 'total_iters', 'last_epoch']>
  ) {
    const { factor, total_iters, last_epoch } = bind('ConstantLR', CONSTANT, rest);
    super(optimizer, last_epoch);
    if (factor > 1 || factor < 0) throw new JorchError('BAD_ARGUMENT', 'ConstantLR: factor must be between 0 and 1');
    this.factor = factor;
    this.total_iters = total_iters;
    this.begin();
  }
  protected override get_lr(): number[] {
    if (this.last_epoch === 0) return this.rates.map((lr) => lr * this.factor);
    return this.last_epoch === this.total_iters ? this.rates.map((lr) => lr / this.factor) : this.rates;
  }
  protected override closedForm(): number[] {
    return this.base_lrs.map((base) => base * (this.last_epoch >= this.total_iters ? 1 : this.factor));
  }
}
/** From `start_factor` to `end_factor` over `total_iters` epochs. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html */
export class LinearLR extends LRScheduler {
  start_factor: number;
  end_factor: number;
  total_iters: number;
  constructor(
    optimizer: AnyOptimizer,
    ...rest: Rest<LayerOptions<typeof LINEAR>, ['start_factor', 'end_factor', 'total_iters', 'last_epoch']>
  ) {
    const { start_factor, end_factor, total_iters, last_epoch } = bind('LinearLR', LINEAR, rest);
    super(optimizer, last_epoch);
    if (start_factor > 1 || start_factor <= 0 || end_factor > 1 || end_factor < 0)
      throw new JorchError('BAD_ARGUMENT', 'LinearLR: factors must be between 0 and 1, start_factor greater than 0');
    this.start_factor = start_factor;
    this.end_factor = end_factor;
    this.total_iters = total_iters;
    this.begin();
  }
  protected override get_lr(): number[] {
    const { start_factor: from, end_factor: to, total_iters: n, last_epoch: t } = this;
    if (t === 0) return this.rates.map((lr) => lr * from);
    if (t > n) return this.rates;
    return this.rates.map((lr) => lr * (1 + (to - from) / (n * from + (t - 1) * (to - from))));
  }
  protected override closedForm(): number[] {
    const { start_factor: from, end_factor: to, total_iters: n, last_epoch: t } = this;
    return this.base_lrs.map((base) => base * (from + ((to - from) * Math.min(n, t)) / n));
  }
}
/** Times `gamma` every epoch. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html */
export class ExponentialLR extends LRScheduler {
  constructor(
    optimizer: AnyOptimizer,
    public gamma: number,
    ...rest: Last
  ) {
    required('ExponentialLR', { gamma });
    super(optimizer, bind('ExponentialLR', LAST, rest).last_epoch);
    this.begin();
  }
  protected override get_lr(): number[] {
    return this.last_epoch === 0 ? this.rates : this.rates.map((lr) => lr * this.gamma);
  }
  protected override closedForm(): number[] {
    return this.base_lrs.map((base) => base * this.gamma ** this.last_epoch);
  }
}
/** To zero over `total_iters` epochs, as a power. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html */
export class PolynomialLR extends LRScheduler {
  total_iters: number;
  power: number;
  constructor(
    optimizer: AnyOptimizer,
    ...rest: Rest<LayerOptions<typeof POLYNOMIAL>, ['total_iters', 'power', 'last_epoch']>
  ) {
    const { total_iters, power, last_epoch } = bind('PolynomialLR', POLYNOMIAL, rest);
    super(optimizer, last_epoch);
    this.total_iters = total_iters;
    this.power = power;
    this.begin();
  }
  protected override get_lr(): number[] {
    const { last_epoch: t, total_iters: n, power } = this;
    if (t === 0 || t > n) return this.rates;
    const factor = ((1 - t / n) / (1 - (t - 1) / n)) ** power;
    return this.rates.map((lr) => lr * factor);
  }
  protected override closedForm(): number[] {
    const left = 1 - Math.min(this.total_iters, this.last_epoch) / this.total_iters;
    return this.base_lrs.map((base) => base * left ** this.power);
  }
}
/** Half a cosine from the base rate to `eta_min` over `T_max` epochs, and back. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html */
export class CosineAnnealingLR extends LRScheduler {
  eta_min: number;
  constructor(
    optimizer: AnyOptimizer,
    public T_max: number,
    ...rest: Rest<LayerOptions<typeof COSINE>, ['eta_min', 'last_epoch']>
  ) {
    required('CosineAnnealingLR', { T_max });
    const { eta_min, last_epoch } = bind('CosineAnnealingLR', COSINE, rest);
    super(optimizer, last_epoch);
    this.eta_min = eta_min;
    this.begin();
  }
  protected override get_lr(): number[] {
    const { last_epoch: t, T_max: n, eta_min: least } = this;
    if (t === 0) return this.rates;
    if (this._step_count === 1 && t > 0) return this.closedForm();
    if ((t - 1 - n) % (2 * n) === 0)
      return this.rates.map((lr, i) => lr + ((this.base_lrs[i]! - least) * (1 - Math.cos(Math.PI / n))) / 2);
    const factor = (1 + Math.cos((Math.PI * t) / n)) / (1 + Math.cos((Math.PI * (t - 1)) / n));
    return this.rates.map((lr) => factor * (lr - least) + least);
  }
  protected override closedForm(): number[] {
    const { last_epoch: t, T_max: n, eta_min: least } = this;
    return this.base_lrs.map((base) => least + ((base - least) * (1 + Math.cos((Math.PI * t) / n))) / 2);
  }
}
