/** @file Cyclic schedules: CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts. */
import { JorchError } from '../runtime/errors.js';
import { type AnyOptimizer, type Group, groupsOf, LRScheduler, perGroup, refuseTrace, required } from './scheduler.js';

const setMomentum = (group: Group, value: number): void => {
  const betas = group['betas'] as readonly [number, number] | undefined;
  if (betas === undefined) (group as Record<string, unknown>)['momentum'] = value;
  else (group as Record<string, unknown>)['betas'] = [value, betas[1]];
};
const hasMomentum = (group: Group): boolean => 'momentum' in group || 'betas' in group;

export interface CyclicLROptions {
  step_size_up?: number;
  step_size_down?: number | null;
  mode?: 'triangular' | 'triangular2' | 'exp_range';
  gamma?: number;
  scale_fn?: ((x: number) => number) | null;
  scale_mode?: 'cycle' | 'iterations';
  cycle_momentum?: boolean;
  base_momentum?: number | readonly number[];
  max_momentum?: number | readonly number[];
  last_epoch?: number;
}
/** Up and down between two rates; momentum the other way. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html */
export class CyclicLR extends LRScheduler {
  max_lrs: number[];
  total_size: number;
  step_ratio: number;
  mode: string;
  gamma: number;
  cycle_momentum: boolean;
  base_momentums: number[];
  max_momentums: number[];
  readonly #scale: (x: number) => number;
  readonly #perCycle: boolean;
  constructor(
    optimizer: AnyOptimizer,
    base_lr: number | readonly number[],
    max_lr: number | readonly number[],
    o: CyclicLROptions = {},
  ) {
    required('CyclicLR', { base_lr, max_lr });
    const groups = groupsOf(optimizer);
    const { last_epoch = -1, mode = 'triangular', gamma = 1 } = o;
    const bases = perGroup('base_lr', base_lr, groups.length);
    if (last_epoch === -1)
      groups.forEach((group, i) => {
        group.lr = bases[i]!;
      });
    super(optimizer, last_epoch);
    this.base_lrs = bases;
    this.max_lrs = perGroup('max_lr', max_lr, groups.length);
    const up = o.step_size_up ?? 2000;
    this.total_size = up + (o.step_size_down ?? up);
    this.step_ratio = up / this.total_size;
    this.mode = mode;
    this.gamma = gamma;
    if (!['triangular', 'triangular2', 'exp_range'].includes(mode) && !o.scale_fn)
      throw new JorchError('BAD_ARGUMENT', 'CyclicLR: mode is invalid and scale_fn is missing');
    this.#scale =
      o.scale_fn ??
      (mode === 'triangular2' ? (x) => 1 / 2 ** (x - 1) : mode === 'exp_range' ? (x) => gamma ** x : () => 1);
    this.#perCycle = o.scale_fn ? (o.scale_mode ?? 'cycle') === 'cycle' : mode !== 'exp_range';
    this.cycle_momentum = o.cycle_momentum ?? true;
    if (this.cycle_momentum && !groups.every(hasMomentum))
      throw new JorchError('BAD_ARGUMENT', 'CyclicLR: optimizer must support momentum or beta1 with cycle_momentum');
    this.base_momentums = perGroup('base_momentum', o.base_momentum ?? 0.8, groups.length);
    this.max_momentums = perGroup('max_momentum', o.max_momentum ?? 0.9, groups.length);
    if (this.cycle_momentum && last_epoch === -1) groups.forEach((g, i) => void setMomentum(g, this.max_momentums[i]!));
    this.begin();
  }
  protected override get_lr(): number[] {
    const t = this.last_epoch;
    const cycle = Math.floor(1 + t / this.total_size);
    const x = 1 + t / this.total_size - cycle;
    const height = x <= this.step_ratio ? x / this.step_ratio : (x - 1) / (this.step_ratio - 1);
    const scale = this.#scale(this.#perCycle ? cycle : t);
    if (this.cycle_momentum)
      groupsOf(this.optimizer).forEach((group, i) => {
        const most = this.max_momentums[i]!;
        setMomentum(group, most - (most - this.base_momentums[i]!) * height * scale);
      });
    return this.base_lrs.map((base, i) => base + (this.max_lrs[i]! - base) * height * scale);
  }
}

