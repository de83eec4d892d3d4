/**
 * @file L-BFGS with a strong-Wolfe search as one while_loop of tensor operators. The two-loop recursion (N&W algorithm 7.4) runs on coefficients: the
 * direction is a combination of g and the pairs (s, y), and the products of those with one another are all that the recursion needs. So a round
 * reads the pairs twice, in two products with a matrix, where the recursion on vectors has forty kernels of its own.
 */
import { fori } from '../control/scan.js';
import { while_loop } from '../control/while-loop.js';
import { arange, cat, eye, stack, where, zeros } from '../torch/functions.js';
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
  type LoopOptions,
  type LoopResult,
  not,
  packing,
  RUNNING,
  resume,
  SEARCH_NAMES,
  type SearchNumbers,
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

/** `head`: the row that the next pair goes to. `pairs`: how many there are. `gamma`: N&W (7.20). `alongG`: of the new direction. */
const MEMORY_NAMES = ['head', 'pairs', 'gamma', 'alongG'] as const;
const NAMES = [...SEARCH_NAMES, ...MEMORY_NAMES];
type Numbers = SearchNumbers & Record<(typeof MEMORY_NAMES)[number], Tensor>;
const { pack, unpack } = packing(NAMES);

const float64 = { dtype: 'float64' } as const;

const firstStep = (gg: Tensor): Tensor => gg.rsqrt().clamp_max(1);

/** Products of the pairs, the oldest first; what belongs to no pair is multiplied by zero wherever it is used. */
interface Products {
  /** sᵢ·g and yᵢ·g, [2, m] */
  readonly withG: Tensor;
  /** sᵢ·yⱼ for i ≤ j, [m, m] */
  readonly sy: Tensor;
  /** yᵢ·yⱼ, [m, m] */
  readonly yy: Tensor;
}

/** A matrix of products without its oldest pair's, and with those of a new pair. */
const shifted = (products: Tensor, column: Tensor, row: Tensor, corner: Tensor): Tensor => {
  const m = products.shape[0]!;
  const kept = products.narrow(0, 1, m - 1).narrow(1, 1, m - 1);
  const last = cat([row, corner.reshape([1])]).unsqueeze(0);
  return cat([cat([kept, column.unsqueeze(1)], 1), last]);
};

/** The coefficients of -Hg in the pairs, [2, m] for s and y; that of g is -γ. */
const recursion = (pairs: Tensor, gamma: Tensor, { withG, sy, yy }: Products): Tensor => {
  const m = sy.shape[0]!;
  const ages = arange(0, m, { dtype: 'int64' });
  const there = ages.ge(constant(m).sub(pairs));
  const rho = where(there, sy.diagonal().reciprocal(), 0);
  const none = zeros([m], float64);
  // The newest first: sᵢ·q without what the newer pairs took away.
  const a = fori(
    0,
    m,
    (k, done: Tensor) => where(ages.eq(k.neg().add(m - 1)), rho.mul(withG.select(0, 0).sub(sy.mv(done))), done),
    none,
  );
  const y = withG.select(0, 1).sub(yy.mv(a)).mul(gamma);
  const c = fori(0, m, (k, done: Tensor) => where(ages.eq(k), a.sub(rho.mul(y.add(sy.t().mv(done)))), done), none);
  return stack([c.neg(), a.mul(gamma)]);
};

/**
 * Minimises as loopBfgs does, with the last `maxcor` pairs in place of a matrix. One row more than that is kept: every trial writes its pair there, and
 * becomes one of the pairs when it is accepted. The products of a new y with older pairs are differences of products with g (Byrd, Nocedal &
 * Schnabel, Math. Programming 63, 1994, section 3.2).
 */
