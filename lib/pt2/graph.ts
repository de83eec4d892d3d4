/**
 * @file A graph of torch.export as a function: every node is a call of the operator that it names, through the dispatcher that everything
 * in jorch goes through.
 */
import { cond } from '../control/cond.js';
import { while_loop } from '../control/while-loop.js';
import { bad } from '../io/file.js';
import { isJorchError, JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { autocast, set_grad_enabled } from '../torch/modes.js';
import { Scalar } from '../torch/scalar.js';
import type { Tensor } from '../torch/tensor.js';
import { dtypeOf, layoutOf, memoryFormatOf } from './enums.js';
import { type Fields, JsonReader } from './json.js';
import { NUMBER_OPERATIONS } from './numbers.js';

/** From the values of a graph's inputs to those of its outputs. */
export type GraphFunction = (inputs: readonly unknown[]) => unknown[];

type Frame = unknown[];
type Read = (frame: Frame) => unknown;
type Step = (frame: Frame) => void;

const DEEPEST = 50;
/** Operators of ATen that reach for files. */
const REFUSED = new Set(['aten::from_file']);

/** Numbers as the program's type has them: what JSON writes as 2.0 is a float. */
const toFloat = (json: JsonReader, value: unknown): Scalar => {
  const n = typeof value === 'string' ? { Infinity: Infinity, '-Infinity': -Infinity, NaN: NaN }[value] : value;
  return typeof n === 'number' ? Scalar.float(n) : json.damaged(`${String(value)} is no number`);
};
const isSafeInt = (value: unknown): boolean => Number.isSafeInteger(value) || typeof value === 'bigint';

/** Reads one graph: gives its names places in a frame, its nodes closures over them. */
class GraphReader {
  private readonly json: JsonReader;
  private readonly places = new Map<string, number>();

  constructor(
    private readonly path: string,
    private readonly depth: number,
  ) {
    this.json = new JsonReader(path);
    if (depth > DEEPEST) this.json.damaged('its graphs are nested too deeply');
  }

  read(graph: Fields): GraphFunction {
    const { json } = this;
    const inputs = json.list(graph['inputs'], 'the inputs of a graph').map((given) => this.define(given));
    const steps: Step[] = [];
    /** By place: the last step that reads it. */
    const lastUse: number[] = [];
    for (const given of json.list(graph['nodes'], 'the nodes of a graph')) {
      this.used = [];
      const step = this.node(json.object(given, 'a node'));
      for (const place of this.used) lastUse[place] = steps.length;
      steps.push(step);
    }
    this.used = [];
    const outputs = json.list(graph['outputs'], 'the outputs of a graph').map((given) => this.argument(given));
    for (const place of this.used) lastUse[place] = steps.length;
    const size = this.places.size;
    const dead: number[][] = steps.map(() => []);
    for (const [place, at] of lastUse.entries()) if (at !== undefined && at < steps.length) dead[at]!.push(place);
    return (values) => {
      const frame: Frame = new Array(size);
      for (const [i, place] of inputs.entries()) if (place !== undefined) frame[place] = values[i];
      for (const [i, step] of steps.entries()) {
        step(frame);
        // Memory is free for the next step as soon as nobody reads it.
        for (const place of dead[i]!) frame[place] = undefined;
      }
      return outputs.map((read) => read(frame));
    };
  }

  /** Places that the node being read reads. */
  private used: number[] = [];

  private place(name: string): number {
    let place = this.places.get(name);
    if (place === undefined) {
      place = this.places.size;
      this.places.set(name, place);
    }
    return place;
  }
  /** What defines a name: an input, or a result of a node. Undefined for a constant. */
  private define(given: unknown): number | undefined {
    const [kind, value] = this.json.union(given, 'a value');
    if (kind === 'as_tensor' || kind === 'as_custom_obj')
      return this.place(this.json.text(this.json.object(value, 'a tensor')['name'], 'a name'));
    if (kind === 'as_sym_int' || kind === 'as_sym_float' || kind === 'as_sym_bool') {
      const [named, name] = this.json.union(value, 'a number');
      return named === 'as_name' ? this.place(this.json.text(name, 'a name')) : undefined;
    }
    return undefined;
  }
  private named(name: unknown): Read {
    const place = this.places.get(this.json.text(name, 'a name'));
    if (place === undefined) return this.json.damaged(`it uses '${String(name)}', which nothing defines`);
    this.used.push(place);
    return (frame) => frame[place];
  }
  private tensor(given: unknown): Read {
    return this.named(this.json.object(given, 'a tensor')['name']);
  }
  private all(given: unknown, one: (item: unknown) => Read): Read {
    const reads = this.json.list(given, 'a list').map(one);
    return (frame) => reads.map((read) => read(frame));
  }
  private constant(value: unknown): Read {
    return () => value;
  }
  private int(value: unknown): Read {
    return isSafeInt(value) ? this.constant(value) : this.json.damaged(`${String(value)} is no integer`);
  }
  private symbolic(given: unknown): Read {
    const [kind, value] = this.json.union(given, 'a number');
    if (kind === 'as_name') return this.named(value);
    return kind === 'as_float' ? this.constant(toFloat(this.json, value)) : this.constant(value);
  }
  private optional(given: unknown): Read {
    const [kind, value] = this.json.union(given, 'an optional tensor');
    return kind === 'as_none' ? this.constant(null) : this.tensor(value);
  }

  /** An argument of an operator. */
  private argument(given: unknown): Read {
    const { json } = this;
    const [kind, value] = json.union(given, 'an argument');
    switch (kind) {
      case 'as_none':
        return this.constant(null);
      case 'as_tensor':
        return this.tensor(value);
      case 'as_tensors':
        return this.all(value, (item) => this.tensor(item));
      case 'as_nested_tensors':
        return this.all(value, (row) => this.all(row, (item) => this.tensor(item)));
      case 'as_optional_tensor':
        return this.optional(value);
      case 'as_optional_tensors':
        return this.all(value, (item) => this.optional(item));
      case 'as_int':
        return this.int(value);
      case 'as_ints':
        return this.all(value, (item) => this.int(item));
      case 'as_int_lists':
        return this.all(value, (row) => this.all(row, (item) => this.int(item)));
      case 'as_float':
        return this.constant(toFloat(json, value));
      case 'as_floats':
        return this.all(value, (item) => this.constant(toFloat(json, item)));
      case 'as_complex': {
        const { real, imag } = json.object(value, 'a complex number');
        return this.constant(Scalar.complex(toFloat(json, real).value as number, toFloat(json, imag).value as number));
      }
      case 'as_bool':
      case 'as_string':
      case 'as_bools':
      case 'as_strings':
        return this.constant(value);
      case 'as_sym_int':
      case 'as_sym_bool':
        return this.symbolic(value);
      case 'as_sym_ints':
      case 'as_sym_bools':
        return this.all(value, (item) => this.symbolic(item));
      case 'as_sym_float': {
        const read = this.symbolic(value);
        return (frame) => {
          const n = read(frame);
          return typeof n === 'number' ? Scalar.float(n) : n;
        };
      }
      case 'as_scalar_type':
        return this.constant(dtypeOf(json, value));
      case 'as_layout':
        return this.constant(layoutOf(json, value));
      case 'as_memory_format':
        return this.constant(memoryFormatOf(json, value));
      case 'as_device':
        // Wherever it was exported: jorch's tensors are on the CPU.
        return this.constant(json.object(value, 'a device')['type'] === 'meta' ? 'meta' : 'cpu');
      case 'as_graph': {
        const graph = json.object(json.object(value, 'a graph')['graph'], 'a graph');
        return this.constant(new GraphReader(this.path, this.depth + 1).read(graph));
      }
      default:
        return json.damaged(`it has an argument of kind '${kind}', which jorch does not know`);
    }
  }

  /** Puts what a node gave into the frame. */
  private results(node: Fields): (frame: Frame, value: unknown) => void {
    const { json } = this;
    const one = (given: unknown): ((frame: Frame, value: unknown) => void) => {
      const [kind, value] = json.union(given, 'a result');
      if (kind === 'as_tensors' || kind === 'as_optional_tensors') {
        const items = json
          .list(value, 'a list')
          .map((item) => (kind === 'as_tensors' ? one({ as_tensor: item }) : one(item)));
        return (frame, list) => {
          for (const [i, item] of items.entries()) item(frame, (list as unknown[])[i]);
        };
      }
      const place = kind === 'as_optional_tensor' ? undefined : this.define(given);
      if (kind === 'as_optional_tensor') return one(value);
      return place === undefined
        ? () => {}
        : (frame, v) => {
            frame[place] = v;
          };
    };
    const outputs = json.list(node['outputs'], 'the results of a node').map(one);
    if (outputs.length === 1) return outputs[0]!;
    return (frame, value) => {
      for (const [i, output] of outputs.entries()) output(frame, (value as unknown[])[i]);
    };
  }

  private node(node: Fields): Step {
    const { json } = this;
    const target = json.text(node['target'], 'the target of a node');
    const positional: Read[] = [];
    const keywords: [name: string, read: Read][] = [];
    for (const given of json.list(node['inputs'], 'the arguments of a node')) {
      const { name, arg, kind } = json.object(given, 'an argument');
      if (kind === 2) keywords.push([json.text(name, 'a keyword'), this.argument(arg)]);
      else positional.push(this.argument(arg));
    }
    const run = this.target(target, positional, keywords);
    const store = this.results(node);
    return (frame) => store(frame, run(frame));
  }

  private target(target: string, args: readonly Read[], keywords: readonly (readonly [string, Read])[]): Read {
    if (Object.hasOwn(NUMBER_OPERATIONS, target)) {
      const operation = NUMBER_OPERATIONS[target]!;
      const plain = (value: unknown): unknown =>
        value instanceof Scalar ? value.value : typeof value === 'bigint' ? Number(value) : value;
      return (frame) => operation(...args.map((read) => plain(read(frame))));
    }
    if (target === 'torch.sym_sum') return (frame) => (args[0]!(frame) as number[]).reduce((a, b) => a + b, 0);
    const [, namespace, name, overload] =
      /^torch\.ops\.(\w+)\.(\w+)(?:\.(\w+))?$/.exec(target) ??
      bad(this.path, `calls '${target}', which jorch does not know`);
    if (namespace === 'higher_order') return this.higherOrder(name!, args);
    if (namespace === 'aten' && overload !== undefined && !REFUSED.has(`aten::${name}`)) {
      const own = OWN[`${name}.${overload}`];
      if (own !== undefined) return (frame) => own(...args.map((read) => read(frame)));
      return this.operator(`aten::${name}`, overload === 'default' ? '' : overload, args, keywords);
    }
    return bad(
      this.path,
      `calls the operator '${namespace}::${name}'; jorch runs those of aten${namespace === 'aten' ? ' that open no files' : ''}`,
    );
  }

  private operator(
    name: string,
    overload: string,
    args: readonly Read[],
    keywords: readonly (readonly [string, Read])[],
  ): Read {
    let call: ReturnType<ReturnType<typeof native>['packet']>;
    try {
      call = native().packet(name, overload) as never;
    } catch (error) {
      return bad(this.path, `calls '${name}.${overload || 'default'}': ${(error as Error).message}`);
    }
    const invoke = call as unknown as (...given: unknown[]) => unknown;
    if (keywords.length === 0) return (frame) => invoke(...args.map((read) => read(frame)));
    return (frame) =>
      invoke(...args.map((read) => read(frame)), Object.fromEntries(keywords.map(([key, read]) => [key, read(frame)])));
  }

  private higherOrder(name: string, args: readonly Read[]): Read {
    const at = (i: number): Read => args[i] ?? this.json.damaged(`${name} lacks an argument`);
    const wrapped = (body: Read, from: number, around: (frame: Frame, fn: () => unknown[]) => unknown[]): Read => {
      const rest = args.slice(from);
      return (frame) => {
        const fn = body(frame) as GraphFunction;
        const given = rest.map((read) => read(frame));
        return single(around(frame, () => fn(given)));
      };
    };
    switch (name) {
      case 'cond': {
        const [predicate, yes, no] = [at(0), at(1), at(2)];
        const operands = args[3] ?? this.constant([]);
        return (frame) => {
          const given = operands(frame) as unknown[];
          const pred = predicate(frame);
          const branches = [yes, no].map((read) => read(frame) as GraphFunction) as [GraphFunction, GraphFunction];
          if (typeof pred === 'boolean') return single(branches[pred ? 0 : 1](given));
          // Numbers among the operands belong to the branches.
          const tensors = given.filter((v) => native().isTensor(v)) as Tensor[];
          const run = (branch: GraphFunction) => (now: Tensor[]) => {
            const rest = now.values();
            return branch(given.map((v) => (native().isTensor(v) ? rest.next().value : v)));
          };
          const [f, g] = branches.map(run) as [(now: Tensor[]) => unknown[], (now: Tensor[]) => unknown[]];
          return single(
            cond(
              pred as Tensor,
              (...now) => f(now) as Tensor[],
              (...now) => g(now) as Tensor[],
              tensors,
            ),
          );
        };
      }
      case 'while_loop': {
        const [test, body, carried] = [at(0), at(1), at(2)];
        const constants = args[3] ?? this.constant([]);
        return (frame) => {
          const [check, step] = [test, body].map((read) => read(frame) as GraphFunction) as [
            GraphFunction,
            GraphFunction,
          ];
          const fixed = constants(frame) as unknown[];
          return single(
            while_loop(
              (...now: Tensor[]) => check([...now, ...fixed])[0] as Tensor,
              (...now: Tensor[]) => step([...now, ...fixed]) as Tensor[],
              carried(frame) as Tensor[],
            ),
          );
        };
      }
      case 'wrap_with_set_grad_enabled': {
        const enabled = at(0);
        return wrapped(at(1), 2, (frame, fn) => set_grad_enabled(enabled(frame) === true, fn));
      }
      case 'wrap_with_autocast': {
        const [dtype, enabled] = [at(1), at(2)];
        return wrapped(at(4), 5, (frame, fn) => {
          const given = dtype(frame) as 'bfloat16' | null;
          return autocast({ enabled: enabled(frame) === true, ...(given === null ? {} : { dtype: given }) }, fn);
        });
      }
      default:
        return bad(this.path, `uses the higher-order operator '${name}', which jorch does not run`);
    }
  }
}

/** A result list with one entry is stored by one output. */
const single = (results: unknown): unknown => (Array.isArray(results) && results.length === 1 ? results[0] : results);

/**
 * The exporter leaves out copies that strides made needless where it ran. Kernels that lay out their results differently (attention on another
 * device, or in a compiled program) need them again.
 */
const view = (x: Tensor, size: number[]): Tensor => {
  try {
    return x.view(size);
  } catch (error) {
    if (!isJorchError(error) || !error.message.includes('view size is not compatible')) throw error;
    return x.reshape(size);
  }
};

/** What is asked of tensors, and checks; nothing to dispatch. */
// biome-ignore lint/suspicious/noExplicitAny: arguments as the program has them
const OWN: Readonly<Record<string, (...args: any[]) => unknown>> = {
  'view.default': view,
  'sym_size.int': (x: Tensor, dim: number) => x.size(dim),
  'sym_stride.int': (x: Tensor, dim: number) => x.stride(dim),
  'sym_numel.default': (x: Tensor) => x.numel(),
  'sym_storage_offset.default': (x: Tensor) => x.storage_offset(),
  '_assert_scalar.default': (holds: unknown, message: string) => {
    if (holds === false || holds === 0) throw new JorchError('BAD_ARGUMENT', `forward: ${message}`);
  },
  'sym_constrain_range.default': () => undefined,
  'sym_constrain_range_for_size.default': () => undefined,
};

/** The function that a graph is. @throws JorchError BAD_ARGUMENT for a damaged one, or one that calls what jorch does not run. */
export const readGraph = (path: string, graph: Fields): GraphFunction => new GraphReader(path, 0).read(graph);
