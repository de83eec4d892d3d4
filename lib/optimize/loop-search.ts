/** @file The strong-Wolfe search of line-search.ts as numbers that go round in a loop of tensor operators: one trial a round. */
import { barrier } from '../control/barrier.js';
import { cond } from '../control/cond.js';
import { tensor } from '../torch/data.js';
import { arange, cat, full, maximum, where } from '../torch/functions.js';
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
 * The numbers that go round, as they are before the first round: its trial is the start itself and is accepted, so the objective is in the program
 * once. `lo…` and `hi…` are the ends of the search's interval: step, value, slope; its `width` is infinite until there is one. `last`: the trial is
 * accepted whatever it is. `fresh`: the direction is the steepest descent. `restart`: it became so in this round.
 */
export const START = {
  f: Number.NaN,
  loF: 0,
  bestF: 0,
  slope: 0,
  loS: 0,
  gg: 0,
  fresh: 1,
  alpha: 0,
  loA: 0,
  hiA: 0,
  hiF: 0,
  hiS: 0,
  bestA: 0,
  last: 1,
  count: 0,
  width: 0,
  nit: -1,
  nfev: 0,
  end: RUNNING,
  restart: 0,
};
export type SearchNumbers = Record<keyof typeof START, Tensor>;

/** A number that a round computes, or one that is always the same. */
export type Value = Tensor | number;
const literal = (...values: number[]): Tensor => tensor(values, { dtype: 'float64' });

/**
 * Named numbers as one vector and back: XLA's CPU backend copies each value that is carried, and a branch takes and gives each as a buffer of its own.
 */
export const packing = <N extends string>(start: Readonly<Record<N, number>>) => {
  const names = Object.keys(start) as N[];
  const part = (q: Tensor, name: N): Tensor => q.select(0, names.indexOf(name));
  return {
    start: (): Tensor => literal(...(Object.values(start) as number[])),
    pack(numbers: Readonly<Record<N, Value>>): Tensor {
      // Behind a barrier a number is one instruction; fused with its reshape it would be a loop over one element.
      const computed = barrier(
        names.map((name): Value => numbers[name]).filter((value): value is Tensor => typeof value !== 'number'),
      );
      const parts: (Tensor | number[])[] = [];
      for (const name of names) {
        const value: Value = numbers[name];
        const before = parts.at(-1);
        if (typeof value !== 'number') parts.push(computed.shift()!.reshape([1]));
        else if (Array.isArray(before)) before.push(value);
        else parts.push([value]);
      }
      return cat(parts.map((part) => (Array.isArray(part) ? literal(...part) : part)));
    },
    part,
    /** Taken out when they are looked at. */
    unpack: (q: Tensor): Readonly<Record<N, Tensor>> => {
      const known: Partial<Record<N, Tensor>> = {};
      const get = (name: N) => ({ get: () => (known[name] ??= part(q, name)) });
      return Object.defineProperties({}, Object.fromEntries(names.map((name) => [name, get(name)]))) as Record<
        N,
        Tensor
      >;
    },
  };
};

const constant = (value: number): Tensor => full([], value, { dtype: 'float64' });
export const and = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_and(b));
export const or = (...flags: Tensor[]): Tensor => flags.reduce((a, b) => a.logical_or(b));
export const not = (flag: Tensor): Tensor => flag.logical_not();
/** Whether all of these numbers are finite, in fewer operations than isfinite of each. */
const finite = (...numbers: Tensor[]): Tensor =>
  numbers
    .map((x) => x.sub(x))
    .reduce((a, b) => a.add(b))
    .eq(0);
/** Computed once: XLA would fuse what is cheap into all that uses it, and the program would grow with every use of a use. */
export const once = (x: Tensor): Tensor => barrier([x])[0]!;

/** One of two ways, as a branch: fused into all that uses them, these numbers would be computed once per use. */
export const either = <V>(pred: Tensor, yes: () => V, no: () => V): V => cond(pred, yes, no);

