/** @file Elementwise arithmetic: torch's rounding, signs, NaN and infinities. */
import type { Builder } from '../stablehlo/builder.js';
import type { Op } from '../stablehlo/types.js';
import { isComplex, isFloating, isInteger, realOf } from '../torch/dtype.js';
import { num, pointwise, renames, spread } from './common.js';
import { NoLowering, rule } from './registry.js';

renames({
  'aten::mul.Tensor': 'stablehlo.multiply',
  'aten::maximum': 'stablehlo.maximum',
  'aten::minimum': 'stablehlo.minimum',
  'aten::atan2': 'stablehlo.atan2',
  'aten::fmod.Tensor': 'stablehlo.remainder',
  'aten::neg': 'stablehlo.negate',
  'aten::exp': 'stablehlo.exponential',
  'aten::expm1': 'stablehlo.exponential_minus_one',
  'aten::log': 'stablehlo.log',
  'aten::log1p': 'stablehlo.log_plus_one',
  'aten::rsqrt': 'stablehlo.rsqrt',
  'aten::sin': 'stablehlo.sine',
  'aten::cos': 'stablehlo.cosine',
  'aten::tan': 'stablehlo.tan',
  'aten::tanh': 'stablehlo.tanh',
  'aten::sigmoid': 'stablehlo.logistic',
  'aten::sinh': 'chlo.sinh',
  'aten::cosh': 'chlo.cosh',
  'aten::atan': 'chlo.atan',
  'aten::asinh': 'chlo.asinh',
  'aten::atanh': 'chlo.atanh',
});

/** XLA multiplies by the reciprocal of a complex number that it knows; that of 0 would make infinite parts NaN. */
function divide(b: Builder, x: Op, y: Op): Op {
  if (!isComplex(x.dtype)) return b.divide(x, y);
  const zero = b.fill(b.real(x), 0);
  const infinite = b.complex(b.divide(b.real(x), zero), b.divide(b.imag(x), zero));
  return b.select(b.compare('EQ', y, b.fill(y, 0)), infinite, b.divide(x, y));
}
pointwise('aten::div.Tensor', ({ b }, { self, other }) => divide(b, self, other));

/** Bits of floats: libtorch's kernel says that there are none. */
const bitwise = (x: Op): Op => {
  if (!isInteger(x.dtype) && x.dtype !== 'bool')
    throw new NoLowering(`bitwise operators take integers and booleans, not ${x.dtype}`);
  return x;
};
pointwise('aten::bitwise_and.Tensor', ({ b }, { self, other }) => b.and(bitwise(self), other));
pointwise('aten::bitwise_or.Tensor', ({ b }, { self, other }) => b.or(bitwise(self), other));
pointwise('aten::bitwise_xor.Tensor', ({ b }, { self, other }) => b.xor(bitwise(self), other));
pointwise('aten::bitwise_not', ({ b }, { self }) => b.unary('stablehlo.not', bitwise(self)));

/** alpha scales `other` in the compute dtype, before the sum. */
pointwise('aten::add.Tensor', ({ b, out }, { self, other, alpha }) =>
  b.add(self, num(alpha) === 1 && typeof alpha !== 'object' ? other : b.multiply(b.fill(out, alpha), other)),
);
pointwise('aten::add.Scalar', ({ b, out }, { self, other, alpha }) =>
  b.add(self, b.multiply(b.fill(out, other), b.fill(out, alpha))),
);
pointwise('aten::sub.Tensor', ({ b, out }, { self, other, alpha }) =>
  b.subtract(self, num(alpha) === 1 && typeof alpha !== 'object' ? other : b.multiply(b.fill(out, alpha), other)),
);
pointwise('aten::sub.Scalar', ({ b, out }, { self, other, alpha }) =>
  b.subtract(self, b.multiply(b.fill(out, other), b.fill(out, alpha))),
);
pointwise('aten::rsub.Tensor', ({ b, out }, { self, other, alpha }) =>
  b.subtract(other, b.multiply(b.fill(out, alpha), self)),
);
pointwise('aten::rsub.Scalar', ({ b, out }, { self, other, alpha }) =>
  b.subtract(b.fill(out, other), b.multiply(b.fill(out, alpha), self)),
);
pointwise('aten::mul.Scalar', ({ b, out }, { self, other }) => b.multiply(self, b.fill(out, other)));
pointwise('aten::div.Scalar', ({ b, out }, { self, other }) => divide(b, self, b.fill(out, other)));
pointwise('aten::bitwise_and.Scalar', ({ b, out }, { self, other }) => b.and(self, b.fill(out, other)));
pointwise('aten::bitwise_or.Scalar', ({ b, out }, { self, other }) => b.or(self, b.fill(out, other)));
pointwise('aten::bitwise_xor.Scalar', ({ b, out }, { self, other }) => b.xor(self, b.fill(out, other)));

