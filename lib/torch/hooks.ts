/** @file Hooks of tensors: functions that autograd calls with their gradients. */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from './tensor.js';

/** Takes a hook away again. */
export interface RemovableHandle {
  remove(): void;
}

/** Gets a gradient; a tensor of the same shape and dtype that it returns takes the gradient's place. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks returns nothing
export type TensorHook = (grad: Tensor) => Tensor | null | undefined | void;

export const addHook = (
  name: string,
  tensor: Tensor,
  hook: (tensor: Tensor) => unknown,
  accumulated: boolean,
): RemovableHandle => {
  if (typeof hook !== 'function')
    throw new JorchError('BAD_ARGUMENT', `${name}: expected a function, got ${hook === null ? 'null' : typeof hook}`);
  if (hook.constructor.name === 'AsyncFunction')
    throw new JorchError('BAD_ARGUMENT', `${name}: the hook is async; backward() does not wait for it`);
  const remove = native().addHook(
    tensor,
    accumulated
      ? (t) => {
          hook(t);
        }
      : hook,
    accumulated,
  );
  return { remove };
};
