/**
 * @file Which programs XLA's CPU backend compiles as one kernel. It makes a kernel of every fusion, and hands programs of more than a few to its threads one by one,
 * 0.5 to 1 µs each: for a small network's training step that is most of the time. The measurements are in docs/PERFORMANCE.md.
 */

import { witnessOf } from '../stablehlo/kernel.js';
import type { Op } from '../stablehlo/types.js';

/**
 * Operations that the emitter of such kernels knows, and that run in it as fast as alone. Loops are kernels anyway; calls, sorts, scatters and transforms it does not
 * take, windows and convolutions it writes as plain loops.
 */
const PLAIN = new Set([
  ...'abs add and atan2 bitcast_convert broadcast_in_dim cbrt ceil compare complex concatenate constant convert cosine'.split(
    ' ',
  ),
  ...'divide dot_general dynamic_slice dynamic_update_slice exponential exponential_minus_one floor gather imag iota is_finite'.split(
    ' ',
  ),
  ...'log log_plus_one logistic maximum minimum multiply negate not or pad power real reduce remainder reshape reverse'.split(
    ' ',
  ),
  ...'round_nearest_afz round_nearest_even rsqrt select shift_left shift_right_arithmetic shift_right_logical sign sine slice'.split(
    ' ',
  ),
  ...'sqrt subtract tan tanh transpose xor'.split(' '),
]);
/** Those that XLA writes out as some twenty. */
const LONG = new Set(
  'acos acosh asin asinh atan atanh bessel_i1e cosh digamma erf erf_inv erfc lgamma next_after sinh zeta'.split(' '),
);
const LONG_IS = 20;

/** Fewer products, sums and results become few kernels, which XLA runs one after the other at once. */
const FEWEST_KERNELS = 9;
/** LLVM takes more than twice as long for a function of twice the length. From here on one kernel would take longer to compile than many. */
export const MOST_LINES = 600;
/** Elements computed, products counted sixteenfold: about 40 µs, in which a second thread would be of use. */
const MOST_WORK = 2 ** 20;
const PRODUCT = 16;

const OPERATION = /^(?:\S+ = )?"?(?:stablehlo|chlo)\.(\w+)/;
const OPERATIONS = /(?:stablehlo|chlo)\.(\w+)/g;
const TYPE = /tensor<((?:\d+x)*)[^>]*>/g;
const CONTRACTED = /contracting_dims = \[([\d, ]*)\]/;

const sizesIn = (text: string): number[][] =>
  [...text.matchAll(TYPE)].map(([, sizes]) => (sizes === '' ? [] : sizes!.slice(0, -1).split('x').map(Number)));
const product = (sizes: readonly number[]): number => sizes.reduce((n, d) => n * d, 1);

/** Whether a program of these lines, parameters and so many results gains from being one kernel. */
export const isOneKernel = (lines: readonly string[], parameters: readonly Op[], results: number): boolean => {
  if (results === 0 || lines.length > MOST_LINES || witnessOf(parameters) < 0) return false;
  let kernels = results;
  let work = 0;
  let length = 0;
  for (const line of lines) {
    const name = OPERATION.exec(line)?.[1];
    const long = name !== undefined && LONG.has(name);
    if (name === undefined || !(long || PLAIN.has(name))) return false;
    length += long ? LONG_IS : 1;
    if (name === 'constant') continue;
    const types = sizesIn(line.slice(line.lastIndexOf(' : ')));
    const [first] = types;
    if (name === 'dot_general') {
      const contracted = CONTRACTED.exec(line)![1]!.split(',').filter(Boolean);
      work += PRODUCT * product(types.at(-1)!) * product(contracted.map((d) => first![Number(d)]!));
    } else work += product(name === 'reduce' ? first! : types.at(-1)!);
    if (name === 'dot_general' || name === 'reduce') kernels++;
    if (work > MOST_WORK || length > MOST_LINES) return false;
  }
  return kernels >= FEWEST_KERNELS;
};

/** What a loop consists of besides. */
const CONTROL = new Set(['case', 'if', 'optimization_barrier', 'return', 'while']);
/** A vector of a million elements is done sooner by two threads, in kernels of its own. */
const LARGEST = 2 ** 20;
const MOST_LOOP_LINES = 3000;
/** Multiplications of a product of matrices, from which on it gains from a library; of a matrix and a vector it does not. */
const MOST_PRODUCT = 2 ** 16;

/** Whether a loop of this text, which is wished to be one kernel, can be and gains from it. */
export const isKernelLoop = (text: string): boolean => {
  let lines = 0;
  for (const line of text.split('\n')) {
    if (++lines > MOST_LOOP_LINES) return false;
    const called = /stablehlo\.custom_call|func\.call/.test(line);
    if (called) return false;
    for (const [, name] of line.matchAll(OPERATIONS))
      if (!PLAIN.has(name!) && !LONG.has(name!) && !CONTROL.has(name!)) return false;
    const types = sizesIn(line);
    if (types.some((sizes) => product(sizes) > LARGEST)) return false;
    if (line.includes('stablehlo.dot_general')) {
      const [left, , result] = types.slice(-3);
      const contracted = CONTRACTED.exec(line)![1]!.split(',').filter(Boolean);
      const work = product(result!) * product(contracted.map((d) => left![Number(d)]!));
      if (work > MOST_PRODUCT && product(result!) > Math.max(...result!)) return false;
    }
  }
  return true;
};
