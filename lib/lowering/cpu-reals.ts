/** @file Arithmetic on values and numbers alike, in which cpu-math.ts and cpu-sine32.ts write functions. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';

export type Real = Op | number;

/** Arithmetic of one shape and dtype with numbers mixed in. */
export class Reals {
  constructor(
    readonly b: Builder,
    private readonly like: Op,
    private readonly dtype: 'float32' | 'float64' = 'float64',
  ) {}
  op(x: Real): Op {
    return typeof x === 'number' ? this.b.constant(x, this.like.shape, this.dtype) : x;
  }
  add = (x: Real, y: Real): Op => this.b.add(this.op(x), this.op(y));
  sub = (x: Real, y: Real): Op => this.b.subtract(this.op(x), this.op(y));
  mul = (x: Real, y: Real): Op => this.b.multiply(this.op(x), this.op(y));
  div = (x: Real, y: Real): Op => this.b.divide(this.op(x), this.op(y));
  lt = (x: Real, y: Real): Op => this.b.compare('LT', this.op(x), this.op(y));
  eq = (x: Real, y: Real): Op => this.b.compare('EQ', this.op(x), this.op(y));
  when = (p: Op, x: Real, y: Real): Op => this.b.select(p, this.op(x), this.op(y));
  /** Highest power first. */
  poly = (x: Op, c: readonly number[]): Op => c.slice(1).reduce((y, k) => this.add(this.mul(y, x), k), this.op(c[0]!));
  /** Of whole numbers: whether they are odd. */
  odd(k: Op): Op {
    const h = this.mul(k, 0.5);
    return this.b.compare('NE', h, this.b.floor(h));
  }
}

/** -0 and what vanishes keep their signs. */
export const keepZero = (b: Builder, x: Op, y: Op): Op => b.select(b.compare('EQ', x, b.fill(x, 0)), x, y);
