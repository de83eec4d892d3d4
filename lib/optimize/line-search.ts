/** @file Strong-Wolfe line search: Nocedal & Wright (2006), algorithms 3.5 (bracketing) and 3.6 (zoom). */
import type { Objective } from './types.js';
import { dot, step } from './vectors.js';

export interface WolfeOptions {
  /** Sufficient decrease, N&W (3.7a). */
  readonly c1: number;
  /** Curvature, N&W (3.7b). */
  readonly c2: number;
  /** The longest step allowed. */
  readonly longest?: number;
  /** Evaluations before it settles for the best decrease found. */
  readonly maxEvaluations?: number;
}

interface Trial {
  readonly alpha: number;
  readonly f: number;
  readonly slope: number;
}

/**
 * Minimiser of the cubic with the values and slopes of `a` and `b`, N&W (3.59); NaN where it has none.
 * It also extrapolates, when both lie on the same side of the minimiser.
 */
function cubic(a: Trial, b: Trial): number {
  const d1 = a.slope + b.slope - (3 * (a.f - b.f)) / (a.alpha - b.alpha);
  const d2 = Math.sign(b.alpha - a.alpha) * Math.sqrt(d1 * d1 - a.slope * b.slope);
  return b.alpha - ((b.alpha - a.alpha) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2);
}

/** One search direction after another along one objective; owns the buffers, so that a search allocates nothing of size n. */
export class LineSearch {
  /** The accepted point: only meaningful after `search` returned true. */
  x: Float64Array;
  g: Float64Array;
  f = Number.NaN;
  alpha = 0;
  /** Evaluations of the objective so far, counted by the caller too where it evaluates itself. */
  evaluations = 0;
  private trialX: Float64Array;
  private trialG: Float64Array;
  private from!: Float64Array;
  private direction!: Float64Array;

  constructor(
    private readonly objective: Objective,
    n: number,
  ) {
    this.x = new Float64Array(n);
    this.g = new Float64Array(n);
    this.trialX = new Float64Array(n);
    this.trialG = new Float64Array(n);
  }

  /**
   * Looks for a step along `d` from `x`, where the objective is `f0` and its slope along `d` is `slope0` < 0; tries `first` first.
   * True: `this.x, f, g, alpha` is a point of smaller value, which satisfies the strong Wolfe conditions unless rounding or
   * `maxEvaluations` forbade it. False: no smaller value was found.
   */
  search(x: Float64Array, d: Float64Array, f0: number, slope0: number, first: number, options: WolfeOptions): boolean {
    const { c1, c2, longest = 1e10, maxEvaluations = 40 } = options;
    this.from = x;
    this.direction = d;
    const start: Trial = { alpha: 0, f: f0, slope: slope0 };
    // Below this a difference of values is rounding, and slopes decide: the approximate Wolfe conditions of Hager & Zhang
    // (SIAM J. Optim. 16, 2005, eq. 3.4). Without them a search near the minimum fails although the gradient is still exact.
    const noise = 1e-14 * Math.abs(f0);
    const accepts = (t: Trial) =>
      Math.abs(t.slope) <= -c2 * slope0 &&
      (t.f <= f0 + c1 * t.alpha * slope0 || (t.f <= f0 + noise && t.slope <= (2 * c1 - 1) * slope0));
    const tooHigh = (t: Trial) => !(t.f <= f0 + c1 * t.alpha * slope0 + noise);

    let lo = start;
    let hi: Trial | undefined;
    let best: Trial | undefined;
    let alpha = Math.min(first, longest);
    let lastWidth = Number.POSITIVE_INFINITY;
    for (let count = 0; count < maxEvaluations; count++) {
      const t = this.evaluate(alpha);
      if (accepts(t)) return this.accept(t);
      const finite = Number.isFinite(t.f) && Number.isFinite(t.slope);
      if (finite && t.f < f0 && (best === undefined || t.f < best.f)) {
        best = t;
        this.accept(t);
      }
      if (hi === undefined) {
        // Algorithm 3.5: step outwards until the interval [lo, hi] must hold a point that satisfies the conditions.
        if (!finite || tooHigh(t) || (t.f >= lo.f && lo !== start)) hi = t;
        else if (t.slope >= 0) [lo, hi] = [t, lo];
        else {
          if (alpha >= longest) break;
          const guess = cubic(lo, t);
          const least = alpha + 1.1 * (alpha - lo.alpha);
          const most = alpha + (lo === start ? 9 : 4) * (alpha - lo.alpha);
          lo = t;
          alpha = Math.min(longest, guess > alpha ? Math.min(Math.max(guess, least), most) : most);
          continue;
        }
      } else {
        // Algorithm 3.6.
        if (!finite || tooHigh(t) || t.f >= lo.f) hi = t;
        else {
          if (t.slope * (hi.alpha - lo.alpha) >= 0) hi = lo;
          lo = t;
        }
      }
      const width = Math.abs(hi.alpha - lo.alpha);
      if (width <= 1e-14 * Math.max(lo.alpha, hi.alpha) || width * Math.abs(lo.slope) <= 1e-2 * noise) break;
      alpha = this.inside(lo, hi, width > 0.66 * lastWidth);
      lastWidth = width;
    }
    return best !== undefined;
  }

  /** A point inside [lo, hi]: the cubic's minimiser, kept off the ends; the middle where the interval hardly shrank. */
  private inside(lo: Trial, hi: Trial, slow: boolean): number {
    const width = hi.alpha - lo.alpha;
    // An infinite or NaN value says only "too far".
    if (!Number.isFinite(hi.f) || !Number.isFinite(hi.slope)) return lo.alpha + 0.2 * width;
    if (slow) return lo.alpha + 0.5 * width;
    const guess = (cubic(lo, hi) - lo.alpha) / width;
    return lo.alpha + (guess >= 0 ? Math.min(Math.max(guess, 0.05), 0.9) : 0.5) * width;
  }

  private evaluate(alpha: number): Trial {
    step(this.from, alpha, this.direction, this.trialX);
    const { f, g } = this.objective(this.trialX);
    this.evaluations++;
    this.trialG.set(g);
    return { alpha, f, slope: dot(this.trialG, this.direction) };
  }

  private accept(t: Trial): true {
    [this.x, this.trialX] = [this.trialX, this.x];
    [this.g, this.trialG] = [this.trialG, this.g];
    this.f = t.f;
    this.alpha = t.alpha;
    return true;
  }
}
