/** @file What a module's own fields hold: parameters, buffers, child modules. Asked for at every call, since class fields bypass setters. */
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import type { Module } from './module.js';
import { bufferKind, isParameter, type Parameter } from './parameter.js';

/** By brand, so that two copies of the package know each other's modules. */
export const MODULE = Symbol.for('jorch.nn.Module');
export const isModule = (value: unknown): value is Module =>
  typeof value === 'object' && value !== null && MODULE in value;

/** What a module knows about itself besides its fields. */
export interface ModuleState {
  training: boolean;
  /** Buffers registered by name: a tensor put into such a field later is the buffer. */
  readonly buffers: Map<string, { readonly persistent: boolean }>;
}
export const STATE = Symbol('jorch.nn.state');

/** Arrays in fields become a ModuleList or ParameterList over the same array; containers.ts knows how. */
export interface Lists {
  ofModules(items: readonly Module[]): Module;
  ofParameters(items: readonly Parameter[]): Module;
}
let lists: Lists | undefined;
export const setLists = (made: Lists): void => {
  lists = made;
};
const views = new WeakMap<object, Module>();

const viewOf = (items: readonly unknown[]): Module | undefined => {
  if (items.length === 0) return undefined;
  const known = views.get(items);
  if (known !== undefined) return known;
  const made = items.every(isModule)
    ? lists?.ofModules(items as readonly Module[])
    : items.every(isParameter)
      ? lists?.ofParameters(items as readonly Parameter[])
      : undefined;
  if (made !== undefined) views.set(items, made);
  return made;
};

/** Containers say by themselves what their fields are. */
export const FIELDS = Symbol('jorch.nn.fields');
export const SET_FIELD = Symbol('jorch.nn.setField');
/** A module that knows by itself how it is copied, with everything below it. */
export const COPY = Symbol('jorch.nn.copy');
export interface FieldSource {
  [FIELDS](): Iterable<readonly [name: string, value: unknown]>;
  [SET_FIELD](name: string, value: unknown): void;
}
const isSource = (module: object): module is FieldSource => FIELDS in module;

/** Puts a tensor or module into a module's field of this name. */
export const setField = (module: Module, name: string, value: unknown): void => {
  if (isSource(module)) module[SET_FIELD](name, value);
  else Object.defineProperty(module, name, { value, writable: true, enumerable: true, configurable: true });
};

/** Own fields that hold data; accessors (a parametrized weight) are not asked. */
export function* fieldsOf(module: Module): Generator<readonly [name: string, value: unknown]> {
  if (isSource(module)) {
    yield* module[FIELDS]();
    return;
  }
  for (const name of Object.keys(module)) {
    const descriptor = Object.getOwnPropertyDescriptor(module, name);
    if (descriptor !== undefined && 'value' in descriptor) yield [name, descriptor.value];
  }
}

export function* ownParameters(module: Module): Generator<[name: string, parameter: Parameter]> {
  for (const [name, value] of fieldsOf(module)) if (isParameter(value)) yield [name, value];
}

export function* ownBuffers(module: Module): Generator<[name: string, buffer: Tensor, persistent: boolean]> {
  const registered = module[STATE].buffers;
  for (const [name, value] of fieldsOf(module)) {
    if (typeof value !== 'object' || value === null || isParameter(value)) continue;
    const kind = registered.get(name) ?? bufferKind(value);
    if (kind !== undefined && native().isTensor(value)) yield [name, value, kind.persistent];
  }
}

export function* ownChildren(module: Module): Generator<[name: string, child: Module]> {
  for (const [name, value] of fieldsOf(module)) {
    if (isModule(value)) yield [name, value];
    else if (Array.isArray(value)) {
      const view = viewOf(value);
      if (view !== undefined) yield [name, view];
    }
  }
}