/** A point of the search. */
interface Point {
  readonly alpha: Tensor;
  readonly f: Tensor;
  readonly slope: Tensor;
}
const choose = (flag: Tensor, a: Point, b: Point): Point => {
  const [alpha, f, slope] = barrier([
    where(flag, a.alpha, b.alpha),
    where(flag, a.f, b.f),
    where(flag, a.slope, b.slope),
  ]) as [Tensor, Tensor, Tensor];
  return { alpha, f, slope };
};

/** Minimiser of the cubic through two points and their slopes, N&W (3.59); NaN where it has none. */
const cubic = (a: Point, b: Point): Tensor => {
  const span = once(b.alpha.sub(a.alpha));
  const d1 = once(a.slope.add(b.slope).sub(b.f.sub(a.f).mul(3).div(span)));
  const d2 = once(span.sign().mul(d1.square().sub(a.slope.mul(b.slope)).sqrt()));
  return b.alpha.sub(span.mul(b.slope.add(d2).sub(d1)).div(b.slope.sub(a.slope).add(d2.mul(2))));
};

/** A search that begins: from a point of value f, along a direction of this slope, with this step. */
export const beginning = (f: Tensor, slope: Tensor, gg: Tensor, fresh: Tensor, alpha: Tensor) => ({
  f,
  slope,
  gg,
  fresh: fresh.to('float64'),
  alpha,
  loA: 0,
  loF: f,
  loS: slope,
  hiA: 0,
  hiF: 0,
  hiS: 0,
  bestA: 0,
  bestF: f,
  last: 0,
  count: 0,
  width: Number.POSITIVE_INFINITY,
});

/** The products of a round's vectors, [number of pairs]: one sum over rows, which XLA compiles in a third of the time of sums apart. */
export const products = (...pairs: (readonly [Tensor, Tensor])[]): Tensor => {
  const row = arange(0, pairs.length, { dtype: 'int32' }).unsqueeze(1);
  const side = (i: 0 | 1): Tensor =>
    pairs.slice(1).reduce((rest, pair, k) => where(row.eq(k + 1), pair[i], rest), pairs[0]![i]);
  return side(0).mul(side(1)).sum(1);
};

/** The conditions that end a search: strong Wolfe, N&W (3.7), or where values are rounding Hager & Zhang (2005, eq. 3.4), as in line-search.ts. */
export const isAccepted = (q: SearchNumbers, f: Tensor, slope: Tensor, { c1, c2 }: Wolfe): Tensor => {
  const decrease = f.le(q.f.add(q.alpha.mul(q.slope).mul(c1)));
  const approximate = and(f.le(q.f.add(q.f.abs().mul(1e-14))), slope.le(q.slope.mul(2 * c1 - 1)));
  return once(or(and(slope.abs().le(q.slope.mul(-c2)), or(decrease, approximate)), q.last.gt(0.5)));
};

/** 1 where an element of the gradient is beyond gtol or NaN: their number, a product of these, is 0 at the end. */
export const isSteep = (g: Tensor, { gtol }: LoopOptions): Tensor => not(g.abs().le(gtol)).to('float64');

/** How a run ends at a point that was accepted; RUNNING if it does not. `gg`: g·g, not finite where g is not. */
export const endAt = (f: Tensor, steep: Tensor, gg: Tensor, nit: Tensor, { maxiter }: LoopOptions): Tensor =>
  where(
    steep.eq(0),
    ENDS.gradient,
    where(finite(f, gg), where(nit.ge(maxiter), ENDS.maxiter, constant(RUNNING)), ENDS.nan),
  );

/**
 * The trial, of this value and slope, is not accepted: the next one, N&W algorithms 3.5 and 3.6, or the end of the search. Where nothing better was
 * found, the next search is along the steepest descent, whose first step is `first`; if this one was, that is the end.
 */
