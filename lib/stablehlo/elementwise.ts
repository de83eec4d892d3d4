/** @file Elementwise operations, constants and conversions. Operands must agree in shape and dtype: a rule converts first. */
import type { DType } from '../torch/dtype.js';
import { isComplex, isFloating, isInteger, realOf } from '../torch/dtype.js';
import { Emitter } from './emitter.js';
import { denseText, splatText } from './literal.js';
import {
  BuilderError,
  DtypeError,
  type Literal,
  numel,
  type Op,
  sameShape,
  type TensorType,
  typeText,
} from './types.js';

export type Direction = 'EQ' | 'NE' | 'LT' | 'LE' | 'GT' | 'GE';

/** What does not take every dtype. XLA refuses the others in words about its own program, and is ended by a remainder of complex numbers. */
const TAKES = new Map<string, (dtype: DType) => boolean>();
const takes = (accepts: (dtype: DType) => boolean, names: string): void => {
  for (const name of names.split(' ')) TAKES.set(name, accepts);
};
takes(
  isFloating,
  'stablehlo.floor stablehlo.ceil stablehlo.round_nearest_even stablehlo.round_nearest_afz stablehlo.is_finite chlo.erf chlo.erfc chlo.erf_inv chlo.lgamma chlo.digamma chlo.bessel_i1e',
);
takes(
  (dtype) => isFloating(dtype) || isComplex(dtype),
  'stablehlo.exponential stablehlo.exponential_minus_one stablehlo.log stablehlo.log_plus_one stablehlo.sqrt stablehlo.rsqrt stablehlo.cbrt stablehlo.sine stablehlo.cosine stablehlo.tan stablehlo.tanh stablehlo.logistic stablehlo.atan2 chlo.sinh chlo.cosh chlo.asin chlo.acos chlo.atan chlo.asinh chlo.acosh chlo.atanh',
);
takes((dtype) => !isComplex(dtype), 'stablehlo.maximum stablehlo.minimum');
takes((dtype) => !isComplex(dtype) && dtype !== 'bool', 'stablehlo.remainder');
takes(
  (dtype) => dtype !== 'bool',
  'stablehlo.subtract stablehlo.divide stablehlo.negate stablehlo.abs stablehlo.power stablehlo.sign',
);
takes(isInteger, 'stablehlo.shift_left stablehlo.shift_right_arithmetic stablehlo.shift_right_logical');
const checkDtype = (name: string, dtype: DType): void => {
  if (TAKES.get(name)?.(dtype) === false) throw new DtypeError(`${name} of ${dtype}`);
};

export class Elementwise extends Emitter {
  /** A constant tensor: one value everywhere, or row-major elements. */
  constant(value: Literal | readonly Literal[], shape: readonly number[], dtype: DType): Op {
    const type = typeText(shape, dtype);
    const empty = numel(shape) === 0;
    const list = Array.isArray(value) ? (value as readonly Literal[]) : undefined;
    if (list !== undefined && list.length !== numel(shape)) {
      throw new BuilderError(`stablehlo.constant: ${list.length} elements for ${type}.`);
    }
    const text = empty ? 'dense<>' : list ? denseText(list, shape, dtype) : splatText(value as Literal, dtype);
    return this.emit(`stablehlo.constant ${text} : ${type}`, shape, dtype, type);
  }
  /** `value` everywhere, with the shape and dtype of `like`. */
  fill(like: TensorType, value: Literal): Op {
    return this.constant(value, like.shape, like.dtype);
  }
  scalar(value: Literal, dtype: DType): Op {
    return this.constant(value, [], dtype);
  }

  /** A unary StableHLO operation of the given name that keeps shape and dtype. */
  unary(name: string, x: Op, dtype: DType = x.dtype): Op {
    checkDtype(name, x.dtype);
    if (name.startsWith('chlo.')) {
      const type = typeText(x.shape, dtype);
      return this.emit(`${name} ${x.name} : ${x.type} -> ${type}`, x.shape, dtype, type);
    }
    if (dtype === x.dtype) return this.emit(`${name} ${x.name} : ${x.type}`, x.shape, dtype, x.type);
    const type = typeText(x.shape, dtype);
    return this.emit(`${name} ${x.name} : (${x.type}) -> ${type}`, x.shape, dtype, type);
  }
  /** A binary StableHLO operation of the given name; both operands have the result's type. */
  binary(name: string, x: Op, y: Op): Op {
    if (x.type !== y.type) throw new BuilderError(`${name}: operands differ: ${x.type} and ${y.type}.`);
    checkDtype(name, x.dtype);
    const type = name.startsWith('chlo.') ? `${x.type}, ${x.type} -> ${x.type}` : x.type;
    return this.emit(`${name} ${x.name}, ${y.name} : ${type}`, x.shape, x.dtype, x.type);
  }

