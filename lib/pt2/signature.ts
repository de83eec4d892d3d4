/** @file What an exported program takes and gives: the graph's inputs and outputs, and what they stand for. */
import { bad } from '../io/file.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { DType } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import { dtypeOf } from './enums.js';
import { type Fields, JsonReader } from './json.js';

/** Where the value of an input of the graph comes from. */
export type InputSpec =
  | { readonly kind: 'state'; readonly target: readonly string[] }
  | {
      readonly kind: 'tensor';
      readonly name: string;
      readonly check: (value: unknown, path: string, symbols: Symbols) => void;
    }
  | { readonly kind: 'number'; readonly name: string; readonly type: 'int' | 'float' | 'bool' }
  | { readonly kind: 'constant'; readonly value: unknown };

/** What becomes of an output of the graph. */
export type OutputSpec =
  | { readonly kind: 'result' }
  | { readonly kind: 'state'; readonly target: readonly string[] }
  | { readonly kind: 'input'; readonly name: string };

/** The sizes that symbols have in one call. */
export type Symbols = Map<string, { readonly value: number; readonly path: string }>;

type Dimension = number | { readonly symbol: string; readonly min: number; readonly max: number } | null;

const describe = (value: unknown): string =>
  native().isTensor(value)
    ? `${value.dtype} [${value.shape.join(', ')}]`
    : value === null
      ? 'null'
      : typeof value === 'object'
        ? 'an object'
        : `${typeof value} ${String(value)}`;

/** Reads the signature of a program. */
export class SignatureReader {
  private readonly json: JsonReader;
  private readonly graph: Fields;
  private readonly signature: Fields;
  private readonly ranges: Fields;

  constructor(
    private readonly path: string,
    program: Fields,
  ) {
    this.json = new JsonReader(path);
    const module = this.json.object(program['graph_module'], 'the graph module');
    this.graph = this.json.object(module['graph'], 'the graph');
    this.signature = this.json.object(module['signature'], 'the signature');
    this.ranges = this.json.object(program['range_constraints'] ?? {}, 'the ranges');
  }

  inputs(): InputSpec[] {
    const specs = this.json.list(this.signature['input_specs'], 'the inputs').map((spec) => this.input(spec));
    const inputs = this.json.list(this.graph['inputs'], 'the inputs of the graph');
    return specs.length === inputs.length ? specs : this.json.damaged('its signature does not fit its graph');
  }
  outputs(): OutputSpec[] {
    const specs = this.json.list(this.signature['output_specs'], 'the outputs').map((spec) => this.output(spec));
    const outputs = this.json.list(this.graph['outputs'], 'the outputs of the graph');
    return specs.length === outputs.length ? specs : this.json.damaged('its signature does not fit its graph');
  }

  private input(given: unknown): InputSpec {
    const { json } = this;
    const [kind, value] = json.union(given, 'an input');
    const fields = json.object(value, 'an input');
    const state = (field: string): InputSpec => ({
      kind: 'state',
      target: json.text(fields[field], 'the name of an input').split('.'),
    });
    switch (kind) {
      case 'parameter':
        return state('parameter_name');
      case 'buffer':
        return state('buffer_name');
      case 'tensor_constant':
        return state('tensor_constant_name');
      case 'constant_input': {
        const [type, constant] = json.union(fields['value'], 'a constant');
        return { kind: 'constant', value: type === 'as_none' ? null : constant };
      }
      case 'user_input':
        return this.userInput(fields['arg']);
      default:
        return bad(this.path, `takes an input of kind '${kind}', which jorch does not load`);
    }
  }

  private userInput(given: unknown): InputSpec {
    const { json } = this;
    const [kind, value] = json.union(given, 'an input');
    if (kind === 'as_tensor') {
      const name = json.text(json.object(value, 'a tensor')['name'], 'the name of an input');
      return { kind: 'tensor', name, check: this.checkOf(name) };
    }
    const number = /^as_sym_(int|float|bool)$/.exec(kind)?.[1];
    if (number !== undefined) {
      const [, name] = json.union(value, 'a number');
      return { kind: 'number', name: String(name), type: number as 'int' };
    }
    if (kind === 'as_none') return { kind: 'constant', value: null };
    if (['as_int', 'as_float', 'as_bool', 'as_string'].includes(kind)) return { kind: 'constant', value };
    return bad(this.path, `takes an input of kind '${kind}', which jorch does not load`);
  }