/** Whether a and c have opposite signs. */
const signsDiffer = (b: Builder, a: Op, c: Op): Op =>
  b.compare('NE', b.compare('LT', a, b.fill(a, 0)), b.compare('LT', c, b.fill(c, 0)));

/** The remainder has the divisor's sign. */
export function remainder(b: Builder, x: Op, y: Op): Op {
  const mod = b.remainder(x, y);
  const fix = b.and(b.compare('NE', mod, b.fill(mod, 0)), signsDiffer(b, mod, y));
  return b.select(fix, b.add(mod, y), mod);
}
/** floor(x / y) without the error of rounding the quotient first; x / 0 is the float quotient. */
export function floorDivide(b: Builder, x: Op, y: Op): Op {
  const mod = b.remainder(x, y);
  const zero = b.fill(x, 0);
  const one = b.fill(x, 1);
  const odd = b.and(b.compare('NE', mod, zero), signsDiffer(b, mod, y));
  if (!isFloating(x.dtype)) {
    const q = b.divide(x, y);
    return b.select(odd, b.subtract(q, one), q);
  }
  const exact = b.divide(b.subtract(x, mod), y);
  const q = b.select(odd, b.subtract(exact, one), exact);
  const floor = b.floor(q);
  const near = b.select(b.compare('GT', b.subtract(q, floor), b.fill(x, 0.5)), b.add(floor, one), floor);
  const signed = b.select(b.compare('EQ', q, zero), copysign(b, zero, b.divide(x, y)), near);
  return b.select(b.compare('EQ', y, zero), b.divide(x, y), signed);
}
export const trunc = (b: Builder, x: Op): Op =>
  isFloating(x.dtype) ? b.select(b.compare('LT', x, b.fill(x, 0)), b.ceil(x), b.floor(x)) : x;
const divideBy = (mode: string | undefined) => (b: Builder, x: Op, y: Op) =>
  mode === 'floor' ? floorDivide(b, x, y) : mode === 'trunc' ? trunc(b, b.divide(x, y)) : b.divide(x, y);

pointwise('aten::div.Tensor_mode', ({ b }, { self, other, rounding_mode }) => divideBy(rounding_mode)(b, self, other));
pointwise('aten::div.Scalar_mode', ({ b, out }, { self, other, rounding_mode }) =>
  divideBy(rounding_mode)(b, self, b.fill(out, other)),
);
pointwise('aten::floor_divide', ({ b }, { self, other }) => floorDivide(b, self, other));
pointwise('aten::floor_divide.Scalar', ({ b, out }, { self, other }) => floorDivide(b, self, b.fill(out, other)));
pointwise('aten::remainder.Tensor', ({ b }, { self, other }) => remainder(b, self, other));
pointwise('aten::remainder.Scalar', ({ b, out }, { self, other }) => remainder(b, self, b.fill(out, other)));
pointwise('aten::remainder.Scalar_Tensor', ({ b, out }, { self, other }) => remainder(b, b.fill(out, self), other));
pointwise('aten::fmod.Scalar', ({ b, out }, { self, other }) => b.remainder(self, b.fill(out, other)));

