/** @file Methods that Python's Tensor has beside ATen's: casts, what python.ts overrides, and the operator methods (`__radd__`). One table, installed on the class. */
import { JorchError } from '../runtime/errors.js';
import { type NestedData, tensor } from './data.js';
import { type DType, ITEM_BYTES } from './dtype.js';
import * as torch from './generated/ops.js';
import { DEPRECATED } from './generated/resolution.js';
import { FACTORY_METHODS } from './generated/tensor-methods.js';
import type { Index } from './indexing.js';
import type { Flags, Sorted, Where } from './python.js';
import * as python from './python.js';
import { bindArguments } from './python-call.js';
import { methodWithDeprecated } from './python-deprecated.js';
import { factoryMethod } from './python-factory.js';
import type { MemoryFormat, Num, Options, Results, Tensor } from './python-types.js';
import { isTensor } from './tensor.js';

type Dim = number | readonly number[] | null | undefined;
type Other = Tensor | Num;

export interface PythonMethods {
  /** Tensors of the dtype that the name says; `this` itself where it has that dtype. */
  byte(): Tensor;
  char(): Tensor;
  short(): Tensor;
  int(): Tensor;
  long(): Tensor;
  half(): Tensor;
  float(): Tensor;
  double(): Tensor;
  bfloat16(): Tensor;
  bool(): Tensor;
  chalf(): Tensor;
  cfloat(): Tensor;
  cdouble(): Tensor;
  /** https://docs.pytorch.org/docs/stable/generated/torch.Tensor.dim.html */
  dim(): number;
  ndimension(): number;
  numel(): number;
  nelement(): number;
  /** Bytes of one element. */
  element_size(): number;
  /** The dtype's name without arguments; a cast with one. */
  type(): DType;
  type(dtype: DType): Tensor;
  /** https://docs.pytorch.org/docs/stable/generated/torch.split.html */
  split(split_size: number | readonly number[], dim?: number | undefined): Tensor[];
  split(split_size: number | readonly number[], options: Options<{ dim?: number | undefined }>): Tensor[];
  /** https://docs.pytorch.org/docs/stable/generated/torch.norm.html */
  norm(
    p?: Num | 'fro' | 'nuc' | null | undefined,
    dim?: Dim,
    keepdim?: boolean | undefined,
    dtype?: DType | null | undefined,
  ): Tensor;
  norm(
    p: Num | 'fro' | 'nuc' | null | undefined,
    dim: Dim,
    options: Options<{ keepdim?: boolean | undefined; dtype?: DType | null | undefined }>,
  ): Tensor;
  norm(
    p: Num | 'fro' | 'nuc' | null | undefined,
    options: Options<{ dim?: Dim; keepdim?: boolean | undefined; dtype?: DType | null | undefined }>,
  ): Tensor;
  norm(
    options: Options<{
      p?: Num | 'fro' | 'nuc' | null | undefined;
      dim?: Dim;
      keepdim?: boolean | undefined;
      dtype?: DType | null | undefined;
    }>,
  ): Tensor;
  /** https://docs.pytorch.org/docs/stable/generated/torch.unique.html */
  unique(sorted?: boolean | undefined): Tensor;
  unique(options: Options<Sorted & Where & Flags<false, false>>): Tensor;
  unique(options: Options<Sorted & Where & Flags<true, false>>): Results<[output: Tensor, inverse: Tensor]>;
  unique(options: Options<Sorted & Where & Flags<false, true>>): Results<[output: Tensor, counts: Tensor]>;
  unique(
    options: Options<Sorted & Where & Flags<true, true>>,
  ): Results<[output: Tensor, inverse: Tensor, counts: Tensor]>;
  /** https://docs.pytorch.org/docs/stable/generated/torch.unique_consecutive.html */
  unique_consecutive(options?: Options<Where & Flags<false, false>>): Tensor;
  unique_consecutive(options: Options<Where & Flags<true, false>>): Results<[output: Tensor, inverse: Tensor]>;
  unique_consecutive(options: Options<Where & Flags<false, true>>): Results<[output: Tensor, counts: Tensor]>;
  unique_consecutive(
    options: Options<Where & Flags<true, true>>,
  ): Results<[output: Tensor, inverse: Tensor, counts: Tensor]>;
  /** https://docs.pytorch.org/docs/stable/generated/torch.nonzero.html */
  nonzero(options?: Options<{ as_tuple?: false | undefined }>): Tensor;
  nonzero(options: Options<{ as_tuple: true }>): Tensor[];
  /** https://docs.pytorch.org/docs/stable/generated/torch.lu.html */
  lu(pivot?: boolean | undefined, get_infos?: false | undefined): Results<[LU: Tensor, pivots: Tensor]>;
  lu(
    options: Options<{ pivot?: boolean | undefined; get_infos: true }>,
  ): Results<[LU: Tensor, pivots: Tensor, infos: Tensor]>;
  /** Dense coordinates format. */
  to_sparse_coo(): Tensor;
  /** Whether the elements lie in memory without gaps, in row-major order or the order given. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_contiguous.html */
  is_contiguous(options?: Options<{ memory_format?: MemoryFormat | undefined }>): boolean;
  /** A tensor of this one's dtype and device. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.new_tensor.html */
  new_tensor(
    data: NestedData,
    options?: Options<{ dtype?: DType | undefined; requires_grad?: boolean | undefined }>,
  ): Tensor;
  /** Index of the CUDA device; -1 on the CPU. */
  get_device(): number;

