/** @file torch.optim.swa_utils: averages of a model's weights along its training, and the learning rate for it. */
import { deepcopy } from '../nn/copy.js';
import { Module } from '../nn/module.js';
import { BatchNorm1d, BatchNorm2d, BatchNorm3d } from '../nn/norm.js';
import { Buffer } from '../nn/parameter.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { type AnyOptimizer, groupsOf, LRScheduler, perGroup } from './scheduler.js';

/** The new average from the present one, a model's value and how many values the average has. */
export type AverageFn = (averaged: Tensor, current: Tensor, num_averaged: Tensor) => Tensor;

/** The plain mean over all updates. */
export const get_swa_avg_fn = (): AverageFn => (averaged, current, n) =>
  averaged.add(current.sub(averaged).div(n.add(1)));
/** An exponential moving average: `decay` of the old one. */
export const get_ema_avg_fn = (decay = 0.999): AverageFn => {
  if (!(decay >= 0 && decay <= 1))
    throw new JorchError(
      'BAD_ARGUMENT',
      `Invalid decay value ${decay} provided. Please provide a value in [0,1] range.`,
    );
  return (averaged, current) => averaged.mul(decay).add(current, { alpha: 1 - decay });
};
/** For all tensors at once, in place. */
export type MultiAverageFn = (averaged: readonly Tensor[], current: readonly Tensor[], num_averaged: Tensor) => void;
const multi =
  (average: AverageFn): MultiAverageFn =>
  (averaged, current, n) => {
    averaged.forEach((a, i) => void a.copy_(average(a, current[i]!, n)));
  };
/** Counters are the newest model's. */
const floats =
  (average: AverageFn): AverageFn =>
  (averaged, current, n) =>
    averaged.is_floating_point() || averaged.is_complex() ? average(averaged, current, n) : current;
export const get_swa_multi_avg_fn = (): MultiAverageFn => multi(floats(get_swa_avg_fn()));
export const get_ema_multi_avg_fn = (decay = 0.999): MultiAverageFn => multi(floats(get_ema_avg_fn(decay)));

export interface AveragedModelOptions {
  avg_fn?: AverageFn;
  multi_avg_fn?: MultiAverageFn;
  /** Average the buffers too. Default false: they are the copied model's own; see update_bn. */
  use_buffers?: boolean;
}

/**
 * A copy of a model whose parameters are the average of the model's at each `update_parameters(model)`, eagerly and inside a compiled step.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.AveragedModel.html
 */
export class AveragedModel<M extends Module = Module> extends Module {
  /** int64, 0-d */
  n_averaged: Buffer;
  module: M;
  readonly use_buffers: boolean;
  readonly #average: MultiAverageFn;
  constructor(model: M, { avg_fn, multi_avg_fn, use_buffers = false }: AveragedModelOptions = {}) {
    super();
    if (avg_fn !== undefined && multi_avg_fn !== undefined)
      throw new JorchError('BAD_ARGUMENT', 'AveragedModel: only one of avg_fn and multi_avg_fn should be provided');
    this.n_averaged = new Buffer(tensor(0n));
    this.module = deepcopy(model);
    this.use_buffers = use_buffers;
    this.#average = multi_avg_fn ?? multi(avg_fn ?? get_swa_avg_fn());
  }
  override forward(...args: Parameters<M['forward']>): ReturnType<M['forward']> {
    return this.module.forward(...args) as ReturnType<M['forward']>;
  }
  update_parameters(model: M): void {
    const all = (m: Module): Tensor[] => [...m.parameters(), ...(this.use_buffers ? m.buffers() : [])];
    const [own, given] = [all(this.module), all(model)];
    if (own.length !== given.length)
      throw new JorchError('BAD_ARGUMENT', 'AveragedModel: the model has other parameters than the one it was made of');
    no_grad(() => {
      const current = given.map((t) => t.detach());
      if (native().isTracing()) {
        // The first model is taken as it is; in a trace there is no `if`.
        const isFirst = this.n_averaged.eq(0);
        const averaged = own.map((t) => t.clone());
        this.#average(averaged, current, this.n_averaged);
        own.forEach((t, i) => void t.copy_(torch.where(isFirst, current[i]!, averaged[i]!)));
      } else if (this.n_averaged.item() === 0) own.forEach((t, i) => void t.copy_(current[i]!));
      else this.#average(own, current, this.n_averaged);
      if (!this.use_buffers) {
        const buffers = model.buffers();
        this.module.buffers().forEach((b, i) => void b.copy_(buffers[i]!));
      }
      this.n_averaged.add_(1);
    });
  }
}

