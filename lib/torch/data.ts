/** @file Tensors from JavaScript data, and back. */
import type { TypedArray } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { ARRAY_OF, DTYPES, type DType, ITEM_BYTES, isFloating, isInteger } from './dtype.js';
import { Scalar } from './scalar.js';
import type { Tensor } from './tensor.js';

/** Nested arrays of numbers, booleans, bigints, Scalars or one-element tensors. */
export type NestedData =
  | number
  | boolean
  | bigint
  | Scalar
  | Tensor
  | { readonly re: number; readonly im: number }
  | readonly NestedData[];

export interface TensorOptions {
  /** Default: what the data says (numbers: the default dtype, float32; bigints int64; booleans bool; typed arrays their own). */
  dtype?: DType | undefined;
  device?: string | { readonly type: string } | undefined;
  requires_grad?: boolean | undefined;
}

const ARRAYS: readonly (readonly [new (n: number) => TypedArray, DType])[] = [
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Uint8ClampedArray, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [BigInt64Array, 'int64'],
  [BigUint64Array, 'uint64'],
];

const isTensor = (value: unknown): value is Tensor => native().isTensor(value);
const isTypedArray = (value: unknown): value is TypedArray => ArrayBuffer.isView(value) && !(value instanceof DataView);

const dtypeOfArray = (data: TypedArray): DType => {
  const found = ARRAYS.find(([type]) => data instanceof type);
  if (!found) throw new JorchError('BAD_ARGUMENT', `tensor: a ${data.constructor.name} has no torch dtype`);
  return found[1];
};

const shapeOf = (data: NestedData): number[] => {
  const shape: number[] = [];
  for (let level: NestedData | undefined = data; Array.isArray(level); level = level[0] as NestedData | undefined)
    shape.push(level.length);
  return shape;
};

type Leaf = Exclude<NestedData, readonly NestedData[]>;

/** Elements are numbers, booleans, bigints, complex numbers or tensors; anything else is named with its place. */
const checkLeaf = (leaf: unknown, path: () => string): void => {
  if (
    typeof leaf === 'number' ||
    typeof leaf === 'boolean' ||
    typeof leaf === 'bigint' ||
    leaf instanceof Scalar ||
    isTensor(leaf)
  )
    return;
  if (
    typeof leaf === 'object' &&
    leaf !== null &&
    're' in leaf &&
    'im' in leaf &&
    typeof leaf.re === 'number' &&
    typeof leaf.im === 'number'
  )
    return;
  const given =
    leaf === null
      ? 'null'
      : typeof leaf === 'object'
        ? `an object of class ${leaf.constructor?.name ?? 'null'}`
        : typeof leaf;
  throw new JorchError(
    'BAD_ARGUMENT',
    `tensor: data${path()} must be a number, boolean, bigint or { re, im }, not ${given}`,
  );
};

/** Appends the elements of `data` to `out`; `at` are the indices on the way there. */
const flatten = (data: unknown, shape: readonly number[], depth: number, at: number[], out: Leaf[]): void => {
  const path = (): string =>
    at
      .slice(0, depth)
      .map((i) => `[${i}]`)
      .join('');
  if (depth === shape.length) {
    if (Array.isArray(data))
      throw new JorchError(
        'BAD_ARGUMENT',
        `tensor: data${path()} is an array where data has a number: the nesting must be the same everywhere`,
      );
    if (typeof data !== 'number') checkLeaf(data, path);
    out.push(data as Leaf);
    return;
  }
  if (!Array.isArray(data))
    throw new JorchError(
      'BAD_ARGUMENT',
      `tensor: data${path()} must be an array of ${shape[depth]} elements, as at the same depth elsewhere`,
    );
  if (data.length !== shape[depth])
    throw new JorchError(
      'BAD_ARGUMENT',
      `tensor: data${path()} has ${data.length} elements, expected ${shape[depth]} as at the same depth elsewhere`,
    );
  for (let i = 0; i < data.length; i++) {
    at[depth] = i;
    flatten(data[i], shape, depth + 1, at, out);
  }
};

type Complex = { readonly re: number; readonly im: number };
const isComplexLeaf = (leaf: Leaf): leaf is Complex | Scalar =>
  typeof leaf === 'object' && 'im' in leaf && !(leaf instanceof Scalar && leaf.scalarKind !== 'complex');

