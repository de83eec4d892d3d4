/** @file Schedules of schedules, and the one that looks at a metric. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/python-types.js';
import { type AnyOptimizer, groupsOf, type LRScheduler, perGroup, refuseTrace, required } from './scheduler.js';

/** One scheduler after the other, each from its milestone on. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html */
export class SequentialLR {
  last_epoch: number;
  private _last_lr: number[];
  constructor(
    readonly optimizer: AnyOptimizer,
    private readonly schedulers: readonly LRScheduler[],
    private readonly milestones: readonly number[],
    { last_epoch = -1 } = {},
  ) {
    required('SequentialLR', { schedulers, milestones });
    if (schedulers.length === 0) throw new JorchError('BAD_ARGUMENT', 'SequentialLR: expects at least one scheduler');
    if (milestones.length !== schedulers.length - 1)
      throw new JorchError(
        'BAD_ARGUMENT',
        `SequentialLR: ${schedulers.length} schedulers need ${schedulers.length - 1} milestones, got ${milestones.length}`,
      );
    for (const scheduler of schedulers)
      if (scheduler.optimizer !== optimizer)
        throw new JorchError('BAD_ARGUMENT', 'SequentialLR: all schedulers must belong to the same optimizer');
    this.last_epoch = last_epoch + 1;
    for (const group of groupsOf(optimizer)) group.lr = group.initial_lr!;
    // Each made its first step when it was built; undone, except for the first one's, which is made again.
    for (const scheduler of schedulers) scheduler.last_epoch -= 1;
    schedulers[0]!.step();
    this._last_lr = schedulers[0]!.get_last_lr();
  }
  get_last_lr(): number[] {
    return [...this._last_lr];
  }
  step(): void {
    refuseTrace('SequentialLR');
    this.last_epoch++;
    const at = this.milestones.filter((m) => m <= this.last_epoch).length;
    const scheduler = this.schedulers[at]!;
    if (at > 0 && this.milestones[at - 1] === this.last_epoch) scheduler.step(0);
    else scheduler.step();
    this._last_lr = scheduler.get_last_lr();
  }
  state_dict(): Record<string, unknown> {
    return {
      last_epoch: this.last_epoch,
      _last_lr: this._last_lr,
      _milestones: this.milestones,
      _schedulers: this.schedulers.map((s) => s.state_dict()),
    };
  }
  load_state_dict(state: Readonly<Record<string, unknown>>): void {
    this.last_epoch = state['last_epoch'] as number;
    this._last_lr = state['_last_lr'] as number[];
    (state['_schedulers'] as Record<string, unknown>[]).forEach((s, i) => void this.schedulers[i]!.load_state_dict(s));
  }
}

/** All schedulers at every step. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html */
export class ChainedScheduler {
  readonly optimizer: AnyOptimizer;
  private _last_lr: number[];
  constructor(private readonly schedulers: readonly LRScheduler[]) {
    const [first] = schedulers;
    if (first === undefined) throw new JorchError('BAD_ARGUMENT', 'ChainedScheduler: expects at least one scheduler');
    if (schedulers.some((s) => s.optimizer !== first.optimizer))
      throw new JorchError('BAD_ARGUMENT', 'ChainedScheduler: all schedulers must belong to the same optimizer');
    this.optimizer = first.optimizer;
    this._last_lr = groupsOf(this.optimizer).map((g) => g.lr);
  }
  get_last_lr(): number[] {
    return [...this._last_lr];
  }
  step(): void {
    for (const scheduler of this.schedulers) scheduler.step();
    this._last_lr = groupsOf(this.optimizer).map((g) => g.lr);
  }
  state_dict(): Record<string, unknown> {
    return { _last_lr: this._last_lr, _schedulers: this.schedulers.map((s) => s.state_dict()) };
  }
  load_state_dict(state: Readonly<Record<string, unknown>>): void {
    this._last_lr = state['_last_lr'] as number[];
    (state['_schedulers'] as Record<string, unknown>[]).forEach((s, i) => void this.schedulers[i]!.load_state_dict(s));
  }
}

export interface PlateauOptions {
  mode?: 'min' | 'max';
  factor?: number;
  patience?: number;
  threshold?: number;
  threshold_mode?: 'rel' | 'abs';
  cooldown?: number;
  min_lr?: number | readonly number[];
  eps?: number;
}
/** Lowers the rates when a metric stops improving. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html */
export class ReduceLROnPlateau {
  best: number;
  num_bad_epochs = 0;
  cooldown_counter = 0;
  last_epoch = 0;
  private _last_lr: number[];
  private readonly options: Required<Omit<PlateauOptions, 'min_lr'>>;
  private readonly min_lrs: readonly number[];
  constructor(
    readonly optimizer: AnyOptimizer,
    { min_lr = 0, ...options }: PlateauOptions = {},
  ) {
    this.options = {
      mode: 'min',
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      threshold_mode: 'rel',
      cooldown: 0,
      eps: 1e-8,
      ...options,
    };
    if (this.options.factor >= 1) throw new JorchError('BAD_ARGUMENT', 'ReduceLROnPlateau: factor should be < 1.0');
    const groups = groupsOf(optimizer);
    this.min_lrs = perGroup('min_lr', min_lr, groups.length);
    this.best = this.options.mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    this._last_lr = groups.map((g) => g.lr);
  }
  get_last_lr(): number[] {
    return [...this._last_lr];
  }
  step(metric: number | Tensor): void {
    refuseTrace('ReduceLROnPlateau');
    const current = native().isTensor(metric) ? metric.item() : (metric as number);
    const { patience, cooldown, factor, eps } = this.options;
    this.last_epoch++;
    if (this.better(current)) {
      this.best = current;
      this.num_bad_epochs = 0;
    } else this.num_bad_epochs++;
    if (this.cooldown_counter > 0) {
      this.cooldown_counter--;
      this.num_bad_epochs = 0;
    }
    if (this.num_bad_epochs > patience) {
      groupsOf(this.optimizer).forEach((group, i) => {
        const lower = Math.max(group.lr * factor, this.min_lrs[i]!);
        if (group.lr - lower > eps) group.lr = lower;
      });
      this.cooldown_counter = cooldown;
      this.num_bad_epochs = 0;
    }
    this._last_lr = groupsOf(this.optimizer).map((g) => g.lr);
  }
  private better(a: number): boolean {
    const { mode, threshold, threshold_mode } = this.options;
    if (mode === 'min') return threshold_mode === 'rel' ? a < this.best * (1 - threshold) : a < this.best - threshold;
    return threshold_mode === 'rel' ? a > this.best * (threshold + 1) : a > this.best + threshold;
  }
  state_dict(): Record<string, unknown> {
    const { best, num_bad_epochs, cooldown_counter, last_epoch, _last_lr } = this;
    return { ...this.options, min_lrs: this.min_lrs, best, num_bad_epochs, cooldown_counter, last_epoch, _last_lr };
  }
  load_state_dict(state: Readonly<Record<string, unknown>>): void {
    for (const key of ['best', 'num_bad_epochs', 'cooldown_counter', 'last_epoch', '_last_lr'] as const)
      if (key in state) (this as Record<string, unknown>)[key] = state[key];
  }
}