export interface OneCycleLROptions {
  total_steps?: number | null;
  epochs?: number | null;
  steps_per_epoch?: number | null;
  pct_start?: number;
  anneal_strategy?: 'cos' | 'linear';
  cycle_momentum?: boolean;
  base_momentum?: number | readonly number[];
  max_momentum?: number | readonly number[];
  div_factor?: number;
  final_div_factor?: number;
  three_phase?: boolean;
  last_epoch?: number;
}
interface Phase {
  readonly end_step: number;
  readonly from: 'initial_lr' | 'max_lr';
  readonly to: 'initial_lr' | 'max_lr' | 'min_lr';
}
/** Up to `max_lr` and down to almost nothing; momentum the other way. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html */
export class OneCycleLR extends LRScheduler {
  total_steps: number;
  cycle_momentum: boolean;
  private readonly _schedule_phases: readonly Phase[];
  private readonly ends: readonly Record<'initial_lr' | 'max_lr' | 'min_lr', number>[];
  private readonly momenta: readonly (readonly [base: number, max: number])[];
  private readonly _anneal_func_type: 'cos' | 'linear';
  constructor(optimizer: AnyOptimizer, max_lr: number | readonly number[], o: OneCycleLROptions = {}) {
    required('OneCycleLR', { max_lr });
    const groups = groupsOf(optimizer);
    const { last_epoch = -1, div_factor = 25, final_div_factor = 1e4, pct_start = 0.3 } = o;
    const total = o.total_steps ?? (o.epochs ?? 0) * (o.steps_per_epoch ?? 0);
    if (!(total > 0))
      throw new JorchError('BAD_ARGUMENT', 'OneCycleLR: give total_steps, or epochs and steps_per_epoch, positive');
    if (!(pct_start >= 0 && pct_start <= 1))
      throw new JorchError('BAD_ARGUMENT', `OneCycleLR: expected pct_start between 0 and 1, got ${pct_start}`);
    const ends = perGroup('max_lr', max_lr, groups.length).map((max) => ({
      initial_lr: max / div_factor,
      max_lr: max,
      min_lr: max / div_factor / final_div_factor,
    }));
    if (last_epoch === -1)
      groups.forEach((group, i) => {
        const fields = group as Record<string, unknown>;
        fields['initial_lr'] = ends[i]!.initial_lr;
        fields['max_lr'] = ends[i]!.max_lr;
        fields['min_lr'] = ends[i]!.min_lr;
      });
    super(optimizer, last_epoch);
    this.ends = ends;
    this.total_steps = total;
    this._anneal_func_type = o.anneal_strategy ?? 'cos';
    this._schedule_phases = o.three_phase
      ? [
          { end_step: pct_start * total - 1, from: 'initial_lr', to: 'max_lr' },
          { end_step: 2 * pct_start * total - 2, from: 'max_lr', to: 'initial_lr' },
          { end_step: total - 1, from: 'initial_lr', to: 'min_lr' },
        ]
      : [
          { end_step: pct_start * total - 1, from: 'initial_lr', to: 'max_lr' },
          { end_step: total - 1, from: 'max_lr', to: 'min_lr' },
        ];
    this.cycle_momentum = o.cycle_momentum ?? true;
    if (this.cycle_momentum && !groups.every(hasMomentum))
      throw new JorchError('BAD_ARGUMENT', 'OneCycleLR: optimizer must support momentum or beta1 with cycle_momentum');
    const bases = perGroup('base_momentum', o.base_momentum ?? 0.85, groups.length);
    const most = perGroup('max_momentum', o.max_momentum ?? 0.95, groups.length);
    this.momenta = bases.map((base, i) => [base, most[i]!]);
    if (this.cycle_momentum && last_epoch === -1) groups.forEach((g, i) => void setMomentum(g, most[i]!));
    this.begin();
  }
  private anneal(from: number, to: number, share: number): number {
    if (this._anneal_func_type === 'linear') return (to - from) * share + from;
    return to + ((from - to) / 2) * (1 + Math.cos(Math.PI * share));
  }
  protected override get_lr(): number[] {
    const t = this.last_epoch;
    if (t > this.total_steps)
      throw new JorchError('BAD_ARGUMENT', `OneCycleLR: step ${t} is beyond the ${this.total_steps} steps in all`);
    let start = 0;
    let at = 0;
    while (at < this._schedule_phases.length - 1 && t > this._schedule_phases[at]!.end_step)
      start = this._schedule_phases[at++]!.end_step;
    const phase = this._schedule_phases[at]!;
    const share = (t - start) / (phase.end_step - start);
    // Momentum is least where the rate is greatest.
    const end = (name: string): 0 | 1 => (name === 'max_lr' ? 0 : 1);
    if (this.cycle_momentum)
      groupsOf(this.optimizer).forEach((group, i) => {
        const range = this.momenta[i]!;
        setMomentum(group, this.anneal(range[end(phase.from)], range[end(phase.to)], share));
      });
    return this.ends.map((ends) => this.anneal(ends[phase.from], ends[phase.to], share));
  }
}

