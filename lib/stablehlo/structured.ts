/** @file Operations with regions: reductions, windows, sort, scatter, control flow. */
import { isFloating, isInteger } from '../torch/dtype.js';
import { i64s, signature } from './emitter.js';
import { ShapeOps } from './shape-ops.js';
import {
  BuilderError,
  DtypeError,
  names,
  numel,
  type Op,
  replaceAt,
  sameShape,
  type TensorType,
  typeText,
} from './types.js';

/** Combines two 0-d values. */
export type Combine = 'add' | 'multiply' | 'maximum' | 'minimum' | 'and' | 'or' | 'xor';
/** Window of a reduce_window; defaults are strides and dilations of 1 and no padding. */
export interface Window {
  readonly size: readonly number[];
  readonly strides?: readonly number[];
  readonly baseDilation?: readonly number[];
  readonly dilation?: readonly number[];
  readonly padding?: readonly (readonly [number, number])[];
}
/** Dimension numbers of a scatter, as StableHLO names them. */
export interface ScatterDims {
  readonly updateWindow: readonly number[];
  readonly inserted: readonly number[];
  readonly map: readonly number[];
}

const element = ({ dtype }: TensorType): TensorType => ({ shape: [], dtype });

export class Structured extends ShapeOps {
  /** Folds `dims` away, starting from `init` (0-d). */
  reduce(x: Op, init: Op, combine: Combine, dims: readonly number[]): Op {
    if (dims.length === 0) return x;
    if (init.dtype !== x.dtype) throw new BuilderError(`stablehlo.reduce: ${x.type} from ${init.type}.`);
    if (isFloating(x.dtype) && (combine === 'maximum' || combine === 'minimum'))
      return this.extremum(x, init, combine, dims);
    return this.fold(x, init, combine, dims);
  }
  private fold(x: Op, init: Op, combine: Combine, dims: readonly number[]): Op {
    const shape = x.shape.filter((_, i) => !dims.includes(i));
    const type = typeText(shape, x.dtype);
    const text = `stablehlo.reduce(${x.name} init: ${init.name}) applies stablehlo.${combine} across dimensions = [${dims.join(', ')}] : (${x.type}, ${init.type}) -> ${type}`;
    return this.emit(text, shape, x.dtype, type);
  }
  /**
   * From 4,096 elements on XLA's CPU backend hands a bare maximum to YNNPACK, four times as fast as its own loop, which skips NaN:
   * there a count of them, as fast, overrules it. Smaller ones get a body that is not bare.
   */
  private extremum(x: Op, init: Op, combine: 'maximum' | 'minimum', dims: readonly number[]): Op {
    if (numel(x.shape) < 4096) {
      return this.reduceMany([x], [init], dims, ([acc], [item]) => [
        this.select(this.isNan(item!), item!, this.binary(`stablehlo.${combine}`, acc!, item!)),
      ])[0]!;
    }
    const most = this.fold(x, init, combine, dims);
    const marks = this.select(this.isNan(x), this.fill(x, 1), this.fill(x, 0));
    const nans = this.fold(marks, this.scalar(0, x.dtype), 'add', dims);
    return this.select(this.compare('GT', nans, this.fill(nans, 0)), this.fill(most, Number.NaN), most);
  }
  /** Folds several tensors of one shape together; `body` takes the accumulators, then the elements. */
  reduceMany(
    xs: readonly Op[],
    inits: readonly Op[],
    dims: readonly number[],
    body: (acc: readonly Op[], item: readonly Op[]) => readonly Op[],
  ): readonly Op[] {
    const shape = xs[0]!.shape.filter((_, i) => !dims.includes(i));
    const elements = xs.map(element);
    const region = this.region([...elements, ...elements], (...a) => body(a.slice(0, xs.length), a.slice(xs.length)));
    const results = xs.map(({ dtype }) => ({ shape, dtype }));
    const types = results.map((r) => typeText(r.shape, r.dtype));
    const text = `"stablehlo.reduce"(${names([...xs, ...inits])}) ${region} {dimensions = ${i64s(dims)}} : ${signature([...xs, ...inits], types)}`;
    return this.emitMany(text, results);
  }
  /** Folds sliding windows. */
  reduceWindow(x: Op, init: Op, combine: Combine, window: Window): Op {
    const { shape, attrs } = windowOf(x.shape, window);
    const region = this.region([element(x), element(x)], (a, b) => [this.binary(`stablehlo.${combine}`, a!, b!)]);
    const type = typeText(shape, x.dtype);
    const text = `"stablehlo.reduce_window"(${x.name}, ${init.name}) ${region} {${attrs}} : ${signature([x, init], [type])}`;
    return this.emit(text, shape, x.dtype, type);
  }
  /** Folds sliding windows of several tensors of one shape together. */
  reduceWindowMany(
    xs: readonly Op[],
    inits: readonly Op[],
    window: Window,
    body: (acc: readonly Op[], item: readonly Op[]) => readonly Op[],
  ): readonly Op[] {
    const { shape, attrs } = windowOf(xs[0]!.shape, window);
    const elements = xs.map(element);
    const region = this.region([...elements, ...elements], (...a) => body(a.slice(0, xs.length), a.slice(xs.length)));
    const results = xs.map(({ dtype }) => ({ shape, dtype }));
    const types = results.map((r) => typeText(r.shape, r.dtype));
    const text = `"stablehlo.reduce_window"(${names([...xs, ...inits])}) ${region} {${attrs}} : ${signature([...xs, ...inits], types)}`;
    return this.emitMany(text, results);
  }
  /** Adds each element of `source` at the place that `select` prefers in its window of `x`. */
  selectAndScatter(x: Op, source: Op, init: Op, window: Window, direction: 'GE' | 'LE'): Op {
    const { attrs } = windowOf(x.shape, window);
    const select = this.region([element(x), element(x)], (a, b) => [this.compare(direction, a!, b!)]);
    const scatter = this.region([element(x), element(x)], (a, b) => [this.add(a!, b!)]);
    const operands = [x, source, init];
    const text = `"stablehlo.select_and_scatter"(${names(operands)}) ${select.slice(0, -1)}, ${scatter.slice(1)} {${attrs}} : ${signature(operands, [x.type])}`;
    return this.emit(text, x.shape, x.dtype, x.type);
  }
  /** Stable sort of several tensors by `before(a, b)`, which gets a pair of elements of each. */
  sort(xs: readonly Op[], dim: number, before: (a: readonly Op[], b: readonly Op[]) => Op): readonly Op[] {
    const pairs = xs.flatMap((x) => [element(x), element(x)]);
    const region = this.region(pairs, (...p) => [
      before(
        p.filter((_, i) => i % 2 === 0),
        p.filter((_, i) => i % 2 === 1),
      ),
    ]);
    const text = `"stablehlo.sort"(${names(xs)}) ${region} {dimension = ${dim} : i64, is_stable = true} : ${signature(
      xs,
      xs.map((x) => x.type),
    )}`;
    return this.emitMany(text, xs);
  }
  /** Writes `updates` into `x` at `indices` (positions along its last dimension); `body(old, update)` gives the new element. XLA drops what lies outside. */
  scatter(x: Op, indices: Op, updates: Op, dims: ScatterDims, body: (old: Op, update: Op) => Op, unique = false): Op {
    if (x.dtype !== updates.dtype) throw new BuilderError(`stablehlo.scatter: ${updates.type} into ${x.type}.`);
    if (!isInteger(indices.dtype)) throw new DtypeError(`indices of ${indices.dtype}`);
    const region = this.region([element(x), element(x)], (a, b) => [body(a!, b!)]);
    const numbers = [
      ...(dims.updateWindow.length ? [`update_window_dims = [${dims.updateWindow.join(', ')}]`] : []),
      ...(dims.inserted.length ? [`inserted_window_dims = [${dims.inserted.join(', ')}]`] : []),
      `scatter_dims_to_operand_dims = [${dims.map.join(', ')}]`,
      `index_vector_dim = ${indices.shape.length - 1}`,
    ].join(', ');
    const attrs = `{scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, unique_indices = ${unique}}`;
    const operands = [x, indices, updates];
    const text = `"stablehlo.scatter"(${names(operands)}) ${region} ${attrs} : ${signature(operands, [x.type])}`;
    return this.emit(text, x.shape, x.dtype, x.type);
  }