  add(x: Op, y: Op): Op {
    // Of truth values they are the same, but XLA adds two constants of them modulo 2.
    return this.binary(x.dtype === 'bool' ? 'stablehlo.or' : 'stablehlo.add', x, y);
  }
  subtract(x: Op, y: Op): Op {
    return this.binary('stablehlo.subtract', x, y);
  }
  multiply(x: Op, y: Op): Op {
    return this.binary('stablehlo.multiply', x, y);
  }
  divide(x: Op, y: Op): Op {
    return this.binary('stablehlo.divide', x, y);
  }
  remainder(x: Op, y: Op): Op {
    return this.binary('stablehlo.remainder', x, y);
  }
  power(x: Op, y: Op): Op {
    return this.binary('stablehlo.power', x, y);
  }
  maximum(x: Op, y: Op): Op {
    return this.binary('stablehlo.maximum', x, y);
  }
  minimum(x: Op, y: Op): Op {
    return this.binary('stablehlo.minimum', x, y);
  }
  /** The larger (smaller) of x and a number; NaN in either stays. */
  atLeast(x: Op, low: Literal): Op {
    return this.maximum(x, this.fill(x, low));
  }
  atMost(x: Op, high: Literal): Op {
    return this.minimum(x, this.fill(x, high));
  }
  atan2(x: Op, y: Op): Op {
    return this.binary('stablehlo.atan2', x, y);
  }
  and(x: Op, y: Op): Op {
    return this.binary('stablehlo.and', x, y);
  }
  or(x: Op, y: Op): Op {
    return this.binary('stablehlo.or', x, y);
  }
  xor(x: Op, y: Op): Op {
    return this.binary('stablehlo.xor', x, y);
  }
  shiftLeft(x: Op, y: Op): Op {
    return this.binary('stablehlo.shift_left', x, y);
  }
  /** Fills with the sign bit for signed dtypes, with zeros for unsigned ones. */
  shiftRight(x: Op, y: Op): Op {
    const kind = x.dtype.startsWith('u') ? 'logical' : 'arithmetic';
    return this.binary(`stablehlo.shift_right_${kind}`, x, y);
  }
  shiftRightLogical(x: Op, y: Op): Op {
    return this.binary('stablehlo.shift_right_logical', x, y);
  }
  not(x: Op): Op {
    return this.unary('stablehlo.not', x);
  }
  negate(x: Op): Op {
    return this.unary('stablehlo.negate', x);
  }
  exp(x: Op): Op {
    return this.unary('stablehlo.exponential', x);
  }
  expm1(x: Op): Op {
    return this.unary('stablehlo.exponential_minus_one', x);
  }
  log(x: Op): Op {
    return this.unary('stablehlo.log', x);
  }
  log1p(x: Op): Op {
    return this.unary('stablehlo.log_plus_one', x);
  }
  sqrt(x: Op): Op {
    return this.unary('stablehlo.sqrt', x);
  }
  rsqrt(x: Op): Op {
    return this.unary('stablehlo.rsqrt', x);
  }
  sine(x: Op): Op {
    return this.unary('stablehlo.sine', x);
  }
  cosine(x: Op): Op {
    return this.unary('stablehlo.cosine', x);
  }
  tanh(x: Op): Op {
    return this.unary('stablehlo.tanh', x);
  }
  logistic(x: Op): Op {
    return this.unary('stablehlo.logistic', x);
  }
  floor(x: Op): Op {
    return this.unary('stablehlo.floor', x);
  }
  ceil(x: Op): Op {
    return this.unary('stablehlo.ceil', x);
  }
  /** Ties to even. */
  round(x: Op): Op {
    return this.unary('stablehlo.round_nearest_even', x);
  }
  sign(x: Op): Op {
    return this.unary('stablehlo.sign', x);
  }
  /** Of a complex number: its magnitude, a real tensor. */
  abs(x: Op): Op {
    if (isUnsigned(x.dtype)) return x;
    return this.unary('stablehlo.abs', x, realOf(x.dtype));
  }
  real(x: Op): Op {
    return isComplex(x.dtype) ? this.unary('stablehlo.real', x, realOf(x.dtype)) : x;
  }
  imag(x: Op): Op {
    return isComplex(x.dtype) ? this.unary('stablehlo.imag', x, realOf(x.dtype)) : this.fill(x, 0);
  }
  complex(re: Op, im: Op): Op {
    if (re.type !== im.type) throw new BuilderError(`stablehlo.complex: parts differ: ${re.type} and ${im.type}.`);
    const dtype = re.dtype === 'float64' ? 'complex128' : 'complex64';
    return this.emit(`stablehlo.complex ${re.name}, ${im.name} : ${typeText(re.shape, dtype)}`, re.shape, dtype);
  }
  /** Complex conjugate; a real tensor is its own. */
  conj(x: Op): Op {
    return isComplex(x.dtype) ? this.complex(this.real(x), this.negate(this.imag(x))) : x;
  }
  /** Neither infinite nor NaN, as bool. */
  isFinite(x: Op): Op {
    return this.unary('stablehlo.is_finite', x, 'bool');
  }
  isNan(x: Op): Op {
    return isFloating(x.dtype) || isComplex(x.dtype) ? this.compare('NE', x, x) : this.constant(false, x.shape, 'bool');
  }

