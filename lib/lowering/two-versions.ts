/**
 * @file A program in two versions, of which it takes one: for arguments of sine, cosine and tangent of usual size, and for all. With a branch around every such function its
 * argument and its result go through memory, and nothing is fused across; with one branch around everything XLA fuses what it likes.
 */
import type { Made } from '../stablehlo/emitter.js';
import { numel, type Op } from '../stablehlo/types.js';
import { CpuBuilder } from './cpu-math.js';

/** What may be computed once more, to look at it: it is fused into the look. */
const CHEAP = new Set(
  'abs add broadcast_in_dim constant convert divide maximum minimum multiply negate reshape select slice subtract transpose'.split(
    ' ',
  ),
);
const MOST_CHEAP = 12;
/** What is fused: compiled twice it takes twice as long, calls, products and loops would take far longer. */
const FUSED = new Set([
  ...CHEAP,
  ...'and ceil compare concatenate cosine exponential exponential_minus_one floor iota is_finite log log_plus_one logistic'.split(
    ' ',
  ),
  ...'not or pad power reduce shift_left shift_right_arithmetic remainder reverse round_nearest_even rsqrt sign sine sqrt tan tanh xor'.split(
    ' ',
  ),
  ...'bitcast_convert dynamic_update_slice if return round_nearest_afz erf'.split(' '),
]);
/** Of the program with a branch around every function, which has both versions of each. */
const MOST_LINES = 400;
const MOST_CHARACTERS = 2 ** 16; // large constants

const OPERATIONS = /"?(?:stablehlo|chlo)\.(\w+)/g;
const NAMES = /%\w+/g;

/** The name of every operation in a text; `applies stablehlo.add` counts too. */
const operations = (text: string): string[] => [...text.matchAll(OPERATIONS)].map(([, name]) => name!);

/** The steps from parameters to `x`, undefined when they are too many or too dear. */
const stepsTo = (x: Op, made: ReadonlyMap<string, Made>, steps: Set<string>): boolean => {
  if (x.name.startsWith('%arg') || steps.has(x.name)) return true;
  const how = made.get(x.name);
  if (how === undefined || !operations(how.text).every((name) => CHEAP.has(name))) return false;
  steps.add(x.name);
  if (steps.size > MOST_CHEAP) return false;
  return [...how.text.matchAll(NAMES)].every(([name]) => stepsTo(made.get(name)?.op ?? { ...x, name }, made, steps));
};

/** Computes `x`, a value of another builder, in `b`, which has the same parameters. */
const again = (b: CpuBuilder, x: Op, made: ReadonlyMap<string, Made>): Op => {
  const how = made.get(x.name);
  if (how === undefined) return x;
  const text = how.text.replaceAll(NAMES, (name) => again(b, made.get(name)?.op ?? { ...x, name }, made).name);
  return b.emit(text, x.shape, x.dtype, x.type);
};

/** Whether the program that was written by `b` is worth being written in two versions. */
const isWorth = (b: CpuBuilder, made: ReadonlyMap<string, Made>): boolean => {
  if (b.looks.length === 0 || b.looksInside) return false;
  if (!b.looks.every((x) => stepsTo(x, made, new Set()))) return false;
  let [lines, characters] = [0, 0];
  for (const line of b.lines()) {
    lines += line.split('\n').length;
    characters += line.length;
    if (lines > MOST_LINES || characters > MOST_CHARACTERS) return false;
    if (!operations(line).every((name) => FUSED.has(name))) return false;
  }
  return true;
};

/**
 * Writes a program again, in two versions, if that makes it faster: `write` lowers it with a new builder and answers its results.
 * Undefined: the one written by `b` is to stay.
 */
export const inTwoVersions = <L>(
  b: CpuBuilder,
  begin: (b: CpuBuilder) => L,
  write: (lowering: L) => readonly Op[],
): { readonly lowering: L; readonly returned: readonly Op[] } | undefined => {
  const made = b.made();
  if (!isWorth(b, made)) return undefined;
  const two = new CpuBuilder();
  const lowering = begin(two);
  const looks = new Map(b.looks.map((x) => [x.name, x]));
  const usual = [...looks.values()].map((x) => two.isUsual(again(two, x, made))).reduce((p, q) => two.and(p, q));
  const returned = two.if(
    usual,
    () => two.assuming('usual', () => write(lowering)),
    () => two.assuming('any', () => unselectable(two, write(lowering))),
  );
  return { lowering, returned };
};

/** XLA computes both versions and selects where they hold nothing but elementwise operations and sums. */
const unselectable = (b: CpuBuilder, results: readonly Op[]): readonly Op[] => {
  const smallest = results.reduce((x, y) => (numel(y.shape) < numel(x.shape) ? y : x));
  const held = b.barrier([smallest])[0]!;
  return results.map((x) => (x === smallest ? held : x));
};
