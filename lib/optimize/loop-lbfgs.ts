/**
 * @file L-BFGS with a strong-Wolfe search as one while_loop of tensor operators. The direction is a combination of g and the pairs (s, y), in the
 * compact form of Byrd, Nocedal & Schnabel (Math. Programming 63, 1994, theorem 2.2), whose coefficients come from products of those vectors with one
 * another. So an iteration reads the pairs twice, in two products with a matrix, where the two-loop recursion on vectors has forty kernels.
 */
import { kernelLoop } from '../control/while-loop.js';
import { arange, cat, where, zeros } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { grad_and_value } from '../transforms/reverse.js';
import {
  and,
  beginning,
  ENDS,
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
  RUNNING,
  type SearchNumbers,
  START,
  search,
  type Value,
} from './loop-search.js';

export interface LbfgsLoopOptions extends LoopOptions {
  /** Pairs kept. */
  readonly maxcor: number;
  /** Stop when (f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) is at most this. */
  readonly ftol: number;
  readonly maxfun: number;
}

/** `head`: the row that the next pair goes to. `gamma`: N&W (7.20), 1 after a restart. */
const MEMORY = { head: 0, gamma: 1 };
type Numbers = SearchNumbers & Record<keyof typeof MEMORY, Tensor>;
const packed = packing({ ...START, ...MEMORY });

const float64 = { dtype: 'float64' } as const;

const firstStep = (gg: Tensor): Tensor => gg.rsqrt().clamp_max(1);

/** Products of the pairs, by row of the memory. */
interface Products {
  /** sᵢ·g, then yᵢ·g, [2m] */
  readonly withG: Tensor;
  /** The inverse of the upper triangle, by age, of sᵢ·yⱼ, [m, m]; zero in the rows and columns of what is no pair. */
  readonly R: Tensor;
  /** yᵢ·yⱼ, [m, m] */
  readonly yy: Tensor;
}

/** Of a small matrix: as multiplications and sums it is a few lines of machine code, where a product of matrices is hundreds. */
const times = (A: Tensor, v: Tensor): Tensor => A.mul(v.unsqueeze(0)).sum(1);

/** The coefficients of -Hg in the pairs, [2m] for s and y; that of g is -γ. */
const compact = (gamma: Tensor, { withG, R, yy }: Products): Tensor => {
  const [sG, yG] = withG.chunk(2) as [Tensor, Tensor];
  const p = once(times(R, sG));
  const own = R.diagonal();
  const sy = where(own.eq(0), 0, own.reciprocal());
  const w = once(sy.mul(p).add(times(yy, p).sub(yG).mul(gamma)));
  return cat([times(R.t(), w).neg(), p.mul(gamma)]);
};

/**
 * Minimises as loopBfgs does, with the last `maxcor` pairs in place of a matrix. Every trial writes its pair over the oldest one, which the direction
 * does not need any more. The products of a new y with older pairs are differences of products with g (Byrd, Nocedal & Schnabel, section 3.2).
 */