/** XLA looks at six bits of an integer exponent: larger ones are taken apart. */
function wholePower(b: Builder, x: Op, e: Op): Op {
  const low = b.power(x, b.and(e, b.fill(e, 63)));
  const eight = b.fill(x, 8);
  const high = b.power(b.power(b.power(x, eight), eight), b.shiftRight(e, b.fill(e, 6)));
  return b.multiply(low, high);
}
/** Integers to a negative power are 1/x truncated: 1 and -1 stay, others vanish. */
export function power(b: Builder, x: Op, y: Op): Op {
  if (isFloating(x.dtype)) return b.power(x, y);
  if (isComplex(x.dtype)) {
    const zero = b.compare('EQ', y, b.fill(y, 0));
    return b.select(zero, b.fill(x, 1), b.power(x, y));
  }
  if (x.dtype === 'bool') return b.or(x, b.not(y));
  const negative = b.compare('LT', y, b.fill(y, 0));
  const p = wholePower(b, x, b.maximum(y, b.fill(y, 0)));
  const one = b.fill(x, 1);
  const odd = b.compare('NE', b.and(y, one), b.fill(x, 0));
  const minus = b.select(odd, b.fill(x, -1), one);
  const inverse = b.select(
    b.compare('EQ', x, one),
    one,
    b.select(b.compare('EQ', x, b.fill(x, -1)), minus, b.fill(x, 0)),
  );
  return b.select(negative, inverse, p);
}
/** Small whole powers are products, half powers square roots, as in libtorch; but for float16, whose half powers differ at -0 and -∞. */
function powerScalar(b: Builder, x: Op, e: number, roots: boolean): Op {
  if (e === 0) return b.fill(x, 1);
  if (e === 1) return x;
  if (e === 2) return b.multiply(x, x);
  if (e === 3) return b.multiply(b.multiply(x, x), x);
  if (!isFloating(x.dtype)) return power(b, x, b.fill(x, e));
  if (e === 0.5 && roots) return b.sqrt(x);
  if (e === -0.5 && roots) return b.rsqrt(x);
  if (e === -1) return b.divide(b.fill(x, 1), x);
  if (e === -2) return b.divide(b.fill(x, 1), b.multiply(x, x));
  return b.power(x, b.fill(x, e));
}
pointwise('aten::pow.Tensor_Scalar', ({ b, out, outs }, { self, exponent }) =>
  typeof exponent === 'object'
    ? power(b, self, b.fill(out, exponent))
    : powerScalar(b, self, Number(exponent), outs[0]?.dtype !== 'float16'),
);
pointwise('aten::pow.Tensor_Tensor', ({ b }, { self, exponent }) => power(b, self, exponent));
pointwise('aten::pow.Scalar', ({ b, out }, { self, exponent }) => power(b, b.fill(out, self), exponent));

/** Of a complex number: its magnitude, so the dtype changes. */
rule('aten::abs', ({ b }, { self }) => (self.dtype === 'bool' ? self : b.abs(self)));
/** sign(NaN) is 0, sign(-0) too, of a complex number x/|x|. */
pointwise(['aten::sign', 'aten::sgn'], ({ b, out }, { self }) => {
  const zero = b.fill(out, 0);
  if (isComplex(out.dtype)) {
    const size = b.convert(b.abs(self), out.dtype);
    return b.select(b.compare('EQ', size, zero), zero, b.divide(self, size));
  }
  if (out.dtype === 'bool') return self;
  if (out.dtype.startsWith('u')) return b.convert(b.compare('NE', self, zero), out.dtype);
  if (!isFloating(out.dtype)) return b.sign(self);
  const negative = b.select(b.compare('LT', self, zero), b.fill(out, -1), zero);
  return b.select(b.compare('GT', self, zero), b.fill(out, 1), negative);
});
pointwise('aten::relu', ({ b }, { self }) => b.atLeast(self, 0));
pointwise('aten::reciprocal', ({ b, out }, { self }) => b.divide(b.fill(out, 1), self));
pointwise('aten::_conj_physical', ({ b }, { self }) => b.conj(self));
const integersStay = (f: (b: Builder, x: Op) => Op) => (b: Builder, x: Op) => (isFloating(x.dtype) ? f(b, x) : x);
pointwise('aten::floor', ({ b }, { self }) => integersStay((c, x) => c.floor(x))(b, self));
pointwise('aten::ceil', ({ b }, { self }) => integersStay((c, x) => c.ceil(x))(b, self));
pointwise('aten::trunc', ({ b }, { self }) => trunc(b, self));
pointwise('aten::round', ({ b }, { self }) => integersStay((c, x) => c.round(x))(b, self));
pointwise('aten::round.decimals', ({ b, out }, { self, decimals }) => {
  const p = b.fill(out, 10 ** Math.abs(decimals));
  return decimals >= 0 ? b.divide(b.round(b.multiply(self, p)), p) : b.multiply(b.round(b.divide(self, p)), p);
});
pointwise('aten::frac', ({ b }, { self }) => b.subtract(self, trunc(b, self)));
pointwise('aten::exp2', ({ b, out }, { self }) => b.power(b.fill(out, 2), self));
pointwise('aten::log2', ({ b, out }, { self }) => b.divide(b.log(self), b.fill(out, Math.LN2)));
pointwise('aten::log10', ({ b, out }, { self }) => b.divide(b.log(self), b.fill(out, Math.LN10)));
pointwise('aten::deg2rad', ({ b, out }, { self }) => b.multiply(self, b.fill(out, Math.PI / 180)));
pointwise('aten::rad2deg', ({ b, out }, { self }) => b.multiply(self, b.fill(out, 180 / Math.PI)));

