/** @file BFGS with a strong-Wolfe search as one while_loop of tensor operators: compiled, the whole optimisation is one XLA program. */
import { kernelLoop } from '../control/while-loop.js';
import { eye, where, zeros } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { grad_and_value } from '../transforms/reverse.js';
import {
  and,
  beginning,
  EPSILON,
  either,
  endAt,
  isAccepted,
  isSteep,
  type LoopOptions,
  type LoopResult,
  not,
  once,
  or,
  packing,
  products,
  type SearchNumbers,
  START,
  search,
  type Value,
} from './loop-search.js';

/** The new direction is alongD · d + alongH · Hg; the new inverse Hessian timesH · H + dbᵀ + rankH · Hg dᵀ, b = rankD · d + rankH · Hg. */
const NO_UPDATE = { alongD: 1, alongH: 0, timesH: 1, rankD: 0, rankH: 0 };
type Numbers = SearchNumbers & Record<keyof typeof NO_UPDATE, Tensor>;
const packed = packing({ ...START, ...NO_UPDATE });

/** The identity gives a direction but no length. */
const firstStep = (gg: Tensor): Tensor => gg.rsqrt().mul(1.01).clamp_max(1);

/** What a trial was: value, slope, and the products that the next direction is made of. */
interface Trial {
  readonly f: Tensor;
  readonly slope: Tensor;
  readonly steep: Tensor;
  readonly gg: Tensor;
  readonly gHg: Tensor;
  readonly yy: Tensor;
  readonly dd: Tensor;
}

/**
 * The trial is accepted: with s = αd, Hg = -d and H symmetric, all that (6.17) needs of y = gₜ - g and Hy = h + d (h = Hgₜ) are numbers that are
 * there, and the next direction is a combination of d and h.
 */
const accept = (q: Numbers, t: Trial, options: LoopOptions): Record<keyof Numbers, Value> => {
  const fresh = q.fresh.gt(0.5);
  const sy = once(q.alpha.mul(t.slope.sub(q.slope)));
  const updates = once(sy.gt(q.alpha.mul(t.dd.mul(t.yy).sqrt()).mul(EPSILON)));
  const c = once(where(and(updates, fresh), sy.div(t.yy), 1)); // (6.20): H is the identity then
  const inverse = once(where(updates, sy.reciprocal(), 0));
  const yHy = c.mul(t.gHg.add(t.slope.mul(2)).sub(q.slope));
  const half = yHy.mul(inverse).add(1).mul(inverse).mul(0.5);
  const ofH = once(c.mul(inverse).neg()); // b = ofD · d + ofH · h
  const ofD = once(half.mul(q.alpha).add(ofH));
  const ag = q.alpha.mul(t.slope);
  const bg = ofD.mul(t.slope).add(ofH.mul(t.gHg));
  const alongD = once(where(updates, q.alpha.mul(bg).add(ag.mul(ofD)).neg(), 0));
  const alongH = once(where(updates, c.add(ag.mul(ofH)).neg(), -1));
  const slope = once(alongD.mul(t.slope).add(alongH.mul(t.gHg)));
  const weight = once(where(updates, q.alpha, 0));
  const restart = once(not(slope.lt(0))); // no descent any more: begin again with the identity
  const still = once(or(restart, and(fresh, not(updates))));
  const nit = once(q.nit.add(1));
  return {
    ...beginning(t.f, once(where(restart, t.gg.neg(), slope)), t.gg, still, where(still, firstStep(t.gg), 1)),
    nit,
    nfev: q.nfev.add(1),
    end: endAt(t.f, t.steep, t.gg, nit, options),
    restart: restart.to('float64'),
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
  const n = x0.shape[0]!;
  // Made where it is used: carried, it would be n² numbers more.
  const identity = () => eye(n, { dtype: 'float64' });
  const both = grad_and_value(fun) as (x: Tensor) => [Tensor, Tensor];
  const round = (x: Tensor, g: Tensor, d: Tensor, H: Tensor, numbers: Tensor): Tensor[] => {
    const alpha = packed.part(numbers, 'alpha');
    const trial = x.add(d.mul(alpha));
    const [gt, f] = both(trial);
    const h = H.mv(gt);
    const y = gt.sub(g);
    const steep = isSteep(gt, options);
    const inner = products([gt, d], [gt, gt], [gt, h], [y, y], [d, d], [steep, steep]);
    const accepted = isAccepted(packed.unpack(numbers), f, inner.select(0, 0), options);
    const next = either(
      accepted,
      () => {
        const [slope, gg, gHg, yy, dd, steep] = inner.unbind() as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
        return packed.pack(accept(packed.unpack(numbers), { f, slope, steep, gg, gHg, yy, dd }, options));
      },
      () => {
        const q = packed.unpack(numbers);
        return packed.pack({ ...search(q, f, inner.select(0, 0), firstStep, options), ...NO_UPDATE });
      },
    );
    const { restart, alongD, alongH, timesH, rankD, rankH } = packed.unpack(next);
    const gs = where(accepted, gt, g);
    const hs = where(accepted, h, 0); // NaN at a trial that is not accepted would survive a factor of zero
    const again = restart.gt(0.5);
    const ds = where(again, gs.neg(), d.mul(alongD).add(hs.mul(alongH)));
    const b = d.mul(rankD).add(hs.mul(rankH));
    const rank = d
      .unsqueeze(1)
      .mul(b.unsqueeze(0))
      .add(hs.mul(rankH).unsqueeze(1).mul(d.unsqueeze(0)));
    const Hs = where(again, identity(), H.mul(timesH).add(rank));
    return [where(accepted, trial, x), gs, ds, Hs, next];
  };
  const nothing = zeros([n], { dtype: 'float64' });
  const [x, g, , hessInv, numbers] = kernelLoop(
    (...carried: Tensor[]) => packed.part(carried[4]!, 'end').lt(0),
    round,
    [x0, nothing, nothing, identity(), packed.start()],
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, end } = packed.unpack(numbers);
  return { x, fun: f, jac: g, nit, nfev, end, hessInv };
};
