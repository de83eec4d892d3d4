/** @file The two halves of an L-BFGS-B step: the generalised Cauchy point and the minimum over the free variables. */

import type { Box } from './box.js';
import { multiply, solve } from './dense.js';
import type { Memory } from './lbfgs-memory.js';
import { dot } from './vectors.js';

export interface Cauchy {
  readonly point: Float64Array;
  /** Wᵀ (point - x) */
  readonly c: Float64Array;
  /** The variables that are not on a bound there. */
  readonly free: readonly number[];
}

/** Algorithm CP: the first local minimum of the quadratic model along the projected steepest-descent path. */
export function cauchyPoint(x: Float64Array, g: Float64Array, memory: Memory, { lower, upper }: Box): Cauchy {
  const n = x.length;
  const { theta } = memory;
  const M = memory.size > 0 ? memory.M : new Float64Array(0);
  const point = x.slice();
  const d = new Float64Array(n);
  const breaks = new Float64Array(n);
  const order: number[] = [];
  for (let i = 0; i < n; i++) {
    const gi = g[i]!;
    breaks[i] = gi < 0 ? (x[i]! - upper[i]!) / gi : gi > 0 ? (x[i]! - lower[i]!) / gi : Number.POSITIVE_INFINITY;
    if (breaks[i]! <= 0) continue;
    d[i] = -gi;
    if (breaks[i]! < Number.POSITIVE_INFINITY) order.push(i);
  }
  order.sort((a, b) => breaks[a]! - breaks[b]!);
  const p = memory.transposed(d);
  const c = new Float64Array(p.length);
  const w = new Float64Array(p.length);
  const dd = dot(d, d);
  // First and second derivative of the model along the path.
  let first = -dd;
  let second = theta * dd - dot(p, multiply(M, p));
  const floor = Number.EPSILON * second;
  let t = 0;
  let advance = dd > 0 ? -first / second : 0;
  for (const b of order) {
    const dt = breaks[b]! - t;
    if (advance < dt) break;
    const gb = g[b]!;
    point[b] = gb < 0 ? upper[b]! : lower[b]!;
    const z = point[b]! - x[b]!;
    memory.row(b, w);
    for (let k = 0; k < c.length; k++) c[k] = c[k]! + dt * p[k]!;
    const Mw = multiply(M, w);
    first += dt * second + gb * gb + theta * gb * z - gb * dot(Mw, c);
    second += -theta * gb * gb - 2 * gb * dot(Mw, p) - gb * gb * dot(Mw, w);
    second = Math.max(second, floor);
    for (let k = 0; k < p.length; k++) p[k] = p[k]! + gb * w[k]!;
    d[b] = 0;
    t = breaks[b]!;
    advance = first < 0 ? -first / second : 0;
  }
  t += advance;
  const free: number[] = [];
  for (let i = 0; i < n; i++) {
    if (d[i] !== 0) point[i] = x[i]! + t * d[i]!;
    if (point[i]! > lower[i]! && point[i]! < upper[i]!) free.push(i);
  }
  for (let k = 0; k < c.length; k++) c[k] = c[k]! + advance * p[k]!;
  return { point, c, free };
}

/** The direct primal method (section 5.1): the model's minimum over the free variables, brought back into the box. */
export function subspaceMinimum(
  cauchy: Cauchy,
  x: Float64Array,
  g: Float64Array,
  memory: Memory,
  box: Box,
): Float64Array {
  const { point, c, free } = cauchy;
  if (memory.size === 0 || free.length === 0) return point;
  const { theta, M } = memory;
  const m2 = 2 * memory.size;
  const Mc = multiply(M, c);
  const r = free.map((i) => g[i]! + theta * (point[i]! - x[i]!) - memory.at(i, Mc));
  // v = (I - M WᵀZZᵀW / θ)⁻¹ M WᵀZ r, (5.11)
  const wr = new Float64Array(m2);
  const ww = new Float64Array(m2 * m2);
  const w = new Float64Array(m2);
  free.forEach((i, at) => {
    memory.row(i, w);
    for (let a = 0; a < m2; a++) {
      wr[a] = wr[a]! + w[a]! * r[at]!;
      for (let b = 0; b < m2; b++) ww[a * m2 + b] = ww[a * m2 + b]! + w[a]! * w[b]!;
    }
  });
  const N = new Float64Array(m2 * m2);
  for (let a = 0; a < m2; a++) {
    for (let b = 0; b < m2; b++) {
      let sum = 0;
      for (let k = 0; k < m2; k++) sum += M[a * m2 + k]! * ww[k * m2 + b]!;
      N[a * m2 + b] = (a === b ? 1 : 0) - sum / theta;
    }
  }
  const v = solve(N, multiply(M, wr), m2);
  const { lower, upper } = box;
  const projected = point.slice();
  const move = free.map((i, at) => -r[at]! / theta - memory.at(i, v) / theta ** 2);
  let slope = 0;
  free.forEach((i, at) => {
    projected[i] = Math.min(Math.max(point[i]! + move[at]!, lower[i]!), upper[i]!);
  });
  for (let i = 0; i < x.length; i++) slope += (projected[i]! - x[i]!) * g[i]!;
  if (slope < 0) return projected;
  // Where the projection does not descend, the step is cut at the first bound instead (the 1995 rule).
  let alpha = 1;
  free.forEach((i, at) => {
    const room = move[at]! > 0 ? upper[i]! - point[i]! : lower[i]! - point[i]!;
    if (move[at] !== 0) alpha = Math.min(alpha, room / move[at]!);
  });
  const cut = point.slice();
  free.forEach((i, at) => {
    cut[i] = point[i]! + alpha * move[at]!;
  });
  return cut;
}