/** Bounds are cast to the result dtype; NaN in `self` stays NaN, a NaN bound gives NaN. */
pointwise('aten::clamp', ({ b }, { self, min, max }) => {
  const low = min === undefined ? self : b.atLeast(self, min);
  return max === undefined ? low : b.atMost(low, max);
});
pointwise('aten::clamp.Tensor', ({ b }, { self, min, max }) => {
  const low = min === undefined ? self : b.maximum(self, min);
  return max === undefined ? low : b.minimum(low, max);
});
pointwise('aten::clamp_min', ({ b }, { self, min }) => b.atLeast(self, min));
pointwise('aten::clamp_max', ({ b }, { self, max }) => b.atMost(self, max));
pointwise('aten::clamp_min.Tensor', ({ b }, { self, min }) => b.maximum(self, min));
pointwise('aten::clamp_max.Tensor', ({ b }, { self, max }) => b.minimum(self, max));
/** The number wins over NaN, the first of equal ones (0 and -0) over the second. */
const better = (b: Builder, beats: 'LT' | 'GT', x: Op, y: Op) =>
  b.select(b.or(b.isNan(x), b.compare(beats, y, x)), y, x);
pointwise('aten::fmax', ({ b }, { self, other }) => better(b, 'GT', self, other));
pointwise('aten::fmin', ({ b }, { self, other }) => better(b, 'LT', self, other));

/** `condition` may be any broadcastable bool (or uint8) tensor. */
rule('aten::where.self', ({ b, out }, { condition, self, other }) =>
  b.select(b.broadcast(b.convert(condition, 'bool'), out.shape), spread(b, self, out), spread(b, other, out)),
);
rule('aten::masked_fill.Scalar', ({ b, out }, { self, mask, value }) =>
  b.select(b.broadcast(mask, out.shape), b.fill(out, value), spread(b, self, out)),
);
rule('aten::masked_fill.Tensor', ({ b, out }, { self, mask, value }) =>
  b.select(b.broadcast(mask, out.shape), spread(b, value, out), spread(b, self, out)),
);
/** Starts from the nearer end, so that weight 1 gives exactly `end`. */
function lerp(b: Builder, self: Op, end: Op, weight: Op): Op {
  const span = b.subtract(end, self);
  const near = b.add(self, b.multiply(weight, span));
  const far = b.subtract(end, b.multiply(span, b.subtract(b.fill(weight, 1), weight)));
  const size = b.abs(weight);
  return b.select(b.compare('LT', size, b.fill(size, 0.5)), near, far);
}
pointwise('aten::lerp.Tensor', ({ b }, { self, end, weight }) => lerp(b, self, end, weight));
pointwise('aten::lerp.Scalar', ({ b, out }, { self, end, weight }) => lerp(b, self, end, b.fill(out, weight)));
pointwise('aten::addcmul', ({ b, out }, { self, tensor1, tensor2, value }) =>
  b.add(self, b.multiply(b.multiply(b.fill(out, value), tensor1), tensor2)),
);
pointwise('aten::addcdiv', ({ b, out }, { self, tensor1, tensor2, value }) =>
  b.add(self, b.multiply(b.fill(out, value), b.divide(tensor1, tensor2))),
);

