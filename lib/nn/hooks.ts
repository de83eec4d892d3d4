/** @file Hooks of modules. A module without hooks pays nothing: the first one puts a wrapper around its `forward`. */
import type { RemovableHandle } from '../torch/hooks.js';
import type { Tensor } from '../torch/python-types.js';
import { isPlainObject } from '../transforms/arguments.js';
import { BackwardHooks } from './backward-hooks.js';
import type { Module } from './module.js';
import type { IncompatibleKeys, StateDict } from './state-dict.js';

/** Gradients as a module's hooks see them: one for each argument or result, null for what has none. */
export type Gradients = readonly (Tensor | null)[];
type Keywords = Readonly<Record<string, unknown>>;

export interface Hook {
  pre: (module: Module, args: readonly unknown[]) => unknown;
  preKeywords: (module: Module, args: readonly unknown[], kwargs: Keywords) => unknown;
  post: (module: Module, args: readonly unknown[], output: unknown) => unknown;
  postKeywords: (module: Module, args: readonly unknown[], kwargs: Keywords, output: unknown) => unknown;
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks returns nothing
  backward: (module: Module, grad_input: Gradients, grad_output: Gradients) => Gradients | Tensor | null | void;
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks returns nothing
  backwardPre: (module: Module, grad_output: Gradients) => Gradients | Tensor | null | void;
  beforeState: (module: Module, prefix: string, keep_vars: boolean) => void;
  state: (module: Module, state: StateDict, prefix: string) => void;
  load: (module: Module, state: StateDict, prefix: string) => void;
  loaded: (module: Module, keys: IncompatibleKeys) => void;
}
export type HookKind = keyof Hook;

/** Those of one list run in its order; `pre` and `post` hold both forms, with keywords and without. */
type Slot = 'pre' | 'post' | 'backward' | 'backwardPre' | 'beforeState' | 'state' | 'load' | 'loaded';
const SLOT: { readonly [K in HookKind]: Slot } = {
  pre: 'pre',
  preKeywords: 'pre',
  post: 'post',
  postKeywords: 'post',
  backward: 'backward',
  backwardPre: 'backwardPre',
  beforeState: 'beforeState',
  state: 'state',
  load: 'load',
  loaded: 'loaded',
};
interface Entry {
  readonly kind: HookKind;
  readonly hook: unknown;
  /** Also when forward has thrown. */
  readonly always: boolean;
}
const hooks = new WeakMap<Module, Map<Slot, Entry[]>>();
const entriesOf = (module: Module, slot: Slot): readonly Entry[] => [...(hooks.get(module)?.get(slot) ?? [])];

export const hooksOf = <K extends HookKind>(module: Module, kind: K): readonly Hook[K][] =>
  entriesOf(module, SLOT[kind]).map(({ hook }) => hook as Hook[K]);

/** Keywords are a last plain object. */
const split = (args: readonly unknown[]): [args: readonly unknown[], kwargs: Keywords] => {
  const last = args.at(-1);
  return isPlainObject(last) ? [args.slice(0, -1), last as Keywords] : [args, {}];
};
const unite = (args: readonly unknown[], kwargs: Keywords): readonly unknown[] =>
  Object.keys(kwargs).length > 0 ? [...args, kwargs] : args;

const runPre = (module: Module, given: readonly unknown[]): readonly unknown[] => {
  let args = given;
  for (const { kind, hook } of entriesOf(module, 'pre')) {
    if (kind === 'pre') {
      const changed = (hook as Hook['pre'])(module, args);
      if (changed !== undefined && changed !== null) args = Array.isArray(changed) ? changed : [changed];
      continue;
    }
    const changed = (hook as Hook['preKeywords'])(module, ...split(args));
    if (changed === undefined || changed === null) continue;
    if (!Array.isArray(changed) || changed.length !== 2 || !Array.isArray(changed[0]) || !isPlainObject(changed[1]))
      throw new TypeError('a forward pre-hook with keywords must return nothing or [args, kwargs]');
    args = unite(changed[0] as readonly unknown[], changed[1] as Keywords);
  }
  return args;
};

const runPost = (module: Module, args: readonly unknown[], given: unknown, entries: readonly Entry[]): unknown => {
  let output = given;
  for (const { kind, hook } of entries) {
    const changed =
      kind === 'post'
        ? (hook as Hook['post'])(module, args, output)
        : (hook as Hook['postKeywords'])(module, ...split(args), output);
    output = changed ?? output;
  }
  return output;
};

const wrapForward = (module: Module): void => {
  const forward = module.forward;
  Object.defineProperty(module, 'forward', {
    configurable: true,
    writable: true,
    value: (...given: unknown[]): unknown => {
      let args: readonly unknown[] = given;
      const ran = new Set<Entry>();
      let output: unknown;
      try {
        args = runPre(module, given);
        const backward = BackwardHooks.of(module, hooksOf(module, 'backward'), hooksOf(module, 'backwardPre'));
        if (backward !== undefined) {
          const [positional, kwargs] = split(args);
          args = unite(backward.watchInputs(positional), kwargs);
        }
        output = forward.apply(module, args as unknown[]);
        for (const entry of entriesOf(module, 'post')) {
          ran.add(entry);
          output = runPost(module, args, output, [entry]);
        }
        return backward === undefined ? output : backward.watchOutputs(output);
      } catch (error) {
        for (const entry of entriesOf(module, 'post').filter((e) => e.always && !ran.has(e))) {
          try {
            output = runPost(module, args, output, [entry]);
          } catch {
            // The first error is the one to know; torch warns of these and goes on too.
          }
        }
        throw error;
      }
    },
  });
};

export const addHook = <K extends HookKind>(
  module: Module,
  kind: K,
  hook: Hook[K],
  { prepend = false, always = false }: { readonly prepend?: boolean; readonly always?: boolean } = {},
): RemovableHandle => {
  let own = hooks.get(module);
  if (own === undefined) {
    own = new Map();
    hooks.set(module, own);
    wrapForward(module);
  }
  const list = own.get(SLOT[kind]) ?? [];
  own.set(SLOT[kind], list);
  const entry: Entry = { kind, hook, always };
  if (prepend) list.unshift(entry);
  else list.push(entry);
  return {
    remove: () => {
      const at = list.indexOf(entry);
      if (at >= 0) list.splice(at, 1);
    },
  };
};