const inferDtype = (leaves: readonly Leaf[]): DType => {
  const float = native().defaultDtype();
  let dtype: DType | undefined;
  const ranks = ['bool', 'int64', float, 'complex'];
  for (const leaf of leaves) {
    const kind =
      typeof leaf === 'boolean'
        ? 'bool'
        : typeof leaf === 'bigint' || (leaf instanceof Scalar && leaf.scalarKind === 'int')
          ? 'int64'
          : isComplexLeaf(leaf)
            ? 'complex'
            : float;
    if (dtype === undefined || ranks.indexOf(kind) > ranks.indexOf(dtype)) dtype = kind as DType;
  }
  if ((dtype as string) === 'complex') return float === 'float64' ? 'complex128' : 'complex64';
  return dtype ?? float;
};

const toNumber = (leaf: Leaf, dtype: DType): number => {
  if (leaf instanceof Scalar ? leaf.scalarKind === 'complex' : typeof leaf === 'object')
    throw new JorchError('BAD_ARGUMENT', `tensor: a complex number cannot become ${dtype}`);
  return leaf instanceof Scalar ? leaf.re : Number(leaf);
};

/** The whole number, rounded towards zero, if the dtype can hold it. */
const toInteger = (leaf: Leaf, dtype: DType): bigint => {
  const exact = leaf instanceof Scalar ? leaf.value : leaf;
  const value = typeof exact === 'bigint' ? exact : Math.trunc(toNumber(leaf, dtype));
  const unsigned = dtype.startsWith('u');
  const bits = BigInt(8 * ITEM_BYTES[dtype] - (unsigned ? 0 : 1));
  const whole = typeof value === 'bigint' ? value : Number.isFinite(value) ? BigInt(value) : undefined;
  if (whole === undefined || whole >= 1n << bits || whole < (unsigned ? 0n : -(1n << bits)))
    throw new JorchError('BAD_ARGUMENT', `tensor: ${String(exact)} does not fit into ${dtype}`);
  return whole;
};

/** Elements as bytes of a dtype that a typed array can hold; the rest is cast by libtorch afterwards. */
const pack = (leaves: readonly Leaf[], dtype: DType): { data: TypedArray; as: DType } => {
  if (dtype === 'complex64' || dtype === 'complex128') {
    const data = new Float64Array(leaves.length * 2);
    leaves.forEach((leaf, i) => {
      data[2 * i] = isComplexLeaf(leaf) ? leaf.re : toNumber(leaf, dtype);
      data[2 * i + 1] = isComplexLeaf(leaf) ? leaf.im : 0;
    });
    return { data, as: 'complex128' };
  }
  // 64 bits as int64, whose bits a cast to uint64 keeps.
  if (isInteger(dtype))
    return { data: BigInt64Array.from(leaves, (leaf) => BigInt.asIntN(64, toInteger(leaf, dtype))), as: 'int64' };
  if (dtype === 'bool') return { data: Uint8Array.from(leaves, (leaf) => (toNumber(leaf, dtype) ? 1 : 0)), as: 'bool' };
  return { data: Float64Array.from(leaves, (leaf) => toNumber(leaf, dtype)), as: 'float64' };
};

const finish = (made: Tensor, options: TensorOptions): Tensor => {
  let result = options.dtype !== undefined && made.dtype !== options.dtype ? made.to(options.dtype) : made;
  if (options.device !== undefined && String(options.device) !== 'cpu') result = result.to(String(options.device));
  return options.requires_grad ? result.requires_grad_(true) : result;
};

const checkOptions = (name: string, options: unknown): void => {
  if (typeof options !== 'object' || options === null)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: options must be an object such as { dtype: 'float64' }, not ${options === null ? 'null' : typeof options}`,
    );
  for (const key of Object.keys(options)) {
    if (!['dtype', 'device', 'requires_grad', 'pin_memory'].includes(key))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: got an unexpected keyword '${key}'; it takes dtype, device, requires_grad`,
      );
  }
  const { dtype } = options as TensorOptions;
  if (dtype !== undefined && !DTYPES.includes(dtype))
    throw new JorchError('BAD_ARGUMENT', `${name}: unknown dtype '${String(dtype)}'; there are ${DTYPES.join(', ')}`);
};

