/** @file An exported program as an nn.Module. */
import type { SourceFile } from '../io/file.js';
import { FIELDS, type FieldSource, SET_FIELD } from '../nn/fields.js';
import { Module } from '../nn/module.js';
import { Buffer, Parameter } from '../nn/parameter.js';
import { isJorchError, JorchError } from '../runtime/errors.js';
import { no_grad } from '../torch/modes.js';
import { Scalar } from '../torch/scalar.js';
import type { Tensor } from '../torch/tensor.js';
import { type Archive, readArchive } from './archive.js';
import { type GraphFunction, readGraph } from './graph.js';
import { type Fields, JsonReader } from './json.js';
import {
  checkConstant,
  checkNumber,
  type InputSpec,
  type OutputSpec,
  SignatureReader,
  type Symbols,
} from './signature.js';
import { countLeaves, flattenLike, parseTreeSpec, type TreeSpec, unflattenLike } from './tree-spec.js';

/** A place in the tree of modules that the names of parameters make; names may be those of anything in JavaScript. */
class Part extends Module implements FieldSource {
  protected readonly own = new Map<string, Tensor | Module>();
  *[FIELDS](): Generator<readonly [string, unknown]> {
    yield* this.own;
  }
  [SET_FIELD](name: string, value: unknown): void {
    this.own.set(name, value as Tensor);
    if (name in this) return;
    // For whichever module it is: copies have tensors of their own.
    const get = function (this: Part): Tensor | Module | undefined {
      return this.own.get(name);
    };
    Object.defineProperty(this, name, { get, configurable: true });
  }
  get(name: string): Tensor | Module | undefined {
    return this.own.get(name);
  }
  override _get_name(): string {
    return 'Module';
  }
}

/** The module and field of a dotted name. */
const placeOf = (root: Part, names: readonly string[], make = false): readonly [module: Part, field: string] => {
  let module = root;
  for (const name of names.slice(0, -1)) {
    const next = module.get(name);
    if (next instanceof Part) module = next;
    else if (make) {
      const made = new Part();
      module[SET_FIELD](name, made);
      module = made;
    } else return [new Part(), ''];
  }
  return [module, names.at(-1)!];
};

/**
 * A program of torch.export: call `forward` with the arguments that it was exported for (keyword arguments as an object behind the others). It
 * runs operator by operator, records gradients, changes its buffers as the program does, and compiles like any other module.
 */
export class ExportedProgram extends Part {
  private readonly run: GraphFunction;
  private readonly inputs: readonly InputSpec[];
  private readonly outputs: readonly OutputSpec[];
  private readonly args: TreeSpec;
  private readonly results: TreeSpec;
  private readonly names: readonly string[];

  constructor(path: string, { program, weights, constants }: Archive) {
    super();
    const json = new JsonReader(path);
    const module = json.object(program['graph_module'], 'the graph module');
    const signature = new SignatureReader(path, program);
    this.inputs = signature.inputs();
    this.outputs = signature.outputs();
    this.run = readGraph(path, json.object(module['graph'], 'the graph'));
    const call = callOf(json, module);
    const namedtuples = Object.fromEntries(
      Object.entries(json.object(module['treespec_namedtuple_fields'] ?? {}, 'named tuples')).map(([name, given]) => [
        name,
        json.list(json.object(given, 'a named tuple')['field_names'], 'a named tuple').map(String),
      ]),
    );
    this.args = parseTreeSpec(path, json.text(call['in_spec'], 'the pytree of arguments'), namedtuples);
    this.results = parseTreeSpec(path, json.text(call['out_spec'], 'the pytree of results'), namedtuples);
    this.names = json.list(call['forward_arg_names'] ?? [], 'the names of arguments').map(String);
    this.hold(path, weights, constants);
    for (const spec of [...this.inputs, ...this.outputs])
      if (spec.kind === 'state' && this.state(spec) === undefined)
        json.damaged(`it has no tensor for '${spec.target.join('.')}'`);
    const given = this.inputs.filter(({ kind }) => kind !== 'state').length;
    const taken = this.outputs.filter(({ kind }) => kind === 'result').length;
    if (countLeaves(this.args) !== given || countLeaves(this.results) !== taken)
      json.damaged('its pytrees do not fit its graph');
    if (
      this.args.kind !== 'list' ||
      this.args.items.length !== 2 ||
      this.args.items[0]!.kind !== 'list' ||
      this.args.items[1]!.kind !== 'dict'
    )
      json.damaged('its arguments are no tuple and dict');
  }