/** Neighbours are those of the dtype itself: nothing may be widened. */
rule('aten::nextafter', ({ b, out }, { self, other }) =>
  b.binary('chlo.next_after', spread(b, self, out), spread(b, other, out)),
);

const BITS = { float64: 'int64', float32: 'int32', float16: 'int16', bfloat16: 'int16' } as const;
/** Whether the sign bit is set, of -0 and NaN too. */
export function signbit(b: Builder, x: Op): Op {
  if (!isFloating(x.dtype)) return b.compare('LT', x, b.fill(x, 0));
  const bits = b.bitcast(x, x.shape, BITS[x.dtype as keyof typeof BITS]);
  return b.compare('LT', bits, b.fill(bits, 0));
}
export function copysign(b: Builder, x: Op, y: Op): Op {
  const size = b.abs(x);
  return b.select(signbit(b, y), b.negate(size), size);
}
/** On the branch cuts of complex functions the sign of a zero imaginary part says which side; XLA's expansions lose it. */
for (const [name, operation, side] of [
  ['aten::sqrt', 'stablehlo.sqrt', 1],
  ['aten::asin', 'chlo.asin', 1],
  ['aten::acos', 'chlo.acos', -1],
  ['aten::acosh', 'chlo.acosh', 1],
] as const)
  pointwise(name, ({ b }, { self }) => {
    const y = b.unary(operation, self);
    if (!isComplex(self.dtype)) return y;
    const to = b.imag(self);
    return b.complex(b.real(y), copysign(b, b.imag(y), side === 1 ? to : b.negate(to)));
  });
rule('aten::signbit', ({ b }, { self }) => (self.dtype === 'bool' ? b.fill(self, false) : signbit(b, self)));
pointwise('aten::copysign.Tensor', ({ b }, { self, other }) => copysign(b, self, other));
pointwise('aten::copysign.Scalar', ({ b, out }, { self, other }) => copysign(b, self, b.fill(out, other)));
pointwise('aten::heaviside', ({ b, out }, { self, values }) => {
  const zero = b.fill(out, 0);
  return b.select(b.compare('EQ', self, zero), values, b.convert(b.compare('GT', self, zero), out.dtype));
});
/** Does not overflow; an infinity wins over NaN. */
pointwise('aten::hypot', ({ b, out }, { self, other }) => {
  const [x, y] = [b.abs(self), b.abs(other)];
  const [high, low] = [b.maximum(x, y), b.minimum(x, y)];
  const ratio = b.divide(low, high);
  const size = b.multiply(high, b.sqrt(b.add(b.fill(out, 1), b.multiply(ratio, ratio))));
  const zero = b.fill(out, 0);
  const inf = b.fill(out, Infinity);
  const infinite = b.or(b.compare('EQ', x, inf), b.compare('EQ', y, inf));
  return b.select(infinite, inf, b.select(b.compare('EQ', high, zero), zero, size));
});
/** log(e^x + e^y), equal infinities stay. */
export function logAddExp(b: Builder, x: Op, y: Op, base2 = false): Op {
  const gap = b.negate(b.abs(b.subtract(x, y)));
  const tail = base2 ? b.divide(b.log1p(b.power(b.fill(x, 2), gap)), b.fill(x, Math.LN2)) : b.log1p(b.exp(gap));
  const same = b.and(b.compare('EQ', x, y), b.not(b.isFinite(x)));
  return b.select(same, x, b.add(b.maximum(x, y), tail));
}
/** Of complex numbers: shifted by the one with the larger real part; NaN in either spoils both parts. */
function complexLogAddExp(b: Builder, x: Op, y: Op): Op {
  const first = b.compare('GT', b.real(x), b.real(y));
  const [high, low] = [b.select(first, x, y), b.select(first, y, x)];
  const [top, bottom] = [b.real(high), b.real(low)];
  const nothing = b.compare('EQ', top, b.fill(top, -Infinity));
  const infinite = b.compare('EQ', bottom, b.fill(bottom, Infinity));
  const sum = b.add(high, b.log1p(b.exp(b.subtract(low, high))));
  const value = b.select(nothing, high, b.select(infinite, b.log(b.add(b.exp(low), b.exp(high))), sum));
  return b.select(b.or(b.isNan(x), b.isNan(y)), b.fill(x, { re: NaN, im: NaN }), value);
}
pointwise('aten::logaddexp', ({ b, out }, { self, other }) =>
  isComplex(out.dtype) ? complexLogAddExp(b, self, other) : logAddExp(b, self, other),
);
pointwise('aten::logaddexp2', ({ b, out }, { self, other }) => {
  if (!isComplex(out.dtype)) return logAddExp(b, self, other, true);
  const scale = b.fill(out, Math.LN2);
  return b.divide(complexLogAddExp(b, b.multiply(self, scale), b.multiply(other, scale)), scale);
});

