/** @file BFGS with a strong-Wolfe search as one while_loop of tensor operators: compiled, the whole optimisation is one XLA program. */
import { cond } from '../control/cond.js';
import { while_loop } from '../control/while-loop.js';
import { eye, full, maximum, stack, where } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { grad_and_value } from '../transforms/reverse.js';

export interface LoopOptions {
  readonly gtol: number;
  readonly maxiter: number;
  readonly c1: number;
  readonly c2: number;
}

/** What a loop ends with, all tensors: x and jac of shape [n], the rest 0-d; `status` as SciPy's. */
export interface LoopResult {
  readonly x: Tensor;
  readonly fun: Tensor;
  readonly jac: Tensor;
  readonly nit: Tensor;
  readonly nfev: Tensor;
  readonly status: Tensor;
}

/**
 * The numbers that go round, packed into one vector: XLA's CPU backend runs a kernel for each value that is carried. `lo` and `hi` are the ends of
 * the search's interval: step, value, slope. The last ones tell what becomes of the vectors and of the inverse Hessian.
 */
const NAMES = [
  'f',
  'slope',
  'alpha',
  'loA',
  'loF',
  'loS',
  'hiA',
  'hiF',
  'hiS',
  'bracketed',
  'bestA',
  'bestF',
  'last',
  'count',
  'width',
  'fresh',
  'gnorm',
  'gg',
  'nit',
  'nfev',
  'status',
  'moves',
  'restart',
  'alongD',
  'alongH',
  'timesH',
  'rankD',
  'rankH',
] as const;
type Numbers = Record<(typeof NAMES)[number], Tensor>;

const RUNNING = -1;
const EPSILON = 2 ** -52;
/** Evaluations in one search. */
const MOST = 40;

const unpack = (q: Tensor): Numbers => Object.fromEntries(NAMES.map((name, i) => [name, q.select(0, i)])) as Numbers;
const pack = (numbers: Numbers): Tensor => stack(NAMES.map((name) => numbers[name]));
const constant = (value: number): Tensor => full([], value, { dtype: 'float64' });
const dot = (a: Tensor, b: Tensor): Tensor => a.mul(b).sum();
const and = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_and(b));
const or = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_or(b));
const not = (flag: Tensor): Tensor => flag.logical_not();

/** Minimiser of the cubic through two points and their slopes, N&W (3.59); NaN where it has none. */
const cubic = (aA: Tensor, aF: Tensor, aS: Tensor, bA: Tensor, bF: Tensor, bS: Tensor): Tensor => {
  const d1 = aS.add(bS).sub(aF.sub(bF).mul(3).div(aA.sub(bA)));
  const d2 = bA
    .sub(aA)
    .sign()
    .mul(d1.square().sub(aS.mul(bS)).sqrt());
  return bA.sub(
    bA
      .sub(aA)
      .mul(bS.add(d2).sub(d1))
      .div(bS.sub(aS).add(d2.mul(2))),
  );
};

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

/** A search that begins: from a point of value f, along a direction of this slope. */
const beginning = (f: Tensor, slope: Tensor, gg: Tensor, fresh: Tensor) => ({
  f,
  slope,
  // The identity gives a direction but no length.
  alpha: where(fresh, gg.rsqrt().mul(1.01).clamp_max(1), 1),
  loA: constant(0),
  loF: f,
  loS: slope,
  hiA: constant(0),
  hiF: constant(0),
  hiS: constant(0),
  bracketed: constant(0),
  bestA: constant(0),
  bestF: f,
  last: constant(0),
  count: constant(0),
  width: constant(Number.POSITIVE_INFINITY),
  fresh: fresh.to('float64'),
  gg,
});

const STAY = { moves: 0, restart: 0, alongD: 1, alongH: 0, timesH: 1, rankD: 0, rankH: 0 };
const stay = () =>
  Object.fromEntries(Object.entries(STAY).map(([k, v]) => [k, constant(v)])) as Record<keyof typeof STAY, Tensor>;