  compare(direction: Direction, x: Op, y: Op): Op {
    if (x.type !== y.type) throw new BuilderError(`stablehlo.compare: operands differ: ${x.type} and ${y.type}.`);
    const type = typeText(x.shape, 'bool');
    const text = `stablehlo.compare ${direction}, ${x.name}, ${y.name} : (${x.type}, ${y.type}) -> ${type}`;
    return this.emit(text, x.shape, 'bool', type);
  }
  select(pred: Op, onTrue: Op, onFalse: Op): Op {
    if (pred.dtype !== 'bool') throw new DtypeError(`a choice by ${pred.dtype}`);
    if (onTrue.type !== onFalse.type || !sameShape(pred.shape, onTrue.shape)) {
      throw new BuilderError(`stablehlo.select: ${pred.type}, ${onTrue.type}, ${onFalse.type}.`);
    }
    const text = `stablehlo.select ${pred.name}, ${onTrue.name}, ${onFalse.name} : ${pred.type}, ${onTrue.type}`;
    return this.emit(text, onTrue.shape, onTrue.dtype, onTrue.type);
  }
  /** NaN in `x` stays NaN. */
  clamp(low: Op, x: Op, high: Op): Op {
    return this.minimum(this.maximum(x, low), high);
  }

  /** torch's casts: complex to real drops the imaginary part, anything to bool asks whether it is not zero. */
  convert(x: Op, dtype: DType): Op {
    if (x.dtype === dtype) return x;
    if (dtype === 'bool') return this.compare('NE', x, this.fill(x, 0));
    if (isComplex(x.dtype) && !isComplex(dtype)) return this.convert(this.real(x), dtype);
    if (isComplex(dtype) && !isComplex(x.dtype)) {
      const re = this.convert(x, realOf(dtype));
      return this.complex(re, this.fill(re, 0));
    }
    // A negative float becomes uint8 through int64, as in c10::convert; XLA would clamp it to 0.
    if (isUnsigned(dtype) && isFloating(x.dtype)) return this.convert(this.rawConvert(x, 'int64'), dtype);
    return this.rawConvert(x, dtype);
  }
  private rawConvert(x: Op, dtype: DType): Op {
    const type = typeText(x.shape, dtype);
    return this.emit(`stablehlo.convert ${x.name} : (${x.type}) -> ${type}`, x.shape, dtype, type);
  }
  /** Reinterprets bits; a different width adds or takes the last dimension. */
  bitcast(x: Op, shape: readonly number[], dtype: DType): Op {
    const type = typeText(shape, dtype);
    return this.emit(`stablehlo.bitcast_convert ${x.name} : (${x.type}) -> ${type}`, shape, dtype, type);
  }
}

export const isUnsigned = (d: DType): boolean => d.startsWith('u');
