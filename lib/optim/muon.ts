/** @file Muon (Jordan et al., 2024): momentum made orthogonal by Newton–Schulz iterations, for matrices. */
import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/python-types.js';
import { atLeastZero } from './check.js';
import type { ParamGroup } from './group.js';
import { addScaled_, lerp_, mul, neg, scale_, sub } from './numbers.js';
import { type Numbers, Optimizer, type Params, type State, zerosLike } from './optimizer.js';

export interface MuonOptions {
  lr?: number | undefined;
  weight_decay?: number | undefined;
  momentum?: number | undefined;
  nesterov?: boolean | undefined;
  ns_coefficients?: readonly [number, number, number] | undefined;
  eps?: number | undefined;
  ns_steps?: number | undefined;
  /** How the rate depends on the matrix's shape: 'original' (as null) or 'match_rms_adamw'. */
  adjust_lr_fn?: 'original' | 'match_rms_adamw' | null | undefined;
}
const MUON = {
  lr: 1e-3,
  weight_decay: 0.1,
  momentum: 0.95,
  nesterov: true,
  ns_coefficients: [3.4445, -4.775, 2.0315] as readonly [number, number, number],
  eps: 1e-7,
  ns_steps: 5,
  adjust_lr_fn: null as 'original' | 'match_rms_adamw' | null,
};

/** Near the orthogonal matrix that is nearest to `g`, in bfloat16. */
const orthogonalised = (g: Tensor, { ns_coefficients, ns_steps, eps }: typeof MUON): Tensor => {
  const [a, b, c] = ns_coefficients;
  const isTall = g.shape[0] > g.shape[1]!;
  let x = g.to('bfloat16');
  if (isTall) x = x.t();
  x = x.div(x.norm().clamp({ min: eps }));
  for (let i = 0; i < ns_steps; i++) {
    const gram = x.mm(x.t());
    const step = gram.addmm(gram, gram, { beta: b, alpha: c });
    x = x.addmm(step, x, { beta: a });
  }
  return isTall ? x.t() : x;
};

/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html */
export class Muon extends Optimizer<typeof MUON> {
  constructor(params: Params<MuonOptions>, ...rest: Rest<MuonOptions, ['lr', 'weight_decay', 'momentum', 'nesterov']>) {
    super(params as Params<typeof MUON>, bind('Muon', MUON, rest));
  }
  protected override check(o: typeof MUON): void {
    atLeastZero('learning rate', o.lr);
    atLeastZero('momentum value', o.momentum);
    atLeastZero('weight_decay value', o.weight_decay);
    if (![null, 'original', 'match_rms_adamw'].includes(o.adjust_lr_fn))
      throw new JorchError('BAD_ARGUMENT', `Adjust learning rate function ${o.adjust_lr_fn} is not supported`);
    if (!(Number.isInteger(o.ns_steps) && o.ns_steps < 100))
      throw new JorchError('BAD_ARGUMENT', `Number of steps must be less than 100, got ${o.ns_steps}`);
  }
  protected override initial(parameter: Tensor): State {
    if (parameter.ndim !== 2)
      throw new JorchError(
        'BAD_ARGUMENT',
        `Muon only supports 2D parameters whereas we found a parameter with size: [${parameter.shape.join(', ')}]`,
      );
    return { momentum_buffer: zerosLike(parameter) };
  }
  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    { momentum_buffer }: State,
    group: ParamGroup<typeof MUON>,
    numbers: Numbers,
  ): void {
    const momentum = numbers.of('momentum');
    const lr = numbers.of('lr');
    lerp_(momentum_buffer!, gradient, sub(1, momentum));
    const direction = group.nesterov ? gradient.clone() : momentum_buffer!;
    if (group.nesterov) lerp_(direction, momentum_buffer!, momentum);
    const [rows, columns] = parameter.shape as readonly [number, number];
    const factor =
      group.adjust_lr_fn === 'match_rms_adamw'
        ? 0.2 * Math.sqrt(Math.max(rows, columns))
        : Math.sqrt(Math.max(1, rows / columns));
    scale_(parameter, sub(1, mul(lr, numbers.of('weight_decay'))));
    addScaled_(parameter, orthogonalised(direction, group), neg(mul(lr, factor)));
  }
}
