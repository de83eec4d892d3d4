/** @file What the rules share: dimensions, torch's type promotion, and pointwise rules that compute in one dtype. */
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, type Op, range, sameShape, type TensorType } from '../stablehlo/types.js';
import { type DType, isComplex, isFloating, isInteger } from '../torch/dtype.js';
import { NoLowering, type RuleContext, type RuleName, type RuleResult, rule } from './registry.js';
import type { RuleArgs } from './rule-args.js';

/** A dimension as 0 … rank-1; a 0-d tensor counts as having one. */
export const wrapDim = (dim: number, rank: number): number => (dim < 0 ? dim + Math.max(rank, 1) : dim);
/** Dimensions in ascending order; none given means all. */
export function wrapDims(dims: readonly number[] | undefined, rank: number): number[] {
  if (dims === undefined || dims.length === 0) return range(rank);
  return rank === 0 ? [] : dims.map((d) => wrapDim(d, rank)).sort((a, b) => a - b);
}
/** A list argument of one entry stands for `n` equal ones; an empty one for `fallback`. */
export function expandList(list: readonly number[], n: number, fallback: readonly number[] = []): readonly number[] {
  if (list.length === 0) return fallback;
  return list.length === 1 ? range(n).map(() => list[0]!) : list;
}
export const isOp = (x: unknown): x is Op => typeof x === 'object' && x !== null && 'type' in x && 'name' in x;
/** A Scalar argument that must be real. */
export const num = (x: Literal): number => Number(typeof x === 'object' ? x.re : x);

/** Where libtorch computes: float16 and bfloat16 in float32, the rest in themselves. */
export const opmath = (d: DType): DType => (d === 'float16' || d === 'bfloat16' ? 'float32' : d);

const FLOATS: readonly DType[] = ['float16', 'bfloat16', 'float32', 'float64'];
const SIGNED: readonly DType[] = ['int8', 'int16', 'int32', 'int64'];

/** torch.promote_types. */
export function promote(a: DType, b: DType): DType {
  if (a === b || b === 'bool') return a;
  if (a === 'bool') return b;
  if (isComplex(a) || isComplex(b))
    return [a, b].some((d) => d === 'complex128' || d === 'float64') ? 'complex128' : 'complex64';
  if (isFloating(a) && isFloating(b)) {
    const half = FLOATS.indexOf(a) < 2 && FLOATS.indexOf(b) < 2;
    return half ? 'float32' : FLOATS[Math.max(FLOATS.indexOf(a), FLOATS.indexOf(b))]!;
  }
  if (isFloating(a)) return a;
  if (isFloating(b)) return b;
  if (a === 'uint8' || b === 'uint8') {
    const other = a === 'uint8' ? b : a;
    return other === 'int8' ? 'int16' : other;
  }
  return SIGNED[Math.max(SIGNED.indexOf(a), SIGNED.indexOf(b))] ?? a;
}

const category = (d: DType): number => (isComplex(d) ? 3 : isFloating(d) ? 2 : isInteger(d) ? 1 : 0);
const scalarDType = (v: Literal, isFloat: boolean): DType => {
  if (typeof v === 'object') return 'complex64';
  if (typeof v === 'boolean') return 'bool';
  return isFloat || (typeof v === 'number' && !Number.isInteger(v)) ? 'float32' : 'int64';
};

/**
 * torch.result_type: tensors with dimensions decide; 0-d ones and numbers only raise the category
 * (bool < integer < floating < complex). A float number among integers means float32, the default dtype.
 */
export function resultType(...operands: readonly (Op | Literal | { readonly float: number })[]): DType {
  const groups: (DType | undefined)[] = [undefined, undefined, undefined];
  for (const o of operands) {
    const isFloat = typeof o === 'object' && 'float' in o;
    const dtype = isOp(o) ? o.dtype : scalarDType(isFloat ? o.float : (o as Literal), isFloat);
    const group = !isOp(o) ? 2 : o.shape.length === 0 ? 1 : 0;
    groups[group] = groups[group] === undefined ? dtype : promote(groups[group], dtype);
  }
  return groups.reduce<DType | undefined>((high, low) => {
    if (high === undefined || low === undefined) return high ?? low;
    if (category(low) <= category(high)) return high;
    return isComplex(low) && isFloating(high) ? promote(low, high) : low;
  }, undefined)!;
}

