/** @file Why a call did not fit any compiled program: what changed, from what to what. */

import { native } from '../runtime/load.js';
import type { DType } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import type { Structure } from '../tree.js';
import type { Guard } from './live.js';

/** What a program was compiled for. */
export interface Signature {
  readonly structure: Structure;
  readonly leaves: readonly LeafSignature[];
  /** What the trace of the program has read. */
  readonly guards: readonly Guard[];
}

export interface LeafSignature {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly requires_grad: boolean;
}

export const signatureOf = (structure: Structure, leaves: readonly Tensor[]): Signature => ({
  structure,
  guards: [],
  leaves: leaves.map(({ shape, strides, dtype, requires_grad }) => ({ shape, strides, dtype, requires_grad })),
});

const leafDifference = (path: string, a: LeafSignature, b: LeafSignature): string | undefined => {
  if (a.dtype !== b.dtype) return `${path}: dtype changed from ${a.dtype} to ${b.dtype}`;
  if (String(a.shape) !== String(b.shape))
    return `${path}: shape changed from [${a.shape.join(', ')}] to [${b.shape.join(', ')}]`;
  if (String(a.strides) !== String(b.strides))
    return `${path}: strides changed from [${a.strides.join(', ')}] to [${b.strides.join(', ')}] (contiguous() makes them the same)`;
  if (a.requires_grad !== b.requires_grad)
    return `${path}: requires_grad changed from ${a.requires_grad} to ${b.requires_grad}`;
  return undefined;
};

const shown = (value: unknown): string =>
  typeof value === 'string'
    ? `'${value}'`
    : typeof value === 'function'
      ? `function ${value.name || '(anonymous)'}`
      : String(value);

/** Whether words can tell two such values apart. */
const isPlain = (value: unknown): boolean => typeof value !== 'object' || value === null;

const guardDifference = (guards: readonly Guard[]): string | undefined => {
  const changed = guards.find((g) => !Object.is(g.read(g.object, g.key), g.value));
  if (changed === undefined) return undefined;
  const now = changed.read(changed.object, changed.key);
  return isPlain(changed.value) && isPlain(now)
    ? `${changed.label} changed from ${shown(changed.value)} to ${shown(now)}`
    : `${changed.label} is another ${native().isTensor(now) ? 'tensor' : 'object'} now`;
};

/** The first difference between two signatures, with the path of the argument; undefined when they are equal. */
export const difference = (before: Signature, now: Signature): string | undefined => {
  let leaf = 0;
  const visit = (a: Structure, b: Structure, path: string): string | undefined => {
    if (a.kind !== b.kind)
      return `${path} changed from ${a.kind === 'static' ? shown(a.value) : `a ${a.kind}`} to ${b.kind === 'static' ? shown(b.value) : `a ${b.kind}`}`;
    if (a.kind === 'tensor') {
      const i = leaf++;
      return leafDifference(path, before.leaves[i]!, now.leaves[i]!);
    }
    if (a.kind === 'static' && b.kind === 'static') {
      if (Object.is(a.value, b.value)) return undefined;
      const advice =
        typeof a.value === 'number'
          ? `: pass a tensor (torch.tensor(${shown(b.value)})), or name it in { dynamic }, if it changes often, since a number is part of the program`
          : '';
      return `${path} changed from ${shown(a.value)} to ${shown(b.value)}${advice}`;
    }
    if (a.kind === 'static' || b.kind === 'static' || b.kind === 'tensor') return undefined;
    if (a.items.length !== b.items.length) return `${path} changed from ${a.items.length} to ${b.items.length} items`;
    for (let i = 0; i < a.items.length; i++) {
      const key =
        a.kind === 'array' ? (path === '' ? `argument ${i}` : `${path}[${i}]`) : `${path}.${String(a.keys[i])}`;
      if (a.kind !== 'array' && b.kind !== 'array' && a.keys[i] !== b.keys[i])
        return `${path}: key ${String(a.keys[i])} became ${String(b.keys[i])}`;
      const found = visit(a.items[i]!, b.items[i]!, key);
      if (found) return found;
    }
    return undefined;
  };
  return visit(before.structure, now.structure, '') ?? guardDifference(before.guards);
};

/** Against the program compiled last; what is left when the arguments are the same is a captured tensor or a mode. */
export const explainMiss = (earlier: readonly Signature[], now: Signature): string => {
  if (earlier.length === 0) return 'first call';
  return (
    difference(earlier.at(-1)!, now) ??
    'a captured tensor changed its shape, dtype, requires_grad or whether it has a grad, arguments share memory in another way, or a mode (no_grad, inference_mode, autocast, default dtype) changed'
  );
};
