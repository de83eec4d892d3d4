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
  readonly modes: number;
  /** What the trace of the program has read. */
  readonly guards: readonly Guard[];
  readonly captured: readonly CapturedSignature[];
}

export interface LeafSignature {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly requires_grad: boolean;
  /** For a function that is compiled for a mesh. */
  readonly sharding?: string;
}

/** A captured tensor as it was. */
interface CapturedSignature extends LeafSignature {
  readonly tensor: Tensor;
  readonly hasGrad: boolean;
}

const hasGrad = (t: Tensor): boolean => t.requires_grad && t.is_leaf && t.grad !== null;

export const leafSignatures = (leaves: readonly Tensor[]): LeafSignature[] =>
  leaves.map(({ shape, strides, dtype, requires_grad }) => ({ shape, strides, dtype, requires_grad }));

export const signatureOf = (structure: Structure, leaves: readonly Tensor[], modes: number): Signature => ({
  structure,
  modes,
  guards: [],
  captured: [],
  leaves: leafSignatures(leaves),
});

export const capturedOf = (tensors: readonly Tensor[]): CapturedSignature[] =>
  leafSignatures(tensors).map((signature, i) => ({ ...signature, tensor: tensors[i]!, hasGrad: hasGrad(tensors[i]!) }));

/** By the field that it was found in, if any. */
const labelOf = ({ tensor, shape }: CapturedSignature, guards: readonly Guard[]): string =>
  guards.find(({ value }) => native().isTensor(value) && !value.disposed && value.is_set_to(tensor))?.label ??
  `a captured tensor of shape [${shape.join(', ')}]`;

/** The fields of the number that native code makes of the modes (native/program/signature.cc). */
const MODES: readonly (readonly [name: string, field: (modes: number) => number])[] = [
  ['the grad mode (no_grad, enable_grad)', (m) => m & 1],
  ['inference_mode', (m) => (m >> 1) & 1],
  ['autocast', (m) => (m >> 2) & 1],
  ["autocast's dtype", (m) => (m >> 8) & 0xff],
  ['the default dtype', (m) => (m >> 16) & 0xff],
];

const modeDifference = (before: number, now: number): string | undefined => {
  const changed = MODES.find(([, field]) => field(before) !== field(now));
  return changed && `${changed[0]} changed`;
};

const capturedDifference = ({ captured, guards }: Signature): string | undefined => {
  for (const before of captured) {
    const { tensor } = before;
    if (tensor.disposed) continue;
    const found = leafDifference('', before, leafSignatures([tensor])[0]!);
    if (found) return labelOf(before, guards) + found;
    if (before.hasGrad !== hasGrad(tensor))
      return `${labelOf(before, guards)} ${before.hasGrad ? 'has lost its grad' : 'has a grad now'}`;
  }
  return undefined;
};

const leafDifference = (path: string, a: LeafSignature, b: LeafSignature): string | undefined => {
  if (a.dtype !== b.dtype) return `${path}: dtype changed from ${a.dtype} to ${b.dtype}`;
  if (String(a.shape) !== String(b.shape))
    return `${path}: shape changed from [${a.shape.join(', ')}] to [${b.shape.join(', ')}]`;
  if (String(a.strides) !== String(b.strides))
    return `${path}: strides changed from [${a.strides.join(', ')}] to [${b.strides.join(', ')}] (contiguous() makes them the same)`;
  if (a.requires_grad !== b.requires_grad)
    return `${path}: requires_grad changed from ${a.requires_grad} to ${b.requires_grad}`;
  if (a.sharding !== b.sharding) return `${path}: its sharding changed from ${a.sharding} to ${b.sharding}`;
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
  return (
    visit(before.structure, now.structure, '') ??
    guardDifference(before.guards) ??
    modeDifference(before.modes, now.modes) ??
    capturedDifference(before)
  );
};

/** Against the program compiled last; what is left is how memory is shared, and whether an argument has a grad. */
export const explainMiss = (earlier: readonly Signature[], now: Signature): string => {
  if (earlier.length === 0) return 'first call';
  return (
    difference(earlier.at(-1)!, now) ??
    'arguments or captured tensors share memory in another way, or an argument has or has lost a grad, a history or a hook'
  );
};
