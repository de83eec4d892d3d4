/** @file Freeing tensors deliberately: scope, keep, memory. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { native } from '../runtime/load.js';
import { leaves } from '../tree.js';
import type { Tensor } from './tensor.js';

interface Scope {
  readonly made: Set<Tensor>;
  readonly kept: Set<Tensor>;
}

const scopes = new AsyncLocalStorage<Scope>();
let open = 0;

const watch = (): void => {
  native().setCreationHook(open > 0 ? (made) => scopes.getStore()?.made.add(made) : null);
};

const enter = (): void => {
  if (open++ === 0) watch();
};

const leave = ({ made, kept }: Scope, result: unknown): void => {
  if (--open === 0) watch();
  const survivors = new Set([...leaves(result), ...kept]);
  const outer = scopes.getStore();
  for (const tensor of made) {
    if (survivors.has(tensor)) outer?.made.add(tensor);
    else tensor.dispose();
  }
};

/**
 * Runs `fn` and frees every tensor made inside, except those it returns (a pytree) and those given to `keep`. Scopes nest, and `fn` may be async.
 * @example const loss = scope(() => model.forward(x).sub(y).square().mean());
 */
export function scope<T>(fn: () => Promise<T>): Promise<T>;
export function scope<T>(fn: () => T): T;
export function scope<T>(fn: () => T | Promise<T>): T | Promise<T> {
  const own: Scope = { made: new Set(), kept: new Set() };
  enter();
  let result: T | Promise<T>;
  try {
    result = scopes.run(own, fn);
  } catch (error) {
    leave(own, undefined);
    throw error;
  }
  if (result instanceof Promise) {
    return result.then(
      (value) => {
        leave(own, value);
        return value;
      },
      (error: unknown) => {
        leave(own, undefined);
        throw error;
      },
    );
  }
  leave(own, result);
  return result;
}

/** Lets the tensors of a pytree outlive the scope that is open, and returns the pytree. */
export const keep = <T>(tree: T): T => {
  const own = scopes.getStore();
  if (own) for (const tensor of leaves(tree)) own.kept.add(tensor);
  return tree;
};

/**
 * Live tensor handles, the bytes of the memory that they hold (memory shared by several counts once), and those on devices. Small results of compiled
 * calls that nobody has looked at are collected, and counted, together, up to 64 of them or those of one call.
 */
export const memory = (): { tensors: number; bytes: number; deviceBytes: number } => native().memory();