/** Cosine annealing that starts again, with periods that grow. @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  T_i: number;
  T_mult: number;
  eta_min: number;
  T_cur: number;
  constructor(
    optimizer: AnyOptimizer,
    public T_0: number,
    { T_mult = 1, eta_min = 0, last_epoch = -1 } = {},
  ) {
    required('CosineAnnealingWarmRestarts', { T_0 });
    super(optimizer, last_epoch);
    if (!Number.isInteger(T_0) || T_0 <= 0)
      throw new JorchError('BAD_ARGUMENT', `CosineAnnealingWarmRestarts: expected positive integer T_0, got ${T_0}`);
    if (!Number.isInteger(T_mult) || T_mult < 1)
      throw new JorchError('BAD_ARGUMENT', `CosineAnnealingWarmRestarts: expected integer T_mult >= 1, got ${T_mult}`);
    this.T_i = T_0;
    this.T_mult = T_mult;
    this.eta_min = eta_min;
    this.T_cur = last_epoch;
    this.begin();
  }
  protected override get_lr(): number[] {
    const { eta_min, T_cur, T_i } = this;
    return this.base_lrs.map((base) => eta_min + ((base - eta_min) * (1 + Math.cos((Math.PI * T_cur) / T_i))) / 2);
  }
  /** @param given may be a fraction of an epoch. */
  override step(given?: number): void {
    refuseTrace('CosineAnnealingWarmRestarts');
    let epoch = given;
    if (epoch === undefined && this.last_epoch < 0) epoch = 0;
    if (epoch === undefined) {
      epoch = this.last_epoch + 1;
      this.T_cur += 1;
      if (this.T_cur >= this.T_i) {
        this.T_cur -= this.T_i;
        this.T_i *= this.T_mult;
      }
    } else {
      if (epoch < 0) throw new JorchError('BAD_ARGUMENT', `expected non-negative epoch, but got ${epoch}`);
      if (epoch < this.T_0) {
        this.T_i = this.T_0;
        this.T_cur = epoch;
      } else if (this.T_mult === 1) this.T_cur = epoch % this.T_0;
      else {
        const n = Math.floor(Math.log((epoch / this.T_0) * (this.T_mult - 1) + 1) / Math.log(this.T_mult));
        this.T_cur = epoch - (this.T_0 * (this.T_mult ** n - 1)) / (this.T_mult - 1);
        this.T_i = this.T_0 * this.T_mult ** n;
      }
    }
    this.last_epoch = Math.floor(epoch);
    this.assign(this.get_lr());
  }
}