  /** Python's `x[index]`; an array is a tuple of subscripts. */
  __getitem__(index: Index | readonly Index[]): Tensor;
  __setitem__(index: Index | readonly Index[], value: Other): void;
  __len__(): number;
  __contains__(element: Other): boolean;
  /** The one element as a truth value or a number. */
  __bool__(): boolean;
  __int__(): number;
  __float__(): number;

  __abs__(): Tensor;
  __neg__(): Tensor;
  __pos__(): Tensor;
  __invert__(): Tensor;
  __add__(other: Other): Tensor;
  __sub__(other: Other): Tensor;
  __mul__(other: Other): Tensor;
  __truediv__(other: Other): Tensor;
  __floordiv__(other: Other): Tensor;
  __mod__(other: Other): Tensor;
  __pow__(other: Other): Tensor;
  __matmul__(other: Tensor): Tensor;
  __eq__(other: Other): Tensor;
  __ne__(other: Other): Tensor;
  __lt__(other: Other): Tensor;
  __le__(other: Other): Tensor;
  __gt__(other: Other): Tensor;
  __ge__(other: Other): Tensor;
  __radd__(other: Other): Tensor;
  __rsub__(other: Other): Tensor;
  __rmul__(other: Other): Tensor;
  __rtruediv__(other: Other): Tensor;
  __rdiv__(other: Other): Tensor;
  __rfloordiv__(other: Other): Tensor;
  __rmod__(other: Other): Tensor;
  __rpow__(other: Other): Tensor;
  __rmatmul__(other: Tensor): Tensor;
  __rand__(other: Other): Tensor;
  __ror__(other: Other): Tensor;
  __rxor__(other: Other): Tensor;
  __rlshift__(other: Other): Tensor;
  __rrshift__(other: Other): Tensor;
  __iadd__(other: Other): Tensor;
  __isub__(other: Other): Tensor;
  __imul__(other: Other): Tensor;
  __itruediv__(other: Other): Tensor;
  __idiv__(other: Other): Tensor;
  __ifloordiv__(other: Other): Tensor;
  __imod__(other: Other): Tensor;
  __ipow__(other: Other): Tensor;
}

/** Python's names of the casts. */
const CASTS = {
  byte: 'uint8',
  char: 'int8',
  short: 'int16',
  int: 'int32',
  long: 'int64',
  half: 'float16',
  float: 'float32',
  double: 'float64',
  bfloat16: 'bfloat16',
  bool: 'bool',
  cfloat: 'complex64',
  cdouble: 'complex128',
} as const satisfies Record<string, DType>;

/** `x.__radd__(y)` is `y + x`: function of the other operand and the tensor. */
const REFLECTED: Readonly<Record<string, (other: Other, self: Tensor) => Tensor>> = {
  __radd__: (other, self) => self.add(other),
  __rsub__: (other, self) => (isTensor(other) ? torch.rsub(self, other) : torch.rsub(self, other)),
  __rmul__: (other, self) => self.mul(other),
  __rtruediv__: (other, self) => self.reciprocal().mul(other),
  __rdiv__: (other, self) => self.reciprocal().mul(other),
  __rfloordiv__: (other, self) => torch.floor_divide(other, self),
  __rmod__: (other, self) => torch.remainder(other, self),
  __rpow__: (other, self) => torch.pow(other, self),
  __rmatmul__: (other, self) => torch.matmul(other as Tensor, self),
  __rand__: (other, self) => torch.bitwise_and(self, other),
  __ror__: (other, self) => torch.bitwise_or(self, other),
  __rxor__: (other, self) => torch.bitwise_xor(self, other),
  __rlshift__: (other, self) => torch.bitwise_left_shift(other, self),
  __rrshift__: (other, self) => torch.bitwise_right_shift(other, self),
};

/** Operator methods that are a method under another name. */
const RENAMED: Readonly<Record<string, keyof Tensor>> = {
  __abs__: 'abs',
  __neg__: 'neg',
  __pos__: 'positive',
  __invert__: 'bitwise_not',
  __add__: 'add',
  __sub__: 'sub',
  __mul__: 'mul',
  __truediv__: 'true_divide',
  __floordiv__: 'floor_divide',
  __mod__: 'remainder',
  __pow__: 'pow',
  __matmul__: 'matmul',
  __eq__: 'eq',
  __ne__: 'ne',
  __lt__: 'lt',
  __le__: 'le',
  __gt__: 'gt',
  __ge__: 'ge',
  __iadd__: 'add_',
  __isub__: 'sub_',
  __imul__: 'mul_',
  __itruediv__: 'div_',
  __idiv__: 'div_',
  __ifloordiv__: 'floor_divide_',
  __imod__: 'remainder_',
  __ipow__: 'pow_',
};

