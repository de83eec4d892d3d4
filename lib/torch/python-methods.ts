/** @file Methods that Python's Tensor has beside ATen's: casts, what python.ts overrides, and the operator methods (`__radd__`). One table, installed on the class. */
import { type DType, ITEM_BYTES } from './dtype.js';
import * as torch from './generated/ops.js';
import { FACTORY_METHODS } from './generated/tensor-methods.js';
import * as python from './python.js';
import { bindArguments } from './python-call.js';
import { factoryMethod } from './python-factory.js';
import type { Num, Options, Results, Tensor } from './python-types.js';
import { isTensor } from './tensor.js';

type Dim = number | readonly number[] | null | undefined;
type Other = Tensor | Num;

/** A function as a method: its first parameter is `this`. */
type Method<F> = F extends (input: Tensor, ...rest: infer R) => infer T ? (...rest: R) => T : never;

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
  unique(
    options: Options<{
      sorted?: boolean | undefined;
      dim?: number | null | undefined;
      return_inverse?: false | undefined;
      return_counts?: false | undefined;
    }>,
  ): Tensor;
  unique(
    options: Options<{
      sorted?: boolean | undefined;
      dim?: number | null | undefined;
      return_inverse: true;
      return_counts: true;
    }>,
  ): Results<[output: Tensor, inverse: Tensor, counts: Tensor]>;
  unique(
    options: Options<{
      sorted?: boolean | undefined;
      dim?: number | null | undefined;
      return_inverse?: boolean;
      return_counts?: boolean;
    }>,
  ): Results<[output: Tensor, inverseOrCounts: Tensor]>;
  /** https://docs.pytorch.org/docs/stable/generated/torch.unique_consecutive.html */
  unique_consecutive: Method<typeof python.unique_consecutive>;
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
};

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
