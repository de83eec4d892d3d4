/** @file The Tensor: its type, and the members that are TypeScript's rather than an ATen operator's. */
import { inspect } from 'node:util';
import type { BackwardOptions } from '../autograd.js';
import { deviceNumber, moveTo } from '../cuda/devices.js';
import type { Native, TypedArray } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native, onLoad } from '../runtime/load.js';
import type { Mesh } from '../shard/mesh.js';
import { type Sharding, shardingOf } from '../shard/sharding.js';
import { accumulate } from './accumulate.js';
import { type NestedList, tolist, toTypedArray } from './data.js';
import { type Device, device } from './device.js';
import { type DType, ITEM_BYTES, isComplex, isFloating } from './dtype.js';
import { describeTensor } from './format-tensor.js';
import { ATTRIBUTES, METHODS, type TensorAttributes, type TensorMethods } from './generated/tensor-methods.js';
import { addHook, type RemovableHandle, type TensorHook } from './hooks.js';
import { at, type Index, setAt } from './indexing.js';
import { bindArguments } from './python-call.js';
import { PYTHON_METHODS, type PythonMethods } from './python-methods.js';
import type { MemoryFormat } from './python-types.js';
import { method } from './runtime-ops.js';
import type { Scalar } from './scalar.js';

/** The first eight sizes by name of place, so that `x.shape[0]` is a number and not `number | undefined`. */
export type Shape = readonly number[] & { readonly [I in 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7]: number };

/** What every tensor has besides torch's operators. */
export interface TensorCore {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  readonly ndim: number;
  /** Whether gradients flow back to this tensor. Settable on leaves of floating or complex dtype. */
  requires_grad: boolean;
  readonly is_leaf: boolean;
  /** The name of the operator that backward() goes through next, or null for a leaf. */
  readonly grad_fn: string | null;
  /** The accumulated gradient of a leaf, or null. */
  grad: Tensor | null;
  /** The same memory without autograd history. */
  data: Tensor;
  readonly _version: number;
  readonly strides: readonly number[];
  readonly offset: number;
  /** Real and imaginary parts, views; `real` of a real tensor is the tensor itself. */
  readonly real: Tensor;
  readonly imag: Tensor;
  readonly itemsize: number;
  readonly nbytes: number;
  readonly is_cuda: boolean;
  readonly is_meta: boolean;
  readonly is_sparse: boolean;
  readonly layout: 'strided';

  size(): Shape;
  size(dim: number): number;
  stride(): readonly number[];
  stride(dim: number): number;
  storage_offset(): number;
  is_floating_point(): boolean;
  is_complex(): boolean;

  /** The one element as a number (bool: boolean; complex: { re, im }). An int64 beyond 2^53 throws. */
  item(): number;
  /** The elements as nested arrays. */
  tolist(): NestedList;
  /** A copy of the elements, row-major, in the typed array of the dtype. */
  toTypedArray(): TypedArray;
  /** Resolves when the data can be read without blocking. */
  ready(): Promise<this>;

  /** Gradients of this tensor into the leaves' `grad`. `gradient` may be left out for one element. */
  backward(gradient?: Tensor | null, options?: BackwardOptions): void;
  backward(options: BackwardOptions & { gradient?: Tensor | null }): void;

  /**
   * Calls `hook` with each gradient of this tensor, before it goes on; what the hook returns, if anything, goes on instead. Inside `compile` the hook
   * is recorded with the backward. A hook keeps what it closes over until `remove()`, or until nothing leads to the tensor any more.
   * @throws JorchError BAD_ARGUMENT for a tensor that requires no grad, for a returned tensor of another shape or dtype.
   * @see https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
   */
  register_hook(hook: TensorHook): RemovableHandle;
  /**
   * Calls `hook` with this tensor, a leaf, each time after a gradient was added to its `grad`.
   * @see https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_post_accumulate_grad_hook.html
   */
  register_post_accumulate_grad_hook(hook: (tensor: Tensor) => void): RemovableHandle;

  /** Python's `x[...]`: `x.at(0, '1:3', null, '...', mask, [0, 2])`. */
  at(...indices: Index[]): Tensor;
  /** Python's `x[...] = value`, in place. */
  setAt(indices: readonly Index[] | Index, value: Tensor | number | boolean | bigint | Scalar): this;

  /** This tensor in another dtype, on another device, or both; itself when it is there already. */
  to(dtype: DType, non_blocking?: boolean, copy?: boolean): Tensor;
  to(device: string | Device, dtype?: DType): Tensor;
  to(other: Tensor): Tensor;
  to(options: {
    dtype?: DType | undefined;
    device?: string | Device | undefined;
    non_blocking?: boolean | undefined;
    copy?: boolean | undefined;
    memory_format?: MemoryFormat | undefined;
  }): Tensor;
  cpu(): Tensor;
  /** A tensor that is spread over a mesh as an ordinary one, put together in host memory; any other tensor itself. Differentiable. */
  full_tensor(): Tensor;
  /** How the tensor is spread over a mesh; null for an ordinary tensor. */
  readonly sharding: Sharding | null;
  /** The mesh that it is spread over. */
  readonly device_mesh: Mesh | null;
  cuda(index?: number): Tensor;

