/** @file nn.Module: what every layer and model is. */
import { inspect } from 'node:util';
import { readLive, setLive } from '../compile/live.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { isComplex, isFloating } from '../torch/dtype.js';
import type { RemovableHandle } from '../torch/hooks.js';
import { keep } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import type { DeviceLike, DType, Tensor } from '../torch/python-types.js';
import { MODULE, type ModuleState, ownBuffers, ownChildren, ownParameters, STATE, setField } from './fields.js';
import { addHook, type Hook } from './hooks.js';
import { isParameter, type Parameter } from './parameter.js';
import { describeModule } from './repr.js';
import { watchForward } from './slots.js';
import { type IncompatibleKeys, loadStateDict, type StateDict, stateDict } from './state-dict.js';

/** Visits `module` and everything below it, depth first, each module once unless told otherwise. */
function* walk(
  module: Module,
  prefix: string,
  seen: Set<Module> | undefined,
): Generator<[name: string, module: Module]> {
  if (seen?.has(module)) return;
  seen?.add(module);
  yield [prefix, module];
  for (const [name, child] of ownChildren(module)) yield* walk(child, prefix === '' ? name : `${prefix}.${name}`, seen);
}

const dotted = (prefix: string, name: string): string => (prefix === '' ? name : `${prefix}.${name}`);

/** Follows a dotted path of children. */
const follow = (root: Module, path: string): Module => {
  let module = root;
  for (const part of path === '' ? [] : path.split('.')) {
    const next = [...ownChildren(module)].find(([name]) => name === part)?.[1];
    if (next === undefined)
      throw new JorchError('BAD_ARGUMENT', `get_submodule: ${module._get_name()} has no child '${part}' ('${path}')`);
    module = next;
  }
  return module;
};

const splitPath = (path: string): [module: string, field: string] => {
  const at = path.lastIndexOf('.');
  return at < 0 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
};

/**
 * The base of every layer and model. A subclass defines `forward`; its parameters (`nn.Parameter`), buffers and child modules are
 * found in its own fields when asked for; an array of modules in a field counts as a ModuleList, an array of parameters as a ParameterList.
 * Call `model.forward(x)`: hooks run.
 * @example
 * class Net extends nn.Module {
 *   hidden = new nn.Linear(4, 8);
 *   out = new nn.Linear(8, 1);
 *   override forward(x: Tensor): Tensor { return this.out.forward(this.hidden.forward(x).relu()); }
 * }
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html
 */
export class Module {
  declare readonly [STATE]: ModuleState;

  constructor() {
    Object.defineProperty(this, STATE, { value: { training: true, buffers: new Map() } satisfies ModuleState });
    watchForward(new.target.prototype, Module.prototype);
  }

  /** What the module computes. */
  // biome-ignore lint/suspicious/noExplicitAny: a subclass says which arguments and results
  forward(..._args: any[]): any {
    throw new JorchError('BAD_ARGUMENT', `${this._get_name()} has no forward(): define one in the class`);
  }

  /** Whether dropout drops and batch norm uses the batch's statistics. A compiled function notices when it changes. */
  get training(): boolean {
    return readLive(this, 'training', this[STATE].training);
  }
  set training(mode: boolean) {
    setLive(this, 'training');
    this[STATE].training = mode;
  }

  /** Puts this module and all below it into training mode, or out of it. */
  train(mode = true): this {
    if (typeof mode !== 'boolean')
      throw new JorchError('BAD_ARGUMENT', 'train: training mode is expected to be boolean');
    for (const module of this.modules()) module.training = mode;
    return this;
  }
  eval(): this {
    return this.train(false);
  }

  children(): Module[] {
    return this.named_children().map(([, child]) => child);
  }
  /** Child modules with the names of their fields, each once. */
  named_children(): [name: string, child: Module][] {
    const seen = new Set<Module>();
    return [...ownChildren(this)].filter(([, child]) => {
      const fresh = !seen.has(child);
      seen.add(child);
      return fresh;
    });
  }
  modules(): Module[] {
    return this.named_modules().map(([, module]) => module);
  }
  /** This module (under the name '') and everything below, with dotted names. */
  named_modules(prefix = '', { remove_duplicate = true } = {}): [name: string, module: Module][] {
    return [...walk(this, prefix, remove_duplicate ? new Set() : undefined)];
  }