  /** Compares a tensor with what the program was exported for. */
  private checkOf(name: string): (value: unknown, path: string, symbols: Symbols) => void {
    const { json } = this;
    const meta = json.object(json.object(this.graph['tensor_values'], 'the tensors')[name], `'${name}'`);
    const dtype = dtypeOf(json, meta['dtype']);
    const sizes = json.list(meta['sizes'], `the shape of '${name}'`).map((size) => this.dimension(size));
    const wanted = `${dtype} [${sizes.map((s) => (s === null ? '?' : typeof s === 'number' ? s : s.symbol)).join(', ')}]`;
    return (value, path, symbols) => checkTensor(value, path, symbols, dtype, sizes, wanted);
  }
  private dimension(given: unknown): Dimension {
    const { json } = this;
    const [kind, value] = json.union(given, 'a size');
    if (kind === 'as_int') return json.size(value, 'a size');
    const text = json.text(json.object(value, 'a size')['expr_str'], 'a size');
    const symbol = /^Symbol\('(\w+)'[^()]*\)$/.exec(text)?.[1];
    if (symbol === undefined) return null; // an expression: the operators check it
    const range = json.object(this.ranges[symbol] ?? {}, 'a range');
    const bound = (n: unknown, otherwise: number): number => (n === null || n === undefined ? otherwise : Number(n));
    return { symbol, min: bound(range['min_val'], 0), max: bound(range['max_val'], Infinity) };
  }

  private output(given: unknown): OutputSpec {
    const { json } = this;
    const [kind, value] = json.union(given, 'an output');
    const fields = json.object(value, 'an output');
    switch (kind) {
      case 'user_output':
      case 'loss_output':
        return { kind: 'result' };
      case 'buffer_mutation':
        return { kind: 'state', target: json.text(fields['buffer_name'], 'the name of a buffer').split('.') };
      case 'parameter_mutation':
        return { kind: 'state', target: json.text(fields['parameter_name'], 'the name of a parameter').split('.') };
      case 'user_input_mutation':
        return { kind: 'input', name: json.text(fields['user_input_name'], 'the name of an input') };
      default:
        return bad(this.path, `gives an output of kind '${kind}', which jorch does not load`);
    }
  }
}

const checkTensor = (
  value: unknown,
  path: string,
  symbols: Symbols,
  dtype: DType,
  sizes: readonly Dimension[],
  wanted: string,
): void => {
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `forward: ${path} must be ${wanted}, got ${describe(value)}${why}`);
  };
  const tensor: Tensor = native().isTensor(value) ? value : refuse('');
  if (tensor.dtype !== dtype || tensor.ndim !== sizes.length) refuse('');
  for (const [d, size] of sizes.entries()) {
    const n = tensor.shape[d]!;
    if (size === null) continue;
    if (typeof size === 'number') {
      if (n !== size) refuse('');
      continue;
    }
    const known = symbols.get(size.symbol);
    if (known !== undefined && known.value !== n) refuse(`; ${size.symbol} is ${known.value} in ${known.path}`);
    if (n < size.min || n > size.max) refuse(`; it was exported for ${size.symbol} from ${size.min} to ${size.max}`);
    symbols.set(size.symbol, { value: n, path });
  }
};

/** Compares a number or a constant with what the program was exported for. */
export const checkNumber = (spec: InputSpec & { kind: 'number' }, value: unknown, path: string): void => {
  const fits =
    spec.type === 'int'
      ? Number.isSafeInteger(value) || typeof value === 'bigint'
      : typeof value === (spec.type === 'float' ? 'number' : 'boolean');
  if (!fits)
    throw new JorchError(
      'BAD_ARGUMENT',
      `forward: ${path} must be a number of type ${spec.type}, got ${describe(value)}`,
    );
};
export const checkConstant = (wanted: unknown, value: unknown, path: string): void => {
  if (!Object.is(wanted, value ?? null))
    throw new JorchError(
      'BAD_ARGUMENT',
      `forward: ${path} is ${describe(value)}; the program was exported for ${describe(wanted)}, which is part of it`,
    );
};
