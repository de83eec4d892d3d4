/** @file Pytrees: nested arrays, plain objects and Maps of tensors and static values. */
import { JorchError } from './runtime/errors.js';
import { native } from './runtime/load.js';
import { isHandle } from './torch/handle.js';
import { Scalar } from './torch/scalar.js';
import type { Tensor } from './torch/tensor.js';

/** How a value was put together; leaves are numbered in order. */
export type Structure =
  /** `number`: the leaf stands for a plain number of that kind. */
  | { readonly kind: 'tensor'; readonly number?: 'integer' | 'float' }
  | { readonly kind: 'static'; readonly value: unknown }
  | { readonly kind: 'array'; readonly items: readonly Structure[] }
  | { readonly kind: 'object'; readonly keys: readonly string[]; readonly items: readonly Structure[] }
  | { readonly kind: 'map'; readonly keys: readonly unknown[]; readonly items: readonly Structure[] };

export interface Flat {
  readonly leaves: Tensor[];
  readonly structure: Structure;
}

const TENSOR: Structure = { kind: 'tensor' };

const isPlain = (value: object): value is Record<string, unknown> => {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
};

/** Takes a value apart. Keys of objects are sorted, so that `{a, b}` and `{b, a}` have one structure. Anything that is no container is a static leaf. */
export const flatten = (value: unknown): Flat => {
  const leaves: Tensor[] = [];
  const { isTensor } = native();
  const open = new Set<object>();
  const visit = (v: unknown): Structure => {
    if (typeof v !== 'object' || v === null) return { kind: 'static', value: v };
    if (isTensor(v)) {
      leaves.push(v);
      return TENSOR;
    }
    if (open.has(v))
      throw new JorchError('BAD_ARGUMENT', 'a value that contains itself cannot be taken apart into tensors');
    open.add(v);
    let structure: Structure;
    if (Array.isArray(v)) structure = { kind: 'array', items: v.map(visit) };
    else if (v instanceof Map) structure = { kind: 'map', keys: [...v.keys()], items: [...v.values()].map(visit) };
    else if (isPlain(v)) {
      const keys = Object.keys(v).sort();
      structure = { kind: 'object', keys, items: keys.map((key) => visit(v[key])) };
    } else structure = { kind: 'static', value: v };
    open.delete(v);
    return structure;
  };
  return { structure: visit(value), leaves };
};

/** The keys of the latest object of a structure, in its own order: the next one most often has them in the same, which is seen sooner. */
const orders = new WeakMap<Structure, readonly string[]>();
const hasKeys = (value: object, structure: Structure & { kind: 'object' }): boolean => {
  const own = Object.keys(value);
  const latest = orders.get(structure);
  let i = 0;
  if (latest?.length === own.length) while (i < own.length && own[i] === latest[i]) i++;
  if (latest !== undefined && i === latest.length && i === own.length) return true;
  const { keys } = structure;
  if (own.length !== keys.length || !keys.every((key) => Object.hasOwn(value, key))) return false;
  orders.set(structure, own);
  return true;
};

/**
 * Takes a value apart that is put together as `structure` says, in a fraction of flatten's time: its tensors are added to `leaves`. False, with some
 * of them added, for any other value, and for static values that are equal without being the same.
 */
export const follow = (structure: Structure, value: unknown, leaves: Tensor[]): boolean => {
  switch (structure.kind) {
    case 'tensor':
      if (structure.number !== undefined || !isHandle(value)) return false;
      leaves.push(value as Tensor);
      return true;
    case 'static':
      return Object.is(structure.value, value);
    case 'array': {
      const { items } = structure;
      if (!Array.isArray(value) || value.length !== items.length) return false;
      for (let i = 0; i < items.length; i++) if (!follow(items[i]!, value[i], leaves)) return false;
      return true;
    }
    case 'object': {
      const { keys, items } = structure;
      if (typeof value !== 'object' || value === null || Array.isArray(value) || !isPlain(value)) return false;
      if (!hasKeys(value, structure)) return false;
      for (let i = 0; i < keys.length; i++) if (!follow(items[i]!, value[keys[i]!], leaves)) return false;
      return true;
    }
    case 'map': {
      const { keys, items } = structure;
      if (!(value instanceof Map) || value.size !== keys.length) return false;
      let i = 0;
      for (const [key, item] of value) if (!Object.is(key, keys[i]) || !follow(items[i++]!, item, leaves)) return false;
      return true;
    }
  }
};

