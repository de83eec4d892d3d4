/** @file What a trace finds in the fields of the modules that it runs: another parameter, buffer or module in a field later means another program. */
import { isRecording, readEntry, readSlot } from '../compile/live.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/tensor.js';
import { isModule } from './fields.js';
import type { Module } from './module.js';
import { isParameter } from './parameter.js';

const isHeld = (value: unknown): boolean => isModule(value) || isParameter(value);

/** Fields that a module leaves empty (a missing bias), and eager tensors; a traced tensor was put there by the function itself. */
const isSlot = (value: unknown): boolean =>
  value === null ||
  isModule(value) ||
  (native().isTensor(value) && !(value as Tensor & { isTraced: boolean }).isTraced);

/** What all modules extend; known as soon as there is one. */
let base: Module | undefined;

const readSlots = (module: Module): void => {
  const owner = module.constructor.name;
  /** Containers have no forward that would be run, and one that is a field of its own is not seen to run. */
  const below = (value: unknown): void => {
    if (isModule(value) && (value.forward === base?.forward || Object.hasOwn(value, 'forward'))) readSlots(value);
  };
  for (const name of Object.keys(module)) {
    const descriptor = Object.getOwnPropertyDescriptor(module, name);
    if (descriptor === undefined || !('value' in descriptor)) continue;
    const value: unknown = descriptor.value;
    if (isSlot(value)) {
      readSlot(owner, module, name, value);
      below(value);
    } else if (Array.isArray(value) && value.every(isHeld)) {
      readSlot(owner, module, name, value);
      readSlot(`${owner}.${name}`, value, 'length', value.length);
      for (const [i, item] of value.entries()) {
        readSlot(`${owner}.${name}`, value, i, item);
        below(item);
      }
    } else if (value instanceof Map && [...value.values()].every(isHeld)) {
      readSlot(`${owner}.${name}`, value, 'size', value.size);
      for (const [key, item] of value) {
        readEntry(owner, value, key);
        below(item);
      }
    }
  }
};

/** Tells an open trace what is in the fields of a module that it was given. */
export const readModule = (module: Module): void => {
  if (isRecording()) readSlots(module);
};

const watched = new WeakSet<object>();

/** Makes the `forward` of a class, and of those that it extends up to `last`, tell an open trace what is in the module's fields. Once per class. */
export const watchForward = (prototype: Module, last: Module): void => {
  base = last;
  for (let at = prototype; at !== last && !watched.has(at); at = Object.getPrototypeOf(at) as Module) {
    watched.add(at);
    const descriptor = Object.getOwnPropertyDescriptor(at, 'forward');
    if (typeof descriptor?.value !== 'function') continue;
    const forward = descriptor.value as (...args: unknown[]) => unknown;
    const watching = function (this: Module, ...args: unknown[]): unknown {
      readModule(this);
      return forward.apply(this, args);
    };
    Object.defineProperty(watching, 'name', { value: 'forward', configurable: true });
    Object.defineProperty(watching, 'length', { value: forward.length, configurable: true });
    Object.defineProperty(at, 'forward', { ...descriptor, value: watching });
  }
};