export const search = (
  q: SearchNumbers,
  f: Tensor,
  slope: Tensor,
  first: (gg: Tensor) => Tensor,
  { c1, maxls }: LoopOptions,
): SearchNumbers => {
  const old: Point = { alpha: q.loA, f: q.loF, slope: q.loS };
  const trial: Point = { alpha: q.alpha, f, slope };
  const noise = once(q.f.abs().mul(1e-14));
  const usable = once(finite(f, slope));
  const isStart = old.alpha.eq(0);
  const tooHigh = not(f.le(q.f.add(q.alpha.mul(q.slope).mul(c1)).add(noise)));
  const better = once(and(usable, f.lt(q.bestF)));
  const bestA = once(where(better, q.alpha, q.bestA));
  const bestF = once(where(better, f, q.bestF));

  const bracketed = once(finite(q.width));
  const worse = once(or(not(usable), tooHigh, and(f.ge(old.f), or(bracketed, not(isStart)))));
  const outward = once(not(or(bracketed, worse, slope.ge(0))));
  // The trial becomes the interval's beginning, or its end where it is worse; the other end is the old beginning, or stays.
  const stays = once(and(bracketed, not(worse), slope.mul(q.hiA.sub(old.alpha)).lt(0)));
  const other = choose(stays, { alpha: q.hiA, f: q.hiF, slope: q.hiS }, old);
  const lo = choose(worse, other, trial);
  const hi = choose(worse, trial, other);

  // Outwards from the old beginning through the trial, inwards between the ends: one cubic serves both.
  const guess = once(cubic(other, trial));
  const reach = once(q.alpha.sub(old.alpha));
  const most = once(q.alpha.add(reach.mul(where(isStart, 9, constant(4)))));
  const further = where(guess.gt(q.alpha), guess.maximum(q.alpha.add(reach.mul(1.1))).minimum(most), most);
  const span = once(hi.alpha.sub(lo.alpha));
  const width = once(span.abs());
  const share = once(guess.sub(lo.alpha).div(span));
  const inside = lo.alpha.add(
    span.mul(
      where(
        finite(hi.f, hi.slope),
        where(or(width.gt(q.width.mul(0.66)), not(share.ge(0))), 0.5, share.clamp(0.05, 0.9)),
        0.2, // an infinite or NaN value says only "too far"
      ),
    ),
  );
  const narrow = or(width.le(maximum(lo.alpha, hi.alpha).mul(1e-14)), width.mul(lo.slope.abs()).le(noise.mul(1e-2)));
  const over = once(or(and(not(outward), narrow), q.count.ge(maxls - 1)));
  const settle = once(and(over, bestF.lt(q.f))); // the best point of the search, evaluated again and then accepted
  const giveUp = once(and(over, not(settle)));
  const fresh = q.fresh.gt(0.5);
  const restart = once(and(giveUp, not(fresh)));
  const next = {
    slope: q.slope,
    fresh: q.fresh,
    alpha: where(settle, bestA, where(outward, further, inside)),
    loA: lo.alpha,
    loF: lo.f,
    loS: lo.slope,
    hiA: hi.alpha,
    hiF: hi.f,
    hiS: hi.slope,
    bestA,
    bestF,
    count: q.count.add(1),
    width: where(outward, q.width, width),
  };
  const anew = beginning(q.f, once(q.gg.neg()), q.gg, restart, first(q.gg));
  const names = Object.keys(next) as (keyof typeof next)[];
  return {
    f: q.f,
    gg: q.gg,
    ...(Object.fromEntries(names.map((name) => [name, where(restart, anew[name], next[name])])) as typeof next),
    last: settle.to('float64'),
    nit: q.nit,
    nfev: q.nfev.add(1),
    end: where(and(giveUp, fresh), ENDS.precision, constant(RUNNING)),
    restart: restart.to('float64'),
  };
};
