/**
 * @file Sine and cosine of float32 numbers of usual size in float32 arithmetic, of which a vector takes twice as many as of float64's. Products with the pieces of π/2 are
 * exact, with or without fused multiplication and addition. Largest error of all numbers 1.5 units of the last place, 1.7 where no reduction is needed.
 */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import * as C from './cpu-coefficients.js';
import { keepZero, Reals } from './cpu-reals.js';

/** Up to here multiples of the pieces are exact. */
export const USUAL = 3200;
/** Up to here a sine needs no reduction. */
export const SMALL = 1.3;

/** Added to a whole number it leaves it in the last bits. */
const WHOLE = 1.5 * 2 ** 23;

/** sin x for |x| ≤ SMALL. */
export function smallSine32(b: Builder, x: Op): Op {
  const f = new Reals(b, x, 'float32');
  const z = f.mul(x, x);
  const poly = f.poly(z, C.SINE_32);
  return keepZero(b, x, f.add(x, f.mul(f.mul(x, z), poly)));
}

/** sin x (`quarters` 0) or cos x (1) for |x| ≤ USUAL. Every other quarter of the circle takes the cosine's polynomial. */
export function usualSine32(b: Builder, x: Op, quarters: 0 | 1): Op {
  const f = new Reals(b, x, 'float32');
  const k = b.round(f.mul(x, 2 / Math.PI)); // not by adding and subtracting WHOLE, which XLA leaves out
  const [first, second, third, fourth] = C.HALF_PI_PARTS_32;
  const near = f.sub(f.sub(x, f.mul(k, first)), f.mul(k, second)); // exact
  const step = f.mul(k, third);
  const rounded = f.sub(near, step);
  const lost = f.sub(f.sub(near, rounded), step);
  const r = f.add(rounded, f.sub(lost, f.mul(k, fourth)));

  const bits = b.bitcast(f.add(k, WHOLE), x.shape, 'int32');
  const quarter = quarters === 0 ? bits : b.add(bits, b.fill(bits, 1));
  const odd = b.compare('NE', b.and(quarter, b.fill(bits, 1)), b.fill(bits, 0));
  const z = f.mul(r, r);
  const [c, s] = [C.COSINE_EIGHTH_32, C.SINE_EIGHTH_32].map((list) => list.map((v) => f.op(v))) as [Op[], Op[]];
  const poly = c.map((v, i) => b.select(odd, v, s[i]!)).reduce((y, v) => f.add(f.mul(y, z), v));
  const base = b.select(odd, f.op(1), r);
  const y = f.add(base, f.mul(f.mul(z, base), poly));
  const sign = b.shiftLeft(b.and(quarter, b.fill(bits, 2)), b.fill(bits, 30));
  const signed = b.bitcast(b.xor(b.bitcast(y, x.shape, 'int32'), sign), x.shape, 'float32');
  return quarters === 0 ? keepZero(b, x, signed) : signed;
}
