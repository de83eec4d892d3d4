/** @file share, receive: the same tensors in several worker threads. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { flatten, type Structure, unflatten } from '../tree.js';

declare const sharedTree: unique symbol;

/** What `share` gives: send it with postMessage or workerData; `receive` makes the tensors of it. `T` is the type of the tree. */
export interface ShareToken<T> {
  readonly [sharedTree]?: T;
  readonly kind: 'jorch.share';
  readonly tensors: readonly number[];
  readonly structure: Structure;
}

export interface ShareOptions {
  /** How many times the token can be received; its memory is then free to go. Default 1. */
  readonly receivers?: number;
}

/**
 * Lets other worker threads of this process have the tensors of a pytree without copying: they, and this thread, use the same memory. What
 * one writes with in-place operators the others see; who writes when is for you to settle (messages, Atomics). Leaves that require grad do
 * so on the other side too, each with a `.grad` of its own. Values beside the tensors are copied as postMessage copies.
 * @throws JorchError BAD_ARGUMENT for a tensor with a history (share `x.detach()`), inside compile() and transforms, and for memory of a
 * typed array (`frombuffer`; share `x.clone()`).
 * @example worker.postMessage(share({ weights }));   // in the worker: const { weights } = receive(token);
 */
export const share = <T>(tree: T, { receivers = 1 }: ShareOptions = {}): ShareToken<T> => {
  if (!Number.isInteger(receivers) || receivers < 1 || receivers >= 2 ** 32)
    throw new JorchError('BAD_ARGUMENT', `share: receivers must be a whole number from 1 on, got ${String(receivers)}`);
  const { leaves, structure } = flatten(tree);
  const tensors: number[] = [];
  try {
    for (const leaf of leaves) tensors.push(native().shareTensor(leaf, receivers));
  } catch (error) {
    for (const number of tensors) native().withdrawTensor(number);
    throw error;
  }
  return { kind: 'jorch.share', tensors, structure };
};

const checked = <T>(token: ShareToken<T>, what: string): ShareToken<T> => {
  if ((token as Partial<ShareToken<T>> | null | undefined)?.kind !== 'jorch.share' || !Array.isArray(token.tensors))
    throw new JorchError('BAD_ARGUMENT', `${what}: expected what share() gave`);
  return token;
};

/**
 * The tensors of a token, with the memory that the sharing thread has.
 * @throws JorchError BAD_ARGUMENT when the token has been received as often as it may be, or was made by another process.
 */
export const receive = <T>(token: ShareToken<T>): T => {
  const { tensors, structure } = checked(token, 'receive');
  return unflatten(
    structure,
    tensors.map((number) => native().receiveTensor(number)),
  ) as T;
};

/** Takes a token back that nobody will receive; whether anything was left of it. */
export const withdraw = (token: ShareToken<unknown>): boolean =>
  checked(token, 'withdraw')
    .tensors.map((number) => native().withdrawTensor(number))
    .includes(true);