/** A tensor of `like`'s dtype and shape, or a number spread over it. */
export const spread = (b: Builder, x: Op | Literal, like: TensorType): Op =>
  isOp(x) ? b.broadcast(b.convert(x, like.dtype), like.shape) : b.fill(like, x);

type PointwiseContext = Omit<RuleContext, 'out'> & { readonly out: TensorType };
/** The arguments of a pointwise rule: every tensor already has the result's shape and the compute dtype. */
export type Pointwise<N extends RuleName> = (ctx: PointwiseContext, args: RuleArgs[N]) => Op;

/**
 * Registers an elementwise overload: tensors are broadcast to the result's shape and converted to the dtype libtorch
 * computes in (`ctx.out.dtype` says which), the answer is converted to the result's dtype.
 */
export function pointwise<N extends RuleName>(name: N | readonly N[], body: Pointwise<N>): void {
  for (const n of typeof name === 'string' ? [name] : name) {
    rule(n, (ctx, args) => {
      const out = { shape: ctx.out.shape, dtype: opmath(ctx.out.dtype) };
      const given: Record<string, unknown> = {};
      for (const name in args) given[name] = isOp(args[name]) ? spread(ctx.b, args[name], out) : args[name];
      return ctx.b.convert(body({ ...ctx, out }, given as RuleArgs[N]), ctx.out.dtype);
    });
  }
}
/** Overloads with the same meaning as one StableHLO or CHLO operation. */
export function renames(table: Partial<Record<RuleName, string>>): void {
  for (const [name, target] of Object.entries(table)) {
    pointwise(name as RuleName, ({ b }, args) => {
      const [x, y] = Object.values(args).filter(isOp);
      return y === undefined ? b.unary(target, x!) : b.binary(target, x!, y);
    });
  }
}

/** Applies a reduction of losses: 0 none, 1 mean, 2 sum. */
export function reduceLoss(b: Builder, x: Op, reduction: number): Op {
  if (reduction === 0) return x;
  const sum = sumOver(b, x, range(x.shape.length));
  return reduction === 2
    ? sum
    : b.divide(
        sum,
        b.fill(
          sum,
          x.shape.reduce((n, d) => n * d, 1),
        ),
      );
}
export const sumOver = (b: Builder, x: Op, dims: readonly number[], keepdim = false): Op => {
  const y = b.reduce(x, b.scalar(0, x.dtype), 'add', dims);
  return keepdim ? b.reshape(y, keepShape(x.shape, dims)) : y;
};
export const keepShape = (shape: readonly number[], dims: readonly number[]): number[] =>
  shape.map((n, i) => (dims.includes(i) ? 1 : n));

/** Casts to the dtype libtorch computes in, runs, and casts the answers to libtorch's result dtypes. */
export function inOpmath(ctx: RuleContext, xs: readonly (Op | undefined)[], body: (xs: readonly Op[]) => RuleResult) {
  const wide = xs.map((x) => (x === undefined ? undefined : ctx.b.convert(x, opmath(x.dtype))));
  const result = body(wide as readonly Op[]);
  const list = isOp(result) ? [result] : (result as readonly (Op | undefined)[]);
  return list.map((y, i) => (y === undefined ? undefined : ctx.b.convert(y, ctx.outs[i]?.dtype ?? y.dtype)));
}

/** Lowest (or highest) value of a dtype: the identity of maximum (or minimum). */
export function limit(dtype: DType, side: 'lowest' | 'highest'): Literal {
  if (isFloating(dtype)) return side === 'lowest' ? -Infinity : Infinity;
  if (dtype === 'bool') return side === 'highest';
  if (isComplex(dtype)) throw new NoLowering(`no order on ${dtype}`);
  const bits = BigInt(dtype.replace(/\D/g, ''));
  const unsigned = dtype.startsWith('u');
  if (side === 'lowest') return unsigned ? 0n : -(1n << (bits - 1n));
  return (1n << (unsigned ? bits : bits - 1n)) - 1n;
}

/** A value per place along `dim`, spread over `shape`. */
export const alongDim = (b: Builder, x: Op, shape: readonly number[], dim: number): Op =>
  b.broadcastInDim(x, shape, [dim]);
export { sameShape };