  /** Makes parameters and buffers of the payloads; tensors that are the same stay one. */
  private hold(path: string, weights: Archive['weights'], constants: Archive['constants']): void {
    const json = new JsonReader(path);
    const made = new Map<unknown, Tensor>();
    const put = (
      name: string,
      payload: { tensor: Tensor; isParameter: boolean; requiresGrad: boolean },
      persistent: boolean,
    ): void => {
      let tensor = made.get(payload);
      if (tensor === undefined) {
        tensor = payload.isParameter
          ? new Parameter(payload.tensor, payload.requiresGrad)
          : new Buffer(payload.tensor, persistent);
        made.set(payload, tensor);
      }
      const [owner, field] = placeOf(this, name.split('.'), true);
      if (owner.get(field) !== undefined) json.damaged(`it has '${name}' twice`);
      owner[SET_FIELD](field, tensor);
    };
    for (const [name, payload] of weights) put(name, payload, true);
    for (const [name, payload] of constants) put(name, payload, false);
  }

  /** What the module holds for an input or output of the graph. */
  private state({ target }: { readonly target: readonly string[] }): Tensor | undefined {
    const [owner, field] = placeOf(this, target);
    return owner.get(field) as Tensor | undefined;
  }

  /** As in Python: what `torch.export.load(path).module()` gives. */
  module(): this {
    return this;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the program says which arguments and results
  override forward(...given: any[]): any {
    const leaves = this.flattenArguments(given);
    const symbols: Symbols = new Map();
    const byName = new Map<string, Tensor>();
    let next = 0;
    const values = this.inputs.map((spec) => {
      if (spec.kind === 'state') return this.state(spec);
      const { value, path } = leaves[next++]!;
      if (spec.kind === 'tensor') {
        spec.check(value, path, symbols);
        byName.set(spec.name, value as Tensor);
      } else if (spec.kind === 'number') checkNumber(spec, value, path);
      else checkConstant(spec.value, value, path);
      return value;
    });
    const outputs = this.execute(values);
    const results: unknown[] = [];
    for (const [i, spec] of this.outputs.entries()) {
      if (spec.kind === 'result')
        results.push(outputs[i] instanceof Scalar ? (outputs[i] as Scalar).value : outputs[i]);
      else {
        const target = spec.kind === 'state' ? this.state(spec)! : byName.get(spec.name)!;
        no_grad(() => target.copy_(outputs[i] as Tensor));
      }
    }
    return unflattenLike(this.results, results.values());
  }

  private execute(values: readonly unknown[]): unknown[] {
    try {
      return this.run(values);
    } catch (error) {
      if (isJorchError(error)) throw error;
      // A value of another kind than the next step takes: no program that PyTorch wrote.
      throw new JorchError('BAD_ARGUMENT', `forward: the exported program is damaged: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  private flattenArguments(given: readonly unknown[]): { value: unknown; path: string }[] {
    const [positional, keywords] = (this.args as TreeSpec & { kind: 'list' }).items as [
      TreeSpec & { kind: 'list' },
      TreeSpec & { kind: 'dict' },
    ];
    const args = [...given];
    const named = keywords.keys.length > 0 ? args.pop() : {};
    if (args.length !== positional.items.length)
      throw new JorchError(
        'BAD_ARGUMENT',
        `forward: expected ${positional.items.length} argument${positional.items.length === 1 ? '' : 's'}${this.names.length > 0 ? ` (${this.names.join(', ')})` : ''}${keywords.keys.length > 0 ? ` and an object with ${keywords.keys.join(', ')}` : ''}, got ${given.length}`,
      );
    const leaves: { value: unknown; path: string }[] = [];
    const add = (spec: TreeSpec, value: unknown, path: string): void => {
      const into: unknown[] = [];
      flattenLike(spec, value, path, into);
      leaves.push(...into.map((leaf) => ({ value: leaf, path })));
    };
    for (const [i, spec] of positional.items.entries()) add(spec, args[i], this.names[i] ?? `argument ${i}`);
    add(keywords, named, 'the keyword arguments');
    return leaves;
  }

  override train(): never {
    throw new JorchError(
      'BAD_ARGUMENT',
      'train: an exported program is in the mode in which it was exported (dropout, batch norm); export it again in the other one',
    );
  }
  override eval(): never {
    return this.train();
  }
  override _get_name(): string {
    return 'ExportedProgram';
  }
}

/** How the whole program is called. */
const callOf = (json: JsonReader, module: Fields): Fields => {
  for (const entry of json.list(module['module_call_graph'], 'the calls')) {
    const { fqn, signature } = json.object(entry, 'a call');
    if (fqn === '') return json.object(signature, 'the call of the program');
  }
  return json.damaged('it does not say how it is called');
};

export const readProgram = (file: SourceFile): ExportedProgram => new ExportedProgram(file.path, readArchive(file));