/** Running statistics anew, as means over the batches of `loader` (inputs, or arrays that begin with them). @see https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.update_bn.html */
export const update_bn = (loader: Iterable<unknown>, model: Module): void => {
  type Norm = { momentum: number | null } & Pick<BatchNorm1d, 'running_mean' | 'reset_running_stats'>;
  const norms = model
    .modules()
    .filter((m) => [BatchNorm1d, BatchNorm2d, BatchNorm3d].some((c) => m instanceof c)) as unknown as Norm[];
  const momenta = norms.filter((m) => m.running_mean !== null).map((m) => [m, m.momentum] as const);
  if (momenta.length === 0) return;
  const { training } = model;
  model.train();
  try {
    for (const [m] of momenta) {
      m.reset_running_stats();
      m.momentum = null;
    }
    no_grad(() => {
      for (const batch of loader) model.forward(Array.isArray(batch) ? batch[0] : batch);
    });
  } finally {
    for (const [m, momentum] of momenta) m.momentum = momentum;
    model.train(training);
  }
};

const cosine = (t: number): number => (1 - Math.cos(Math.PI * t)) / 2;

/** Anneals each group's rate to `swa_lr` in `anneal_epochs` and keeps it there. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.SWALR.html */
export class SWALR extends LRScheduler {
  anneal_epochs: number;
  readonly #anneal: (t: number) => number;
  constructor(
    optimizer: AnyOptimizer,
    swa_lr: number | readonly number[],
    { anneal_epochs = 10, anneal_strategy = 'cos' as 'cos' | 'linear', last_epoch = -1 } = {},
  ) {
    const groups = groupsOf(optimizer) as (Record<string, unknown> & { lr: number })[];
    perGroup('SWALR', swa_lr, groups.length).forEach((lr, i) => {
      groups[i]!['swa_lr'] = lr;
    });
    if (anneal_strategy !== 'cos' && anneal_strategy !== 'linear')
      throw new JorchError(
        'BAD_ARGUMENT',
        `anneal_strategy must by one of 'cos' or 'linear', instead got ${String(anneal_strategy)}`,
      );
    if (!Number.isInteger(anneal_epochs) || anneal_epochs < 0)
      throw new JorchError(
        'BAD_ARGUMENT',
        `anneal_epochs must be equal or greater than 0, got ${String(anneal_epochs)}`,
      );
    super(optimizer, last_epoch);
    this.anneal_epochs = anneal_epochs;
    this.#anneal = anneal_strategy === 'cos' ? cosine : (t) => t;
    this.begin();
  }
  protected override get_lr(): number[] {
    const step = this._step_count - 1;
    const share = (n: number): number => this.#anneal(Math.max(0, Math.min(1, n / Math.max(1, this.anneal_epochs))));
    const before = this.anneal_epochs === 0 ? Math.max(1, step) : step;
    // The rate before this scheduler, from what the last step made of it.
    const weight = share(before - 1);
    const now = share(before);
    return groupsOf(this.optimizer).map((group) => {
      const target = group['swa_lr'] as number;
      const start = weight === 1 ? target : (group.lr - target * weight) / (1 - weight);
      return target * now + start * (1 - now);
    });
  }
}
