/** @file Numbers in arguments that are handed to the program as values instead of being part of it. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { type Flat, leafStructures, type Structure } from '../tree.js';

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

/**
 * Which numbers are dynamic: a position stands for all numbers of that argument; `'opt.lr'` for the key `lr` of `opt`, where `opt` is a
 * parameter's name, its position, or a key of any argument.
 * @throws JorchError BAD_ARGUMENT for anything else.
 */
export const dynamicPaths = (
  dynamic: readonly (number | string)[],
  f: (...args: never[]) => unknown,
): ((path: Path) => boolean) => {
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
  return (path) =>
    positions.has(path[0] as number) ||
    names.some(
      (name) =>
        equal(path.slice(1), name) ||
        equal(path, name) ||
        equal([parameters[path[0] as number] ?? '', ...path.slice(1)], name),
    );
};

/** The same value with dynamic numbers as leaves. */
export const withNumbers = ({ structure, leaves }: Flat, isDynamic: (path: Path) => boolean, at: Path): Flat => {
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
