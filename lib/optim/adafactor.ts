/** @file Adafactor (Shazeer & Stern, 2018): second moments of matrices kept as a row and a column. */
import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';
import { atLeastZero } from './check.js';
import type { ParamGroup } from './group.js';
import { div, lerp_, mul, neg, pow, type Quantity, scale_, sub } from './numbers.js';
import { advance, counter, type Numbers, Optimizer, type Params, type State, zerosLike } from './optimizer.js';

export interface AdafactorOptions {
  lr?: number | undefined;
  /** The step to this power is the weight of the newest square. */
  beta2_decay?: number | undefined;
  /** The least mean square (null: the dtype's epsilon), and the least size of a parameter that steps are relative to. */
  eps?: readonly [number | null, number] | undefined;
  /** Updates are scaled down to this root mean square. */
  d?: number | undefined;
  weight_decay?: number | undefined;
  maximize?: boolean | undefined;
}
const ADAFACTOR = {
  lr: 1e-2,
  beta2_decay: -0.8,
  eps: [null, 1e-3] as readonly [number | null, number],
  d: 1,
  weight_decay: 0,
  foreach: null as boolean | null,
  maximize: false,
};

const EPS: Readonly<Record<string, number>> = { float64: 2 ** -52, float16: 2 ** -10, bfloat16: 2 ** -7 };
/** The root mean square, a number in eager and a 0-d tensor in a trace. */
const rms = (x: Tensor): Quantity => {
  const norm = x.norm(2).to('float64');
  return div(native().isTracing() ? norm : norm.item(), Math.sqrt(x.numel()));
};
const largest = (a: Quantity, b: number): Quantity => (typeof a === 'number' ? Math.max(a, b) : a.clamp({ min: b }));
const smallest = (a: Quantity, b: Quantity): Quantity =>
  typeof a === 'number' && typeof b === 'number' ? Math.min(a, b) : torch.minimum(a as Tensor, b as Tensor);

/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html */
export class Adafactor extends Optimizer<typeof ADAFACTOR> {
  constructor(
    params: Params<AdafactorOptions>,
    ...rest: Rest<AdafactorOptions, ['lr', 'beta2_decay', 'eps', 'd', 'weight_decay']>
  ) {
    super(params as Params<typeof ADAFACTOR>, bind('Adafactor', ADAFACTOR, rest));
  }
  protected override check(o: typeof ADAFACTOR): void {
    atLeastZero('learning rate', o.lr);
    if (!(o.beta2_decay <= 0))
      throw new JorchError('BAD_ARGUMENT', `beta2_decay should be <= 0 but is: ${o.beta2_decay}`);
    atLeastZero('epsilon1', o.eps[0] ?? 0);
    atLeastZero('epsilon2', o.eps[1]);
    if (!(o.d >= 1)) throw new JorchError('BAD_ARGUMENT', `Clipping threshold d should be >= 1 but is: ${o.d}`);
    atLeastZero('weight_decay value', o.weight_decay);
  }
  protected override initial(parameter: Tensor): State {
    if (parameter.is_complex()) throw new JorchError('BAD_ARGUMENT', 'Adafactor does not support complex parameters');
    if (parameter.ndim < 2) return { step: counter(), variance: zerosLike(parameter) };
    const row = [...parameter.shape.slice(0, -1), 1];
    const column = [...parameter.shape.slice(0, -2), 1, parameter.shape.at(-1)!];
    const zeros = (shape: readonly number[]): Tensor => {
      const bytes = new Uint8Array(
        (shape.reduce((a, b) => a * b, 1) * parameter.nbytes) / Math.max(parameter.numel(), 1),
      );
      return native().fromBuffer(bytes, parameter.dtype, shape);
    };
    return { step: counter(), row_var: zeros(row), col_var: zeros(column) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<typeof ADAFACTOR>,
    numbers: Numbers,
  ): void {
    const { step, row_var, col_var, variance } = state;
    const t = advance(step!);
    const lr = numbers.of('lr');
    const eps1 = group.eps[0] ?? EPS[parameter.dtype] ?? 2 ** -23;
    const newest = pow(t, numbers.of('beta2_decay'));
    const alpha = mul(largest(rms(parameter), group.eps[1]), smallest(lr, pow(t, -0.5)));
    if (this.isOn(group, 'weight_decay')) scale_(parameter, sub(1, mul(lr, numbers.of('weight_decay'))));
    let estimate: Tensor;
    if (variance === undefined) {
      const square = (dim: number): Tensor => gradient.norm(2, dim, true).square().div(gradient.size(dim));
      lerp_(row_var!, square(-1), newest);
      lerp_(col_var!, square(-2), newest);
      estimate = row_var!.matmul(col_var!).div(row_var!.mean(-2, true).clamp({ min: eps1 }));
    } else {
      lerp_(variance, gradient.square(), newest);
      estimate = variance;
    }
    const update = estimate
      .clamp({ min: eps1 * eps1 })
      .rsqrt()
      .mul(gradient);
    const denominator = largest(div(rms(update), group.d), 1);
    parameter.add_(update.mul(neg(div(alpha, denominator)) as Tensor));
  }
}
