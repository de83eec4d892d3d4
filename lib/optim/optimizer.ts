/** @file What every optimizer is: groups, state, one step over all parameters, state dicts in PyTorch's form. */
import { inspect } from 'node:util';
import { isIterable } from '../nn/arguments.js';
import { JorchError } from '../runtime/errors.js';
import { fromOneLine } from '../runtime/lines.js';
import { native } from '../runtime/load.js';
import { isComplex } from '../torch/dtype.js';
import * as torch from '../torch/generated/ops.js';
import { keep } from '../torch/memory.js';
import { enable_grad, no_grad } from '../torch/modes.js';
import { isKeywords } from '../torch/python-call.js';
import type { Tensor } from '../torch/python-types.js';
import { isOn, makeGroup, number, type ParamGroup, pair, setOption } from './group.js';
import type { Quantity } from './numbers.js';

/** What an optimizer remembers about a parameter. */
export type State = Record<string, Tensor>;

/** Parameters, named parameters, or groups of them with options of their own. */
export type Params<O extends object> =
  | Iterable<Tensor>
  | Iterable<readonly [name: string, parameter: Tensor]>
  | readonly (Partial<O> & { params: Tensor | Iterable<Tensor> })[];

/** PyTorch's form: numbers stand for parameters, in the order of the groups. */
export interface OptimizerState {
  state: Map<number, Record<string, unknown>>;
  param_groups: (Record<string, unknown> & { params: number[] })[];
}

/** Options that PyTorch writes into every group's state; jorch has one implementation, which they do not change. */
export const IMPLEMENTATION = {
  maximize: false,
  foreach: null as boolean | null,
  capturable: false,
  differentiable: false,
};

/** A step's numbers for one group. */
export interface Numbers {
  /** The value of an option as a number, or as a 0-d tensor in a trace. */
  of(key: string): Quantity;
  /** Those of an option with two. */
  pair(key: string): readonly [Quantity, Quantity];
}

const listOf = (params: Tensor | Iterable<Tensor | readonly [string, Tensor]>): Tensor[] =>
  native().isTensor(params)
    ? [params]
    : [...(params as Iterable<Tensor | readonly [string, Tensor]>)].map((p) =>
        Array.isArray(p) ? (p as unknown as [string, Tensor])[1] : (p as Tensor),
      );

const OWN = new WeakSet<object>();
/** Classes whose updates are ours through and through: a trace says of all operators of a step that they come from the line that calls `step`. */
export const ownOptimizers = (...classes: readonly object[]): void => {
  for (const each of classes) OWN.add(each);
};

export type StepHook = (optimizer: Optimizer<object>) => void;

/**
 * The base of all optimizers: a subclass says how one parameter is updated. A step works eagerly and inside a compiled function,
 * where the numbers of the groups are inputs of the program: a changed learning rate is used without compiling again.
 * @see https://docs.pytorch.org/docs/stable/optim.html
 */
export abstract class Optimizer<O extends object> {
  readonly param_groups: ParamGroup<O>[] = [];
  readonly state = new Map<Tensor, State>();
  /** Parameters whose state was made and not used yet: PyTorch makes it at the first step, a trace needs it before. */
  private readonly unused = new Set<Tensor>();
  private readonly hooks: Record<'pre' | 'post', StepHook[]> = { pre: [], post: [] };

