/**
 * @file L-BFGS with a strong-Wolfe search as one while_loop of tensor operators. The direction is a combination of g and the pairs (s, y), in the
 * compact form of Byrd, Nocedal & Schnabel (Math. Programming 63, 1994, theorem 2.2), whose coefficients come from products of those vectors with one
 * another. So an iteration reads the pairs twice, in two products with a matrix, where the two-loop recursion on vectors has forty kernels.
 */
import { kernelLoop } from '../control/while-loop.js';
import { arange, full, stack, where, zeros } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { grad_and_value } from '../transforms/reverse.js';
import {
  and,
  beginning,
  constant,
  constants,
  ENDS,
  EPSILON,
  either,
  endAt,
  isAccepted,
  isFlat,
  type LoopOptions,
  type LoopResult,
  not,
  once,
  or,
  packing,
  RUNNING,
  SEARCH_SIZES,
  type SearchNumbers,
  START,
  search,
  together,
} from './loop-search.js';

export interface LbfgsLoopOptions extends LoopOptions {
  /** Pairs kept. */
  readonly maxcor: number;
  /** Stop when (f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) is at most this. */
  readonly ftol: number;
  readonly maxfun: number;
}

/** `head`: the row that the next pair goes to. `gamma`: N&W (7.20). `alongG`: of the new direction. */
const MEMORY = { head: 1, gamma: 1, alongG: 1 } as const;
type Numbers = SearchNumbers & Record<keyof typeof MEMORY, Tensor>;
const packed = packing({ ...SEARCH_SIZES, ...MEMORY });

const float64 = { dtype: 'float64' } as const;

const firstStep = (gg: Tensor): Tensor => gg.rsqrt().clamp_max(1);

/** Products of the pairs, by row of the memory. */
interface Products {
  /** sᵢ·g and yᵢ·g, [2, m] */
  readonly withG: Tensor;
  /** The inverse of the upper triangle, by age, of sᵢ·yⱼ, [m, m]; zero in the rows and columns of what is no pair. */
  readonly R: Tensor;
  /** yᵢ·yⱼ, [m, m] */
  readonly yy: Tensor;
}

/** Of a small matrix: as multiplications and sums it is a few lines of machine code, where a product of matrices is hundreds. */
const times = (A: Tensor, v: Tensor): Tensor => A.mul(v.unsqueeze(0)).sum(1);

/** The coefficients of -Hg in the pairs, [2, m] for s and y; that of g is -γ. */
const compact = (gamma: Tensor, { withG, R, yy }: Products): Tensor => {
  const p = once(times(R, withG.select(0, 0)));
  const own = R.diagonal();
  const sy = where(own.eq(0), 0, own.reciprocal());
  const w = once(sy.mul(p).add(times(yy, p).sub(withG.select(0, 1)).mul(gamma)));
  return once(stack([times(R.t(), w).neg(), p.mul(gamma)]));
};

/**
 * Minimises as loopBfgs does, with the last `maxcor` pairs in place of a matrix. Every trial writes its pair over the oldest one, which the direction
 * does not need any more. The products of a new y with older pairs are differences of products with g (Byrd, Nocedal & Schnabel, section 3.2).
 */