  /** Frees the memory now instead of at garbage collection. Using the tensor afterwards is an error. */
  dispose(): void;
  readonly disposed: boolean;
  [Symbol.dispose](): void;
  [Symbol.iterator](): Generator<Tensor>;
  toString(): string;
  toJSON(): NestedList;
}

/** A torch tensor. Made by `torch.tensor`, `torch.zeros`, …; never by `new`. */
export interface Tensor
  extends TensorCore,
    Omit<TensorAttributes, keyof TensorCore>,
    Omit<TensorMethods, keyof TensorCore | keyof PythonMethods>,
    Omit<PythonMethods, keyof TensorCore> {}

type Members = Record<string | symbol, unknown> & ThisType<Tensor>;

const METHODS_HERE: Members = {
  size(dim?: number) {
    return dim === undefined ? this.shape : atDim(this.shape, dim, 'size');
  },
  stride(dim?: number) {
    return dim === undefined ? this.strides : atDim(this.strides, dim, 'stride');
  },
  storage_offset() {
    return this.offset;
  },
  requires_grad_(...args: unknown[]) {
    this.requires_grad = bindArguments('requires_grad_', [['requires_grad', true]], args)['requires_grad'] as boolean;
    return this;
  },
  register_hook(hook: TensorHook) {
    return addHook('register_hook', this, hook, false);
  },
  register_post_accumulate_grad_hook(hook: (tensor: Tensor) => void) {
    return addHook('register_post_accumulate_grad_hook', this, hook, true);
  },
  is_floating_point() {
    return isFloating(this.dtype);
  },
  is_complex() {
    return isComplex(this.dtype);
  },
  item() {
    return native().item(this);
  },
  tolist() {
    return tolist(this);
  },
  toJSON() {
    return tolist(this);
  },
  toTypedArray() {
    return toTypedArray(this);
  },
  async ready() {
    return this;
  },
  backward(...args: unknown[]) {
    const given = bindArguments(
      'backward',
      [
        ['gradient', null],
        ['retain_graph', null],
        ['create_graph', false],
        ['inputs', null],
      ],
      args,
    );
    accumulate([this], given['gradient'], given);
  },
  at(...indices: Index[]) {
    return at(this, indices);
  },
  setAt(indices: readonly Index[] | Index, value: Tensor | number) {
    // An array is the list of subscripts; a lone subscript needs none.
    return setAt(this, Array.isArray(indices) ? (indices as Index[]) : [indices as Index], value);
  },
  cpu() {
    return this.full_tensor().to('cpu');
  },
  full_tensor() {
    return native().placementOf(this) === 0 ? this : this.clone();
  },
  cuda(index = 0) {
    return this.to(`cuda:${index}`);
  },
  toString() {
    return describe(this);
  },
  [inspect.custom]() {
    return describe(this);
  },
  [Symbol.dispose]() {
    this.dispose();
  },
  *[Symbol.iterator]() {
    if (this.ndim === 0) throw new JorchError('BAD_ARGUMENT', 'iteration over a 0-d tensor; use item()');
    for (let i = 0; i < this.shape[0]; i++) yield this.select(0, i);
  },
  [Symbol.toPrimitive](hint: string) {
    if (hint === 'string') return describe(this);
    // `a + b` and `a == 1` ask for "default"; Number(t), `t < u` and `a * b` all ask for "number".
    if (hint === 'default')
      throw new JorchError(
        'BAD_ARGUMENT',
        "JavaScript's + and == do not work on tensors: write a.add(b), a.eq(b), or use expr",
      );
    if (this.numel() !== 1) {
      throw new JorchError(
        'BAD_ARGUMENT',
        `JavaScript's operators do not work on tensors (this one has shape [${this.shape.join(', ')}]): write a.mul(b), a.lt(b), or expr\`\${a} * \${b}\``,
      );
    }
    return Number(native().item(this));
  },
};

const GETTERS: Record<string, (this: Tensor) => unknown> = {
  real() {
    return isComplex(this.dtype) ? native().packet('aten::real')(this) : this;
  },
  imag() {
    if (!isComplex(this.dtype))
      throw new JorchError(
        'BAD_ARGUMENT',
        `imag: only complex tensors have an imaginary part, this one is ${this.dtype}`,
      );
    return native().packet('aten::imag')(this);
  },
  itemsize() {
    return ITEM_BYTES[this.dtype];
  },
  nbytes() {
    return this.numel() * ITEM_BYTES[this.dtype];
  },
  is_cuda() {
    return this.device.type === 'cuda';
  },
  is_meta() {
    return this.device.type === 'meta';
  },
  is_sparse() {
    return false;
  },
  layout() {
    return 'strided';
  },
  sharding() {
    return shardingOf(this);
  },
  device_mesh() {
    return shardingOf(this)?.mesh ?? null;
  },
};

