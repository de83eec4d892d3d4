/** @file L-BFGS with a closure that computes the loss anew. Its number of evaluations depends on data: it runs eagerly; compile the closure. */
import { bind, type Rest } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import * as torch from '../torch/generated/ops.js';
import { enable_grad, no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { atLeastZero } from './check.js';
import { Optimizer, type Params, type State } from './optimizer.js';
import { type Evaluation, strongWolfe } from './strong-wolfe.js';

export interface LBFGSOptions {
  lr?: number | undefined;
  max_iter?: number | undefined;
  max_eval?: number | null | undefined;
  tolerance_grad?: number | undefined;
  tolerance_change?: number | undefined;
  history_size?: number | undefined;
  line_search_fn?: 'strong_wolfe' | null | undefined;
}
const LBFGS_DEFAULTS = {
  lr: 1,
  max_iter: 20,
  max_eval: null as number | null,
  tolerance_grad: 1e-7,
  tolerance_change: 1e-9,
  history_size: 100,
  line_search_fn: null as 'strong_wolfe' | null,
};

/** What is remembered from step to step. */
interface History {
  func_evals: number;
  n_iter: number;
  d: Tensor | null;
  t: number;
  old_dirs: Tensor[];
  old_stps: Tensor[];
  ro: Tensor[];
  H_diag: Tensor | number;
  prev_flat_grad: Tensor | null;
  prev_loss: number | null;
}

/** @see https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html */
export class LBFGS extends Optimizer<typeof LBFGS_DEFAULTS> {
  private history: History = {
    func_evals: 0,
    n_iter: 0,
    d: null,
    t: 0,
    old_dirs: [],
    old_stps: [],
    ro: [],
    H_diag: 1,
    prev_flat_grad: null,
    prev_loss: null,
  };

  constructor(
    params: Params<LBFGSOptions>,
    ...rest: Rest<
      LBFGSOptions,
      ['lr', 'max_iter', 'max_eval', 'tolerance_grad', 'tolerance_change', 'history_size', 'line_search_fn']
    >
  ) {
    super(params as Params<typeof LBFGS_DEFAULTS>, bind('LBFGS', LBFGS_DEFAULTS, rest));
    if (this.param_groups.length !== 1)
      throw new JorchError('BAD_ARGUMENT', "LBFGS doesn't support per-parameter options (parameter groups)");
  }
  protected override check(o: typeof LBFGS_DEFAULTS): void {
    atLeastZero('learning rate', o.lr);
    if (o.line_search_fn !== null && o.line_search_fn !== 'strong_wolfe')
      throw new JorchError('BAD_ARGUMENT', "LBFGS: only 'strong_wolfe' is supported");
  }
  protected override initial(): State {
    return {};
  }
  protected override update(): void {
    throw new JorchError('BAD_ARGUMENT', 'LBFGS: step needs a closure');
  }

  private get params(): Tensor[] {
    return this.param_groups[0]!.params;
  }
  private flatGrad(): Tensor {
    return torch.cat(this.params.map((p) => (p.grad ?? torch.zeros_like(p)).reshape([-1])));
  }
  private addDirection(step: number, direction: Tensor): void {
    let from = 0;
    for (const p of this.params) {
      p.add_(direction.narrow(0, from, p.numel()).view_as(p), { alpha: step });
      from += p.numel();
    }
  }

  override step(): undefined;
  override step(closure: () => Tensor): Tensor;
  override step(closure?: () => Tensor): Tensor | undefined {
    if (closure === undefined)
      throw new JorchError('BAD_ARGUMENT', 'LBFGS: step needs a closure that returns the loss');
    if (native().isTracing())
      throw new JorchError(
        'BAD_ARGUMENT',
        'LBFGS: its number of evaluations depends on the data, which a compiled function cannot; compile the closure instead',
      );
    return no_grad(() => this.minimise(() => enable_grad(closure)));
  }

  private minimise(closure: () => Tensor): Tensor {
    const group = this.param_groups[0]!;
    const { lr, max_iter, tolerance_grad, tolerance_change, history_size, line_search_fn } = group;
    const maxEval = group.max_eval ?? Math.floor((max_iter * 5) / 4);
    const h = this.history;
    const first = closure();
    let loss = first.item();
    let evaluations = 1;
    h.func_evals++;
    let gradient = this.flatGrad();
    const converged = (): boolean => gradient.abs().max().item() <= tolerance_grad;
    if (converged()) return first;
    for (let iteration = 1; iteration <= max_iter; iteration++) {
      h.n_iter++;
      const direction = this.direction(gradient, history_size);
      h.prev_flat_grad = gradient.clone({ memory_format: 'contiguous_format' });
      h.prev_loss = loss;
      let step = h.n_iter === 1 ? Math.min(1, 1 / gradient.abs().sum().item()) * lr : lr;
      const slope = gradient.dot(direction).item();
      if (slope > -tolerance_change) break;
      let calls = 0;
      if (line_search_fn === 'strong_wolfe') {
        const start = this.params.map((p) => p.clone());
        const evaluate = (t: number): Evaluation => {
          this.addDirection(t, direction);
          const value = closure().item();
          const g = this.flatGrad();
          this.params.forEach((p, i) => void p.copy_(start[i]!));
          return { t, value, gradient: g, slope: g.dot(direction).item() };
        };
        const begin = { t: 0, value: loss, gradient, slope };
        const found = strongWolfe(evaluate, begin, step, direction.abs().max().item());
        ({ value: loss, gradient, t: step } = found.best);
        calls = found.evaluations;
        this.addDirection(step, direction);
      } else {
        this.addDirection(step, direction);
        if (iteration !== max_iter) {
          loss = closure().item();
          gradient = this.flatGrad();
          calls = 1;
        }
      }
      h.t = step;
      evaluations += calls;
      h.func_evals += calls;
      if (iteration === max_iter || evaluations >= maxEval || converged()) break;
      if (direction.mul(step).abs().max().item() <= tolerance_change) break;
      if (Math.abs(loss - h.prev_loss) < tolerance_change) break;
    }
    return first;
  }

  /** The two-loop recursion over the remembered steps. */
  private direction(gradient: Tensor, size: number): Tensor {
    const h = this.history;
    if (h.n_iter === 1 || h.d === null || h.prev_flat_grad === null) {
      h.d = gradient.neg();
      h.old_dirs = [];
      h.old_stps = [];
      h.ro = [];
      h.H_diag = 1;
      return h.d;
    }
    const y = gradient.sub(h.prev_flat_grad);
    const s = h.d.mul(h.t);
    const ys = y.dot(s);
    if (ys.item() > 1e-10) {
      if (h.old_dirs.length === size) for (const list of [h.old_dirs, h.old_stps, h.ro]) list.shift();
      h.old_dirs.push(y);
      h.old_stps.push(s);
      h.ro.push(ys.reciprocal());
      h.H_diag = ys.div(y.dot(y));
    }
    const alphas: Tensor[] = [];
    const q = gradient.neg();
    for (let i = h.old_dirs.length - 1; i >= 0; i--) {
      const alpha = h.old_stps[i]!.dot(q).mul(h.ro[i]!);
      alphas[i] = alpha;
      q.add_(h.old_dirs[i]!, { alpha: alpha.neg().item() });
    }
    const r = q.mul(h.H_diag as Tensor);
    for (let i = 0; i < h.old_dirs.length; i++) {
      const beta = h.old_dirs[i]!.dot(r).mul(h.ro[i]!);
      r.add_(h.old_stps[i]!, { alpha: alphas[i]!.sub(beta).item() });
    }
    h.d = r;
    return r;
  }

  override state_dict(): ReturnType<Optimizer<typeof LBFGS_DEFAULTS>['state_dict']> {
    const dict = super.state_dict();
    if (this.history.n_iter > 0) dict.state.set(0, { ...this.history });
    return dict;
  }
  override load_state_dict(saved: Parameters<Optimizer<typeof LBFGS_DEFAULTS>['load_state_dict']>[0]): void {
    const state =
      saved.state instanceof Map ? Object.fromEntries(saved.state) : (saved.state as Record<string, unknown>);
    super.load_state_dict({ ...saved, state: {} });
    const own = state['0'] as Partial<History> | undefined;
    if (own !== undefined) this.history = { ...this.history, ...own };
  }
}