/** What to go on from: where the last round asked for it, the steepest descent. */
const resume = (q: Numbers): Numbers => {
  const restart = q.restart.gt(0.5);
  const anew = beginning(q.f, q.gg.neg(), q.gg, restart);
  return {
    ...q,
    ...Object.fromEntries(Object.entries(anew).map(([k, v]) => [k, where(restart, v, q[k as keyof Numbers])])),
  };
};

/** The trial is not accepted: the next one, N&W algorithms 3.5 and 3.6 as in line-search.ts, or the end of the search. */
const search = (q: Numbers, t: Trial, { c1, maxiter }: LoopOptions): Numbers => {
  const { alpha, f, slope } = q;
  const noise = f.abs().mul(1e-14);
  const finite = and(t.f.isfinite(), t.slope.isfinite());
  const isStart = q.loA.eq(0);
  const tooHigh = not(t.f.le(f.add(alpha.mul(slope).mul(c1)).add(noise)));
  const better = and(finite, t.f.lt(q.bestF));
  const bestA = where(better, alpha, q.bestA);
  const bestF = where(better, t.f, q.bestF);

  const bracketed = q.bracketed.gt(0.5);
  const worse = or(not(finite), tooHigh, and(t.f.ge(q.loF), or(bracketed, not(isStart))));
  const rising = t.slope.ge(0);
  const turned = where(bracketed, t.slope.mul(q.hiA.sub(q.loA)).ge(0), rising);
  const outward = and(not(bracketed), not(worse), not(rising));
  // The trial becomes the end of the interval, or its beginning, whose old place may become the end.
  const trial = stack([alpha, t.f, t.slope]);
  const oldLo = stack([q.loA, q.loF, q.loS]);
  const lo = where(worse, oldLo, trial);
  const hi = where(worse, trial, where(turned, oldLo, stack([q.hiA, q.hiF, q.hiS])));
  const [loA, loF, loS] = [0, 1, 2].map((i) => lo.select(0, i)) as [Tensor, Tensor, Tensor];
  const [hiA, hiF, hiS] = [0, 1, 2].map((i) => hi.select(0, i)) as [Tensor, Tensor, Tensor];

  // Outwards from lo through the trial, inwards between lo and hi: one cubic serves both.
  const other = where(outward, trial, hi);
  const from = where(outward, oldLo, lo);
  const at = (v: Tensor, i: number): Tensor => v.select(0, i);
  const guess = cubic(at(from, 0), at(from, 1), at(from, 2), at(other, 0), at(other, 1), at(other, 2));
  const reach = alpha.sub(q.loA);
  const most = alpha.add(reach.mul(where(isStart, 9, 4)));
  const further = where(guess.gt(alpha), guess.maximum(alpha.add(reach.mul(1.1))).minimum(most), most);
  const span = hiA.sub(loA);
  const width = span.abs();
  const share = guess.sub(loA).div(span);
  const inside = loA.add(
    span.mul(
      where(
        and(hiF.isfinite(), hiS.isfinite()),
        where(or(width.gt(q.width.mul(0.66)), not(share.ge(0))), 0.5, share.clamp(0.05, 0.9)),
        0.2, // an infinite or NaN value says only "too far"
      ),
    ),
  );
  const narrow = or(width.le(maximum(loA, hiA).mul(1e-14)), width.mul(loS.abs()).le(noise.mul(1e-2)));
  const over = or(and(not(outward), narrow), q.count.ge(MOST - 1));
  const settle = and(over, bestF.lt(f)); // the best point of the search, evaluated again and then accepted
  const giveUp = and(over, not(bestF.lt(f)));
  return {
    ...q,
    ...stay(),
    alpha: where(settle, bestA, where(outward, further, inside)),
    loA,
    loF,
    loS,
    hiA,
    hiF,
    hiS,
    bracketed: not(outward).to('float64'),
    width: where(outward, q.width, width),
    bestA,
    bestF,
    last: settle.to('float64'),
    count: q.count.add(1),
    nfev: q.nfev.add(1),
    status: where(and(giveUp, q.fresh.gt(0.5)), 2, where(q.nit.ge(maxiter), 1, RUNNING)).to('float64'),
    restart: and(giveUp, q.fresh.lt(0.5)).to('float64'), // once more, with the identity
  };
};