  /**
   * Repeats `body` on the carried values while `cond` (0-d bool) holds. Regions see only what is carried. `kernel`: whether a loop of this text is to be
   * one kernel (kernel.ts); default none is.
   */
  while(
    inits: readonly Op[],
    cond: (carry: readonly Op[]) => Op,
    body: (carry: readonly Op[]) => readonly Op[],
    kernel?: (regions: string) => boolean,
  ): readonly Op[] {
    const types = inits.map((i) => i.type);
    const regions = (): string => {
      const condRegion = this.region(inits, (...c) => [cond(c)]);
      const bodyRegion = this.region(inits, (...c) => checkTypes('stablehlo.while', body(c), inits));
      return `${condRegion.slice(0, -1)}, ${bodyRegion.slice(1)}`;
    };
    const text = (from: readonly Op[], inner: string): string =>
      `"stablehlo.while"(${names(from)}) ${inner} : ${signature(inits, types)}`;
    return this.emitKernel(inits, regions, text, kernel);
  }
  /** Runs `body(i, carry)` for i = 0 … n-1; `i` is a 0-d int64. */
  forLoop(n: number, inits: readonly Op[], body: (i: Op, carry: readonly Op[]) => readonly Op[]): readonly Op[] {
    const start = this.scalar(0, 'int64');
    return this.while(
      [start, ...inits],
      ([i]) => this.compare('LT', i!, this.scalar(n, 'int64')),
      ([i, ...carry]) => [this.add(i!, this.scalar(1, 'int64')), ...body(i!, carry)],
    ).slice(1);
  }
  /** Takes the branch numbered `index` (0-d int32; out of range: the last). Branches take nothing: what they use is captured. */
  case(index: Op, branches: readonly (() => readonly Op[])[]): readonly Op[] {
    let results: readonly Op[] = [];
    const regions = branches.map((branch, i) =>
      this.region([], () => {
        const got = branch();
        if (i === 0) results = got;
        return checkTypes('stablehlo.case', got, results);
      }),
    );
    const types = results.map((r) => r.type);
    const text = `"stablehlo.case"(${index.name}) (${regions.map((r) => r.slice(1, -1)).join(', ')}) : ${signature([index], types)}`;
    return this.emitMany(text, results);
  }
  if(pred: Op, onTrue: () => readonly Op[], onFalse: () => readonly Op[]): readonly Op[] {
    let results: readonly Op[] = [];
    const yes = this.region([], () => {
      results = onTrue();
      return results;
    });
    const no = this.region([], () => checkTypes('stablehlo.if', onFalse(), results));
    const types = results.map((r) => r.type);
    const text = `"stablehlo.if"(${pred.name}) ${yes.slice(0, -1)}, ${no.slice(1)} : ${signature([pred], types)}`;
    return this.emitMany(text, results);
  }
}