  parameters(recurse = true): Parameter[] {
    return this.named_parameters('', { recurse }).map(([, parameter]) => parameter);
  }
  /** Parameters with dotted names, those of this module first; a parameter that two modules share is listed once. */
  named_parameters(
    prefix = '',
    { recurse = true, remove_duplicate = true } = {},
  ): [name: string, parameter: Parameter][] {
    return this.members(ownParameters, prefix, recurse, remove_duplicate);
  }
  buffers(recurse = true): Tensor[] {
    return this.named_buffers('', { recurse }).map(([, buffer]) => buffer);
  }
  named_buffers(prefix = '', { recurse = true, remove_duplicate = true } = {}): [name: string, buffer: Tensor][] {
    return this.members(ownBuffers, prefix, recurse, remove_duplicate);
  }

  private members(
    own: (module: Module) => Iterable<readonly [name: string, tensor: Tensor, ...unknown[]]>,
    prefix: string,
    recurse: boolean,
    once: boolean,
  ): [name: string, tensor: Tensor][] {
    const seen = new Set<Tensor>();
    const modules: [string, Module][] = recurse
      ? this.named_modules(prefix, { remove_duplicate: once })
      : [[prefix, this]];
    const found: [string, Tensor][] = [];
    for (const [path, module] of modules) {
      for (const [name, tensor] of own(module)) {
        if (once && seen.has(tensor)) continue;
        seen.add(tensor);
        found.push([dotted(path, name), tensor]);
      }
    }
    return found;
  }

  /** Makes `this[name]` a parameter, or null for one that the module does without. */
  register_parameter(name: string, parameter: Parameter | null): void {
    if (parameter !== null && !isParameter(parameter))
      throw new JorchError('BAD_ARGUMENT', `register_parameter: '${name}' must be an nn.Parameter or null`);
    setField(this, name, parameter);
  }
  /** Makes `this[name]` a buffer, also when another tensor is put there later; part of the state dict unless `persistent` is false. */
  register_buffer(name: string, tensor: Tensor | null, persistent = true): void {
    if (tensor !== null && !native().isTensor(tensor))
      throw new JorchError('BAD_ARGUMENT', `register_buffer: '${name}' must be a tensor or null`);
    this[STATE].buffers.set(name, { persistent });
    setField(this, name, tensor === null ? null : keep(tensor));
  }
  register_module(name: string, module: Module): void {
    setField(this, name, module);
  }
  add_module(name: string, module: Module): void {
    this.register_module(name, module);
  }

  get_submodule(path: string): Module {
    return follow(this, path);
  }
  /** Puts `module` in the place of the child at a dotted path; `strict`: only where there is one. */
  set_submodule(path: string, module: Module, { strict = false } = {}): void {
    const [owner, field] = splitPath(path);
    if (field === '') throw new JorchError('BAD_ARGUMENT', 'set_submodule: the path of a child is needed');
    if (strict) follow(this, path);
    if (!(MODULE in module)) throw new JorchError('BAD_ARGUMENT', `set_submodule: '${path}' must become an nn.Module`);
    setField(follow(this, owner), field, module);
  }
  get_parameter(path: string): Parameter {
    const [owner, field] = splitPath(path);
    for (const [name, parameter] of ownParameters(follow(this, owner))) if (name === field) return parameter;
    throw new JorchError('BAD_ARGUMENT', `get_parameter: there is no parameter '${path}' in ${this._get_name()}`);
  }
  get_buffer(path: string): Tensor {
    const [owner, field] = splitPath(path);
    for (const [name, buffer] of ownBuffers(follow(this, owner))) if (name === field) return buffer;
    throw new JorchError('BAD_ARGUMENT', `get_buffer: there is no buffer '${path}' in ${this._get_name()}`);
  }