/** 0 where x is 0, whatever log gives, but NaN where y is. */
const timesLog = (b: Builder, x: Op, y: Op, log: Op): Op => {
  const zero = b.fill(x, 0);
  return b.select(b.isNan(y), y, b.select(b.compare('EQ', x, zero), zero, b.multiply(x, log)));
};
pointwise('aten::xlogy.Tensor', ({ b }, { self, other }) => timesLog(b, self, other, b.log(other)));
pointwise('aten::xlogy.Scalar_Other', ({ b, out }, { self, other }) =>
  timesLog(b, self, b.fill(out, other), b.log(b.fill(out, other))),
);
pointwise('aten::xlogy.Scalar_Self', ({ b, out }, { self, other }) =>
  timesLog(b, b.fill(out, self), other, b.log(other)),
);
pointwise('aten::special_xlog1py', ({ b }, { self, other }) => timesLog(b, self, other, b.log1p(other)));
pointwise('aten::special_xlog1py.other_scalar', ({ b, out }, { self, other }) =>
  timesLog(b, self, b.fill(out, other), b.log1p(b.fill(out, other))),
);
pointwise('aten::special_xlog1py.self_scalar', ({ b, out }, { self, other }) =>
  timesLog(b, b.fill(out, self), other, b.log1p(other)),
);
pointwise('aten::special_entr', ({ b, out }, { self }) => {
  const zero = b.fill(out, 0);
  const y = b.negate(b.multiply(self, b.log(self)));
  const atZero = b.select(b.compare('EQ', self, zero), zero, b.fill(out, -Infinity));
  return b.select(b.isNan(self), self, b.select(b.compare('GT', self, zero), y, atZero));
});
pointwise('aten::sinc', ({ b, out }, { self }) => {
  const x = b.multiply(self, b.fill(out, Math.PI));
  return b.select(b.compare('EQ', x, b.fill(out, 0)), b.fill(out, 1), b.divide(b.sine(x), x));
});
pointwise('aten::logit', ({ b, out }, { self, eps }) => {
  const x = eps === undefined ? self : b.clamp(b.fill(out, eps), self, b.fill(out, 1 - eps));
  return b.log(b.divide(x, b.subtract(b.fill(out, 1), x)));
});
/** Missing replacements: 0 for NaN, the dtype's largest and lowest finite values for infinities. */
rule('aten::nan_to_num', ({ b, out }, { self, nan, posinf, neginf }) => {
  const clean = (x: Op) => replaceSpecial(b, x, nan ?? 0, posinf, neginf);
  return isComplex(out.dtype) ? b.complex(clean(b.real(self)), clean(b.imag(self))) : clean(self);
});
function replaceSpecial(b: Builder, x: Op, nan: number, posinf: number | undefined, neginf: number | undefined): Op {
  if (!isFloating(x.dtype)) return x;
  const largest = {
    float64: Number.MAX_VALUE,
    float32: 3.4028234663852886e38,
    float16: 65504,
    bfloat16: 3.3895313892515355e38,
  }[x.dtype as 'float64'];
  const isInf = (v: number) => b.compare('EQ', x, b.fill(x, v));
  const high = b.select(isInf(Infinity), b.fill(x, posinf ?? largest), x);
  const y = b.select(isInf(-Infinity), b.fill(x, neginf ?? -largest), high);
  return b.select(b.isNan(x), b.fill(x, nan), y);
}

