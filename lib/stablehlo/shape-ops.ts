/** @file Operations that move elements without computing: reshape, broadcast, slice, pad, concatenate, reverse, iota. */
import { type DType, isInteger } from '../torch/dtype.js';
import { Elementwise } from './elementwise.js';
import { i64s, signature } from './emitter.js';
import { BuilderError, DtypeError, names, numel, type Op, range, replaceAt, sameShape, typeText } from './types.js';

export class ShapeOps extends Elementwise {
  /** What was broadcast, and to which dimensions. */
  private readonly broadcasts = new WeakMap<Op, { readonly source: Op; readonly dims: readonly number[] }>();

  /** The elements of `x` without dimension `dim`, when they are the same all along it because they were broadcast. */
  withoutDim(x: Op, dim: number): Op | undefined {
    const made = this.broadcasts.get(x);
    if (made === undefined) return undefined;
    const at = made.dims.indexOf(dim);
    const kept = made.dims.filter((d) => d !== dim);
    if (at >= 0 && made.source.shape[at] !== 1) return undefined;
    const rest = at < 0 ? made.source : this.squeeze(made.source, [at]);
    const shape = x.shape.filter((_, d) => d !== dim);
    return this.broadcastInDim(
      rest,
      shape,
      kept.map((d) => (d > dim ? d - 1 : d)),
    );
  }
  /** 0, 1, 2 … along `dim`. */
  iota(shape: readonly number[], dim: number, dtype: DType): Op {
    if (dtype === 'bool') return this.convert(this.iota(shape, dim, 'int32'), 'bool');
    const type = typeText(shape, dtype);
    return this.emit(`stablehlo.iota dim = ${dim} : ${type}`, shape, dtype, type);
  }
  reshape(x: Op, shape: readonly number[]): Op {
    if (sameShape(x.shape, shape)) return x;
    const type = typeText(shape, x.dtype);
    if (numel(shape) !== numel(x.shape)) throw new BuilderError(`stablehlo.reshape: ${x.type} to ${type}.`);
    return this.emit(`stablehlo.reshape ${x.name} : (${x.type}) -> ${type}`, shape, x.dtype, type);
  }
  /** Result dimension i is dimension `dims[i]` of `x`. */
  transpose(x: Op, dims: readonly number[]): Op {
    if (dims.every((d, i) => d === i)) return x;
    if (dims.length !== x.shape.length) throw new BuilderError(`stablehlo.transpose: ${x.type} by [${dims}].`);
    const shape = dims.map((d) => x.shape[d]!);
    const type = typeText(shape, x.dtype);
    const y = this.emit(
      `stablehlo.transpose ${x.name}, dims = [${dims.join(', ')}] : (${x.type}) -> ${type}`,
      shape,
      x.dtype,
      type,
    );
    const last = dims.length - 1;
    if (dims[last] === last - 1 && dims.every((d, i) => i >= last - 1 || d === i)) this.matrices.set(y, x);
    return y;
  }
  private readonly matrices = new WeakMap<Op, Op>();
  /** The matrices of which `x` are the transposes; undefined where it is something else. */
  transposedFrom(x: Op): Op | undefined {
    return this.matrices.get(x);
  }
  /** Swaps two dimensions. */
  swap(x: Op, a: number, b: number): Op {
    const dims = range(x.shape.length);
    return this.transpose(x, replaceAt(replaceAt(dims, a, b), b, a));
  }
  /** Dimension `i` of `x` becomes dimension `dims[i]` of the result. */
  broadcastInDim(x: Op, shape: readonly number[], dims: readonly number[]): Op {
    if (sameShape(x.shape, shape) && dims.every((d, i) => d === i)) return x;
    const type = typeText(shape, x.dtype);
    if (dims.length !== x.shape.length || x.shape.some((n, i) => n !== 1 && n !== shape[dims[i]!])) {
      throw new BuilderError(`stablehlo.broadcast_in_dim: ${x.type} to ${type} at [${dims}].`);
    }
    const text = `stablehlo.broadcast_in_dim ${x.name}, dims = [${dims.join(', ')}] : (${x.type}) -> ${type}`;
    const result = this.emit(text, shape, x.dtype, type);
    this.broadcasts.set(result, { source: x, dims });
    return result;
  }
  /** torch's broadcasting: dimensions are aligned at the right. */
  broadcast(x: Op, shape: readonly number[]): Op {
    const offset = shape.length - x.shape.length;
    return this.broadcastInDim(
      x,
      shape,
      x.shape.map((_, i) => i + offset),
    );
  }
  /** `start:limit:stride` per dimension; strides are positive. */
  slice(x: Op, start: readonly number[], limit: readonly number[], strides = x.shape.map(() => 1)): Op {
    if (start.every((s, i) => s === 0 && limit[i] === x.shape[i] && strides[i] === 1)) return x;
    const shape = start.map((s, i) => Math.max(0, Math.ceil((limit[i]! - s) / strides[i]!)));
    if (start.some((s, i) => s < 0 || limit[i]! < s || limit[i]! > x.shape[i]!)) {
      throw new BuilderError(`stablehlo.slice: ${x.type} from [${start}] to [${limit}].`);
    }
    const ranges = start.map((s, i) => `${s}:${limit[i]}${strides[i] === 1 ? '' : `:${strides[i]}`}`);
    const type = typeText(shape, x.dtype);
    return this.emit(`stablehlo.slice ${x.name} [${ranges.join(', ')}] : (${x.type}) -> ${type}`, shape, x.dtype, type);
  }
  /** `x[start:limit:stride]` in one dimension. */
  sliceDim(x: Op, dim: number, start: number, limit: number, stride = 1): Op {
    const zeros = x.shape.map(() => 0);
    const ones = x.shape.map(() => 1);
    return this.slice(x, replaceAt(zeros, dim, start), replaceAt(x.shape, dim, limit), replaceAt(ones, dim, stride));
  }
  /** Start indices are 0-d integer values, one per dimension; XLA clamps them into range. */
  dynamicSlice(x: Op, starts: readonly Op[], sizes: readonly number[]): Op {
    const type = typeText(sizes, x.dtype);
    const operands = [x, ...starts];
    const text = `stablehlo.dynamic_slice ${names(operands)}, sizes = [${sizes.join(', ')}] : ${signature(operands, [type])}`;
    return this.emit(text, sizes, x.dtype, type);
  }
  dynamicUpdateSlice(x: Op, update: Op, starts: readonly Op[]): Op {
    if (x.dtype !== update.dtype) {
      throw new BuilderError(`stablehlo.dynamic_update_slice: ${update.type} into ${x.type}.`);
    }
    const operands = [x, update, ...starts];
    const text = `stablehlo.dynamic_update_slice ${names(operands)} : ${signature(operands, [x.type])}`;
    return this.emit(text, x.shape, x.dtype, x.type);
  }
  /** Adds `low` and `high` elements of `value` around each dimension, and `interior` between; negative counts cut off. */
  pad(
    x: Op,
    value: Op,
    low: readonly number[],
    high: readonly number[],
    interior: readonly number[] = x.shape.map(() => 0),
  ): Op {
    if (low.every((l, i) => l === 0 && high[i] === 0 && interior[i] === 0)) return x;
    if (value.dtype !== x.dtype || value.shape.length !== 0) {
      throw new BuilderError(`stablehlo.pad: ${x.type} with ${value.type}.`);
    }
    const shape = x.shape.map((n, i) => n + low[i]! + high[i]! + Math.max(0, n - 1) * interior[i]!);
    const type = typeText(shape, x.dtype);
    if (shape.some((n) => n < 0)) throw new BuilderError(`stablehlo.pad: ${x.type} to ${type}.`);
    const lists = `low = [${low.join(', ')}], high = [${high.join(', ')}], interior = [${interior.join(', ')}]`;
    const text = `stablehlo.pad ${x.name}, ${value.name}, ${lists} : (${x.type}, ${value.type}) -> ${type}`;
    return this.emit(text, shape, x.dtype, type);
  }
  /** Pads one dimension. */
  padDim(x: Op, dim: number, value: Op, low: number, high: number, interior = 0): Op {
    const zeros = x.shape.map(() => 0);
    return this.pad(x, value, replaceAt(zeros, dim, low), replaceAt(zeros, dim, high), replaceAt(zeros, dim, interior));
  }
  concatenate(xs: readonly Op[], dim: number): Op {
    const first = xs[0];
    if (first === undefined) throw new BuilderError('stablehlo.concatenate: no operands.');
    if (xs.length === 1) return first;
    if (xs.some((x) => x.dtype !== first.dtype || x.shape.some((n, i) => i !== dim && n !== first.shape[i]))) {
      throw new BuilderError(`stablehlo.concatenate: ${xs.map((x) => x.type).join(', ')} along ${dim}.`);
    }
    const shape = replaceAt(
      first.shape,
      dim,
      xs.reduce((n, x) => n + x.shape[dim]!, 0),
    );
    const type = typeText(shape, first.dtype);
    const text = `stablehlo.concatenate ${names(xs)}, dim = ${dim} : ${signature(xs, [type])}`;
    return this.emit(text, shape, first.dtype, type);
  }
  reverse(x: Op, dims: readonly number[]): Op {
    if (dims.length === 0) return x;
    return this.emit(`stablehlo.reverse ${x.name}, dims = [${dims.join(', ')}] : ${x.type}`, x.shape, x.dtype, x.type);
  }
  /** Inserts a dimension of size 1. */
  unsqueeze(x: Op, dim: number): Op {
    return this.reshape(x, [...x.shape.slice(0, dim), 1, ...x.shape.slice(dim)]);
  }
  /** Removes dimensions of size 1. */
  squeeze(x: Op, dims: readonly number[]): Op {
    return this.reshape(
      x,
      x.shape.filter((_, i) => !dims.includes(i)),
    );
  }

