/** @file The line search of L-BFGS: strong Wolfe conditions by bracketing and cubic interpolation (Nocedal & Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6), step for step as in torch.optim. */
import type { Tensor } from '../torch/python-types.js';

export interface Evaluation {
  readonly t: number;
  readonly value: number;
  readonly gradient: Tensor;
  /** The directional derivative. */
  readonly slope: number;
}

const C1 = 1e-4;
const C2 = 0.9;
const SMALLEST_CHANGE = 1e-9;
const MOST = 25;

/** The minimum of the cubic through two values and slopes, within bounds. */
const cubic = (a: Evaluation, b: Evaluation, bounds?: readonly [number, number]): number => {
  const [low, high] = bounds ?? (a.t <= b.t ? [a.t, b.t] : [b.t, a.t]);
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.t - b.t);
  const square = d1 ** 2 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  const d2 = Math.sqrt(square);
  const at =
    a.t <= b.t
      ? b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
      : a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2));
  return Math.min(Math.max(at, low), high);
};

/** A step that satisfies the strong Wolfe conditions, or the best found. @param largest the largest element of the direction. */
export const strongWolfe = (
  evaluate: (t: number) => Evaluation,
  start: Evaluation,
  first: number,
  largest: number,
): { best: Evaluation; evaluations: number } => {
  let next = evaluate(first);
  let evaluations = 1;
  const tooHigh = (e: Evaluation): boolean => e.value > start.value + C1 * e.t * start.slope;
  const flat = (e: Evaluation): boolean => Math.abs(e.slope) <= -C2 * start.slope;

  let previous = start;
  let bracket: Evaluation[] = [];
  let done = false;
  let iteration = 0;
  while (iteration < MOST) {
    if (tooHigh(next) || (iteration > 1 && next.value >= previous.value)) {
      bracket = [previous, next];
      break;
    }
    if (flat(next)) {
      bracket = [next];
      done = true;
      break;
    }
    if (next.slope >= 0) {
      bracket = [previous, next];
      break;
    }
    const low = next.t + 0.01 * (next.t - previous.t);
    const t = cubic(previous, next, [low, next.t * 10]);
    previous = next;
    next = evaluate(t);
    evaluations++;
    iteration++;
  }
  if (iteration === MOST) bracket = [start, next];

  let stuck = false;
  const order = (): [low: number, high: number] => (bracket[0]!.value <= bracket.at(-1)!.value ? [0, 1] : [1, 0]);
  let [low, high] = order();
  while (!done && iteration < MOST) {
    const ends = bracket.map((e) => e.t);
    const width = Math.abs(ends[1]! - ends[0]!);
    if (width * largest < SMALLEST_CHANGE) break;
    let t = cubic(bracket[0]!, bracket[1]!);
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    const margin = 0.1 * (most - least);
    if (Math.min(most - t, t - least) < margin) {
      if (stuck || t >= most || t <= least) {
        t = Math.abs(t - most) < Math.abs(t - least) ? most - margin : least + margin;
        stuck = false;
      } else stuck = true;
    } else stuck = false;
    next = evaluate(t);
    evaluations++;
    iteration++;
    if (tooHigh(next) || next.value >= bracket[low]!.value) {
      bracket[high] = next;
      [low, high] = order();
    } else {
      if (flat(next)) done = true;
      else if (next.slope * (bracket[high]!.t - bracket[low]!.t) >= 0) bracket[high] = bracket[low]!;
      bracket[low] = next;
    }
  }
  return { best: bracket.length === 1 ? bracket[0]! : bracket[low]!, evaluations };
};