  constructor(
    params: Params<O>,
    readonly defaults: O,
  ) {
    if (!isIterable(params))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.name}: expected parameters, an array of tensors or of groups, got ${typeof params}`,
      );
    const given: unknown[] = native().isTensor(params) ? [params] : [...(params as Iterable<unknown>)];
    if (given.length === 0) throw new JorchError('BAD_ARGUMENT', `${this.name}: optimizer got an empty parameter list`);
    if (isKeywords(given[0])) for (const group of given) this.add_param_group(group as never);
    else this.add_param_group({ params: given as Tensor[] } as never);
  }

  protected get name(): string {
    return this.constructor.name;
  }

  /** Throws when an option has no meaning. */
  protected check(_options: O): void {}
  /** The state of a parameter before its first step. */
  protected abstract initial(parameter: Tensor, options: ParamGroup<O>): State;
  /** One step of one parameter, in place. Complex tensors come as pairs of reals. */
  protected abstract update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    group: ParamGroup<O>,
    numbers: Numbers,
  ): void;

  add_param_group(group: Partial<O> & { params: Tensor | Iterable<Tensor> }): void {
    const { params, ...options } = group;
    const list = listOf(params);
    const known = new Set(this.param_groups.flatMap((g) => g.params));
    for (const p of list) {
      if (!native().isTensor(p))
        throw new JorchError('BAD_ARGUMENT', `${this.name}: parameters must be tensors, got ${typeof p}`);
      if (!p.is_leaf) throw new JorchError('BAD_ARGUMENT', `${this.name}: can't optimize a non-leaf Tensor`);
      if (known.has(p))
        throw new JorchError('BAD_ARGUMENT', `${this.name}: some parameters appear in more than one parameter group`);
      known.add(p);
    }
    for (const key of Object.keys(options)) {
      if (!(key in this.defaults) && key !== 'initial_lr')
        throw new JorchError(
          'BAD_ARGUMENT',
          `${this.name}: unknown option '${key}'; there are ${Object.keys(this.defaults).join(', ')}`,
        );
    }
    const full = { ...this.defaults, ...options } as O;
    this.check(full);
    const made = makeGroup(list, full);
    this.param_groups.push(made);
    if (native().isTracing()) return;
    for (const p of list) if (p.requires_grad) this.prepare(p, made);
  }

  private prepare(parameter: Tensor, group: ParamGroup<O>): State {
    const state = no_grad(() => this.initial(parameter, group));
    keep(Object.values(state));
    this.state.set(parameter, state);
    this.unused.add(parameter);
    return state;
  }

  /** The state to update; what was prepared for a parameter of another dtype or shape is made anew. */
  private stateOf(parameter: Tensor, group: ParamGroup<O>): State {
    let state = this.state.get(parameter);
    if (state !== undefined && this.unused.has(parameter)) {
      const stale = Object.values(state).some(
        (t) => t.ndim === parameter.ndim && t.ndim > 0 && t.dtype !== parameter.dtype,
      );
      if (stale) state = undefined;
    }
    state ??= this.prepare(parameter, group);
    this.unused.delete(parameter);
    return state;
  }

  /** Whether an option is a number other than 0: a traced update has other operators then. */
  protected isOn(group: ParamGroup<O>, key: keyof O & string): boolean {
    return isOn(group, key);
  }

  /**
   * Updates every parameter that has a gradient.
   * @param closure computes the loss anew, with gradients; its value is returned.
   */
  step(): undefined;
  step(closure: () => Tensor): Tensor;
  step(closure?: () => Tensor): Tensor | undefined {
    for (const hook of this.hooks.pre) hook(this as unknown as Optimizer<object>);
    const loss = closure === undefined ? undefined : enable_grad(closure);
    const update = (): void => no_grad(() => this.all());
    // A class of the user's has lines of its own.
    if (OWN.has(this.constructor)) fromOneLine(update);
    else update();
    for (const hook of this.hooks.post) hook(this as unknown as Optimizer<object>);
    return loss;
  }

  private all(): void {
    for (const group of this.param_groups) {
      const numbers: Numbers = {
        of: (key) => number(group, key),
        pair: (key) => pair(group, key),
      };
      for (const parameter of group.params) {
        const { grad } = parameter;
        if (grad !== null) this.one(parameter, grad, group, numbers);
      }
    }
  }

  private one(parameter: Tensor, grad: Tensor, group: ParamGroup<O>, numbers: Numbers): void {
    const state = this.stateOf(parameter, group);
    const maximize = (group as { maximize?: boolean }).maximize === true;
    const signed = maximize ? grad.neg() : grad;
    if (!isComplex(parameter.dtype)) {
      this.update(parameter, signed, state, group, numbers);
      return;
    }
    const reals = Object.fromEntries(
      Object.entries(state).map(([key, t]) => [key, isComplex(t.dtype) ? torch.view_as_real(t) : t]),
    );
    this.update(torch.view_as_real(parameter), torch.view_as_real(signed), reals, group, numbers);
  }

  /** Forgets all gradients, or sets them to zero. */
  zero_grad({ set_to_none = true }: { set_to_none?: boolean } = {}): void {
    for (const { params } of this.param_groups) {
      for (const p of params) {
        if (p.grad === null) continue;
        if (set_to_none) p.grad = null;
        else {
          const { grad } = p;
          no_grad(() => grad.zero_());
        }
      }
    }
  }

  register_step_pre_hook(hook: StepHook): { remove(): void } {
    return this.hook('pre', hook);
  }
  register_step_post_hook(hook: StepHook): { remove(): void } {
    return this.hook('post', hook);
  }
  private hook(when: 'pre' | 'post', hook: StepHook): { remove(): void } {
    this.hooks[when].push(hook);
    return {
      remove: () => {
        this.hooks[when] = this.hooks[when].filter((h) => h !== hook);
      },
    };
  }

  /** Everything needed to go on later, in PyTorch's form. Tensors are the optimizer's own: `save` writes them, clone() keeps them. */
  state_dict(): OptimizerState {
    const all = this.param_groups.flatMap((g) => g.params);
    const number = new Map(all.map((p, i) => [p, i]));
    const state: OptimizerState['state'] = new Map();
    for (const [i, p] of all.entries()) {
      const own = this.state.get(p);
      if (own !== undefined && !this.unused.has(p) && Object.keys(own).length > 0) state.set(i, { ...own });
    }
    return {
      state,
      param_groups: this.param_groups.map((group) => ({ ...group, params: group.params.map((p) => number.get(p)!) })),
    };
  }

  /**
   * Takes over a state dict, PyTorch's or jorch's. Values are copied into the tensors that are there, so that a compiled step goes on with them.
   * @throws JorchError BAD_ARGUMENT when the groups do not fit.
   */
  load_state_dict(saved: {
    readonly state: Readonly<Record<string, Readonly<Record<string, unknown>>>> | ReadonlyMap<unknown, unknown>;
    readonly param_groups: readonly Readonly<Record<string, unknown>>[];
  }): void {
    if (saved.param_groups.length !== this.param_groups.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this.name}: loaded state dict has a different number of parameter groups`,
      );
    const places = new Map<string, [Tensor, ParamGroup<O>]>();
    this.param_groups.forEach((group, i) => {
      const params = saved.param_groups[i]!['params'] as readonly unknown[];
      if (params.length !== group.params.length)
        throw new JorchError(
          'BAD_ARGUMENT',
          `${this.name}: loaded state dict contains a parameter group that doesn't match the size of optimizer's group`,
        );
      group.params.forEach((p, k) => void places.set(String(params[k]), [p, group]));
    });
    const entries = saved.state instanceof Map ? [...saved.state] : Object.entries(saved.state);
    for (const [id, values] of entries) {
      const place = places.get(String(id));
      if (place !== undefined) this.restore(place[0], place[1], toRecord(values));
    }
    this.param_groups.forEach((group, i) => {
      for (const [key, value] of Object.entries(saved.param_groups[i]!)) {
        if (key !== 'params' && key !== 'param_names') setOption(group, key, value);
      }
    });
    this.restored();
  }
  /** Runs after a state dict was loaded. */
  protected restored(): void {}

  private restore(parameter: Tensor, group: ParamGroup<O>, values: Record<string, unknown>): void {
    const own = this.state.get(parameter) ?? this.prepare(parameter, group);
    this.unused.delete(parameter);
    for (const [key, value] of Object.entries(values)) {
      const there = own[key];
      if (value === null || value === undefined) continue;
      const given = native().isTensor(value) ? value : torch.scalar_tensor(Number(value), { dtype: 'float32' });
      if (there !== undefined && there.shape.join() === given.shape.join()) no_grad(() => there.copy_(given));
      else own[key] = keep(no_grad(() => given.detach().clone()));
    }
  }

  /** As PyTorch prints it. */
  toString(): string {
    const lines = this.param_groups.flatMap((group, i) => [
      `Parameter Group ${i}`,
      ...Object.entries(group)
        .filter(([key]) => key !== 'params')
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => `    ${key}: ${show(value)}`),
    ]);
    return `${this.name} (\n${lines.join('\n')}\n)`;
  }
  [inspect.custom](): string {
    return this.toString();
  }
}

const toRecord = (values: unknown): Record<string, unknown> =>
  values instanceof Map ? Object.fromEntries(values) : (values as Record<string, unknown>);

const show = (value: unknown): string => {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return Array.isArray(value) ? `(${value.join(', ')})` : String(value);
};

/** A 0-d float32 counter. */
export const counter = (value = 0): Tensor => eager([], () => torch.scalar_tensor(value, { dtype: 'float32' }), value);

/** Zeros like a parameter, outside of any trace. */
export const zerosLike = (p: Tensor): Tensor => {
  if (!native().isTracing()) return torch.zeros_like(p, { memory_format: 'preserve_format' });
  return native().fromBuffer(new Uint8Array(p.nbytes), p.dtype, p.shape);
};
const eager = (shape: readonly number[], make: () => Tensor, value: number): Tensor =>
  native().isTracing() ? native().fromBuffer(Float32Array.of(value), 'float32', shape) : make();

/** The step that begins now: a number in eager, the counter as float64 in a trace. */
export const advance = (step: Tensor): Quantity => {
  step.add_(1);
  return native().isTracing() ? step.to('float64') : step.item();
};