  /** Parameters and persistent buffers by dotted name, under PyTorch's names; they share the module's memory. */
  state_dict({ prefix = '', keep_vars = false }: { prefix?: string; keep_vars?: boolean } = {}): StateDict {
    return stateDict(this, prefix, keep_vars);
  }
  /**
   * Copies a state dict's values into this module's parameters and buffers.
   * @param options.strict false: missing and unexpected names are reported, not refused.
   * @param options.assign put the given tensors into the fields instead of copying their values.
   * @throws JorchError BAD_ARGUMENT that lists missing and unexpected names and shapes that do not fit.
   */
  load_state_dict(
    state: Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>,
    { strict = true, assign = false }: { strict?: boolean; assign?: boolean } = {},
  ): IncompatibleKeys {
    return loadStateDict(this, state, strict, assign);
  }

  /** Runs `fn` on every module below this one, then on this one. */
  apply(fn: (module: Module) => void): this {
    for (const [, child] of ownChildren(this)) child.apply(fn);
    fn(this);
    return this;
  }

  /** Replaces the memory of every parameter, gradient and buffer; the tensors stay the same objects. */
  _apply(fn: (tensor: Tensor) => Tensor): this {
    const seen = new Set<Tensor>();
    const change = (tensor: Tensor): void => {
      if (seen.has(tensor)) return;
      seen.add(tensor);
      const { grad } = tensor;
      tensor.data = fn(tensor.data);
      if (grad !== null) {
        tensor.grad = null;
        grad.data = fn(grad.data);
        tensor.grad = grad;
      }
    };
    no_grad(() => {
      for (const module of this.modules()) {
        for (const [, parameter] of ownParameters(module)) change(parameter);
        for (const [, buffer] of ownBuffers(module)) change(buffer);
      }
    });
    return this;
  }

  /** Moves parameters and buffers to a device, and the floating and complex ones to a dtype, in place. */
  to(
    target: DType | DeviceLike | Tensor | { device?: DeviceLike | undefined; dtype?: DType | undefined },
    dtype?: DType,
  ): this {
    const options = toOptions(target, dtype);
    if (options.dtype !== undefined && !isFloating(options.dtype) && !isComplex(options.dtype))
      throw new JorchError('BAD_ARGUMENT', `to: a module takes floating or complex dtypes, not ${options.dtype}`);
    return this._apply((tensor) => {
      const floats = tensor.is_floating_point() || tensor.is_complex();
      return tensor.to({
        ...(options.device === undefined ? {} : { device: String(options.device) }),
        ...(options.dtype === undefined || !floats ? {} : { dtype: options.dtype }),
      });
    });
  }
  cpu(): this {
    return this.to('cpu');
  }
  cuda(index = 0): this {
    return this.to(`cuda:${index}`);
  }
  float(): this {
    return this.to('float32');
  }
  double(): this {
    return this.to('float64');
  }
  half(): this {
    return this.to('float16');
  }
  bfloat16(): this {
    return this.to('bfloat16');
  }

  requires_grad_(requires_grad = true): this {
    for (const parameter of this.parameters()) parameter.requires_grad_(requires_grad);
    return this;
  }
  /** Forgets the parameters' gradients, or sets them to zero. */
  zero_grad({ set_to_none = true }: { set_to_none?: boolean } = {}): void {
    for (const parameter of this.parameters()) {
      if (parameter.grad === null) continue;
      if (set_to_none) {
        parameter.grad = null;
        continue;
      }
      if (parameter.grad.grad_fn !== null) parameter.grad = parameter.grad.detach();
      const { grad } = parameter;
      no_grad(() => grad?.zero_());
    }
  }

