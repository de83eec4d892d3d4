/** @file Hooks of modules. A module without hooks pays nothing: the first one puts a wrapper around its `forward`. */
import type { Module } from './module.js';
import type { IncompatibleKeys, StateDict } from './state-dict.js';

export interface Hook {
  pre: (module: Module, args: readonly unknown[]) => unknown;
  post: (module: Module, args: readonly unknown[], output: unknown) => unknown;
  state: (module: Module, state: StateDict, prefix: string) => void;
  load: (module: Module, state: StateDict, prefix: string) => void;
  loaded: (module: Module, keys: IncompatibleKeys) => void;
}
export type HookKind = keyof Hook;

/** Takes a hook away again. */
export interface RemovableHandle {
  remove(): void;
}

type Hooks = { [K in HookKind]: Hook[K][] };
const hooks = new WeakMap<Module, Hooks>();

export const hooksOf = <K extends HookKind>(module: Module, kind: K): readonly Hook[K][] =>
  hooks.get(module)?.[kind] ?? [];

const wrapForward = (module: Module): void => {
  const forward = module.forward;
  Object.defineProperty(module, 'forward', {
    configurable: true,
    writable: true,
    value: (...given: unknown[]): unknown => {
      let args: readonly unknown[] = given;
      for (const hook of [...hooksOf(module, 'pre')]) {
        const changed = hook(module, args);
        if (changed !== undefined) args = Array.isArray(changed) ? changed : [changed];
      }
      let output: unknown = forward.apply(module, args as unknown[]);
      for (const hook of [...hooksOf(module, 'post')]) output = hook(module, args, output) ?? output;
      return output;
    },
  });
};

export const addHook = <K extends HookKind>(
  module: Module,
  kind: K,
  hook: Hook[K],
  prepend: boolean,
): RemovableHandle => {
  let own = hooks.get(module);
  if (own === undefined) {
    own = { pre: [], post: [], state: [], load: [], loaded: [] };
    hooks.set(module, own);
    wrapForward(module);
  }
  const list = own[kind];
  if (prepend) list.unshift(hook);
  else list.push(hook);
  return {
    remove: () => {
      const at = list.indexOf(hook);
      if (at >= 0) list.splice(at, 1);
    },
  };
};
