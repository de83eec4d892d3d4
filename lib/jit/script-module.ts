/** @file A TorchScript object as an nn.Module. */
import { isRecording, readLive, readSlot } from '../compile/live.js';
import type { ScriptHandle, ScriptObject } from '../native.js';
import { COPY, FIELDS, type FieldSource, SET_FIELD, STATE } from '../nn/fields.js';
import { Module } from '../nn/module.js';
import { isParameter, markParameter } from '../nn/parameter.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { keep } from '../torch/memory.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';

/** What the modules of one file share. */
class ScriptProgram {
  readonly modules: ScriptModule[] = [];
  /** The tensors of all places, by number; null where a script keeps None. */
  readonly held: (Tensor | null)[];

  constructor(
    readonly script: ScriptHandle,
    tensors: readonly Tensor[],
    places: readonly number[],
  ) {
    this.held = places.map((index) => (index < 0 ? null : keep(tensors[index]!)));
  }
  /** The attributes that compiled programs depend on, those that scripts or callers change. */
  get state(): string {
    return native().scriptKey(this.script);
  }
  hold(place: number, tensor: Tensor | null): void {
    this.held[place] = tensor === null ? null : keep(tensor);
  }
  /** The script keeps another tensor than the one that it was given: the same JavaScript object stands for it, where it can. */
  private change(place: number, now: Tensor | null): void {
    const before = this.held[place]!;
    const sameKind =
      before !== null && now !== null && before.dtype === now.dtype && before.is_inference() === now.is_inference();
    if (sameKind && !before.requires_grad && !now.requires_grad) before.data = now;
    else this.hold(place, now);
  }
  /** A program of its own with copies of all tensors. */
  copy(): ScriptProgram {
    const program = open(native().copyScript(this.script));
    no_grad(() => {
      for (const [place, tensor] of this.held.entries()) {
        const own = program.held[place];
        if (tensor === null || own === null || own === undefined)
          program.hold(place, tensor === null ? null : tensor.clone());
        else {
          own.data = tensor.detach().clone();
          own.requires_grad_(tensor.requires_grad && isParameter(tensor));
        }
      }
    });
    for (const [i, module] of program.modules.entries()) module[STATE].training = this.modules[i]![STATE].training;
    return program;
  }
  call(object: number, method: string, args: readonly unknown[]): unknown {
    if (isRecording()) {
      readLive(this, 'state', this.state);
      for (const [place, tensor] of this.held.entries()) readSlot('script', this.held, place, tensor);
    }
    const { result, changes } = native().callScript(this.script, object, method, args, this.held);
    for (const [place, now] of changes) this.change(place, now);
    return result;
  }
}

const PROGRAM = Symbol('jorch.jit.program');

/**
 * A module whose methods are TorchScript: what `jit.load` gives, and its submodules. Parameters, buffers and submodules have their names in
 * Python; other attributes of the script are properties. Tensors, numbers, texts, arrays (lists and tuples), plain objects and Maps (dicts) and
 * null go in and out as the script declares them.
 */
export class ScriptModule extends Module implements FieldSource {
  // biome-ignore lint/suspicious/noExplicitAny: attributes and methods are the script's own
  [name: string]: any;
  declare private readonly [PROGRAM]: ScriptProgram;
  readonly #number: number;
  readonly #object: ScriptObject;
  /** Parameters, buffers and modules: name → the number of its place or object. */
  readonly #places = new Map<string, number>();
  readonly #modules = new Map<string, number>();