  /**
   * `hook(module, args)` runs before forward; what it returns (an array, or the one argument) replaces the arguments.
   * With `with_kwargs` it is `hook(module, args, kwargs)` and returns nothing or `[args, kwargs]`: keywords are a last plain object.
   * `prepend`: before the hooks that are there.
   */
  register_forward_pre_hook(hook: Hook['pre'], options?: { prepend?: boolean; with_kwargs?: false }): RemovableHandle;
  register_forward_pre_hook(
    hook: Hook['preKeywords'],
    options: { prepend?: boolean; with_kwargs: true },
  ): RemovableHandle;
  register_forward_pre_hook(
    hook: Hook['pre'] | Hook['preKeywords'],
    { prepend = false, with_kwargs = false } = {},
  ): RemovableHandle {
    return addHook(this, with_kwargs ? 'preKeywords' : 'pre', hook as never, { prepend });
  }
  /**
   * `hook(module, args, output)` runs after forward; what it returns, if anything, replaces the output. With `with_kwargs` it is
   * `hook(module, args, kwargs, output)`. `always_call`: also when forward throws, with the output so far.
   */
  register_forward_hook(
    hook: Hook['post'],
    options?: { prepend?: boolean; with_kwargs?: false; always_call?: boolean },
  ): RemovableHandle;
  register_forward_hook(
    hook: Hook['postKeywords'],
    options: { prepend?: boolean; with_kwargs: true; always_call?: boolean },
  ): RemovableHandle;
  register_forward_hook(
    hook: Hook['post'] | Hook['postKeywords'],
    { prepend = false, with_kwargs = false, always_call = false } = {},
  ): RemovableHandle {
    return addHook(this, with_kwargs ? 'postKeywords' : 'post', hook as never, { prepend, always: always_call });
  }
  /**
   * `hook(module, grad_input, grad_output)` runs when the gradients of the module's tensor arguments are known; gradients that it returns replace
   * grad_input. Both are arrays with null for what has no gradient. Tensors inside arrays or objects are not watched, as in torch.
   * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_hook
   */
  register_full_backward_hook(hook: Hook['backward'], { prepend = false } = {}): RemovableHandle {
    return addHook(this, 'backward', hook, { prepend });
  }
  /** `hook(module, grad_output)` runs before the module's backward; gradients that it returns replace grad_output. */
  register_full_backward_pre_hook(hook: Hook['backwardPre'], { prepend = false } = {}): RemovableHandle {
    return addHook(this, 'backwardPre', hook, { prepend });
  }
  /** `hook(module, prefix, keep_vars)` runs before the state dict of this module is made. */
  register_state_dict_pre_hook(hook: Hook['beforeState']): RemovableHandle {
    return addHook(this, 'beforeState', hook);
  }
  /** `hook(module, state, prefix)` runs when the state dict of this module is complete, and may change it. */
  register_state_dict_post_hook(hook: Hook['state']): RemovableHandle {
    return addHook(this, 'state', hook);
  }
  /** `hook(module, state, prefix)` runs before this module's own tensors are loaded, and may change names in `state` (a copy). */
  register_load_state_dict_pre_hook(hook: Hook['load']): RemovableHandle {
    return addHook(this, 'load', hook);
  }
  /** `hook(module, keys)` runs when this module and everything below are loaded. */
  register_load_state_dict_post_hook(hook: Hook['loaded']): RemovableHandle {
    return addHook(this, 'loaded', hook);
  }

  _get_name(): string {
    return this.constructor.name;
  }
  /** What `toString()` writes between the parentheses. */
  extra_repr(): string {
    return '';
  }
  /** As PyTorch prints it. */
  toString(): string {
    return describeModule(this);
  }
  [inspect.custom](): string {
    return describeModule(this);
  }
}
Object.defineProperty(Module.prototype, MODULE, { value: true });

const DTYPE = /^(torch\.)?(float|bfloat|int|uint|bool|complex)/;
const toOptions = (target: unknown, dtype: DType | undefined): { device?: DeviceLike; dtype?: DType } => {
  if (native().isTensor(target)) return { device: target.device, dtype: target.dtype };
  if (typeof target === 'string')
    return DTYPE.test(target) ? { dtype: target as DType } : { device: target, ...(dtype && { dtype }) };
  if (typeof target === 'object' && target !== null && 'type' in target)
    return { device: target as DeviceLike, ...(dtype && { dtype }) };
  if (typeof target === 'object' && target !== null) return target as { device?: DeviceLike; dtype?: DType };
  throw new JorchError('BAD_ARGUMENT', `to: expected a dtype, device, tensor or options, got ${typeof target}`);
};