export const loopLbfgs = (fun: (x: Tensor) => Tensor, x0: Tensor, options: LbfgsLoopOptions): LoopResult => {
  const { maxcor: m, ftol, maxfun } = options;
  const n = x0.shape[0]!;
  const both = grad_and_value(fun) as (x: Tensor) => [Tensor, Tensor];
  const limited = (end: Tensor, nfev: Tensor): Tensor => where(and(end.eq(RUNNING), nfev.ge(maxfun)), ENDS.maxfun, end);

  /** The trial, of value f, gradient g and products [slope, g·g, y·y, number of steep elements], becomes the point: numbers, direction, products. */
  const accept = (q: Numbers, f: Tensor, g: Tensor, inner: Tensor, W: Tensor, before: Products): Tensor[] => {
    const [trialSlope, gg, ofY, steep] = inner.unbind() as [Tensor, Tensor, Tensor, Tensor];
    const withG = W.mv(g);
    const sy = once(q.alpha.mul(trialSlope.sub(q.slope)));
    const keeps = once(sy.gt(ofY.mul(EPSILON)));
    const gamma = once(where(keeps, sy.div(ofY), q.gamma));
    const isNew = arange(0, m, float64).eq(q.head);
    const [column, row] = [isNew.unsqueeze(0), isNew.unsqueeze(1)];
    const [changeS, changeY] = withG.sub(before.withG).chunk(2) as [Tensor, Tensor];
    const fresh = once(q.fresh.gt(0.5)); // there are no pairs then
    const R = once(where(row.logical_or(fresh), 0, before.R));
    // A column of the inverse belongs to a pair: the older ones' say what the new one is, N&W (7.20 ff.) as in Gauss's elimination.
    const inverse = once(where(keeps, sy.reciprocal(), 0));
    const added = where(isNew, inverse, times(R, once(where(isNew, 0, changeS))).mul(inverse.neg()));
    const ofYs = once(where(isNew, ofY, changeY));
    const now = {
      withG,
      R: once(where(column, once(added).unsqueeze(1), R)),
      yy: once(where(column, ofYs.unsqueeze(1), where(row, ofYs.unsqueeze(0), before.yy))),
    };
    const along = once(compact(gamma, now));
    const slope = once(withG.mul(along).sum().sub(gamma.mul(gg)));
    const restart = once(not(slope.lt(0)));
    const still = once(or(restart, and(fresh, not(keeps))));
    const nit = once(q.nit.add(1));
    const nfev = once(q.nfev.add(1));
    const end = once(endAt(f, steep, gg, nit, options));
    const size = f.abs().maximum(q.f.abs()).clamp_min(1);
    const reduced = and(end.ne(ENDS.gradient), q.f.sub(f).le(size.mul(ftol)));
    const next = once(q.head.add(1));
    const scale = once(where(restart, 1, gamma));
    const numbers: Record<keyof Numbers, Value> = {
      ...beginning(f, once(where(restart, gg.neg(), slope)), gg, still, where(still, firstStep(gg), 1)),
      nit,
      nfev,
      end: where(reduced, ENDS.reduction, limited(end, nfev)),
      restart: restart.to('float64'),
      head: where(keeps, where(next.eq(m), 0, next), q.head),
      gamma: scale,
    };
    const direction = where(restart, 0, along).matmul(W).sub(g.mul(scale));
    return [packed.pack(numbers), direction, now.withG, now.R, now.yy];
  };

  const refuse = (q: Numbers, f: Tensor, slope: Tensor, g: Tensor, d: Tensor, before: Products): Tensor[] => {
    const next = search(q, f, slope, firstStep, options);
    const numbers: Record<keyof Numbers, Value> = {
      ...next,
      end: limited(next.end, next.nfev),
      head: q.head,
      gamma: where(next.restart.gt(0.5), 1, q.gamma),
    };
    return [packed.pack(numbers), where(next.restart.gt(0.5), g.neg(), d), before.withG, before.R, before.yy];
  };

  const round = (x: Tensor, g: Tensor, d: Tensor, W: Tensor, numbers: Tensor, ...carried: Tensor[]): Tensor[] => {
    const [withG, R, yy] = carried as [Tensor, Tensor, Tensor];
    const before = { withG, R, yy };
    const s = d.mul(packed.part(numbers, 'alpha'));
    const trial = x.add(s);
    const [gt, f] = both(trial);
    const y = gt.sub(g);
    const steep = isSteep(gt, options);
    const inner = products([gt, d], [gt, gt], [y, y], [steep, steep]);
    // One matrix for both, as the products want it: XLA writes its rows in place, and would copy all of it for a reshape in between.
    const row = packed.part(numbers, 'head').to('int64').reshape([1]);
    const Ws = W.index_copy(0, row, s.unsqueeze(0)).index_copy(0, row.add(m), y.unsqueeze(0));
    const accepted = isAccepted(packed.unpack(numbers), f, inner.select(0, 0), options);
    const [next, xs, gs, ds, ...after] = either(
      accepted,
      () => {
        const [next, direction, ...products] = accept(packed.unpack(numbers), f, gt, inner, Ws, before);
        return [next!, trial, gt, direction!, ...products];
      },
      () => {
        const [next, direction, ...products] = refuse(packed.unpack(numbers), f, inner.select(0, 0), g, d, before);
        return [next!, x, g, direction!, ...products];
      },
    ) as [Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
    return [xs, gs, ds, Ws, next, ...after];
  };
  const square = zeros([m, m], float64);
  const [x, g, , , numbers] = kernelLoop((...carried: Tensor[]) => packed.part(carried[4]!, 'end').lt(0), round, [
    x0,
    x0, // in the first round nothing depends on it
    zeros([n], float64),
    zeros([2 * m, n], float64),
    packed.start(),
    zeros([2 * m], float64),
    square,
    square,
  ]) as Tensor[] as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, end } = packed.unpack(numbers);
  return { x, fun: f, jac: g, nit, nfev, end };
};