type Implementation = (this: Tensor, ...args: readonly unknown[]) => unknown;
type AnyFunction = (...args: unknown[]) => unknown;

const methods: Record<string, Implementation> = {
  chalf() {
    return this.to('complex32' as DType);
  },
  dim() {
    return this.shape.length;
  },
  ndimension() {
    return this.shape.length;
  },
  numel() {
    return python.numel(this);
  },
  nelement() {
    return python.numel(this);
  },
  element_size() {
    return ITEM_BYTES[this.dtype];
  },
  type(dtype) {
    return dtype === undefined || dtype === null ? this.dtype : this.to(dtype as DType);
  },
  split(...args) {
    const { split_size, dim } = bindArguments('split', [['split_size'], ['dim', 0]], args);
    return python.split(this, split_size as number, dim as number);
  },
  roll(...args) {
    const { shifts, dims } = bindArguments('roll', [['shifts'], ['dims', null]], args);
    return python.roll(this, shifts as number, dims as number);
  },
  norm(...args) {
    const { p, dim, keepdim, dtype } = bindArguments(
      'norm',
      [
        ['p', 'fro'],
        ['dim', null],
        ['keepdim', false],
        ['dtype', null],
      ],
      args,
    ) as {
      p: Num;
      dim: number | null;
      keepdim: boolean;
      dtype: DType | null;
    };
    return python.norm(this, p, dim, keepdim, { dtype });
  },
  unique(...args) {
    return (python.unique as unknown as AnyFunction)(this, ...args);
  },
  unique_consecutive(...args) {
    return (python.unique_consecutive as unknown as AnyFunction)(this, ...args);
  },
  nonzero(...args) {
    return (python.nonzero as unknown as AnyFunction)(this, ...args);
  },
  lu(...args) {
    return (python.lu as unknown as AnyFunction)(this, ...args);
  },
  to_sparse_coo() {
    return this.to_sparse();
  },
  is_contiguous(...args) {
    const { memory_format } = bindArguments('is_contiguous', ['*', ['memory_format', 'contiguous_format']], args);
    return contiguous(this, memory_format as MemoryFormat);
  },
  new_tensor(...args) {
    const { data, dtype, requires_grad } = bindArguments(
      'new_tensor',
      [['data'], '*', ['dtype', null], ['requires_grad', false]],
      args,
    );
    return tensor(data as NestedData, {
      dtype: (dtype ?? this.dtype) as DType,
      device: this.device,
      requires_grad: requires_grad as boolean,
    });
  },
  get_device() {
    return this.device.type === 'cpu' ? -1 : (this.device.index ?? 0);
  },
  __getitem__(index) {
    return this.at(...(Array.isArray(index) ? (index as Index[]) : [index as Index]));
  },
  __setitem__(index, value) {
    this.setAt(Array.isArray(index) ? (index as Index[]) : [index as Index], value as Other);
  },
  __len__() {
    const [size] = this.shape;
    if (size === undefined) throw new JorchError('BAD_ARGUMENT', 'len() of a 0-d tensor');
    return size;
  },
  __contains__(element) {
    return Boolean(
      this.eq(element as Other)
        .any()
        .item(),
    );
  },
  __bool__() {
    return Boolean(this.item());
  },
  __int__() {
    return Math.trunc(Number(this.item()));
  },
  __float__() {
    return Number(this.item());
  },
};

/** The order in which dimensions run in memory, slowest first. */
const ORDERS: Readonly<Partial<Record<MemoryFormat, readonly number[]>>> = {
  channels_last: [0, 2, 3, 1],
  channels_last_3d: [0, 2, 3, 4, 1],
};

function contiguous({ shape, strides }: Tensor, format: MemoryFormat): boolean {
  const order = ORDERS[format] ?? shape.map((_, i) => i);
  if (order.length !== shape.length) return false;
  if (shape.includes(0 as never)) return true;
  let expected = 1;
  return [...order].reverse().every((dim) => {
    const size = shape[dim] as number;
    if (size === 1) return true;
    const fits = strides[dim] === expected;
    expected *= size;
    return fits;
  });
}

for (const name of Object.keys(DEPRECATED)) methods[name] = methodWithDeprecated(`aten::${name}`);
for (const name of FACTORY_METHODS) methods[name] = factoryMethod(`aten::${name}`);
for (const [name, dtype] of Object.entries(CASTS)) {
  methods[name] = function (this: Tensor) {
    return this.to(dtype);
  };
}
for (const [name, apply] of Object.entries(REFLECTED)) {
  methods[name] = function (this: Tensor, other) {
    return apply(other as Other, this);
  };
}
for (const [name, own] of Object.entries(RENAMED)) {
  methods[name] = function (this: Tensor, ...args) {
    return (this[own] as AnyFunction).apply(this, [...args]);
  };
}

/** Every method above, to be put on the class's prototype after ATen's. */
export const PYTHON_METHODS: Readonly<Record<keyof PythonMethods & string, Implementation>> = methods as Record<
  keyof PythonMethods & string,
  Implementation
>;
