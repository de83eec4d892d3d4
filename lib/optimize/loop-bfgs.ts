/** @file BFGS with a strong-Wolfe search as one while_loop of tensor operators: compiled, the whole optimisation is one XLA program. */
import { while_loop } from '../control/while-loop.js';
import { eye, where, zeros } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { grad_and_value } from '../transforms/reverse.js';
import {
  and,
  beginning,
  constant,
  constants,
  EPSILON,
  either,
  endAt,
  isAccepted,
  type LoopOptions,
  type LoopResult,
  not,
  packing,
  resume,
  SEARCH_NAMES,
  type SearchNumbers,
  search,
  together,
} from './loop-search.js';

/** The new direction is alongD · d + alongH · Hg; the new inverse Hessian timesH · H + dbᵀ + rankH · Hg dᵀ, b = rankD · d + rankH · Hg. */
const UPDATE_NAMES = ['alongD', 'alongH', 'timesH', 'rankD', 'rankH'] as const;
const NAMES = [...SEARCH_NAMES, ...UPDATE_NAMES];
type Numbers = SearchNumbers & Record<(typeof UPDATE_NAMES)[number], Tensor>;
const { pack, unpack } = packing(NAMES);
const NO_UPDATE = { alongD: 1, alongH: 0, timesH: 1, rankD: 0, rankH: 0 };

/** The identity gives a direction but no length. */
const firstStep = (gg: Tensor): Tensor => gg.rsqrt().mul(1.01).clamp_max(1);

/** What a trial was: value, slope, and the products that the next direction is made of. */
interface Trial {
  readonly f: Tensor;
  readonly slope: Tensor;
  readonly gnorm: Tensor;
  readonly gg: Tensor;
  readonly gHg: Tensor;
  readonly yy: Tensor;
  readonly dd: Tensor;
}

/**
 * The trial is accepted: with s = αd, Hg = -d and H symmetric, all that (6.17) needs of y = gₜ - g and Hy = h + d (h = Hgₜ) are numbers that are
 * there, and the next direction is a combination of d and h.
 */
const accept = (q: Numbers, t: Trial, options: LoopOptions): Numbers => {
  const fresh = q.fresh.gt(0.5);
  const sy = q.alpha.mul(t.slope.sub(q.slope));
  const updates = sy.gt(q.alpha.mul(t.dd.mul(t.yy).sqrt()).mul(EPSILON));
  const c = where(and(updates, fresh), sy.div(t.yy), 1); // (6.20): H is the identity then
  const inverse = where(updates, sy.reciprocal(), 0);
  const yHy = c.mul(t.gHg.add(t.slope.mul(2)).sub(q.slope));
  const half = yHy.mul(inverse).add(1).mul(inverse).mul(0.5);
  const ofD = half.mul(q.alpha).sub(c.mul(inverse)); // b = ofD · d + ofH · h
  const ofH = c.mul(inverse).neg();
  const ag = q.alpha.mul(t.slope);
  const bg = ofD.mul(t.slope).add(ofH.mul(t.gHg));
  const alongD = where(updates, q.alpha.mul(bg).add(ag.mul(ofD)).neg(), 0);
  const alongH = where(updates, c.add(ag.mul(ofH)).neg(), -1);
  const slope = alongD.mul(t.slope).add(alongH.mul(t.gHg));
  const weight = where(updates, q.alpha, 0);
  const nit = q.nit.add(1);
  const still = and(fresh, not(updates));
  return {
    ...beginning(t.f, slope, t.gg, still, where(still, firstStep(t.gg), 1)),
    nit,
    nfev: q.nfev.add(1),
    end: endAt(t.f, t.gnorm, nit, options),
    moves: constant(1),
    restart: not(slope.lt(0)).to('float64'), // no descent any more: begin again with the identity
    alongD,
    alongH,
    timesH: c,
    rankD: weight.mul(ofD).mul(2),
    rankH: weight.mul(ofH),
  };
};

/**
 * Minimises `fun`, a function of a float64 vector of n elements with a 0-d float64 result, from `x0`. A traceable function: compile it, vmap it
 * over starting points. Value and gradient are evaluated together, once per round of the one loop; a round that is accepted also updates the
 * inverse Hessian (N&W 6.17, in vector form, the first one scaled by 6.20), a round that is not changes the step only.
 */
export const loopBfgs = (fun: (x: Tensor) => Tensor, x0: Tensor, options: LoopOptions): LoopResult => {
  const n = x0.shape[0];
  const both = grad_and_value(fun) as (x: Tensor) => [Tensor, Tensor];
  const [g0, f0] = both(x0);
  const gg0 = g0.dot(g0);
  const start: Numbers = {
    ...beginning(f0, gg0.neg(), gg0, gg0.ge(0), firstStep(gg0)),
    ...constants({ ...NO_UPDATE, fresh: 1, nit: 0, nfev: 1, moves: 0, restart: 0 }),
    end: endAt(f0, g0.abs().amax(), constant(0), options),
  };
  const round = (x: Tensor, g: Tensor, d: Tensor, H: Tensor, packed: Tensor): Tensor[] => {
    const q = resume(unpack(packed), firstStep);
    const trial = x.add(d.mul(q.alpha));
    const [gt, f] = both(trial);
    const h = H.mv(gt);
    const y = gt.sub(g);
    const t: Trial = {
      f,
      slope: gt.dot(d),
      gnorm: gt.abs().amax(),
      gg: gt.dot(gt),
      gHg: gt.dot(h),
      yy: y.dot(y),
      dd: d.dot(d),
    };
    const next = together(
      q.end.lt(0),
      () =>
        either(
          isAccepted(q, t.f, t.slope, options),
          () => pack(accept(q, t, options)),
          () => pack({ ...search(q, t.f, t.slope, options), ...constants(NO_UPDATE) }),
        ),
      zeros([NAMES.length], { dtype: 'float64' }),
    );
    const { moves, restart, alongD, alongH, timesH, rankD, rankH } = unpack(next);
    const moved = moves.gt(0.5);
    const gs = where(moved, gt, g);
    const hs = where(moved, h, 0); // NaN at a trial that is not accepted would survive a factor of zero
    const ds = where(restart.gt(0.5), gs.neg(), d.mul(alongD).add(hs.mul(alongH)));
    const b = d.mul(rankD).add(hs.mul(rankH));
    const rank = d
      .unsqueeze(1)
      .mul(b.unsqueeze(0))
      .add(hs.mul(rankH).unsqueeze(1).mul(d.unsqueeze(0)));
    const Hs = H.mul(timesH)
      .add(rank)
      .add(eye(n, { dtype: 'float64' }).mul(restart));
    return [where(moved, trial, x), gs, ds, Hs, next];
  };
  const [x, g, , hessInv, packed] = while_loop(
    (...carried: Tensor[]) => carried[4]!.select(0, NAMES.indexOf('end')).lt(0),
    round,
    [x0, g0, g0.neg(), eye(n, { dtype: 'float64' }), pack(start)],
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, end } = unpack(packed);
  return { x, fun: f, jac: g, nit, nfev, end, hessInv };
};