export const loopLbfgs = (fun: (x: Tensor) => Tensor, x0: Tensor, options: LbfgsLoopOptions): LoopResult => {
  const { maxcor: m, ftol, maxfun } = options;
  const n = x0.shape[0]!;
  const both = grad_and_value(fun) as (x: Tensor) => [Tensor, Tensor];
  const slots = arange(0, m, float64);

  interface Trial {
    readonly f: Tensor;
    readonly slope: Tensor;
    readonly flat: Tensor;
    readonly gg: Tensor;
    readonly yy: Tensor;
    /** Products of all rows with the gradient there, [2, m]. */
    readonly withG: Tensor;
  }
  /** Numbers, coefficients by row [2, m], products. */
  type State = readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
  const limited = (end: Tensor, nfev: Tensor): Tensor =>
    where(and(end.eq(RUNNING), nfev.ge(maxfun)), ENDS.maxfun, end).to('float64');

  const accept = (q: Numbers, t: Trial, before: Products): State => {
    const sy = once(q.alpha.mul(t.slope.sub(q.slope)));
    const keeps = once(sy.gt(t.yy.mul(EPSILON)));
    const gamma = once(where(keeps, sy.div(t.yy), q.gamma));
    const isNew = once(slots.eq(q.head));
    const [column, row] = [isNew.unsqueeze(0), isNew.unsqueeze(1)];
    const change = once(t.withG.sub(before.withG));
    // A column of the inverse belongs to a pair: the older ones' say what the new one is, N&W (7.20 ff.) as in Gauss's elimination.
    const inverse = once(where(keeps, sy.reciprocal(), 0));
    const older = where(isNew, 0, change.select(0, 0));
    const added = where(isNew, inverse, times(where(row, 0, before.R), older).mul(inverse.neg()));
    const ofY = once(where(isNew, t.yy, change.select(0, 1)));
    const now = {
      withG: t.withG,
      R: once(where(column, added.unsqueeze(1), where(row, 0, before.R))),
      yy: once(where(column, ofY.unsqueeze(1), where(row, ofY.unsqueeze(0), before.yy))),
    };
    const along = compact(gamma, now);
    const slope = once(t.withG.mul(along).sum().sub(gamma.mul(t.gg)));
    const restart = once(not(slope.lt(0)));
    const still = once(or(restart, and(q.fresh.gt(0.5), not(keeps))));
    const nit = once(q.nit.add(1));
    const nfev = once(q.nfev.add(1));
    const end = once(endAt(t.f, t.flat, t.gg, nit, options));
    const size = t.f.abs().maximum(q.f.abs()).clamp_min(1);
    const reduced = and(end.ne(ENDS.gradient), q.f.sub(t.f).le(size.mul(ftol)));
    const numbers: Numbers = {
      ...beginning(t.f, once(where(restart, t.gg.neg(), slope)), t.gg, still, where(still, firstStep(t.gg), 1)),
      nit,
      nfev,
      end: where(reduced, ENDS.reduction, limited(end, nfev)).to('float64'),
      moves: constant(1),
      restart: restart.to('float64'),
      head: where(keeps, q.head.add(1).remainder(m), q.head),
      gamma: where(restart, 1, gamma),
      alongG: gamma.neg(),
    };
    return [packed.pack(numbers), along, now.withG, where(restart, 0, now.R), now.yy];
  };

  const refuse = (q: Numbers, t: Trial, before: Products): State => {
    const { next, anew, restart } = search(q, t.f, t.slope, firstStep, options);
    const end = limited(next.end, next.nfev);
    const numbers = where(restart, packed.pack({ ...anew, end, gamma: constant(1) }), packed.pack({ ...next, end }));
    return [numbers, zeros([2, m], float64), before.withG, where(restart, 0, before.R), before.yy];
  };

  const round = (x: Tensor, g: Tensor, d: Tensor, W: Tensor, numbers: Tensor, ...products: Tensor[]): Tensor[] => {
    const q = packed.unpack(numbers);
    const [withG, R, yy] = products as [Tensor, Tensor, Tensor];
    const s = d.mul(q.alpha);
    const trial = x.add(s);
    const [gt, f] = both(trial);
    const y = gt.sub(g);
    const slope = gt.dot(d);
    // One matrix for both, as the products want it: XLA writes its rows in place, and would copy all of it for a reshape in between.
    const row = q.head.to('int64').reshape([1]);
    const Ws = W.index_copy(0, row, s.unsqueeze(0)).index_copy(0, row.add(m), y.unsqueeze(0));
    const accepted = isAccepted(q, f, slope, options);
    const [productsWithG, flat, gg, ofY] = either(
      accepted,
      () => [Ws.mv(gt).reshape([2, m]), isFlat(gt, options), gt.dot(gt), y.dot(y)],
      () => [withG, constant(0).gt(0), constant(0), constant(0)],
    ) as [Tensor, Tensor, Tensor, Tensor];
    const t: Trial = { f, slope, flat, gg, yy: ofY, withG: productsWithG };
    const before = { withG, R, yy };
    const [next, along, ...after] = together(
      q.end.lt(0),
      () =>
        either(
          accepted,
          () => accept(q, t, before),
          () => refuse(q, t, before),
        ),
      [numbers, withG, withG, R, yy] as State,
    );
    const { restart, alongG } = packed.unpack(next);
    const [xs, gs, ds] = either(
      accepted,
      () => [
        trial,
        gt,
        along
          .reshape([2 * m])
          .matmul(Ws)
          .add(gt.mul(alongG)),
      ],
      () => [x, g, d],
    ) as [Tensor, Tensor, Tensor];
    return [xs, gs, where(restart.gt(0.5), gs.neg(), ds), Ws, next, ...after];
  };
  const none = full([3], 0, float64);
  const begin: Numbers = { ...constants({ ...START, head: 0, gamma: 1, alongG: -1 }), lo: none, hi: none };
  const nothing = zeros([n], float64);
  const square = zeros([m, m], float64);
  const [x, g, , , numbers] = kernelLoop((...carried: Tensor[]) => packed.part(carried[4]!, 'end').lt(0), round, [
    x0,
    nothing,
    nothing,
    zeros([2 * m, n], float64),
    packed.pack(begin),
    zeros([2, m], float64),
    square,
    square,
  ]) as Tensor[] as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, end } = packed.unpack(numbers);
  return { x, fun: f, jac: g, nit, nfev, end };
};
