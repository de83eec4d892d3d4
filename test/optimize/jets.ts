/** @file Exact first and second derivatives for the test problems: Taylor arithmetic on (value, gradient, Hessian) triples. */
import type { Evaluation } from '../../lib/optimize/types.js';

/** A number that knows its derivatives with respect to n variables. `h` is row-major n × n, and absent when nobody asked for it. */
export interface Jet {
  readonly v: number;
  readonly g: Float64Array;
  readonly h: Float64Array | undefined;
}

export type Term = Jet | number;

function variables(x: Float64Array, second: boolean): Jet[] {
  const n = x.length;
  return Array.from(x, (v, i) => {
    const g = new Float64Array(n);
    g[i] = 1;
    return { v, g, h: second ? new Float64Array(n * n) : undefined };
  });
}

/** f(a, b) given its value and partial derivatives there. */
function chain(a: Jet, b: Jet | undefined, v: number, da: number, db = 0, daa = 0, dab = 0, dbb = 0): Jet {
  const n = a.g.length;
  const g = new Float64Array(n);
  for (let i = 0; i < n; i++) g[i] = da * a.g[i]! + (b ? db * b.g[i]! : 0);
  if (!a.h) return { v, g, h: undefined };
  const h = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const at = i * n + j;
      let sum = da * a.h[at]! + daa * a.g[i]! * a.g[j]!;
      if (b) sum += db * b.h![at]! + dbb * b.g[i]! * b.g[j]! + dab * (a.g[i]! * b.g[j]! + a.g[j]! * b.g[i]!);
      h[at] = sum;
    }
  }
  return { v, g, h };
}

export function add(a: Term, b: Term): Term {
  if (typeof a === 'number') return typeof b === 'number' ? a + b : chain(b, undefined, a + b.v, 1);
  return typeof b === 'number' ? chain(a, undefined, a.v + b, 1) : chain(a, b, a.v + b.v, 1, 1);
}

export function mul(a: Term, b: Term): Term {
  if (typeof a === 'number') return typeof b === 'number' ? a * b : chain(b, undefined, a * b.v, a);
  return typeof b === 'number' ? chain(a, undefined, a.v * b, b) : chain(a, b, a.v * b.v, b.v, a.v, 0, 1, 0);
}

type Unary = (v: number) => readonly [value: number, first: number, second: number];
const unary =
  (f: Unary) =>
  (a: Term): Term => {
    if (typeof a === 'number') return f(a)[0];
    const [v, d, dd] = f(a.v);
    return chain(a, undefined, v, d, 0, dd);
  };

export const sub = (a: Term, b: Term): Term => add(a, mul(-1, b));
export const div = (a: Term, b: Term): Term => mul(a, reciprocal(b));
export const sum = (terms: readonly Term[]): Term => terms.reduce(add, 0);
export const product = (terms: readonly Term[]): Term => terms.reduce(mul, 1);
export const reciprocal = unary((v) => [1 / v, -1 / v ** 2, 2 / v ** 3]);
export const sq = unary((v) => [v * v, 2 * v, 2]);
export const sqrt = unary((v) => [Math.sqrt(v), 0.5 / Math.sqrt(v), -0.25 / v ** 1.5]);
export const exp = unary((v) => [Math.exp(v), Math.exp(v), Math.exp(v)]);
export const log = unary((v) => [Math.log(v), 1 / v, -1 / v ** 2]);
export const sin = unary((v) => [Math.sin(v), Math.cos(v), -Math.sin(v)]);
export const cos = unary((v) => [Math.cos(v), -Math.sin(v), -Math.cos(v)]);
export const atan = unary((v) => [Math.atan(v), 1 / (1 + v * v), (-2 * v) / (1 + v * v) ** 2]);
export const abs = unary((v) => [Math.abs(v), Math.sign(v), 0]);
export const pow = (a: Term, p: number): Term =>
  unary((v) => [v ** p, p * v ** (p - 1), p * (p - 1) * v ** (p - 2)])(a);

/** Value, gradient and Hessian of the sum of squares of `residuals` at `x`. */
export function sumOfSquares(
  residuals: (x: Term[]) => Term[],
  x: Float64Array,
  second = false,
): Evaluation & { h: Float64Array } {
  const n = x.length;
  const g = new Float64Array(n);
  const h = new Float64Array(second ? n * n : 0);
  let f = 0;
  for (const r of residuals(variables(x, second))) {
    if (typeof r === 'number') {
      f += r * r;
      continue;
    }
    f += r.v * r.v;
    for (let i = 0; i < n; i++) {
      g[i] = g[i]! + 2 * r.v * r.g[i]!;
      if (!r.h) continue;
      for (let j = 0; j < n; j++) h[i * n + j] = h[i * n + j]! + 2 * (r.g[i]! * r.g[j]! + r.v * r.h[i * n + j]!);
    }
  }
  return { f, g, h };
}

/** The value alone: the residuals are as happy with plain numbers. */
export function sumOfSquaresValue(residuals: (x: Term[]) => Term[], x: Float64Array): number {
  return residuals(Array.from(x)).reduce<number>((f, r) => f + (r as number) ** 2, 0);
}

/** The residuals at `x` and their Jacobian, row-major m × n. */
export function jacobian(residuals: (x: Term[]) => Term[], x: Float64Array): { r: Float64Array; J: Float64Array } {
  const terms = residuals(variables(x, false));
  const n = x.length;
  const r = new Float64Array(terms.length);
  const J = new Float64Array(terms.length * n);
  terms.forEach((t, i) => {
    r[i] = typeof t === 'number' ? t : t.v;
    if (typeof t !== 'number') J.set(t.g, i * n);
  });
  return { r, J };
}
