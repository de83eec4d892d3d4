/** @file The class of tensors: objects with a number, by which native code knows which tensor each is (native/tensor/handles.h). */
import type { Batch, CompiledHandle, Native, ProgramResults } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import type { Tensor as TensorType } from './tensor.js';

/** Without it nobody makes a handle: who has a tensor's number has the tensor. */
const TOKEN = {};

const numbers = (count: number): Uint32Array => new Uint32Array(new ArrayBuffer(count * Uint32Array.BYTES_PER_ELEMENT));
/** Numbers on their way: arguments of a call, or its results as `takeResults` finds them. */
let exchange = numbers(1024);
let addon: Native | undefined;
/** In the place of a program's id: the result is no list (kSingle in native/program/entry.cc). */
const SINGLE = 0xffffffff;

const exchangeFor = (count: number): Uint32Array => {
  if (count > exchange.length) {
    exchange = numbers(2 * count);
    addon!.setExchange(exchange);
  }
  return exchange;
};

class Tensor {
  readonly #number: number;
  /** What the tensor is made of when somebody looks at the handle; for those that have one already, undefined. */
  #batch: Batch | undefined;

  constructor(token?: unknown, number = 0, batch?: Batch) {
    if (token !== TOKEN)
      throw new JorchError('BAD_ARGUMENT', 'Tensor: a Tensor is made with torch.tensor(data), not with new Tensor()');
    this.#number = number;
    this.#batch = batch;
  }

  static isHandle(value: unknown): value is TensorType {
    return typeof value === 'object' && value !== null && #number in value;
  }

  /** The number of a handle that was made without its tensor, which it gets now; else 0. */
  static unmade(value: unknown): number {
    if (typeof value !== 'object' || value === null || !(#number in value) || value.#batch === undefined) return 0;
    value.#batch = undefined;
    return value.#number;
  }

  static send(values: readonly object[]): void {
    const into = exchangeFor(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      into[i] = #number in value ? value.#number : 0;
    }
  }
}

/** Whether `value` is a tensor of this copy of jorch. */
export const { isHandle } = Tensor;

/** A tensor, or an array of them, which begins with the program's id where they are still to be put together. */
export type Results = TensorType | (TensorType | number)[];

/** The results of the call that has just returned `given`. */
export const takeResults = (given: ProgramResults): Results => {
  const count = exchange[0]!;
  if (count === 0) return given as Results;
  const id = exchange[1]!;
  if (id === SINGLE) return new Tensor(TOKEN, exchange[2]!, given as Batch) as never;
  const others = Array.isArray(given) ? given : undefined;
  const batch = (others?.[0] ?? given) as Batch;
  const results: (TensorType | number)[] = id === 0 ? [] : [id - 1];
  let next = 1;
  for (let i = 2; i < count + 2; i++) {
    const number = exchange[i]!;
    results.push(number === 0 ? (others![next++] as TensorType) : (new Tensor(TOKEN, number, batch) as never));
  }
  return results;
};

/** The results of the program that fits, or undefined. */
export const callProgram = (
  handle: CompiledHandle,
  structure: number,
  leaves: readonly TensorType[],
): Results | undefined => {
  Tensor.send(leaves);
  const given = handle.call(structure, leaves, leaves.length);
  return given === undefined ? undefined : takeResults(given);
};

/** Makes the class that of the addon's tensors. */
export const installHandles = (native: Native): void => {
  addon = native;
  native.setHandles(Tensor, TOKEN, Tensor.unmade);
  native.setExchange(exchange);
  Object.assign(native, { Tensor, isTensor: isHandle });
};
