/** @file The StableHLO builder: everything a lowering rule can emit, with linear algebra and calls on top of the other layers. */
import type { DType } from '../torch/dtype.js';
import { signature } from './emitter.js';
import { Structured } from './structured.js';
import { DtypeError, names, type Op, type TensorType, typeText } from './types.js';

export interface DotDims {
  readonly batch?: readonly [readonly number[], readonly number[]];
  readonly contract: readonly [readonly number[], readonly number[]];
}
/** Layouts as StableHLO spells them: `[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]`. */
export interface ConvOptions {
  readonly layout: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly lhsDilation?: readonly number[];
  readonly rhsDilation?: readonly number[];
  readonly featureGroups?: number;
  readonly batchGroups?: number;
}

export class Builder extends Structured {
  /** Result: batch dimensions, then the free ones of `x`, then those of `y`. float32 is multiplied as float32, not TF32. */
  dot(x: Op, y: Op, { batch = [[], []], contract }: DotDims): Op {
    if (x.dtype !== y.dtype) throw new DtypeError(`a product of ${x.dtype} and ${y.dtype}`);
    const free = (o: Op, side: 0 | 1) =>
      o.shape.filter((_, i) => !batch[side].includes(i) && !contract[side].includes(i));
    const shape = [...batch[0].map((d) => x.shape[d]!), ...free(x, 0), ...free(y, 1)];
    const type = typeText(shape, x.dtype);
    const list = (pair: readonly [readonly number[], readonly number[]]) =>
      `[${pair[0].join(', ')}] x [${pair[1].join(', ')}]`;
    const batching = batch[0].length ? `batching_dims = ${list(batch)}, ` : '';
    const text = `stablehlo.dot_general ${x.name}, ${y.name}, ${batching}contracting_dims = ${list(contract)}, precision = [HIGHEST, HIGHEST] : ${signature([x, y], [type])}`;
    return this.emit(text, shape, x.dtype, type);
  }
  convolution(x: Op, w: Op, o: ConvOptions): Op {
    const type = typeText(o.shape, x.dtype);
    const window = [
      `stride = [${o.strides.join(', ')}]`,
      `pad = [${o.padding.map(([l, h]) => `[${l}, ${h}]`).join(', ')}]`,
      ...(o.lhsDilation ? [`lhs_dilate = [${o.lhsDilation.join(', ')}]`] : []),
      ...(o.rhsDilation ? [`rhs_dilate = [${o.rhsDilation.join(', ')}]`] : []),
    ].join(', ');
    const attrs = `{batch_group_count = ${o.batchGroups ?? 1} : i64, feature_group_count = ${o.featureGroups ?? 1} : i64, precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]}`;
    const text = `stablehlo.convolution(${x.name}, ${w.name}) dim_numbers = ${o.layout}, window = {${window}} ${attrs} : ${signature([x, w], [type])}`;
    return this.emit(text, o.shape, x.dtype, type);
  }
  /** The operands, all at one time: XLA moves nothing across. */
  barrier(xs: readonly Op[]): readonly Op[] {
    const types = xs.map((x) => x.type);
    return this.emitMany(`stablehlo.optimization_barrier ${names(xs)} : ${types.join(', ')}`, xs, true);
  }
  /** The operand, spread over the module's mesh as Shardy's `sharding` says. */
  spread(x: Op, sharding: string): Op {
    return this.emit(`sdy.sharding_constraint ${x.name} <@mesh, ${sharding}> : ${x.type}`, x.shape, x.dtype, x.type);
  }
  /** Over the last dimensions; `length` are the real-side sizes. */
  fft(x: Op, kind: 'FFT' | 'IFFT' | 'RFFT' | 'IRFFT', length: readonly number[], result: TensorType): Op {
    const type = typeText(result.shape, result.dtype);
    const text = `stablehlo.fft ${x.name}, type = ${kind}, length = [${length.join(', ')}] : (${x.type}) -> ${type}`;
    return this.emit(text, result.shape, result.dtype, type);
  }
  /** The other triangle of the result is not defined. A matrix that is not positive definite gives NaN. */
  cholesky(x: Op, lower: boolean): Op {
    return this.emit(`stablehlo.cholesky ${x.name}, lower = ${lower} : ${x.type}`, x.shape, x.dtype, x.type);
  }
  /** Solves `op(a) · y = b` (`left`) or `y · op(a) = b`. */
  triangularSolve(
    a: Op,
    b: Op,
    {
      left = true,
      lower,
      unit = false,
      adjoint = false,
    }: { readonly left?: boolean; readonly lower: boolean; readonly unit?: boolean; readonly adjoint?: boolean },
  ): Op {
    const transpose = adjoint ? 'ADJOINT' : 'NO_TRANSPOSE';
    const attrs = `{left_side = ${left}, lower = ${lower}, unit_diagonal = ${unit}, transpose_a = #stablehlo<transpose ${transpose}>}`;
    const text = `"stablehlo.triangular_solve"(${a.name}, ${b.name}) ${attrs} : ${signature([a, b], [b.type])}`;
    return this.emit(text, b.shape, b.dtype, b.type);
  }
  /** A call of a target that the plugin or jorch provides. `attrs` is printed as given. */
  customCall(
    target: string,
    operands: readonly Op[],
    results: readonly TensorType[],
    attrs = '',
    effect = false,
  ): readonly Op[] {
    const types = results.map((r) => typeText(r.shape, r.dtype));
    const text = `stablehlo.custom_call @${target}(${names(operands)}) {${attrs}} : ${signature(operands, types)}`;
    return this.emitMany(text, results, effect);
  }
  /** Counter-based random bits: `[next state, bits]`. */
  rngBits(
    state: Op,
    shape: readonly number[],
    dtype: DType,
    algorithm: 'THREE_FRY' | 'PHILOX' = 'THREE_FRY',
  ): readonly Op[] {
    const type = typeText(shape, dtype);
    const text = `stablehlo.rng_bit_generator ${state.name}, algorithm = ${algorithm} : (${state.type}) -> (${state.type}, ${type})`;
    return this.emitMany(text, [state, { shape, dtype }]);
  }
  /** The `k` largest along the last dimension, with int32 places. */
  topK(x: Op, k: number): readonly Op[] {
    const shape = [...x.shape.slice(0, -1), k];
    const types = [typeText(shape, x.dtype), typeText(shape, 'int32')];
    const text = `chlo.top_k(${x.name}, k = ${k}) : ${x.type} -> (${types.join(', ')})`;
    return this.emitMany(text, [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int32' },
    ]);
  }
}

export type { Op, TensorType } from './types.js';