/**
 * A tensor with a copy of the data: nested arrays of any depth, a typed array (1-d), a number, boolean or bigint (0-d), or another tensor.
 * Numbers become the default dtype (float32), bigints int64, booleans bool, a typed array keeps its own.
 * @throws JorchError BAD_ARGUMENT for ragged nesting and elements that are no numbers; the message has the path.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.tensor.html
 */
export const tensor = (data: NestedData | TypedArray, options: TensorOptions = {}): Tensor => {
  checkOptions('tensor', options);
  if (isTypedArray(data)) return finish(native().fromData(data, dtypeOfArray(data), [data.length]), options);
  if (isTensor(data)) return finish(data.detach().clone(), options);
  const shape = shapeOf(data as NestedData);
  const leaves: Leaf[] = [];
  flatten(data, shape, 0, [], leaves);
  const numbers = leaves.every((leaf) => typeof leaf === 'number');
  if (!numbers && leaves.some(isTensor)) return finish(stackLeaves(leaves, shape), options);
  const dtype = options.dtype ?? (numbers ? native().defaultDtype() : inferDtype(leaves));
  const packed =
    numbers && isFloating(dtype) ? { data: Float64Array.from(leaves), as: 'float64' as const } : pack(leaves, dtype);
  const made = native().fromData(packed.data, packed.as, shape);
  return finish(made, { ...options, dtype });
};

/**
 * `tensor(data)`, but of what is a tensor already only what the options ask for is made anew: the tensor itself, in another dtype, on another device.
 * Data of JavaScript is copied, typed arrays too (`frombuffer` shares their memory). @see https://docs.pytorch.org/docs/stable/generated/torch.as_tensor.html
 */
export const as_tensor = (
  data: NestedData | TypedArray,
  options: Omit<TensorOptions, 'requires_grad'> = {},
): Tensor => {
  checkOptions('as_tensor', options);
  return isTensor(data) ? finish(data, options) : tensor(data, options);
};

/** Tensors among the elements: each is one element, as in Python. */
const stackLeaves = (leaves: readonly Leaf[], shape: readonly number[]): Tensor => {
  const rows = leaves.map((leaf) => (isTensor(leaf) ? leaf.detach() : tensor(leaf)).reshape([]));
  return (native().packet('aten::stack')(rows) as Tensor).reshape([...shape]);
};

/**
 * A 1-d tensor that shares the typed array's memory: writing to one changes the other.
 * @throws JorchError BAD_ARGUMENT for memory that is not aligned to the element size.
 */
export const frombuffer = (data: TypedArray, options: { requires_grad?: boolean } = {}): Tensor => {
  if (!isTypedArray(data)) throw new JorchError('BAD_ARGUMENT', 'frombuffer: expected a typed array');
  return finish(native().fromBuffer(data, dtypeOfArray(data), [data.length]), options);
};

/** The elements, row-major, in a typed array of the dtype (bigints for int64; 0 and 1 for bool; re, im pairs for complex; float16 and bfloat16 as Float32Array). A copy. */
export const toTypedArray = (t: Tensor): TypedArray => {
  const half = t.dtype === 'float16' || t.dtype === 'bfloat16';
  return half ? new Float32Array(native().toBytes(t.to('float32'))) : new ARRAY_OF[t.dtype](native().toBytes(t));
};

/** A nested array, or the lone element of a 0-d tensor. */
export type NestedList = number | boolean | { re: number; im: number } | NestedList[];

const element = (data: TypedArray, dtype: DType, i: number): number | boolean | { re: number; im: number } => {
  if (dtype === 'bool') return data[i] === 1;
  if (dtype === 'complex64' || dtype === 'complex128') return { re: Number(data[2 * i]), im: Number(data[2 * i + 1]) };
  const value = data[i]!;
  if (typeof value === 'number') return value;
  if (value > 9007199254740991n || value < -9007199254740991n) {
    throw new JorchError(
      'BAD_ARGUMENT',
      `tolist: ${value} is beyond 2^53 and would lose digits as a number; use toTypedArray(), which gives bigints`,
    );
  }
  return Number(value);
};

/** The elements as nested arrays. @throws JorchError BAD_ARGUMENT for an int64 beyond 2^53. */
export const tolist = (t: Tensor): NestedList => {
  const data = toTypedArray(t);
  const { shape, dtype } = t;
  let next = 0;
  const build = (depth: number): NestedList => {
    if (depth === shape.length) return element(data, dtype, next++);
    return Array.from({ length: shape[depth]! }, () => build(depth + 1));
  };
  return build(0);
};