export const loopLbfgs = (fun: (x: Tensor) => Tensor, x0: Tensor, options: LbfgsLoopOptions): LoopResult => {
  const { maxcor: m, ftol, maxfun } = options;
  const rows = m + 1;
  const n = x0.shape[0]!;
  const both = grad_and_value(fun) as (x: Tensor) => [Tensor, Tensor];
  const [g0, f0] = both(x0);
  const gg0 = g0.dot(g0);
  const start: Numbers = {
    ...beginning(f0, gg0.neg(), gg0, gg0.ge(0), firstStep(gg0)),
    ...constants({ nit: 0, nfev: 1, moves: 0, restart: 0, head: 0, pairs: 0, gamma: 1, alongG: -1 }),
    end: endAt(f0, g0.abs().amax(), constant(0), options),
  };
  const modulo = (slots: Tensor): Tensor => slots.add(rows).remainder(rows).to('int64');
  /** The rows of the pairs, the oldest first, when the next pair goes to row `head`. */
  const order = (head: Tensor): Tensor => modulo(arange(1, rows, float64).add(head));
  /** The ages of the rows; that of row `head` is m. */
  const ages = (head: Tensor): Tensor => modulo(arange(0, rows, float64).sub(head).sub(1));

  interface Trial {
    readonly f: Tensor;
    readonly slope: Tensor;
    readonly gnorm: Tensor;
    readonly gg: Tensor;
    readonly yy: Tensor;
    /** Products of all rows with the gradient there, [2, rows]. */
    readonly withG: Tensor;
  }
  type State = readonly [Tensor, Tensor, Tensor, Tensor, Tensor];

  /** The trial is accepted: [numbers, coefficients by row [2, rows], products]. */
  const accept = (q: Numbers, t: Trial, before: Products): State => {
    const sy = q.alpha.mul(t.slope.sub(q.slope));
    const keeps = sy.gt(t.yy.mul(EPSILON));
    const head = where(keeps, q.head.add(1).remainder(rows), q.head);
    const pairs = where(keeps, q.pairs.add(1).clamp_max(m), q.pairs);
    const gamma = where(keeps, sy.div(t.yy), q.gamma);
    const withG = t.withG.index_select(1, order(head));
    const change = withG.narrow(1, 0, m - 1).sub(before.withG.narrow(1, 1, m - 1));
    const [ofS, ofY] = [change.select(0, 0), change.select(0, 1)];
    const now = {
      withG,
      sy: where(keeps, shifted(before.sy, ofS, ofS.mul(0), sy), before.sy),
      yy: where(keeps, shifted(before.yy, ofY, ofY, t.yy), before.yy),
    };
    const along = recursion(pairs, gamma, now);
    const slope = withG.mul(along).sum().sub(gamma.mul(t.gg));
    const nit = q.nit.add(1);
    const nfev = q.nfev.add(1);
    const still = pairs.lt(0.5);
    const size = t.f.abs().maximum(q.f.abs()).clamp_min(1);
    const end = endAt(t.f, t.gnorm, nit, options);
    const numbers: Numbers = {
      ...beginning(t.f, slope, t.gg, still, where(still, firstStep(t.gg), 1)),
      nit,
      nfev,
      end: where(
        end.ne(ENDS.gradient).logical_and(q.f.sub(t.f).le(size.mul(ftol))),
        ENDS.reduction,
        where(and(end.eq(RUNNING), nfev.ge(maxfun)), ENDS.maxfun, end),
      ).to('float64'),
      moves: constant(1),
      restart: not(slope.lt(0)).to('float64'),
      head,
      pairs,
      gamma,
      alongG: gamma.neg(),
    };
    const byRow = cat([along, along.narrow(1, 0, 1).mul(0)], 1).index_select(1, ages(head));
    return [pack(numbers), byRow, now.withG, now.sy, now.yy];
  };

  /** What a search or a run that goes on without pairs starts from. */
  const refuse = (q: Numbers, t: Trial, before: Products): State => {
    const next = search(q, t.f, t.slope, options);
    const end = where(and(next.end.eq(RUNNING), next.nfev.ge(maxfun)), ENDS.maxfun, next.end);
    return [
      pack({ ...next, end: end.to('float64') }),
      t.withG.mul(0).nan_to_num(0),
      before.withG,
      before.sy,
      before.yy,
    ];
  };

  const round = (x: Tensor, g: Tensor, d: Tensor, W: Tensor, packed: Tensor, ...products: Tensor[]): Tensor[] => {
    const resumed = resume(unpack(packed), firstStep);
    const forgets = resumed.restart.gt(0.5);
    const q = {
      ...resumed,
      pairs: where(forgets, 0, resumed.pairs),
      gamma: where(forgets, 1, resumed.gamma),
    };
    const [withG, sy, yy] = products as [Tensor, Tensor, Tensor];
    const trial = x.add(d.mul(q.alpha));
    const [gt, f] = both(trial);
    const y = gt.sub(g);
    // One matrix for both, as the products want it: XLA writes its rows in place, and would copy all of it for a reshape in between.
    const row = q.head.to('int64').reshape([1]);
    const Ws = W.index_copy(0, row, d.mul(q.alpha).unsqueeze(0)).index_copy(0, row.add(rows), y.unsqueeze(0));
    const t: Trial = {
      f,
      slope: gt.dot(d),
      gnorm: gt.abs().amax(),
      gg: gt.dot(gt),
      yy: y.dot(y),
      withG: Ws.mv(gt).reshape([2, rows]),
    };
    const before = { withG, sy, yy };
    const [next, byRow, ...after] = together(
      q.end.lt(0),
      () =>
        either(
          isAccepted(q, t.f, t.slope, options),
          () => accept(q, t, before),
          () => refuse(q, t, before),
        ),
      [packed, t.withG, withG, sy, yy] as State,
    );
    const { moves, restart, alongG } = unpack(next);
    const moved = moves.gt(0.5);
    const gs = where(moved, gt, g);
    const combined = byRow
      .reshape([2 * rows])
      .matmul(Ws)
      .add(gt.mul(alongG));
    const ds = where(restart.gt(0.5), gs.neg(), where(moved, combined, d));
    return [where(moved, trial, x), gs, ds, Ws, next, ...after];
  };
  const [x, g, , , packed] = while_loop(
    (...carried: Tensor[]) => carried[4]!.select(0, NAMES.indexOf('end')).lt(0),
    round,
    [
      x0,
      g0,
      g0.neg(),
      zeros([2 * rows, n], float64),
      pack(start),
      zeros([2, m], float64),
      eye(m, float64),
      zeros([m, m], float64),
    ],
  ) as Tensor[] as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const { f, nit, nfev, end } = unpack(packed);
  return { x, fun: f, jac: g, nit, nfev, end };
};
