/** @file The strong-Wolfe search of line-search.ts as numbers that go round in a loop of tensor operators: one trial a round. */
import { barrier } from '../control/barrier.js';
import { cond } from '../control/cond.js';
import { while_loop } from '../control/while-loop.js';
import { cat, full, maximum, where } from '../torch/functions.js';
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
 * The numbers that go round, and how many each is, packed into one vector: XLA's CPU backend copies each value that is carried. `lo` and `hi` are the
 * ends of the search's interval: step, value, slope; its `width` is infinite until there is one. `last`: the trial is accepted whatever it is.
 * `fresh`: the direction is the steepest descent. `moves`: the trial became the point. `restart`: the direction is to be the steepest descent.
 */
export const SEARCH_SIZES = {
  f: 1,
  slope: 1,
  alpha: 1,
  lo: 3,
  hi: 3,
  bestA: 1,
  bestF: 1,
  last: 1,
  count: 1,
  width: 1,
  fresh: 1,
  gg: 1,
  nit: 1,
  nfev: 1,
  end: 1,
  moves: 1,
  restart: 1,
} as const;
export type SearchNumbers = Record<keyof typeof SEARCH_SIZES, Tensor>;

/** Named numbers (0-d where there is one of a name) as one vector and back. */
export const packing = <N extends string>(sizes: Readonly<Record<N, number>>) => {
  const names = Object.keys(sizes) as N[];
  const at = (name: N): number => names.slice(0, names.indexOf(name)).reduce((sum, before) => sum + sizes[before], 0);
  return {
    pack: (numbers: Readonly<Record<N, Tensor>>): Tensor =>
      cat(names.map((name) => numbers[name].reshape([sizes[name]]))),
    part: (q: Tensor, name: N): Tensor =>
      sizes[name] === 1 ? q.select(0, at(name)) : q.narrow(0, at(name), sizes[name]),
    unpack(q: Tensor): Record<N, Tensor> {
      return Object.fromEntries(names.map((name) => [name, this.part(q, name)])) as Record<N, Tensor>;
    },
  };
};

export const constant = (value: number): Tensor => full([], value, { dtype: 'float64' });
export const constants = <N extends string>(values: Readonly<Record<N, number>>) =>
  Object.fromEntries(Object.entries(values).map(([k, v]) => [k, constant(v as number)])) as Record<N, Tensor>;
export const and = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_and(b));
export const or = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_or(b));
export const not = (flag: Tensor): Tensor => flag.logical_not();
/** Computed once: XLA would fuse what is cheap into all that uses it, and the program would grow with every use of a use. */
export const once = (x: Tensor): Tensor => barrier([x])[0]!;

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

/** Step, value and slope of a point of the search. */
const point = (alpha: Tensor, f: Tensor, slope: Tensor): Tensor => cat([alpha, f, slope].map((t) => t.reshape([1])));
const at = (p: Tensor): [alpha: Tensor, f: Tensor, slope: Tensor] => [p.select(0, 0), p.select(0, 1), p.select(0, 2)];

/** Minimiser of the cubic through two points and their slopes, N&W (3.59); NaN where it has none. */
const cubic = (a: Tensor, b: Tensor): Tensor => {
  const [aA, aF, aS] = at(a);
  const [bA, bF, bS] = at(b);
  const span = once(bA.sub(aA));
  const d1 = once(aS.add(bS).sub(bF.sub(aF).mul(3).div(span)));
  const d2 = once(span.sign().mul(d1.square().sub(aS.mul(bS)).sqrt()));
  return bA.sub(span.mul(bS.add(d2).sub(d1)).div(bS.sub(aS).add(d2.mul(2))));
};

/** A search that begins: from a point of value f, along a direction of this slope, with this step. */
export const beginning = (f: Tensor, slope: Tensor, gg: Tensor, fresh: Tensor, alpha: Tensor) => ({
  f,
  slope,
  alpha,
  lo: point(constant(0), f, slope),
  hi: full([3], 0, { dtype: 'float64' }),
  bestA: constant(0),
  bestF: f,
  last: constant(0),
  count: constant(0),
  width: constant(Number.POSITIVE_INFINITY),
  fresh: fresh.to('float64'),
  gg,
});

/** Before the first round, whose trial is the start itself and is accepted: so the objective is in the program once. */
export const START: Readonly<Record<Exclude<keyof SearchNumbers, 'lo' | 'hi'>, number>> = {
  f: Number.NaN,
  slope: 0,
  alpha: 0,
  bestA: 0,
  bestF: 0,
  last: 1,
  count: 0,
  width: 0,
  fresh: 1,
  gg: 0,
  nit: -1,
  nfev: 0,
  end: RUNNING,
  moves: 0,
  restart: 0,
};