/**
 * The trial is accepted: with s = αd, Hg = -d and H symmetric, all that (6.17) needs of y = gₜ - g and Hy = h + d (h = Hgₜ) are numbers that are
 * there, and the next direction is a combination of d and h.
 */
const accept = (q: Numbers, t: Trial, { gtol, maxiter }: LoopOptions): Numbers => {
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
  return {
    ...beginning(t.f, slope, t.gg, and(fresh, not(updates))),
    gnorm: t.gnorm,
    nit,
    nfev: q.nfev.add(1),
    status: where(
      t.gnorm.le(gtol),
      0,
      where(not(and(t.f.isfinite(), t.gnorm.isfinite())), 3, where(nit.ge(maxiter), 1, RUNNING)),
    ).to('float64'),
    moves: constant(1),
    restart: not(slope.lt(0)).to('float64'), // no descent any more: begin again with the identity
    alongD,
    alongH,
    timesH: c,
    rankD: weight.mul(ofD).mul(2),
    rankH: weight.mul(ofH),
  };
};

/** The conditions that end a search: strong Wolfe, N&W (3.7), or where values are rounding Hager & Zhang (2005, eq. 3.4), as in line-search.ts. */
const isAccepted = (q: Numbers, t: Trial, { c1, c2 }: LoopOptions): Tensor => {
  const decrease = t.f.le(q.f.add(q.alpha.mul(q.slope).mul(c1)));
  const approximate = and(t.f.le(q.f.add(q.f.abs().mul(1e-14))), t.slope.le(q.slope.mul(2 * c1 - 1)));
  return or(and(t.slope.abs().le(q.slope.mul(-c2)), or(decrease, approximate)), q.last.gt(0.5));
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
  const gg0 = dot(g0, g0);
  const gnorm0 = g0.abs().amax();
  const start: Numbers = {
    ...beginning(f0, gg0.neg(), gg0, gg0.ge(0)),
    ...stay(),
    fresh: constant(1),
    gnorm: gnorm0,
    nit: constant(0),
    nfev: constant(1),
    status: where(
      gnorm0.le(options.gtol),
      0,
      where(and(f0.isfinite(), gnorm0.isfinite()), options.maxiter <= 0 ? 1 : RUNNING, 3),
    ).to('float64'),
  };
  const round = (x: Tensor, g: Tensor, d: Tensor, H: Tensor, packed: Tensor): Tensor[] => {
    const q = resume(unpack(packed));
    const trial = x.add(d.mul(q.alpha));
    const [gt, f] = both(trial);
    const h = H.mv(gt);
    const t: Trial = {
      f,
      slope: dot(gt, d),
      gnorm: gt.abs().amax(),
      gg: dot(gt, gt),
      gHg: dot(gt, h),
      yy: gt.sub(g).square().sum(),
      dd: dot(d, d),
    };
    // A branch, because it is a kernel of its own: fused into all that uses them, these numbers would be computed once per use.
    const next = cond(
      isAccepted(q, t, options),
      () => pack(accept(q, t, options)),
      () => pack(search(q, t, options)),
    );
    const { moves, restart, alongD, alongH, timesH, rankD, rankH } = unpack(next);
    const moved = moves.gt(0.5);
    const gs = where(moved, gt, g);
    const ds = where(restart.gt(0.5), gs.neg(), d.mul(alongD).add(h.mul(alongH)));
    const b = d.mul(rankD).add(h.mul(rankH));
    const rank = d
      .unsqueeze(1)
      .mul(b.unsqueeze(0))
      .add(h.mul(rankH).unsqueeze(1).mul(d.unsqueeze(0)));
    const Hs = H.mul(timesH)
      .add(rank)
      .add(eye(n, { dtype: 'float64' }).mul(restart));
    return [where(moved, trial, x), gs, ds, Hs, next];
  };
  const [x, g, , , packed] = while_loop(
    (...carried: Tensor[]) => carried[4]!.select(0, NAMES.indexOf('status')).lt(0),
    round,
    [x0, g0, g0.neg(), eye(n, { dtype: 'float64' }), pack(start)],
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, status } = unpack(packed);
  return { x, fun: f, jac: g, nit, nfev, status };
};