/** Shifts by a negative amount or by the width and more give 0 (left) or the sign (right). */
function shift(b: Builder, x: Op, n: Op, left: boolean): Op {
  const bits = Number(x.dtype.replace(/\D/g, ''));
  const outside = b.or(b.compare('LT', n, b.fill(n, 0)), b.compare('GE', n, b.fill(n, bits)));
  if (left) return b.select(outside, b.fill(x, 0), b.shiftLeft(x, n));
  return b.shiftRight(x, b.select(outside, b.fill(n, bits - 1), n));
}
pointwise(['aten::bitwise_left_shift.Tensor', 'aten::__lshift__.Tensor'], ({ b }, { self, other }) =>
  shift(b, self, other, true),
);
pointwise(['aten::bitwise_right_shift.Tensor', 'aten::__rshift__.Tensor'], ({ b }, { self, other }) =>
  shift(b, self, other, false),
);
pointwise(['aten::bitwise_left_shift.Tensor_Scalar', 'aten::__lshift__.Scalar'], ({ b, out }, { self, other }) =>
  shift(b, self, b.fill(out, other), true),
);
pointwise(['aten::bitwise_right_shift.Tensor_Scalar', 'aten::__rshift__.Scalar'], ({ b, out }, { self, other }) =>
  shift(b, self, b.fill(out, other), false),
);

/** Euclid's algorithm on all elements at once. */
function gcd(b: Builder, x: Op, y: Op): Op {
  // Of NaN the loop would never end.
  if (!/int/.test(x.dtype)) throw new NoLowering(`gcd of ${x.dtype}`);
  const [g] = b.while(
    [b.abs(x), b.abs(y)],
    ([, r]) =>
      b.reduce(
        b.compare('NE', r!, b.fill(r!, 0)),
        b.scalar(false, 'bool'),
        'or',
        x.shape.map((_, i) => i),
      ),
    ([a, r]) => {
      const done = b.compare('EQ', r!, b.fill(r!, 0));
      const divisor = b.select(done, b.fill(r!, 1), r!);
      return [b.select(done, a!, r!), b.select(done, r!, b.remainder(a!, divisor))];
    },
  );
  return g!;
}
pointwise('aten::gcd', ({ b }, { self, other }) => gcd(b, self, other));
pointwise('aten::lcm', ({ b, out }, { self, other }) => {
  if (!/int/.test(out.dtype)) throw new NoLowering(`lcm of ${out.dtype}`);
  const [x, y] = [b.convert(self, 'int64'), b.convert(other, 'int64')];
  const g = gcd(b, x, y);
  const safe = b.select(b.compare('EQ', g, b.fill(g, 0)), b.fill(g, 1), g);
  return b.convert(b.abs(b.multiply(b.divide(x, safe), y)), out.dtype);
});

/** Negative numbers have the angle π, NaN stays. */
rule('aten::angle', ({ b, out }, { self }) => {
  if (isComplex(self.dtype)) return b.atan2(b.imag(self), b.real(self));
  const x = b.convert(self, out.dtype);
  const y = b.select(b.compare('LT', x, b.fill(x, 0)), b.fill(x, Math.PI), b.fill(x, 0));
  return b.select(b.isNan(x), x, y);
});
rule('aten::complex', ({ b, out }, { real, imag }) => {
  const part = { shape: out.shape, dtype: realOf(out.dtype) };
  return b.complex(spread(b, real, part), spread(b, imag, part));
});
rule('aten::polar', ({ b, out }, { abs, angle }) => {
  const part = { shape: out.shape, dtype: realOf(out.dtype) };
  const [r, t] = [spread(b, abs, part), spread(b, angle, part)];
  return b.complex(b.multiply(r, b.cosine(t)), b.multiply(r, b.sine(t)));
});

pointwise('aten::native_dropout_backward', ({ b, out }, { grad_output, mask, scale }) =>
  b.multiply(b.multiply(grad_output, mask), b.fill(out, scale)),
);