/** The conditions that end a search: strong Wolfe, N&W (3.7), or where values are rounding Hager & Zhang (2005, eq. 3.4), as in line-search.ts. */
export const isAccepted = (q: SearchNumbers, f: Tensor, slope: Tensor, { c1, c2 }: Wolfe): Tensor => {
  const decrease = f.le(q.f.add(q.alpha.mul(q.slope).mul(c1)));
  const approximate = and(f.le(q.f.add(q.f.abs().mul(1e-14))), slope.le(q.slope.mul(2 * c1 - 1)));
  return or(and(slope.abs().le(q.slope.mul(-c2)), or(decrease, approximate)), q.last.gt(0.5));
};

/** Whether no element of the gradient is beyond gtol. */
export const isFlat = (g: Tensor, { gtol }: LoopOptions): Tensor => g.abs().le(gtol).all();

/** How a run ends at a point that was accepted; RUNNING if it does not. `gg`: g·g, not finite where g is not. */
export const endAt = (f: Tensor, flat: Tensor, gg: Tensor, nit: Tensor, { maxiter }: LoopOptions): Tensor =>
  where(
    flat,
    ENDS.gradient,
    where(not(and(f.isfinite(), gg.isfinite())), ENDS.nan, where(nit.ge(maxiter), ENDS.maxiter, RUNNING)),
  ).to('float64');

/**
 * The trial, of this value and slope, is not accepted: the next one, N&W algorithms 3.5 and 3.6, or the end of the search. `anew` is what to go on with
 * where that is to `restart`: once more along the steepest descent, whose first step is `first`.
 */
export const search = <Q extends SearchNumbers>(
  q: Q,
  tF: Tensor,
  tS: Tensor,
  first: (gg: Tensor) => Tensor,
  { c1, maxls }: LoopOptions,
): { next: Q; anew: Q; restart: Tensor } => {
  const { alpha, f, slope } = q;
  const noise = f.abs().mul(1e-14);
  const finite = and(tF.isfinite(), tS.isfinite());
  const [oldA, oldF] = at(q.lo);
  const isStart = oldA.eq(0);
  const tooHigh = not(tF.le(f.add(alpha.mul(slope).mul(c1)).add(noise)));
  const better = once(and(finite, tF.lt(q.bestF)));
  const bestA = where(better, alpha, q.bestA);
  const bestF = once(where(better, tF, q.bestF));

  const bracketed = once(q.width.isfinite());
  const worse = once(or(not(finite), tooHigh, and(tF.ge(oldF), or(bracketed, not(isStart)))));
  const rising = tS.ge(0);
  const turned = where(bracketed, tS.mul(at(q.hi)[0].sub(oldA)).ge(0), rising);
  const outward = once(not(or(bracketed, worse, rising)));
  // The trial becomes the end of the interval, or its beginning, whose old place may become the end.
  const trial = once(point(alpha, tF, tS));
  const lo = once(where(worse, q.lo, trial));
  const hi = once(where(worse, trial, where(turned, q.lo, q.hi)));

  // Outwards from lo through the trial, inwards between lo and hi: one cubic serves both.
  const guess = once(cubic(once(where(outward, q.lo, lo)), once(where(outward, trial, hi))));
  const reach = alpha.sub(oldA);
  const most = alpha.add(reach.mul(where(isStart, 9, 4)));
  const further = where(guess.gt(alpha), guess.maximum(alpha.add(reach.mul(1.1))).minimum(most), most);
  const [loA, , loS] = at(lo);
  const [hiA, hiF, hiS] = at(hi);
  const span = once(hiA.sub(loA));
  const width = once(span.abs());
  const share = once(guess.sub(loA).div(span));
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
  const over = once(or(and(not(outward), narrow), q.count.ge(maxls - 1)));
  const settle = once(and(over, bestF.lt(f))); // the best point of the search, evaluated again and then accepted
  const giveUp = once(and(over, not(settle)));
  const fresh = q.fresh.gt(0.5);
  const restart = once(and(giveUp, not(fresh)));
  const next: Q = {
    ...q,
    alpha: where(settle, bestA, where(outward, further, inside)),
    lo,
    hi,
    bestA,
    bestF,
    last: settle.to('float64'),
    count: q.count.add(1),
    width: where(outward, q.width, width),
    nfev: q.nfev.add(1),
    end: where(and(giveUp, fresh), ENDS.precision, RUNNING).to('float64'),
    moves: constant(0),
    restart: restart.to('float64'),
  };
  return { next, anew: { ...next, ...beginning(f, q.gg.neg(), q.gg, restart, first(q.gg)) }, restart };
};
