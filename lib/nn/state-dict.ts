/** @file state_dict and load_state_dict, with PyTorch's names and words. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { ownBuffers, ownChildren, ownParameters, setField } from './fields.js';
import { hooksOf } from './hooks.js';
import type { Module } from './module.js';
import { isUninitialized, markParameter, materialize } from './parameter.js';

/** Tensors by dotted name, in PyTorch's order. */
export type StateDict = Record<string, Tensor>;

/** What load_state_dict found missing and too much. */
export interface IncompatibleKeys {
  readonly missing_keys: string[];
  readonly unexpected_keys: string[];
}

/** Names that files written by older versions of PyTorch lack: absent, they keep their value. */
export const OPTIONAL_KEYS = Symbol('jorch.nn.optionalKeys');

export const stateDict = (module: Module, prefix: string, keepVars: boolean, into: StateDict = {}): StateDict => {
  const put = (name: string, tensor: Tensor): void => {
    into[prefix + name] = keepVars ? tensor : tensor.detach();
  };
  for (const hook of hooksOf(module, 'beforeState')) hook(module, prefix, keepVars);
  for (const [name, parameter] of ownParameters(module)) put(name, parameter);
  for (const [name, buffer, persistent] of ownBuffers(module)) if (persistent) put(name, buffer);
  for (const [name, child] of ownChildren(module)) stateDict(child, `${prefix}${name}.`, keepVars, into);
  for (const hook of hooksOf(module, 'state')) hook(module, into, prefix);
  return into;
};

const show = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

const loadOwn = (module: Module, prefix: string, state: StateDict, assign: boolean, missing: string[]): string[] => {
  const problems: string[] = [];
  const optional = (module as { [OPTIONAL_KEYS]?: readonly string[] })[OPTIONAL_KEYS] ?? [];
  const own = [
    ...[...ownParameters(module)].map(([name, tensor]) => ({ name, tensor, parameter: true })),
    ...[...ownBuffers(module)]
      .filter(([, , persistent]) => persistent)
      .map(([name, tensor]) => ({ name, tensor, parameter: false })),
  ];
  for (const { name, tensor, parameter } of own) {
    const key = prefix + name;
    const given = Object.hasOwn(state, key) ? state[key] : undefined;
    if (given === undefined) {
      if (!optional.includes(name)) missing.push(key);
      continue;
    }
    if (!native().isTensor(given)) {
      problems.push(`While copying the parameter named "${key}", expected a tensor but received ${typeof given}`);
      continue;
    }
    // Checkpoints before 0.4 hold 0-d values as one-element vectors.
    const value = tensor.ndim === 0 && given.ndim === 1 && given.shape[0] === 1 ? given.at(0) : given;
    if (isUninitialized(tensor)) {
      // A lazy layer's state that waits itself says nothing.
      if (isUninitialized(given) || given.shape.join() === '0') continue;
      materialize(tensor, value.shape);
    }
    if (show(value.shape) !== show(tensor.shape)) {
      problems.push(
        `size mismatch for ${key}: copying a param with shape ${show(value.shape)} from checkpoint, the shape in current model is ${show(tensor.shape)}.`,
      );
      continue;
    }
    if (!assign) no_grad(() => tensor.copy_(value));
    else if (parameter) setField(module, name, markParameter(value.detach().requires_grad_(tensor.requires_grad)));
    else setField(module, name, value);
  }
  return problems;
};

export const loadStateDict = (
  root: Module,
  given: Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>,
  strict: boolean,
  assign: boolean,
): IncompatibleKeys => {
  if (typeof given !== 'object' || given === null)
    throw new JorchError(
      'BAD_ARGUMENT',
      `load_state_dict: expected tensors by name, got ${given === null ? 'null' : typeof given}`,
    );
  const state: StateDict = given instanceof Map ? Object.fromEntries(given) : { ...(given as StateDict) };
  const keys: IncompatibleKeys = { missing_keys: [], unexpected_keys: [] };
  const problems: string[] = [];
  const expected = new Set<string>();
  const visit = (module: Module, prefix: string): void => {
    for (const hook of hooksOf(module, 'load')) hook(module, state, prefix);
    problems.push(...loadOwn(module, prefix, state, assign, keys.missing_keys));
    for (const [name] of ownParameters(module)) expected.add(prefix + name);
    for (const [name, , persistent] of ownBuffers(module)) if (persistent) expected.add(prefix + name);
    for (const [name, child] of ownChildren(module)) visit(child, `${prefix}${name}.`);
    for (const hook of hooksOf(module, 'loaded')) hook(module, keys);
  };
  visit(root, '');
  keys.unexpected_keys.push(...Object.keys(state).filter((key) => !expected.has(key)));
  if (strict) {
    const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
    if (keys.missing_keys.length > 0) problems.unshift(`Missing key(s) in state_dict: ${list(keys.missing_keys)}.`);
    if (keys.unexpected_keys.length > 0)
      problems.unshift(`Unexpected key(s) in state_dict: ${list(keys.unexpected_keys)}.`);
  }
  if (problems.length > 0)
    throw new JorchError(
      'BAD_ARGUMENT',
      `Error(s) in loading state_dict for ${root._get_name()}:\n\t${problems.join('\n\t')}`,
    );
  return keys;
};