/** Objects are copied from one with the same keys: adding them one by one takes four times as long. */
const templates = new WeakMap<Structure, Readonly<Record<string, unknown>>>();
const emptyOf = (structure: Structure & { kind: 'object' }): Record<string, unknown> => {
  let template = templates.get(structure);
  if (template === undefined) {
    template = Object.fromEntries(structure.keys.map((key) => [key, undefined]));
    templates.set(structure, template);
  }
  return { ...template };
};

/** Puts a value together again, with other leaves. `leaves` begins at `from`. */
export const unflatten = (structure: Structure, leaves: readonly unknown[], from = 0): unknown => {
  let next = from;
  const build = (s: Structure): unknown => {
    switch (s.kind) {
      case 'tensor':
        return leaves[next++];
      case 'static':
        return s.value;
      case 'array':
        return s.items.map(build);
      case 'object': {
        const { keys, items } = s;
        const made = emptyOf(s);
        for (let i = 0; i < keys.length; i++) made[keys[i]!] = build(items[i]!);
        return made;
      }
      case 'map':
        return new Map(s.items.map((item, i) => [s.keys[i], build(item)]));
    }
  };
  return build(structure);
};

/** The structures of the leaves, in order. */
export const leafStructures = (s: Structure): (Structure & { kind: 'tensor' })[] =>
  s.kind === 'tensor' ? [s] : s.kind === 'static' ? [] : s.items.flatMap(leafStructures);

let nextIdentity = 0;
const identities = new WeakMap<object, number>();
/** Symbols cannot all be held weakly (registered ones never die); there are few, and they are small. */
const symbols = new Map<symbol, number>();
const identity = (value: object | symbol): number => {
  const ids: { get(key: object | symbol): number | undefined; set(key: object | symbol, id: number): unknown } =
    typeof value === 'symbol' ? (symbols as never) : (identities as never);
  let id = ids.get(value);
  if (id === undefined) {
    id = nextIdentity++;
    ids.set(value, id);
  }
  return id;
};

/** A text that is equal exactly for equal values (objects and functions by identity). */
export const staticKey = (value: unknown): string => {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    case 'string':
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      if (value instanceof Scalar) return `${value.scalarKind}(${value.value},${value.im})`;
      return `@${identity(value)}`;
    case 'function':
    case 'symbol':
      return `@${identity(value)}`;
    default:
      return String(value);
  }
};

/** A text that is equal exactly for equal structures with equal static leaves (objects and functions by identity). */
export const structureKey = (s: Structure): string => {
  switch (s.kind) {
    case 'tensor':
      return s.number?.[0] ?? 'T';
    case 'static':
      return staticKey(s.value);
    case 'array':
      return `[${s.items.map(structureKey).join()}]`;
    case 'object':
      return `{${s.items.map((item, i) => `${JSON.stringify(s.keys[i])}:${structureKey(item)}`).join()}}`;
    case 'map':
      return `<${s.items.map((item, i) => `${staticKey(s.keys[i])}:${structureKey(item)}`).join()}>`;
  }
};

/** Applies `fn` to every tensor of a pytree and keeps the rest. */
export const map = <T>(fn: (leaf: Tensor) => unknown, value: T): T => {
  if (typeof fn !== 'function') throw new JorchError('BAD_ARGUMENT', `tree.map: expected a function, got ${typeof fn}`);
  const { leaves, structure } = flatten(value);
  return unflatten(structure, leaves.map(fn)) as T;
};

/** The tensors of a pytree, in order. */
export const leaves = (value: unknown): Tensor[] => flatten(value).leaves;
