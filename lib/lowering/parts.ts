/**
 * @file Small programs with several calls of libtorch in parts, functions that XLA does not inline. It runs a function of at most eight kernels and calls one after the other on the
 * thread that it is on, and hands larger ones to its threads kernel by kernel, which for matrices of 100×100 takes a quarter of the time (docs/PERFORMANCE.md).
 */
import { declared, names, type Op, typesOf } from '../stablehlo/types.js';

/** Fewer calls hardly make more than eight kernels. */
const FEWEST_CALLS = 3;
/** Parts, which are run one after the other too. */
const MOST_PARTS = 8;
/** Elements of a tensor: from here on a second thread is of use. */
const LARGEST = 2 ** 15;

const LINE = /^(%\w+)(?::(\d+))? = (.*?)(?: loc\(".*"\))?$/;
const NAME = /%\w+(?:#\d+)?/g;
const TYPE = /tensor<((?:\d+x)*)[^<>]*(?:<[^<>]*>)?>/g;
const CONSTANT = 'stablehlo.constant';

/** A line of the program: what it makes and what it uses. */
interface Step {
  readonly line: string;
  readonly makes: readonly (readonly [name: string, type: string])[];
  readonly uses: readonly string[];
  readonly isConstant: boolean;
  readonly isCall: boolean;
}

/** undefined: a line that is none of those that parts are made of. */
const stepOf = (line: string): Step | undefined => {
  const [, name, count, text] = LINE.exec(line) ?? [];
  if (name === undefined || text === undefined || line.includes('\n') || line.includes('has_side_effect = true'))
    return undefined;
  const signature = text.slice(text.lastIndexOf(' : '));
  const arrow = signature.lastIndexOf('->');
  const types = [...signature.slice(Math.max(arrow, 0)).matchAll(TYPE)];
  const results = arrow < 0 ? types.slice(-1) : types;
  if (results.length !== Number(count ?? 1)) return undefined;
  const small = results.every(
    ([, sizes]) => sizes!.split('x').reduce((n, d) => n * (d === '' ? 1 : Number(d)), 1) <= LARGEST,
  );
  if (!small) return undefined;
  return {
    line,
    makes: results.map(([type], i) => [count === undefined ? name : `${name}#${i}`, type]),
    uses: text.match(NAME) ?? [],
    isConstant: text.startsWith(CONSTANT),
    isCall: text.startsWith('stablehlo.custom_call'),
  };
};

/** A value of another part as a parameter. */
const local = (name: string): string => name.replace(/^%(\w+)#/, '%of$1_');

/** The lines of the main function without its head, and those of the parts; undefined where a program is to stay whole. */
export const inParts = (
  lines: readonly string[],
  parameters: readonly Op[],
  returned: readonly Op[],
): { readonly main: readonly string[]; readonly functions: readonly string[] } | undefined => {
  const steps: Step[] = [];
  for (const line of lines) {
    const step = stepOf(line);
    if (step === undefined) return undefined;
    steps.push(step);
  }
  const calls = steps.filter(({ isCall }) => isCall).length;
  if (calls < FEWEST_CALLS) return undefined;

  const most = Math.ceil(calls / (MOST_PARTS - 1));
  const groups: Step[][] = [[]];
  let inGroup = 0;
  for (const step of steps.filter(({ isConstant }) => !isConstant)) {
    groups.at(-1)!.push(step);
    if (step.isCall && ++inGroup === most) {
      groups.push([]);
      inGroup = 0;
    }
  }
  // Constants are made where they are used.
  const constants = new Map(steps.filter(({ isConstant }) => isConstant).map((step) => [step.makes[0]![0], step.line]));
  const types = new Map([...parameters.map((p) => [p.name, p.type] as const), ...steps.flatMap(({ makes }) => makes)]);
  /** Of values that exist so far, the name in the main function. */
  const known = new Map(parameters.map((p) => [p.name, p.name]));
  const results = returned.map((r) => r.name);
  const value = (name: string): Op => ({ name, type: types.get(name)!, shape: [], dtype: 'bool' });
  const main: string[] = [];
  const functions: string[] = [];
  groups.forEach((group, k) => {
    const uses = new Set(group.flatMap((step) => step.uses));
    const taken = [...uses].filter((name) => known.has(name)).map(value);
    const later = new Set([...groups.slice(k + 1).flatMap((g) => g.flatMap((step) => step.uses)), ...results]);
    const given = group
      .flatMap(({ makes }) => makes.map(([name]) => name).filter((name) => later.has(name)))
      .map(value);
    if (given.length === 0) return;
    const own = new Set(taken.filter(({ name }) => name.includes('#')).map(({ name }) => name));
    const renamed = (line: string): string => line.replaceAll(NAME, (name) => (own.has(name) ? local(name) : name));
    functions.push(
      `func.func private @part${k}(${declared(taken.map((v) => ({ ...v, name: local(v.name) })))}) -> (${typesOf(given)}) {`,
      ...[...uses].flatMap((name) => constants.get(name) ?? []),
      ...group.map(({ line }) => renamed(line)),
      `return ${names(given)} : ${typesOf(given)}`,
      '}',
    );
    const operands = taken.map(({ name }) => known.get(name)!).join(', ');
    main.push(
      `%part${k}:${given.length} = func.call @part${k}(${operands}) {mhlo.frontend_attributes = {inlineable = "false"}} : (${typesOf(taken)}) -> (${typesOf(given)})`,
    );
    for (const [i, { name }] of given.entries()) known.set(name, `%part${k}#${i}`);
  });
  main.push(...new Set(results.flatMap((name) => constants.get(name) ?? [])));
  main.push(`return ${results.map((name) => known.get(name) ?? name).join(', ')} : ${typesOf(returned)}`, '}');
  return { main, functions };
};
