/** @file Containers: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict. */
import { JorchError } from '../runtime/errors.js';
import type { Tensor } from '../torch/python-types.js';
import { isIterable } from './arguments.js';
import { FIELDS, type FieldSource, isModule, SET_FIELD, setLists } from './fields.js';
import { Module } from './module.js';
import { isParameter, Parameter } from './parameter.js';
import { FOLDS } from './repr.js';

const checkModule = (name: string, value: unknown): void => {
  if (!isModule(value))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: expected modules, got ${value === null ? 'null' : typeof value === 'object' ? value.constructor.name : typeof value}`,
    );
};

/** An index, also from the end. */
const place = (name: string, index: number, length: number): number => {
  const at = index < 0 ? index + length : index;
  if (!Number.isInteger(index) || at < 0 || at >= length)
    throw new JorchError('BAD_ARGUMENT', `${name}: index ${index} is out of range for ${length} items`);
  return at;
};

/** Modules in order, as an array: iterate over it, or call `at(i)`. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html */
export class ModuleList<M extends Module = Module> extends Module implements FieldSource {
  private readonly items: M[];
  readonly [FOLDS] = true;
  /** A ModuleList keeps the array that it is given: what is pushed to it later belongs to the list. */
  constructor(modules: Iterable<M> = []) {
    super();
    if (!isIterable(modules))
      throw new JorchError('BAD_ARGUMENT', `ModuleList: expected modules, got ${typeof modules}`);
    this.items = Array.isArray(modules) ? (modules as M[]) : [...modules];
    for (const module of this.items) checkModule('ModuleList', module);
  }
  override _get_name(): string {
    return 'ModuleList';
  }
  get length(): number {
    return this.items.length;
  }
  at(index: number): M {
    return this.items[place('ModuleList', index, this.items.length)]!;
  }
  append(module: M): this {
    checkModule('ModuleList', module);
    this.items.push(module);
    return this;
  }
  extend(modules: Iterable<M>): this {
    for (const module of modules) this.append(module);
    return this;
  }
  insert(index: number, module: M): void {
    checkModule('ModuleList', module);
    this.items.splice(index, 0, module);
  }
  [Symbol.iterator](): IterableIterator<M> {
    return this.items[Symbol.iterator]();
  }
  *[FIELDS](): Generator<readonly [string, M]> {
    for (const [i, item] of this.items.entries()) yield [String(i), item];
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.items[Number(name)] = value as M;
  }
}

/** Modules by name. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html */
export class ModuleDict<M extends Module = Module> extends Module implements FieldSource {
  private readonly named = new Map<string, M>();
  constructor(modules: Readonly<Record<string, M>> | Iterable<readonly [string, M]> = {}) {
    super();
    this.update(modules);
  }
  get size(): number {
    return this.named.size;
  }
  get(name: string): M {
    const found = this.named.get(name);
    if (found === undefined)
      throw new JorchError('BAD_ARGUMENT', `ModuleDict: no '${name}'; there are ${[...this.named.keys()].join(', ')}`);
    return found;
  }
  set(name: string, module: M): this {
    checkModule('ModuleDict', module);
    this.named.set(name, module);
    return this;
  }
  has(name: string): boolean {
    return this.named.has(name);
  }
  delete(name: string): boolean {
    return this.named.delete(name);
  }
  update(modules: Readonly<Record<string, M>> | Iterable<readonly [string, M]>): void {
    if (typeof modules !== 'object' || modules === null)
      throw new JorchError('BAD_ARGUMENT', `ModuleDict: expected modules by name, got ${typeof modules}`);
    const pairs = Symbol.iterator in modules ? (modules as Iterable<readonly [string, M]>) : Object.entries(modules);
    for (const [name, module] of pairs) this.set(name, module);
  }
  keys(): IterableIterator<string> {
    return this.named.keys();
  }
  values(): IterableIterator<M> {
    return this.named.values();
  }
  [Symbol.iterator](): IterableIterator<[string, M]> {
    return this.named.entries();
  }
  [FIELDS](): Iterable<readonly [string, M]> {
    return this.named;
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.named.set(name, value as M);
  }
}

/**
 * Modules run one after the other. Named ones come as an object.
 * @example new nn.Sequential(new nn.Linear(2, 8), new nn.ReLU(), new nn.Linear(8, 1)).forward(x)
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
 */
export class Sequential extends Module implements FieldSource {
  private readonly named = new Map<string, Module>();
  constructor(...modules: readonly Module[] | readonly [Readonly<Record<string, Module>>]) {
    super();
    const [first] = modules;
    if (modules.length === 1 && !isModule(first) && typeof first === 'object' && first !== null) {
      for (const [name, module] of Object.entries(first)) this.put(name, module);
    } else for (const module of modules) this.append(module as Module);
  }
  private put(name: string, module: unknown): void {
    checkModule('Sequential', module);
    this.named.set(name, module as Module);
  }
  get length(): number {
    return this.named.size;
  }
  at(index: number): Module {
    return [...this.named.values()][place('Sequential', index, this.named.size)]!;
  }
  append(module: Module): this {
    this.put(String(this.named.size), module);
    return this;
  }
  extend(modules: Iterable<Module>): this {
    for (const module of modules) this.append(module);
    return this;
  }
  [Symbol.iterator](): IterableIterator<Module> {
    return this.named.values();
  }
  [FIELDS](): Iterable<readonly [string, Module]> {
    return this.named;
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.put(name, value);
  }
  override forward(input: Tensor): Tensor {
    let value: Tensor = input;
    for (const module of this.named.values()) value = module.forward(value) as Tensor;
    return value;
  }
}

const describeParameter = (name: string, p: Tensor): string =>
  `(${name}): Parameter containing: [torch.${p.dtype} of size ${p.shape.join('x')}]`;

/** Parameters in order; a plain tensor becomes one. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html */
export class ParameterList extends Module implements FieldSource {
  private readonly items: Parameter[];
  constructor(values: Iterable<Tensor> = []) {
    super();
    const given = [...values];
    this.items =
      Array.isArray(values) && given.every(isParameter)
        ? (values as Parameter[])
        : given.map((v) => (isParameter(v) ? v : new Parameter(v)));
  }
  override _get_name(): string {
    return 'ParameterList';
  }
  get length(): number {
    return this.items.length;
  }
  at(index: number): Parameter {
    return this.items[place('ParameterList', index, this.items.length)]!;
  }
  append(value: Tensor): this {
    this.items.push(isParameter(value) ? value : new Parameter(value));
    return this;
  }
  extend(values: Iterable<Tensor>): this {
    if (!isIterable(values))
      throw new JorchError('BAD_ARGUMENT', `ParameterList: expected parameters, got ${typeof values}`);
    for (const value of values) this.append(value);
    return this;
  }
  [Symbol.iterator](): IterableIterator<Parameter> {
    return this.items[Symbol.iterator]();
  }
  *[FIELDS](): Generator<readonly [string, Parameter]> {
    for (const [i, item] of this.items.entries()) yield [String(i), item];
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.items[Number(name)] = value as Parameter;
  }
  override extra_repr(): string {
    return this.items.map((p, i) => describeParameter(String(i), p)).join('\n');
  }
}

/** Parameters by name; a plain tensor becomes one. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html */
export class ParameterDict extends Module implements FieldSource {
  private readonly named = new Map<string, Parameter>();
  constructor(values: Readonly<Record<string, Tensor>> = {}) {
    super();
    for (const [name, value] of Object.entries(values)) this.set(name, value);
  }
  get size(): number {
    return this.named.size;
  }
  get(name: string): Parameter {
    const found = this.named.get(name);
    if (found === undefined)
      throw new JorchError(
        'BAD_ARGUMENT',
        `ParameterDict: no '${name}'; there are ${[...this.named.keys()].join(', ')}`,
      );
    return found;
  }
  set(name: string, value: Tensor): this {
    this.named.set(name, isParameter(value) ? value : new Parameter(value));
    return this;
  }
  has(name: string): boolean {
    return this.named.has(name);
  }
  keys(): IterableIterator<string> {
    return this.named.keys();
  }
  [Symbol.iterator](): IterableIterator<[string, Parameter]> {
    return this.named.entries();
  }
  [FIELDS](): Iterable<readonly [string, Parameter]> {
    return this.named;
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.named.set(name, value as Parameter);
  }
  override extra_repr(): string {
    return [...this.named].map(([name, p]) => describeParameter(name, p)).join('\n');
  }
}

setLists({
  ofModules: (items) => new ModuleList(items as Module[]),
  ofParameters: (items) => new ParameterList(items as Parameter[]),
});
