/** @file GradScaler: losses scaled up so that small gradients do not vanish in half precision, and steps with infinite gradients left out. */
import { readNumber } from '../compile/live.js';
import type { Optimizer } from '../optim/optimizer.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import { keep } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { flatten, unflatten } from '../tree.js';

export interface GradScalerOptions {
  init_scale?: number;
  /** The scale is multiplied by it after `growth_interval` steps in a row without an infinite gradient. */
  growth_factor?: number;
  /** The scale is multiplied by it after a step with an infinite gradient. */
  backoff_factor?: number;
  growth_interval?: number;
  /** false: every method does what a training loop without scaler does. */
  enabled?: boolean;
}
export interface GradScalerState {
  scale: number;
  growth_factor: number;
  backoff_factor: number;
  growth_interval: number;
  _growth_tracker: number;
}
type AnyOptimizer = Pick<Optimizer<object>, 'param_groups' | 'state' | 'step'>;
/** What was done with an optimizer since the last update. */
interface Progress {
  stage: 'ready' | 'unscaled' | 'stepped';
  /** float32, 0-d: 1 if a gradient was not finite. */
  found?: Tensor;
}

const refuse = (message: string): never => {
  throw new JorchError('BAD_ARGUMENT', `GradScaler: ${message}`);
};

const gradients = (optimizer: AnyOptimizer): Tensor[] =>
  optimizer.param_groups.flatMap(({ params }) => params.map((p) => p.grad).filter((g) => g !== null));

/**
 * Runs a step whose changes are undone where `found` is set: in a trace there is no `if`. The state of every parameter is there before its first step.
 */
const stepUnless = (found: Tensor, optimizer: AnyOptimizer): void => {
  const tensors = optimizer.param_groups.flatMap(({ params }) =>
    params
      .filter((p) => p.grad !== null)
      .flatMap((p) => [p, ...Object.values(optimizer.state.get(p) ?? {}).filter((t) => native().isTensor(t))]),
  );
  const before = no_grad(() => tensors.map((t) => t.detach().clone()));
  optimizer.step();
  no_grad(() => tensors.forEach((t, i) => void t.copy_(torch.where(found.ne(0), before[i]!, t))));
};

/**
 * Gradient scaling for half precision. Works eagerly and inside a compiled step, where a step with infinite gradients computes and is not taken.
 * @param device 'cpu', or another of libtorch's; for the shape of torch's API: the scale is a number that goes with the tensors.
 * @example
 * const scaler = new amp.GradScaler('cpu');
 * const loss = amp.autocast('cpu', { dtype: 'float16' }, () => lossOf(x, y));
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 * @see https://docs.pytorch.org/docs/stable/amp.html#torch.amp.GradScaler
 */
export class GradScaler {
  private readonly enabled: boolean;
  private growthFactor: number;
  private backoffFactor: number;
  private growthInterval: number;
  /** float32, 0-d */
  private readonly factor: Tensor;
  /** int32, 0-d: steps without an infinite gradient since the scale changed. */
  private readonly tracker: Tensor;
  private readonly progress = new Map<AnyOptimizer, Progress>();

  constructor(
    readonly device: string = 'cpu',
    {
      init_scale = 65536,
      growth_factor = 2,
      backoff_factor = 0.5,
      growth_interval = 2000,
      enabled = true,
    }: GradScalerOptions = {},
  ) {
    if (enabled && !(growth_factor > 1)) refuse(`the growth factor must be > 1, got ${growth_factor}`);
    if (enabled && !(backoff_factor < 1)) refuse(`the backoff factor must be < 1, got ${backoff_factor}`);
    this.enabled = enabled;
    this.growthFactor = growth_factor;
    this.backoffFactor = backoff_factor;
    this.growthInterval = growth_interval;
    if (native().isTracing()) refuse('make it outside of the compiled function, so that its scale outlives a call');
    this.factor = keep(tensor(init_scale, { dtype: 'float32' }));
    this.tracker = keep(tensor(0, { dtype: 'int32' }));
  }

  private progressOf(optimizer: AnyOptimizer): Progress {
    let own = this.progress.get(optimizer);
    if (own === undefined) {
      own = { stage: 'ready' };
      this.progress.set(optimizer, own);
    }
    return own;
  }

  /** A loss, or a pytree of them, times the scale. */
  scale<T>(outputs: T): T {
    if (!this.enabled) return outputs;
    const { leaves, structure } = flatten(outputs);
    if (leaves.length === 0) refuse('scale takes a tensor, or arrays of tensors');
    return unflatten(
      structure,
      leaves.map((t) => t.mul(this.factor.to(t.device))),
    ) as T;
  }

