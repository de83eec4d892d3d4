/** @file The strong-Wolfe search of line-search.ts as numbers that go round in a loop of tensor operators: one trial a round. */
import { cond } from '../control/cond.js';
import { while_loop } from '../control/while-loop.js';
import { full, maximum, stack, where } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';

/** Of float64. */
export const EPSILON = 2 ** -52;

/** Sufficient decrease and curvature of the search, N&W (3.7). */
export interface Wolfe {
  readonly c1: number;
  readonly c2: number;
}

/** When a run ends and how it searches. */
export interface LoopOptions extends Wolfe {
  readonly gtol: number;
  readonly maxiter: number;
  /** Evaluations in one search. */
  readonly maxls: number;
}

/** What a loop ends with, all tensors: x and jac of shape [n], the rest 0-d. */
export interface LoopResult {
  readonly x: Tensor;
  readonly fun: Tensor;
  readonly jac: Tensor;
  readonly nit: Tensor;
  readonly nfev: Tensor;
  /** One of ENDS. */
  readonly end: Tensor;
  /** [n, n], where the method has it. */
  readonly hessInv?: Tensor;
}

/** Why a run ended. */
export const ENDS = { gradient: 0, maxiter: 1, precision: 2, nan: 3, reduction: 4, maxfun: 5 } as const;
export const RUNNING = -1;

/**
 * The numbers that go round, packed into one vector: XLA's CPU backend runs a kernel for each value that is carried. `lo` and `hi` are the ends of
 * the search's interval: step, value, slope. `fresh`: the direction is the steepest descent. `moves`: the trial became the point.
 */
export const SEARCH_NAMES = [
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
  'gg',
  'nit',
  'nfev',
  'end',
  'moves',
  'restart',
] as const;
export type SearchNumbers = Record<(typeof SEARCH_NAMES)[number], Tensor>;

/** Named numbers as one vector and back. */
export const packing = <N extends string>(names: readonly N[]) => ({
  pack: (numbers: Readonly<Record<N, Tensor>>): Tensor => stack(names.map((name) => numbers[name])),
  unpack: (q: Tensor): Record<N, Tensor> =>
    Object.fromEntries(names.map((name, i) => [name, q.select(0, i)])) as Record<N, Tensor>,
});

export const constant = (value: number): Tensor => full([], value, { dtype: 'float64' });
export const constants = <N extends string>(values: Readonly<Record<N, number>>) =>
  Object.fromEntries(Object.entries(values).map(([k, v]) => [k, constant(v as number)])) as Record<N, Tensor>;
export const and = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_and(b));
export const or = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_or(b));
export const not = (flag: Tensor): Tensor => flag.logical_not();

/**
 * `f()`, its results shaped as `init`, where `runs` holds, as it does in every round: a loop of one round, of which XLA does not know that it is one.
 * Its CPU backend compiles a small loop as one kernel, where these numbers would otherwise be one kernel each, called in turn.
 */
export const together = <V>(runs: Tensor, f: () => V, init: V): V =>
  while_loop(
    (on: Tensor, _: V) => on,
    (on: Tensor, _: V) => [not(on), f()] as [Tensor, V],
    [runs, init] as [Tensor, V],
  )[1];

/** One of two ways, as a branch: fused into all that uses them, these numbers would be computed once per use. */
export const either = <V>(pred: Tensor, yes: () => V, no: () => V): V => cond(pred, yes, no);

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

/** A search that begins: from a point of value f, along a direction of this slope, with this step. */
export const beginning = (f: Tensor, slope: Tensor, gg: Tensor, fresh: Tensor, alpha: Tensor) => ({
  f,
  slope,
  alpha,
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

/** What to go on from: where the last round asked for it, the steepest descent. `first` is the step along it. */
export const resume = <Q extends SearchNumbers>(q: Q, first: (gg: Tensor) => Tensor): Q => {
  const restart = q.restart.gt(0.5);
  const anew = beginning(q.f, q.gg.neg(), q.gg, restart, first(q.gg));
  const chosen = Object.entries(anew).map(([k, v]) => [k, where(restart, v, q[k as keyof SearchNumbers])]);
  return { ...q, ...Object.fromEntries(chosen) } as Q;
};

/** The conditions that end a search: strong Wolfe, N&W (3.7), or where values are rounding Hager & Zhang (2005, eq. 3.4), as in line-search.ts. */
export const isAccepted = (q: SearchNumbers, f: Tensor, slope: Tensor, { c1, c2 }: Wolfe): Tensor => {
  const decrease = f.le(q.f.add(q.alpha.mul(q.slope).mul(c1)));
  const approximate = and(f.le(q.f.add(q.f.abs().mul(1e-14))), slope.le(q.slope.mul(2 * c1 - 1)));
  return or(and(slope.abs().le(q.slope.mul(-c2)), or(decrease, approximate)), q.last.gt(0.5));
};

/** How a run ends at a point that was accepted; RUNNING if it does not. */
export const endAt = (f: Tensor, gnorm: Tensor, nit: Tensor, { gtol, maxiter }: LoopOptions): Tensor =>
  where(
    gnorm.le(gtol),
    ENDS.gradient,
    where(not(and(f.isfinite(), gnorm.isfinite())), ENDS.nan, where(nit.ge(maxiter), ENDS.maxiter, RUNNING)),
  ).to('float64');

/** The trial, of this value and slope, is not accepted: the next one, N&W algorithms 3.5 and 3.6, or the end of the search. */
export const search = <Q extends SearchNumbers>(q: Q, tF: Tensor, tS: Tensor, { c1, maxls }: LoopOptions): Q => {
  const { alpha, f, slope } = q;
  const noise = f.abs().mul(1e-14);
  const finite = and(tF.isfinite(), tS.isfinite());
  const isStart = q.loA.eq(0);
  const tooHigh = not(tF.le(f.add(alpha.mul(slope).mul(c1)).add(noise)));
  const better = and(finite, tF.lt(q.bestF));
  const bestA = where(better, alpha, q.bestA);
  const bestF = where(better, tF, q.bestF);

  const bracketed = q.bracketed.gt(0.5);
  const worse = or(not(finite), tooHigh, and(tF.ge(q.loF), or(bracketed, not(isStart))));
  const rising = tS.ge(0);
  const turned = where(bracketed, tS.mul(q.hiA.sub(q.loA)).ge(0), rising);
  const outward = and(not(bracketed), not(worse), not(rising));
  // The trial becomes the end of the interval, or its beginning, whose old place may become the end.
  const trial = stack([alpha, tF, tS]);
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
  const over = or(and(not(outward), narrow), q.count.ge(maxls - 1));
  const settle = and(over, bestF.lt(f)); // the best point of the search, evaluated again and then accepted
  const giveUp = and(over, not(bestF.lt(f)));
  return {
    ...q,
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
    end: where(and(giveUp, q.fresh.gt(0.5)), ENDS.precision, RUNNING).to('float64'),
    moves: constant(0),
    restart: and(giveUp, q.fresh.lt(0.5)).to('float64'), // once more, along the steepest descent
  } as Q;
};
