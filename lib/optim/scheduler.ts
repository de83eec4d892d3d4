/** @file What learning rate schedulers share. */
import { requirePositional } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { ParamGroup } from './group.js';
import type { Optimizer } from './optimizer.js';

/** Any optimizer: a scheduler sets its groups' `lr`. */
// biome-ignore lint/suspicious/noExplicitAny: optimizers differ in the options of their groups
export type AnyOptimizer = Optimizer<any>;
export type Group = ParamGroup<{ lr: number } & Record<string, unknown>>;

/** Arguments without a default, behind the optimizer. @throws JorchError BAD_ARGUMENT */
export const required = (name: string, given: Readonly<Record<string, unknown>>): void =>
  requirePositional(name, given, ['optimizer']);

export const groupsOf = (optimizer: AnyOptimizer): Group[] => {
  const groups: unknown = (optimizer as Partial<AnyOptimizer> | null | undefined)?.param_groups;
  if (!Array.isArray(groups))
    throw new JorchError(
      'BAD_ARGUMENT',
      'lr_scheduler: the first argument must be an optimizer, which has param_groups',
    );
  return groups as Group[];
};

/** Learning rates live outside compiled functions, whose programs read them at every call. */
export const refuseTrace = (name: string): void => {
  if (native().isTracing())
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: step() inside a compiled function would happen once; call it outside, the compiled step uses the new learning rate`,
    );
};

/** A value per group: one for all, or a list. */
export const perGroup = (name: string, value: number | readonly number[], groups: number): number[] => {
  if (typeof value === 'number') return Array.from({ length: groups }, () => value);
  if (value.length !== groups)
    throw new JorchError('BAD_ARGUMENT', `${name}: expected ${groups} values, one per group, got ${value.length}`);
  return [...value];
};

/**
 * The base of schedulers that set learning rates from the number of steps so far: call `step()` after the optimizer's.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html
 */
export abstract class LRScheduler {
  last_epoch: number;
  base_lrs: number[];
  protected _step_count = 0;
  protected _last_lr: number[] = [];
  constructor(
    readonly optimizer: AnyOptimizer,
    last_epoch = -1,
  ) {
    const groups = groupsOf(optimizer);
    for (const [i, group] of groups.entries()) {
      if (last_epoch === -1) group.initial_lr ??= group.lr;
      else if (group.initial_lr === undefined)
        throw new JorchError(
          'BAD_ARGUMENT',
          `param 'initial_lr' is not specified in param_groups[${i}] when resuming an optimizer`,
        );
    }
    this.base_lrs = groups.map((group) => group.initial_lr!);
    this.last_epoch = last_epoch;
  }
  /** The first step, which sets the rates of epoch 0; at the end of a subclass's constructor. */
  protected begin(): void {
    this.step();
  }
  /** The learning rates of `last_epoch`, from the present ones. */
  protected abstract get_lr(): number[];
  /** The same from the epoch alone. */
  protected closedForm?(): number[];
  protected get rates(): number[] {
    return groupsOf(this.optimizer).map((group) => group.lr);
  }
  get_last_lr(): number[] {
    return [...this._last_lr];
  }
  step(epoch?: number): void {
    refuseTrace(this.constructor.name);
    this._step_count++;
    let values: number[];
    if (epoch === undefined) {
      this.last_epoch++;
      values = this.get_lr();
    } else {
      this.last_epoch = epoch;
      values = this.closedForm?.() ?? this.get_lr();
    }
    this.assign(values);
  }
  protected assign(values: readonly number[]): void {
    groupsOf(this.optimizer).forEach((group, i) => {
      group.lr = values[i]!;
    });
    this._last_lr = this.rates;
  }
  /** All own values, under PyTorch's names; functions and the optimizer are not among them. */
  state_dict(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this).filter(([key, value]) => key !== 'optimizer' && typeof value !== 'function'),
    );
  }
  load_state_dict(state: Readonly<Record<string, unknown>>): void {
    for (const [key, value] of Object.entries(state))
      if (key !== 'optimizer') (this as Record<string, unknown>)[key] = value;
  }
}
