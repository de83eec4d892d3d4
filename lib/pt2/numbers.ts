/** @file Python's arithmetic on sizes and numbers, which exported programs do between operators. */
import { JorchError } from '../runtime/errors.js';

// biome-ignore lint/suspicious/noExplicitAny: numbers and booleans, as the program says
type Operation = (...operands: any[]) => number | boolean;

const divisor = (b: number): number => {
  if (b === 0) throw new JorchError('BAD_ARGUMENT', 'forward: the exported program divides a size by zero');
  return b;
};

export const NUMBER_OPERATIONS: Readonly<Record<string, Operation>> = {
  '_operator.add': (a, b) => a + b,
  '_operator.sub': (a, b) => a - b,
  '_operator.mul': (a, b) => a * b,
  '_operator.neg': (a) => -a,
  '_operator.pos': (a) => +a,
  '_operator.pow': (a, b) => a ** b,
  // Python rounds towards minus infinity, and a remainder has the sign of the divisor.
  '_operator.floordiv': (a, b) => Math.floor(a / divisor(b)),
  '_operator.mod': (a, b) => a - Math.floor(a / divisor(b)) * b,
  '_operator.truediv': (a, b) => a / divisor(b),
  '_operator.lshift': (a, b) => a * 2 ** b,
  '_operator.rshift': (a, b) => Math.floor(a / 2 ** b),
  '_operator.eq': (a, b) => a === b,
  '_operator.ne': (a, b) => a !== b,
  '_operator.lt': (a, b) => a < b,
  '_operator.le': (a, b) => a <= b,
  '_operator.gt': (a, b) => a > b,
  '_operator.ge': (a, b) => a >= b,
  '_operator.and_': (a, b) => (typeof a === 'boolean' ? a && b : Number(BigInt(a) & BigInt(b))),
  '_operator.or_': (a, b) => (typeof a === 'boolean' ? a || b : Number(BigInt(a) | BigInt(b))),
  'math.trunc': (a) => Math.trunc(a),
  'math.floor': (a) => Math.floor(a),
  'math.ceil': (a) => Math.ceil(a),
  'torch.sym_not': (a) => !a,
  'torch.sym_int': (a) => Math.trunc(a),
  'torch.sym_float': (a) => Number(a),
  'torch.sym_ite': (condition, a, b) => (condition ? a : b),
  'torch.sym_max': (a, b) => Math.max(a, b),
  'torch.sym_min': (a, b) => Math.min(a, b),
  'torch._sym_sqrt': (a) => Math.sqrt(a),
};
