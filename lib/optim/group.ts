/** @file Parameter groups: plain objects to the user, whose numbers a traced update reads as tensors. */
import { readLive } from '../compile/live.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import type { Quantity } from './numbers.js';

/** Parameters and the options that hold for them. Assign to change: `optimizer.param_groups[0].lr = 0.01`. */
export type ParamGroup<O extends object = Record<string, unknown>> = O & {
  params: Tensor[];
  /** Set by learning rate schedulers. */
  initial_lr?: number;
};

/** The options as they are, without telling a trace. */
const values = new WeakMap<object, Map<string, unknown>>();
/** What a traced update reads in place of a number: float64, one element per number, as long-lived as the group. */
const cells = new WeakMap<object, Map<string, Tensor>>();

const numbersOf = (value: unknown): number[] | undefined => {
  if (typeof value === 'number') return [value];
  return Array.isArray(value) && value.length > 0 && value.every((v) => typeof v === 'number') ? value : undefined;
};

/** Sees the memory of a typed array: a tensor that is not traced, also while a trace is open. */
const eagerTensor = (values: readonly number[]): Tensor =>
  native().fromBuffer(Float64Array.from(values), 'float64', [values.length]);

const store = (group: object, key: string, value: unknown): void => {
  const cell = cells.get(group)?.get(key);
  const numbers = numbersOf(value);
  if (cell === undefined || numbers === undefined) return;
  if (native().isTracing())
    throw new JorchError(
      'BAD_ARGUMENT',
      `optimizer: '${key}' of a parameter group was set while a function is compiled, where it would happen once; set it, or step the scheduler, outside`,
    );
  no_grad(() => numbers.forEach((v, i) => void cell.select(0, i).fill_(v)));
};

/** A group whose options are fields; each field tells a trace that it was read, and keeps its tensor up to date. */
export const makeGroup = <O extends object>(params: Tensor[], options: O): ParamGroup<O> => {
  const group = { params } as ParamGroup<O>;
  for (const [key, first] of Object.entries(options)) defineField(group, key, first);
  return group;
};

const defineField = (group: object, key: string, first: unknown): void => {
  let own = values.get(group);
  if (own === undefined) {
    own = new Map();
    values.set(group, own);
  }
  const raw = own.set(key, first);
  Object.defineProperty(group, key, {
    enumerable: true,
    configurable: true,
    get: () => readLive(group, key, raw.get(key)),
    set: (next: unknown) => {
      store(group, key, next);
      raw.set(key, next);
    },
  });
};

/** An option as it is, without telling a trace. */
export const rawOption = (group: object, key: string): unknown => values.get(group)?.get(key);

/** Sets an option; one that the group did not have becomes a live field too. */
export const setOption = (group: object, key: string, value: unknown): void => {
  if (key === 'params' || Object.getOwnPropertyDescriptor(group, key)?.set !== undefined)
    (group as Record<string, unknown>)[key] = value;
  else defineField(group, key, value);
};

/** The numbers of an option for an update: themselves in eager, elements of the group's tensor in a trace. A tensor option stays a tensor there. */
export const quantities = (group: object, key: string): Quantity[] => {
  // Not through the field: the program reads the tensor, so another value is no other program.
  const value = rawOption(group, key);
  if (!native().isTracing()) return native().isTensor(value) ? [value.item()] : numbersOf(value)!;
  if (native().isTensor(value)) return [value];
  const numbers = numbersOf(value)!;
  let own = cells.get(group);
  if (own === undefined) {
    own = new Map();
    cells.set(group, own);
  }
  let cell = own.get(key);
  if (cell === undefined) {
    cell = eagerTensor(numbers);
    own.set(key, cell);
  }
  return numbers.map((_, i) => cell.select(0, i));
};
