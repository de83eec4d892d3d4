/** @file Deep copies of modules. */
import { native } from '../runtime/load.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { COPY, isModule, STATE } from './fields.js';
import type { Module } from './module.js';
import { Buffer, bufferKind, copyUninitialized, isParameter, Parameter } from './parameter.js';

const copyTensor = (tensor: Tensor): Tensor => {
  const copy = no_grad(() => tensor.detach().clone());
  if (isParameter(tensor)) return copyUninitialized(tensor, new Parameter(copy, tensor.requires_grad));
  const kind = bufferKind(tensor);
  return kind === undefined ? copy : copyUninitialized(tensor, new Buffer(copy, kind.persistent));
};

/** A module of its own with copies of all parameters, buffers and child modules; what two places share, the copies share. Hooks are not copied. */
export const deepcopy = <M extends Module>(module: M): M => {
  const made = new Map<unknown, unknown>();
  const copy = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (made.has(value)) return made.get(value);
    if (native().isTensor(value)) {
      const tensor = copyTensor(value);
      made.set(value, tensor);
      return tensor;
    }
    if (Array.isArray(value)) {
      const list: unknown[] = [];
      made.set(value, list);
      for (const item of value) list.push(copy(item));
      return list;
    }
    if (value instanceof Map) {
      const map = new Map<unknown, unknown>();
      made.set(value, map);
      for (const [key, item] of value) map.set(key, copy(item));
      return map;
    }
    if (!isModule(value)) return value;
    if (COPY in value) {
      const own = (value[COPY] as () => Module).call(value);
      made.set(value, own);
      return own;
    }
    const twin = Object.create(Object.getPrototypeOf(value) as object) as Module;
    made.set(value, twin);
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Object.getOwnPropertyDescriptor(value, key)!;
      // `forward` of its own is the wrapper around a module's hooks.
      if (key === 'forward' && descriptor.enumerable === false) continue;
      if (key === STATE) {
        const { training, buffers } = value[STATE];
        Object.defineProperty(twin, STATE, { value: { training, buffers: new Map(buffers) } });
      } else {
        if ('value' in descriptor) descriptor.value = copy(descriptor.value);
        Object.defineProperty(twin, key, descriptor);
      }
    }
    return twin;
  };
  return copy(module) as M;
};