  /**
   * Reads slices of `sizes` from `x`. `indices` holds start positions along its last dimension, for dimensions `map`;
   * dimensions `collapsed` (size 1) vanish; the others stand at `offset` in the result. XLA clamps starts into range.
   */
  gather(
    x: Op,
    indices: Op,
    {
      offset,
      collapsed,
      map,
      sizes,
      sorted = false,
    }: {
      readonly offset: readonly number[];
      readonly collapsed: readonly number[];
      readonly map: readonly number[];
      readonly sizes: readonly number[];
      readonly sorted?: boolean;
    },
  ): Op {
    if (!isInteger(indices.dtype)) throw new DtypeError(`indices of ${indices.dtype}`);
    const batch = indices.shape.slice(0, -1);
    const kept = sizes.filter((_, i) => !collapsed.includes(i));
    const shape: number[] = [];
    for (let i = 0, b = 0, k = 0; i < batch.length + kept.length; i++) {
      shape.push(offset.includes(i) ? kept[k++]! : batch[b++]!);
    }
    const type = typeText(shape, x.dtype);
    const numbers = [
      ...(offset.length ? [`offset_dims = [${offset.join(', ')}]`] : []),
      ...(collapsed.length ? [`collapsed_slice_dims = [${collapsed.join(', ')}]`] : []),
      `start_index_map = [${map.join(', ')}]`,
      `index_vector_dim = ${indices.shape.length - 1}`,
    ].join(', ');
    const attrs = `{dimension_numbers = #stablehlo.gather<${numbers}>, indices_are_sorted = ${sorted}, slice_sizes = ${i64s(sizes)}}`;
    const text = `"stablehlo.gather"(${x.name}, ${indices.name}) ${attrs} : ${signature([x, indices], [type])}`;
    return this.emit(text, shape, x.dtype, type);
  }
}
