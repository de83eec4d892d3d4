/** @file torch.nn.utils.parametrize: a parameter computed from others each time it is read. */
import { JorchError } from '../runtime/errors.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { ModuleDict } from './containers.js';
import { FIELDS, type FieldSource, SET_FIELD, setField } from './fields.js';
import { Module } from './module.js';
import { isParameter, Parameter } from './parameter.js';

/** `forward` of the original tensors gives the tensor; `right_inverse` of a tensor gives originals that lead to it. */
export interface Parametrization extends Module {
  readonly right_inverse?: ((value: Tensor) => Tensor | readonly Tensor[]) | undefined;
}

/** The originals of one parametrized tensor (`original`, or `original0`, `original1`, …) and its parametrizations in order. */
export class ParametrizationList extends Module implements FieldSource {
  private readonly originals = new Map<string, Tensor>();
  private readonly steps: Parametrization[] = [];
  private readonly single: boolean;
  constructor(first: Parametrization, value: Tensor) {
    super();
    const start = no_grad(() => first.right_inverse?.(value) ?? value);
    this.single = !Array.isArray(start);
    const tensors = this.single ? [start as Tensor] : (start as readonly Tensor[]);
    tensors.forEach((tensor, i) => {
      // The tensor itself stays the same object where it can: an optimizer may hold it.
      const own = tensor === value ? value : tensor;
      const kept = isParameter(value) && !isParameter(own) ? new Parameter(own, value.requires_grad) : own;
      this.originals.set(this.single ? 'original' : `original${i}`, kept);
    });
    this.steps.push(first);
  }
  append(step: Parametrization): void {
    this.steps.push(step);
  }
  get length(): number {
    return this.steps.length;
  }
  [Symbol.iterator](): IterableIterator<Parametrization> {
    return this.steps[Symbol.iterator]();
  }
  get original(): Tensor | undefined {
    return this.originals.get('original');
  }
  override forward(): Tensor {
    const [first, ...others] = this.steps;
    let value = first!.forward(...this.originals.values()) as Tensor;
    for (const step of others) value = step.forward(value) as Tensor;
    return value;
  }
  right_inverse(value: Tensor): void {
    no_grad(() => {
      let current: Tensor | readonly Tensor[] = value;
      for (const step of [...this.steps].reverse()) {
        if (step.right_inverse === undefined)
          throw new JorchError(
            'BAD_ARGUMENT',
            `parametrize: ${step._get_name()} has no right_inverse; the tensor cannot be assigned`,
          );
        current = step.right_inverse(current as Tensor);
      }
      const tensors = this.single ? [current as Tensor] : (current as readonly Tensor[]);
      for (const [i, original] of [...this.originals.values()].entries()) original.copy_(tensors[i]!);
    });
  }
  *[FIELDS](): Generator<readonly [string, unknown]> {
    yield* this.originals;
    for (const [i, step] of this.steps.entries()) yield [String(i), step];
  }
  [SET_FIELD](name: string, value: unknown): void {
    if (this.originals.has(name)) this.originals.set(name, value as Tensor);
    else this.steps[Number(name)] = value as Parametrization;
  }
}

type Parametrized = Module & { parametrizations?: ModuleDict<ParametrizationList> } & Record<string, unknown>;

let cache: Map<ParametrizationList, Tensor> | undefined;
/** Inside `fn` every parametrized tensor is computed once. */
export const cached = <T>(fn: () => T): T => {
  const outer = cache;
  cache ??= new Map();
  try {
    return fn();
  } finally {
    cache = outer;
  }
};
const presentValue = (list: ParametrizationList): Tensor => {
  if (cache === undefined) return list.forward();
  const value = cache.get(list) ?? list.forward();
  cache.set(list, value);
  return value;
};

export const is_parametrized = (module: Module, tensor_name?: string): boolean => {
  const lists = (module as Parametrized).parametrizations;
  return lists instanceof ModuleDict && (tensor_name === undefined || lists.has(tensor_name));
};

/**
 * Makes `module[tensor_name]` the result of `parametrization.forward(original)`. Several chain.
 * State dict names: `parametrizations.<name>.original`, or `original0`, … where `right_inverse` gives several.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html
 */
export const register_parametrization = <M extends Module>(
  module: M,
  tensor_name: string,
  parametrization: Parametrization,
  { unsafe = false }: { unsafe?: boolean } = {},
): M => {
  parametrization.train(module.training);
  const owner = module as unknown as Parametrized;
  if (is_parametrized(module, tensor_name)) {
    const list = owner.parametrizations!.get(tensor_name);
    if (parametrization.right_inverse !== undefined && list.original !== undefined) {
      const before = presentValue(list);
      no_grad(() => list.append(parametrization));
      list.right_inverse(before);
    } else list.append(parametrization);
    return module;
  }
  const value = owner[tensor_name] as Tensor | undefined;
  if (
    value === undefined ||
    !(isParameter(value) || module.named_buffers('', { recurse: false }).some(([n]) => n === tensor_name))
  )
    throw new JorchError(
      'BAD_ARGUMENT',
      `register_parametrization: ${module._get_name()} has no parameter or buffer '${tensor_name}'`,
    );
  const list = new ParametrizationList(parametrization, value);
  const now = no_grad(() => list.forward());
  if (!unsafe && (now.dtype !== value.dtype || now.shape.join() !== value.shape.join()))
    throw new JorchError(
      'BAD_ARGUMENT',
      `register_parametrization: the result has shape [${now.shape.join(', ')}] and dtype ${now.dtype}, '${tensor_name}' has [${value.shape.join(', ')}] and ${value.dtype}; { unsafe: true } allows it`,
    );
  if (owner.parametrizations === undefined) {
    owner.parametrizations = new ModuleDict<ParametrizationList>();
    const name = module._get_name();
    Object.defineProperty(module, '_get_name', { configurable: true, value: () => `Parametrized${name}` });
  }
  owner.parametrizations.set(tensor_name, list);
  Object.defineProperty(module, tensor_name, {
    configurable: true,
    enumerable: true,
    get(this: Parametrized): Tensor {
      return presentValue(this.parametrizations!.get(tensor_name));
    },
    set(this: Parametrized, next: Tensor) {
      this.parametrizations!.get(tensor_name).right_inverse(next);
    },
  });
  return module;
};

/** Puts a plain tensor back: its present value, or the original. */
export const remove_parametrizations = <M extends Module>(
  module: M,
  tensor_name: string,
  { leave_parametrized = true }: { leave_parametrized?: boolean } = {},
): M => {
  const owner = module as unknown as Parametrized;
  const list = is_parametrized(module, tensor_name) ? owner.parametrizations!.get(tensor_name) : undefined;
  if (list === undefined)
    throw new JorchError('BAD_ARGUMENT', `remove_parametrizations: '${tensor_name}' is not parametrized`);
  const { original } = list;
  if (!leave_parametrized && original === undefined)
    throw new JorchError('BAD_ARGUMENT', 'remove_parametrizations: several originals cannot stand for one tensor');
  const value = no_grad(() => list.forward());
  if (leave_parametrized && original !== undefined) no_grad(() => original.set_(value.clone()));
  owner.parametrizations!.delete(tensor_name);
  if (owner.parametrizations!.size === 0) {
    delete owner.parametrizations;
    delete (owner as Record<string, unknown>)['_get_name'];
  }
  delete owner[tensor_name];
  setField(module, tensor_name, original ?? new Parameter(value));
  return module;
};
