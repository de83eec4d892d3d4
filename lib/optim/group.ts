/** @file Parameter groups: plain objects to the user, whose numbers a compiled update reads afresh at every call. */
import { readLive, readNumber } from '../compile/live.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from '../torch/python-types.js';
import type { Quantity } from './numbers.js';

/** Parameters and the options that hold for them. Assign to change: `optimizer.param_groups[0].lr = 0.01`. */
export type ParamGroup<O extends object = Record<string, unknown>> = O & {
  params: Tensor[];
  /** Set by learning rate schedulers. */
  initial_lr?: number;
};

/** The options as they are: reading one here tells a trace nothing. */
const values = new WeakMap<object, Map<string, unknown>>();
const raw = (group: object, key: string): unknown => values.get(group)?.get(key);

const hidden = (group: object, name: string, get: () => unknown): void => {
  Object.defineProperty(group, name, { enumerable: false, configurable: true, get });
};

/** Beside the option itself, what a trace depends on instead of its value: whether it is zero, and its numbers one by one. */
const defineField = (group: object, key: string, first: unknown): void => {
  const own = values.get(group) ?? new Map<string, unknown>();
  values.set(group, own.set(key, first));
  Object.defineProperty(group, key, {
    enumerable: true,
    configurable: true,
    get: () => readLive(group, key, own.get(key)),
    set: (next: unknown) => {
      if (native().isTracing())
        throw new JorchError(
          'BAD_ARGUMENT',
          `optimizer: '${key}' of a parameter group was set while a function is compiled, where it would happen once; set it, or step the scheduler, outside`,
        );
      own.set(key, next);
    },
  });
  hidden(group, `${key} is 0`, () => own.get(key) === 0);
  for (const i of [0, 1]) {
    hidden(group, `${key}[${i}]`, () => {
      const value = own.get(key);
      return Array.isArray(value) ? (value as unknown[])[i] : value;
    });
  }
};

/** A group whose options are fields that a compiled function follows. */
export const makeGroup = <O extends object>(params: Tensor[], options: O): ParamGroup<O> => {
  const group = { params } as ParamGroup<O>;
  for (const [key, first] of Object.entries(options)) defineField(group, key, first);
  return group;
};

/** Sets an option; one that the group did not have becomes a field of the same kind. */
export const setOption = (group: object, key: string, value: unknown): void => {
  if (values.get(group)?.has(key)) (group as Record<string, unknown>)[key] = value;
  else defineField(group, key, value);
};

/** Whether a number is other than 0: a compiled update has other operators then. */
export const isOn = (group: object, key: string): boolean => !readLive(group, `${key} is 0`, raw(group, key) === 0);

/** A number of an option for an update: a 0-d tensor in a trace, so that another value is no other program. */
const quantity = (group: object, key: string, i: 0 | 1): Quantity => {
  const name = `${key}[${i}]`;
  const value = (group as Record<string, unknown>)[name];
  if (native().isTensor(value)) return native().isTracing() ? value : value.item();
  const live = readNumber(group, name, value as number);
  // A tensor that promotes like a number makes float32 of 1 - beta; its copy is float64.
  return typeof live === 'number' ? live : live.to({ dtype: 'float64', copy: true });
};
export const number = (group: object, key: string): Quantity => quantity(group, key, 0);
export const pair = (group: object, key: string): readonly [Quantity, Quantity] => [
  quantity(group, key, 0),
  quantity(group, key, 1),
];
