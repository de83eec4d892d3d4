/** @file Numbers in arguments that are handed to the program as values instead of being part of it. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { type Flat, flatten, leafStructures, type Structure } from '../tree.js';

/** Where a leaf is: the argument's position, then keys and indices. */
type Path = readonly (string | number)[];

/** A 0-d tensor of exactly this number. */
export const numberLeaf = (value: number | bigint, integer: boolean): Tensor =>
  integer
    ? native().fromData(BigInt64Array.of(BigInt(value)), 'int64', [])
    : native().fromData(Float64Array.of(Number(value)), 'float64', []);

/** The names of a function's parameters, as far as its source tells. */
const parameterNames = (f: (...args: never[]) => unknown): string[] => {
  const source = /^(?:function\s*[\w$]*\s*)?\(?([^)=]*)/.exec(f.toString())?.[1] ?? '';
  return source.split(',').map((name) => name.trim().replace(/\s*:.*$/, ''));
};

/** Which numbers in arguments are values of the program. */
export interface Dynamic {
  isDynamic(path: Path): boolean;
  /** @throws JorchError BAD_ARGUMENT for an entry that means nothing in these arguments; an argument that is left out may have it. */
  check(args: readonly unknown[], name: string): void;
}

/** Paths of the leaves that could be meant, and of what is not there. */
const pathsOf = (
  args: readonly unknown[],
): { readonly numbers: Path[]; readonly tensors: Path[]; readonly absent: Path[] } => {
  const found = { numbers: [] as Path[], tensors: [] as Path[], absent: [] as Path[] };
  const visit = (s: Structure, path: Path): void => {
    if (s.kind === 'tensor') found.tensors.push(path);
    else if (s.kind !== 'static')
      for (const [i, item] of s.items.entries()) visit(item, [...path, s.kind === 'array' ? i : String(s.keys[i])]);
    else if (s.value === undefined || s.value === null) found.absent.push(path);
    else if (typeof s.value === 'number' || typeof s.value === 'bigint') found.numbers.push(path);
  };
  for (const [i, arg] of args.entries()) visit(flatten(arg).structure, [i]);
  return found;
};

/**
 * Which numbers are dynamic: a position stands for all numbers of that argument; `'opt.lr'` for the key `lr` of `opt`, where `opt` is a
 * parameter's name, its position, or a key of any argument.
 * @throws JorchError BAD_ARGUMENT for anything else.
 */
export const dynamicPaths = (dynamic: readonly (number | string)[], f: (...args: never[]) => unknown): Dynamic => {
  const positions = new Set<number>();
  const names: string[][] = [];
  for (const entry of dynamic) {
    if (Number.isSafeInteger(entry) && (entry as number) >= 0) positions.add(entry as number);
    else if (typeof entry === 'string' && entry !== '') names.push(entry.split('.'));
    else
      throw new JorchError(
        'BAD_ARGUMENT',
        `compile: dynamic takes positions and paths such as 'opt.lr', not ${typeof entry === 'string' ? "''" : String(entry)}`,
      );
  }
  const parameters = parameterNames(f);
  const equal = (path: Path, name: readonly string[]): boolean =>
    path.length === name.length && path.every((part, i) => String(part) === name[i]);
  /** The ways to write a path, the argument's position first. */
  const spellings = (path: Path): Path[] => {
    const [position, ...rest] = path;
    const parameter = parameters[position as number];
    return [path, ...(rest.length > 0 ? [rest] : []), ...(parameter ? [[parameter, ...rest]] : [])];
  };
  const matches = (path: Path, name: readonly string[]): boolean => spellings(path).some((p) => equal(p, name));
  /** Whether the path leads into something that is not there, or into an argument beyond the last. */
  const mayBeAbsent = (name: readonly string[], absent: readonly Path[], count: number): boolean =>
    absent.some((path) => spellings(path).some((p) => p.length <= name.length && equal(p, name.slice(0, p.length)))) ||
    Number(name[0]) >= count ||
    parameters.indexOf(name[0]!) >= count;
  return {
    isDynamic: (path) => positions.has(path[0] as number) || names.some((name) => matches(path, name)),
    check: (args, called) => {
      const { numbers, tensors, absent } = pathsOf(args);
      const there = [...numbers, ...tensors];
      const refuse = (entry: string): never => {
        const written = numbers.map((path) => `'${(spellings(path).at(-1) ?? path).join('.')}'`);
        throw new JorchError(
          'BAD_ARGUMENT',
          `${called}: dynamic names ${entry}, but there is no such number in the arguments; ${written.length > 0 ? `there are ${written.join(', ')}` : 'there are no numbers'}. A path begins with a position, with a parameter's name as the source of the function has it (a bundler may change that), or with a key`,
        );
      };
      for (const position of positions)
        if (position < args.length && args[position] != null && !there.some(([at]) => at === position))
          refuse(String(position));
      for (const name of names)
        if (!there.some((path) => matches(path, name)) && !mayBeAbsent(name, absent, args.length))
          refuse(`'${name.join('.')}'`);
    },
  };
};

/** The same value with dynamic numbers as leaves. */
export const withNumbers = ({ structure, leaves }: Flat, isDynamic: Dynamic['isDynamic'], at: Path): Flat => {
  const all: Tensor[] = [];
  let next = 0;
  const visit = (s: Structure, path: Path): Structure => {
    switch (s.kind) {
      case 'tensor':
        all.push(leaves[next++]!);
        return s;
      case 'static': {
        const { value } = s;
        if ((typeof value !== 'number' && typeof value !== 'bigint') || !isDynamic(path)) return s;
        const integer = typeof value === 'bigint' || (Number.isSafeInteger(value) && !Object.is(value, -0));
        all.push(numberLeaf(value, integer));
        return { kind: 'tensor', number: integer ? 'integer' : 'float' };
      }
      case 'array':
        return { ...s, items: s.items.map((item, i) => visit(item, [...path, i])) };
      default:
        return { ...s, items: s.items.map((item, i) => visit(item, [...path, String(s.keys[i])])) } as Structure;
    }
  };
  return { structure: visit(structure, at), leaves: all };
};

/** The leaves of a trace, those that stand for numbers promoting like numbers. */
export const asNumbers = (structure: Structure, twins: readonly Tensor[]): Tensor[] => {
  const leaves = leafStructures(structure);
  return twins.map((twin, i) => (leaves[i]!.number ? native().asNumber(twin) : twin));
};