function checkTypes(name: string, got: readonly Op[], expected: readonly Op[]): readonly Op[] {
  if (got.length !== expected.length || got.some((g, i) => g.type !== expected[i]!.type)) {
    throw new BuilderError(`${name}: (${got.map((g) => g.type)}) where (${expected.map((e) => e.type)}) is needed.`);
  }
  return got;
}

function windowOf(shape: readonly number[], w: Window): { shape: number[]; attrs: string } {
  const ones = shape.map(() => 1);
  const { size, strides = ones, baseDilation = ones, dilation = ones } = w;
  const padding = w.padding ?? ones.map(() => [0, 0] as const);
  const result = shape.map((n, i) => {
    const base = (n === 0 ? 0 : (n - 1) * baseDilation[i]! + 1) + padding[i]![0] + padding[i]![1];
    const reach = (size[i]! - 1) * dilation[i]! + 1;
    return base < reach ? 0 : Math.floor((base - reach) / strides[i]!) + 1;
  });
  const attrs = [
    `window_dimensions = ${i64s(size)}`,
    `window_strides = ${i64s(strides)}`,
    ...(sameShape(baseDilation, ones) ? [] : [`base_dilations = ${i64s(baseDilation)}`]),
    ...(sameShape(dilation, ones) ? [] : [`window_dilations = ${i64s(dilation)}`]),
    ...(shape.length === 0
      ? []
      : [`padding = dense<[${padding.map(([l, h]) => `[${l}, ${h}]`).join(', ')}]> : tensor<${shape.length}x2xi64>`]),
  ].join(', ');
  return { shape: result, attrs };
}

/** Removes a reduced dimension's place or keeps it as 1. */
export const reducedShape = (shape: readonly number[], dims: readonly number[], keep: boolean): number[] =>
  keep ? dims.reduce<number[]>((s, d) => replaceAt(s, d, 1), [...shape]) : shape.filter((_, i) => !dims.includes(i));
