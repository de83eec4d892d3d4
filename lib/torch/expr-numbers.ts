/** @file Arithmetic of a formula's own numbers, with Python's kinds: 2, 2.0 and 2j are an int, a float and a complex. */
import { JorchError } from '../runtime/errors.js';
import { Scalar } from './scalar.js';

export type Constant = number | bigint | boolean | Scalar;

export const isConstant = (x: unknown): x is Constant =>
  typeof x === 'number' || typeof x === 'bigint' || typeof x === 'boolean' || x instanceof Scalar;

/** A floating number: plain where JavaScript can tell, a Scalar for 2.0. */
export const float = (x: number): number | Scalar =>
  Number.isSafeInteger(x) && !Object.is(x, -0) ? Scalar.float(x) : x;

type Kind = 'int' | 'float' | 'complex';
const kindOf = (x: Constant): Kind => {
  if (x instanceof Scalar) return x.scalarKind;
  return typeof x !== 'number' || (Number.isSafeInteger(x) && !Object.is(x, -0)) ? 'int' : 'float';
};
const partsOf = (x: Constant): { re: number; im: number } =>
  x instanceof Scalar ? { re: x.re, im: x.im } : { re: Number(x), im: 0 };
const integer = (x: Constant): bigint => BigInt(x instanceof Scalar ? x.value : x);
const shrink = (x: bigint): number | bigint => (Number.isSafeInteger(Number(x)) ? Number(x) : x);

function fail(message: string): never {
  throw new JorchError('BAD_ARGUMENT', `expr: ${message}`);
}

const COMPARE: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

const INTEGERS: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '//': (a, b) => (a - modulo(a, b)) / b,
  '%': modulo,
  '<<': (a, b) => a << b,
  '>>': (a, b) => a >> b,
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
};
/** The remainder with the divisor's sign, as Python has it. */
function modulo(a: bigint, b: bigint): bigint {
  return ((a % b) + b) % b;
}

const FLOATS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '//': (a, b) => Math.floor(a / b),
  '%': (a, b) => a - Math.floor(a / b) * b,
  '**': (a, b) => a ** b,
};

/** `a op b` of two numbers. */
export function constantOp(op: string, a: Constant, b: Constant): Constant {
  const kinds = [kindOf(a), kindOf(b)];
  if (kinds.includes('complex')) return complexOp(op, partsOf(a), partsOf(b));
  const compare = COMPARE[op];
  if (compare) return compare(Number(partsOf(a).re), Number(partsOf(b).re));
  const whole = !kinds.includes('float');
  if (['/', '//', '%'].includes(op) && partsOf(b).re === 0) fail(`division by zero: ${partsOf(a).re} ${op} 0`);
  if (whole && op === '**' && partsOf(b).re >= 0) return shrink(integer(a) ** integer(b));
  const exact = whole ? INTEGERS[op] : undefined;
  if (exact) return shrink(exact(integer(a), integer(b)));
  const approximate = FLOATS[op];
  return approximate
    ? float(approximate(partsOf(a).re, partsOf(b).re))
    : fail(`'${op}' needs integers, got ${partsOf(a).re} and ${partsOf(b).re}`);
}

function complexOp(op: string, a: { re: number; im: number }, b: { re: number; im: number }): Constant {
  if (op === '+') return Scalar.complex(a.re + b.re, a.im + b.im);
  if (op === '-') return Scalar.complex(a.re - b.re, a.im - b.im);
  if (op === '*') return Scalar.complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
  if (op === '/') {
    const n = b.re * b.re + b.im * b.im;
    if (n === 0) fail('division by zero');
    return Scalar.complex((a.re * b.re + a.im * b.im) / n, (a.im * b.re - a.re * b.im) / n);
  }
  return fail(`'${op}' of complex numbers is not part of formulas`);
}

export function constantUnary(op: string, x: Constant): Constant {
  if (op === '+') return typeof x === 'boolean' ? Number(x) : x;
  if (op === '~') return kindOf(x) === 'int' ? shrink(~integer(x)) : fail(`'~' needs an integer, got ${partsOf(x).re}`);
  const kind = kindOf(x);
  if (kind === 'complex') return Scalar.complex(-partsOf(x).re, -partsOf(x).im);
  return kind === 'int' ? shrink(-integer(x)) : float(-partsOf(x).re);
}

/** What a formula of numbers alone is in JavaScript. */
export const plain = (x: unknown): unknown => (x instanceof Scalar && x.scalarKind !== 'complex' ? x.value : x);