  constructor(program: ScriptProgram, number: number, object: ScriptObject) {
    super();
    Object.defineProperty(this, PROGRAM, { value: program });
    this.#number = number;
    this.#object = object;
    const properties: PropertyDescriptorMap = {};
    const property = (name: string, get: () => unknown, set: (value: never) => void): void => {
      // What nn.Module has keeps its meaning.
      if (!(name in this)) properties[name] = { get, set, configurable: true };
    };
    for (const slot of object.slots) {
      const { name, kind } = slot;
      if (!('index' in slot)) {
        if (name === 'training') this[STATE].training = this.value(name) as boolean;
        property(
          name,
          () => this.value(name),
          (value) => this.setValue(name, value),
        );
      } else if (kind === 'module') {
        this.#modules.set(name, slot.index);
        property(
          name,
          () => program.modules[slot.index],
          () => this.refuse(name),
        );
      } else {
        if (kind !== 'tensor') this.#places.set(name, slot.index);
        const tensor = program.held[slot.index]!;
        if (kind === 'parameter' && tensor !== null) markParameter(tensor);
        if (kind === 'buffer') this[STATE].buffers.set(name, { persistent: true });
        property(
          name,
          () => program.held[slot.index],
          (value) => program.hold(slot.index, this.checkTensor(name, value)),
        );
      }
    }
    Object.defineProperties(this, properties);
    for (const { name } of object.methods) {
      if (name === 'forward' || name in this) continue;
      const call = (...args: unknown[]): unknown => program.call(number, name, args);
      Object.defineProperty(this, name, { value: call, configurable: true });
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the script says which arguments and results
  override forward(...args: any[]): any {
    if (!this.#object.methods.some(({ name }) => name === 'forward'))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()} has no forward(); its methods are: ${this.methods.join(', ') || 'none'}`,
      );
    return this[PROGRAM].call(this.#number, 'forward', args);
  }
  /** The names of the script's methods. */
  get methods(): string[] {
    return this.#object.methods.map(({ name }) => name);
  }
  /** A method by name, also one that is called like something of nn.Module. */
  get_method(name: string): (...args: unknown[]) => unknown {
    if (!this.methods.includes(name))
      throw new JorchError(
        'BAD_ARGUMENT',
        `${this._get_name()} has no method '${name}'; there are: ${this.methods.join(', ')}`,
      );
    return (...args) => this[PROGRAM].call(this.#number, name, args);
  }

  override get training(): boolean {
    return super.training;
  }
  override set training(mode: boolean) {
    super.training = mode;
    if (this.#object.slots.some(({ name, kind }) => name === 'training' && kind === 'value'))
      native().setScriptValue(this[PROGRAM].script, this.#number, 'training', mode);
  }

  override _get_name(): string {
    return this.#object.type;
  }
  *[FIELDS](): Generator<readonly [string, unknown]> {
    const { held, modules } = this[PROGRAM];
    for (const [name, place] of this.#places) yield [name, held[place]];
    for (const [name, number] of this.#modules) yield [name, modules[number]];
  }
  [SET_FIELD](name: string, value: unknown): void {
    const place = this.#places.get(name);
    if (place === undefined) this.refuse(name);
    else this[PROGRAM].hold(place, this.checkTensor(name, value));
  }

  [COPY](): ScriptModule {
    return this[PROGRAM].copy().modules[this.#number]!;
  }

  private value(name: string): unknown {
    return native().scriptValue(this[PROGRAM].script, this.#number, name);
  }
  private setValue(name: string, value: unknown): void {
    if (native().isTracing())
      throw new JorchError(
        'BAD_ARGUMENT',
        `'${name}' of ${this._get_name()} cannot be set while compile() records: a program changes tensors only`,
      );
    native().setScriptValue(this[PROGRAM].script, this.#number, name, value);
  }
  private checkTensor(name: string, value: unknown): Tensor {
    if (!native().isTensor(value))
      throw new JorchError('BAD_ARGUMENT', `'${name}' of ${this._get_name()} must be a tensor`);
    return isParameter(this[PROGRAM].held[this.#places.get(name) ?? -1]) ? markParameter(value) : value;
  }
  private refuse(name: string): never {
    throw new JorchError(
      'BAD_ARGUMENT',
      `a script's modules are fixed: '${name}' of ${this._get_name()} cannot be set`,
    );
  }
}

const open = (script: ScriptHandle): ScriptProgram => {
  const { tensors, places, objects } = native().describeScript(script);
  const program = new ScriptProgram(script, tensors, places);
  for (const [number, object] of objects.entries()) program.modules.push(new ScriptModule(program, number, object));
  return program;
};

/** The root module of a program. */
export const openScript = (script: ScriptHandle): ScriptModule => open(script).modules[0]!;