const atDim = (values: readonly number[], dim: number, what: string): number => {
  const value = Number.isInteger(dim) ? values.at(dim) : undefined;
  if (value === undefined)
    throw new JorchError(
      'BAD_ARGUMENT',
      `${what}: dimension ${String(dim)} of a tensor with ${values.length} dimensions`,
    );
  return value;
};

/** A number for each tensor that was asked for its tag. */
const tags = new WeakMap<object, number>();
let tagged = 0;

/** As torch prints it; a tensor whose data is unknown or gone is described. */
const describe = (t: Tensor): string => {
  if (t.disposed) return '[disposed Tensor]';
  if ((t as unknown as { isTraced: boolean }).isTraced || native().isTracing())
    return `Tensor(shape=[${t.shape.join(', ')}], dtype=${t.dtype}, traced)`;
  return describeTensor(t, { defaultDtype: native().defaultDtype() });
};

const plainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !('type' in value) && !native().isTensor(value);

const install = ({ Tensor }: Native): void => {
  const prototype = Tensor.prototype as unknown as Record<string | symbol, unknown>;
  const define = (name: string | symbol, descriptor: PropertyDescriptor): void => {
    Object.defineProperty(prototype, name, { configurable: true, ...descriptor });
  };
  const nativeDevice = Object.getOwnPropertyDescriptor(prototype, 'device')!.get!;
  const nativeMembers = new Set(Object.getOwnPropertyNames(prototype));
  for (const name of METHODS) define(name, { value: method(`aten::${name}`), writable: true });
  for (const [name, packet] of Object.entries(ATTRIBUTES)) {
    const call = method(packet);
    if (!nativeMembers.has(name)) define(name, { get: call });
  }
  // `to(device)` alone: the schema has no such overload without a dtype.
  const to = method('aten::to');
  define('to', {
    value(this: Tensor, ...args: unknown[]) {
      const [first] = args;
      const isDevice =
        typeof first === 'string'
          ? /^(cpu|cuda|meta|xla)/.test(first)
          : typeof first === 'object' && first !== null && 'type' in first && !native().isTensor(first);
      const keywords = plainObject(first) ? first : undefined;
      if (native().isTensor(first) && !native().isTracing()) {
        const [number, own] = [native().deviceOf(first), native().deviceOf(this)];
        if (number !== own) return to.call(moveTo(this, number), { dtype: first.dtype, ...(args[1] as object) });
      }
      const wanted = isDevice ? first : keywords?.['device'];
      if (wanted !== undefined && wanted !== null && !native().isTracing()) {
        const { type } = device(String(wanted));
        if (type !== 'meta' && (type !== 'cpu' || native().deviceOf(this) !== 0)) {
          const moved = moveTo(this, deviceNumber(wanted));
          const { device: _, ...rest } = keywords ?? {};
          const others = keywords ? (Object.keys(rest).length > 0 ? [rest] : []) : args.slice(1);
          return others.length > 0 ? to.call(moved, ...others) : moved;
        }
      }
      if (!isDevice) {
        try {
          return to.call(this, ...args);
        } catch (error) {
          if (typeof first !== 'string' || !(error instanceof JorchError) || !error.message.includes(`not '${first}'`))
            throw error;
          throw new JorchError(
            'BAD_ARGUMENT',
            `to: '${first}' is neither a dtype (${Object.keys(ITEM_BYTES).join(', ')}) nor a device ('cpu', 'cuda', 'cuda:0', 'meta')`,
          );
        }
      }
      const [, second] = args;
      if (typeof second === 'string') return to.call(this, String(first), ...args.slice(1));
      return to.call(this, { device: String(first), ...(second as object | undefined) });
    },
    writable: true,
  });
  for (const [name, implementation] of Object.entries(PYTHON_METHODS))
    define(name, { value: implementation, writable: true });
  for (const name of Reflect.ownKeys(METHODS_HERE)) define(name, { value: METHODS_HERE[name], writable: true });
  for (const [name, get] of Object.entries(GETTERS)) define(name, { get });
  // What compares objects deeply (node:assert, Jest, lodash) sees no data in a handle, and would find any two tensors equal; it compares this first.
  define(Symbol.toStringTag, {
    get(this: Tensor) {
      if (!isTensor(this)) return 'Tensor';
      if (!tags.has(this)) tags.set(this, ++tagged);
      return `Tensor ${tags.get(this)}`;
    },
  });
  define('device', {
    get(this: Tensor) {
      return device(nativeDevice.call(this) as string);
    },
  });
};

onLoad(install);

/** Whether `value` is a tensor of this copy of jorch. */
export const isTensor = (value: unknown): value is Tensor => native().isTensor(value);
