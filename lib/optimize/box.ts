/** @file Boxes: bounds on every number. */

/** Lower and upper bounds, ∓Infinity where there is none. */
export interface Box {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
}

/** The largest component of the projected gradient: how far a unit steepest-descent step moves, cut at the box. */
export function projectedNorm(x: Float64Array, g: Float64Array, box: Box | undefined): number {
  let most = 0;
  for (let i = 0; i < x.length; i++) {
    let v = g[i]!;
    if (box) v = v < 0 ? Math.max(v, x[i]! - box.upper[i]!) : Math.min(v, x[i]! - box.lower[i]!);
    most = Math.max(most, Math.abs(v));
  }
  return most;
}

/** The longest step along `d` that stays in the box. */
export function longestStep(x: Float64Array, d: Float64Array, { lower, upper }: Box): number {
  let most = 1e10;
  for (let i = 0; i < x.length; i++) {
    if (d[i]! > 0) most = Math.min(most, (upper[i]! - x[i]!) / d[i]!);
    else if (d[i]! < 0) most = Math.min(most, (lower[i]! - x[i]!) / d[i]!);
  }
  return Math.max(most, 0);
}

/** A copy of `x` moved into the box. */
export function clip(x: Float64Array, { lower, upper }: Box): Float64Array {
  return x.map((v, i) => Math.min(Math.max(v, lower[i]!), upper[i]!));
}

/** The same in place. */
export function intoBox(x: Float64Array, { lower, upper }: Box): Float64Array {
  for (let i = 0; i < x.length; i++) x[i] = Math.min(Math.max(x[i]!, lower[i]!), upper[i]!);
  return x;
}