  /** Divides the gradients of the optimizer's parameters by the scale, e.g. to clip them before `step`. */
  unscale_(optimizer: AnyOptimizer): void {
    if (!this.enabled) return;
    const own = this.progressOf(optimizer);
    if (own.stage === 'unscaled')
      refuse('unscale_() has already been called on this optimizer since the last update().');
    if (own.stage === 'stepped') refuse('unscale_() is being called after step().');
    const grads = gradients(optimizer);
    if (grads.some((g) => g.dtype === 'float16')) refuse('Attempting to unscale FP16 gradients.');
    no_grad(() => {
      // As torch: the reciprocal in float64, then rounded.
      const inverse = this.factor.double().reciprocal().float();
      const flags = grads.map((g) => g.isfinite().all().logical_not());
      if (flags.length > 0) own.found = torch.stack(flags).any().float();
      for (const g of grads) g.mul_(inverse);
    });
    own.stage = 'unscaled';
  }

  /** `optimizer.step()`, unless a gradient is infinite or NaN; unscales the gradients if `unscale_` has not. */
  step(optimizer: AnyOptimizer): undefined {
    if (!this.enabled) {
      optimizer.step();
      return;
    }
    const own = this.progressOf(optimizer);
    if (own.stage === 'stepped') refuse('step() has already been called since the last update().');
    if (own.stage === 'ready') this.unscale_(optimizer);
    if (own.found === undefined) return refuse('No inf checks were recorded for this optimizer.');
    if (native().isTracing()) stepUnless(own.found, optimizer);
    else if (own.found.item() === 0) optimizer.step();
    own.stage = 'stepped';
  }

  /** Adapts the scale to what the steps since the last update found. @param new_scale sets it instead. */
  update(new_scale?: number | Tensor): void {
    if (!this.enabled) return;
    no_grad(() => {
      if (new_scale !== undefined) {
        if (native().isTensor(new_scale)) this.factor.copy_(new_scale);
        else this.factor.fill_(new_scale);
        return;
      }
      const flags = [...this.progress.values()].map(({ found }) => found).filter((f) => f !== undefined);
      if (flags.length === 0) refuse('No inf checks were recorded prior to update.');
      const found = torch.stack(flags).any();
      const counted = this.tracker.add(1);
      const isDue = counted.ge(readNumber(this, 'growthInterval', this.growthInterval) as number);
      const grown = this.factor.mul(readNumber(this, 'growthFactor', this.growthFactor) as number);
      const calm = torch.where(isDue.logical_and(grown.isfinite()), grown, this.factor);
      const reduced = this.factor.mul(readNumber(this, 'backoffFactor', this.backoffFactor) as number);
      this.factor.copy_(torch.where(found, reduced, calm));
      this.tracker.copy_(torch.where(found.logical_or(isDue), torch.zeros_like(counted), counted));
    });
    this.progress.clear();
  }

  get_scale(): number {
    return this.enabled ? this.factor.item() : 1;
  }
  get_growth_factor(): number {
    return this.growthFactor;
  }
  set_growth_factor(factor: number): void {
    this.growthFactor = factor;
  }
  get_backoff_factor(): number {
    return this.backoffFactor;
  }
  set_backoff_factor(factor: number): void {
    this.backoffFactor = factor;
  }
  get_growth_interval(): number {
    return this.growthInterval;
  }
  set_growth_interval(interval: number): void {
    this.growthInterval = interval;
  }
  is_enabled(): boolean {
    return this.enabled;
  }

  /** PyTorch's form; empty for a scaler that is not enabled. */
  state_dict(): GradScalerState | Record<string, never> {
    if (!this.enabled) return {};
    return {
      scale: this.get_scale(),
      growth_factor: this.growthFactor,
      backoff_factor: this.backoffFactor,
      growth_interval: this.growthInterval,
      _growth_tracker: this.tracker.item(),
    };
  }
  load_state_dict(state: Readonly<Partial<GradScalerState>>): void {
    if (!this.enabled) return;
    const { scale, growth_factor, backoff_factor, growth_interval, _growth_tracker } = state;
    if ([scale, growth_factor, backoff_factor, growth_interval, _growth_tracker].some((x) => typeof x !== 'number'))
      refuse('the state dict lacks numbers of a scaler; possibly it was saved from a disabled instance of GradScaler');
    no_grad(() => {
      this.factor.fill_(scale!);
      this.tracker.fill_(_growth_tracker!);
    });
    this.growthFactor = growth_factor!;
    this.backoffFactor = backoff_factor!;
    this.growthInterval = growth_interval!;
  }
}
