/** @file Turns a recorded graph into one StableHLO module: dead nodes dropped, each live one lowered by its rule or kept as an ATen call. */
import type { Arg, Control, Graph, Node, Subgraph, Value } from '../compile/graph.js';
import { isIdentity, physicalOrder } from '../compile/layout.js';
import type { Mesh } from '../shard/mesh.js';
import type { Sharding } from '../shard/sharding.js';
import { Builder } from '../stablehlo/builder.js';
import {
  BuilderError,
  DtypeError,
  type Op,
  rowMajor,
  sameShape,
  type TensorType,
  typeText,
} from '../stablehlo/types.js';
import { type EncodedCall, encodeCall, encodeConvolution, isValue, layouts } from './aten-call.js';
import { anyOf, canFail, findCheck } from './checks.js';
import { isOp } from './common.js';
import { lowerControl } from './control.js';
import { type Tail, tailsOf } from './convolution-tail.js';
import { CpuBuilder } from './cpu-math.js';
import { drawsOf, isRandom } from './draws.js';
import { checkOperands, flat, liveNodes } from './live-nodes.js';
import { moduleText } from './module-text.js';
import { isOneKernel } from './one-kernel.js';
import { type PackPlace, packResults } from './pack.js';
import { type Derivatives, derivativesOf, type Optimize, prefersAten } from './prefer.js';
import { keyFrom, RandomStream } from './random-stream.js';
import { findRule, NoLowering, type RuleContext } from './registry.js';
import { inTwoVersions } from './two-versions.js';
import { whyUnlowered } from './unlowered.js';

/** What a program is compiled for. */
export type Target = 'cpu' | 'gpu';

export interface LowerOptions {
  /** What the program returns, in order. */
  readonly results: readonly Value[];
  /** The program's parameters, in order; default: the graph's inputs. Values computed in the graph may be among them. */
  readonly inputs?: readonly Value[];
  /** What to do with a node that has no lowering: run libtorch's kernel inside the program, or refuse. */
  readonly fallback: 'aten' | 'error';
  /** Results that take the memory of a parameter. */
  readonly donated?: readonly Donation[];
  /** Not in a program that may fail half-way, in one of libtorch's kernels. */
  readonly donateSafely?: boolean;
  /** Which operators run as libtorch's kernels although they have a lowering. Default `xla`: none. */
  readonly optimize?: Optimize;
  /** What the program runs on: decides how elementary functions are written. Default `cpu`. */
  readonly target?: Target;
  /** The program is for the devices of a mesh, and XLA's partitioner spreads it over them. */
  readonly partition?: LoweredPartition | undefined;
  /** Results are returned row-major, not in the order of their memory in eager. Default false. */
  readonly rowMajor?: boolean;
  /** Small results come in vectors (pack.ts). Default false. */
  readonly pack?: boolean;
  /** Computes one flag each, returned behind the results as one bool vector: nodes that would raise, conditions that do not hold. */
  readonly checks?: readonly Check[];
}
/** Both by position. */
export interface Donation {
  readonly input: number;
  readonly output: number;
}
/** How parameters and results are spread; a result of which nothing is said as XLA decides. */
export interface LoweredPartition {
  readonly mesh: Mesh;
  readonly inputs: readonly Sharding[];
  readonly results: readonly (Sharding | undefined)[];
}
/** A call that raises from data, a condition of the user's, or a value that must not hold NaN. */
export type Check = { readonly node: Node } | { readonly condition: Value } | { readonly notNan: Value };
/** A node that runs as an ATen call, and why. */
export interface AtenCall {
  readonly op: string;
  readonly reason: string;
  readonly line?: string;
}
export interface Lowered {
  /** The module's text; `@main` takes `inputs` in order. */
  readonly text: string;
  readonly calls: readonly AtenCall[];
  /** The nodes behind `calls`. */
  readonly callNodes: readonly Node[];
  /** Overloads that became StableHLO. */
  readonly lowered: readonly string[];
  /** Whether elementary functions are written out as arithmetic: long chains of instructions that gain from wide vectors. */
  readonly arithmetic: boolean;
  /** Generators (places in the graph's list, undefined: the default one) whose random keys are parameters behind `inputs`. */
  readonly keys: readonly (number | undefined)[];
  readonly partition?: LoweredPartition | undefined;
  readonly donated: readonly Donation[];
  /** Of each result, the flags' too: where it is among vectors of small ones, which the program returns behind the others. */
  readonly places: readonly (PackPlace | undefined)[];
}

/** A rule that is missing or wrong. The message names the operator and where it was called. */
export class LoweringError extends Error {
  override readonly name = 'LoweringError';
}

const where = (node: Node): string => (node.line === undefined ? '' : ` (called at ${node.line})`);

const parameter = (name: string, { shape, dtype }: TensorType): Op => ({
  name,
  shape,
  dtype,
  type: typeText(shape, dtype),
});

export class Lowering {
  readonly b: Builder;
  readonly calls: AtenCall[];
  readonly callNodes: Node[];
  readonly lowered: Set<string>;
  /** Random keys by generator. */
  readonly keys = new Map<number | undefined, Op>();
  readonly mesh: Mesh | undefined;
  private readonly ops = new Map<number, Op>();
  private derivatives: Derivatives = 'none';
  /** The next id of a value that is not the graph's. */
  private temporary = -1;
  private readonly watched = new Set<Node>();
  /** Whether a check in a body of them has failed. */
  private readonly failures = new Map<Node, Op>();

  /** Random operators of the graph that draw from seeds, and their number among those behind the same key. */
  private draws: ReadonlyMap<Node, { readonly key: Node; readonly number: number }> = new Map();

  /** `outer`: the lowering of the program that this one is a region of. `round`: of the loop whose body it is, where rounds share a seed. */
  constructor(
    private readonly fallback: LowerOptions['fallback'],
    private readonly optimize: Optimize,
    readonly target: Target,
    outer?: Lowering,
    private readonly round?: Op,
    mesh?: Mesh,
    builder?: Builder,
  ) {
    this.mesh = outer?.mesh ?? mesh;
    this.b = builder ?? outer?.b ?? (target === 'cpu' ? new CpuBuilder() : new Builder());
    this.calls = outer?.calls ?? [];
    this.callNodes = []; // those of a region have operands that only the region knows
    this.lowered = outer?.lowered ?? new Set();
  }

  /** Lowers a graph inside a region of this one; answers its results, and behind them, when asked, whether a check in it fails. */
  region({ graph, inputs, results }: Subgraph, operands: readonly Op[], checked: boolean, round?: Op): Op[] {
    const inner = new Lowering(this.fallback, this.optimize, this.target, this, round);
    const checks = checked ? graph.nodes.filter(canFail).map((node) => ({ node })) : [];
    inner.watch(checks);
    for (const { value, operand } of inputs) inner.bind(value, operands[operand]!);
    inner.graph(graph, [...results, ...checkOperands(checks)], graph.inputs);
    const made = results.map((v) => inner.op(v));
    if (!checked) return made;
    const { b } = this;
    return [...made, checks.map((c) => inner.failure(c)).reduce((x, y) => b.or(x, y), b.scalar(false, 'bool'))];
  }

  /** The bodies of these operators are checked too. */
  watch(checks: readonly Check[]): void {
    for (const check of checks) if ('node' in check && check.node.control) this.watched.add(check.node);
  }

  graph(graph: Graph, results: readonly Value[], inputs: readonly Value[]): void {
    for (const { value, data } of graph.constants) this.bind(value, this.b.constant(data, value.shape, value.dtype));
    const { origin } = this.b;
    const places = new Map(graph.nodes.map((node, i) => [node, i]));
    this.draws = drawsOf(graph);
    const seeds = new Set([...this.draws.values()].flatMap(({ key }) => key.args.operands as readonly Value[]));
    const live = liveNodes(graph, [...results, ...seeds], inputs);
    this.derivatives = derivativesOf(live);
    const tails = this.callsForSpeed()
      ? tailsOf(live, [...results, ...seeds], (node) => prefersAten(node, this.optimize, this.derivatives))
      : new Map<Node, Tail>();
    // A call with a tail is made where its last operands are there.
    const behind = new Map([...tails].flatMap(([node, { nodes }]) => nodes.map((n) => [n, node] as const)));
    for (const node of live) {
      // The place, not the line: a program stays the same, and in the cache, when lines above it are edited.
      this.b.origin = `${places.get(node)} ${node.op}`;
      const convolution = behind.get(node);
      const tail = convolution && tails.get(convolution)!;
      if (tail?.nodes.at(-1) === node) this.convolution(convolution!, tail);
      else if (tail === undefined && !tails.has(node)) this.node(node);
    }
    this.b.origin = origin;
  }

  private keyOf(place: number | undefined): Op {
    const known = this.keys.get(place) ?? parameter(`%key${this.keys.size}`, { shape: [], dtype: 'uint64' });
    this.keys.set(place, known);
    return known;
  }

  bind(v: Value, op: Op): void {
    this.ops.set(v.id, op);
  }
  op(v: Value): Op {
    const op = this.ops.get(v.id);
    if (op === undefined) throw new LoweringError(`lower: value %${v.id} is used before it is computed.`);
    return op;
  }
  /** A recorded argument as a rule takes it: tensors are builder values, None is undefined, `{ float }` a number. */
  private argument(arg: Arg): unknown {
    if (arg === null) return undefined;
    if (typeof arg !== 'object') return arg;
    if (Array.isArray(arg)) return arg.map((a) => this.argument(a as Arg));
    if (isValue(arg)) return this.op(arg);
    if ('float' in arg) return arg.float;
    if ('dtype' in arg) return arg.dtype;
    return arg;
  }

  private arguments({ args }: Node): Record<string, unknown> {
    const taken: Record<string, unknown> = {};
    for (const name in args) taken[name] = this.argument(args[name]!);
    return taken;
  }

  /** The random numbers of a node: the value it makes numbers its stream, in every program that it is part of. */
  private randomOf(node: Node, first: Value | undefined): RandomStream {
    const { generator } = node.args;
    const place = generator ? (generator as { generator: number }).generator : undefined;
    const drawn = this.draws.get(node);
    if (drawn === undefined) return new RandomStream(this.b, () => this.keyOf(place), first?.id ?? 0);
    const { generators, part } = drawn.key.control as Extract<Control, { kind: 'key' }>;
    const seed = (drawn.key.args.operands as readonly Value[])[generators.indexOf(place ?? null)]!;
    return new RandomStream(this.b, () => keyFrom(this.b, this.op(seed), part, this.round), drawn.number);
  }

  node(node: Node): void {
    if (node.control !== undefined) {
      const outs = flat(node.outs);
      const operands = (node.args.operands as readonly Value[]).map((v) => this.op(v));
      this.lowered.add(node.op);
      const { results, failed } = lowerControl(this, node.control, operands, outs as Value[], this.watched.has(node));
      if (failed !== undefined) this.failures.set(node, failed);
      this.check(node, results, outs);
      return;
    }
    const reason = this.byRule(node);
    if (reason === undefined) {
      this.lowered.add(node.op);
      return;
    }
    if (this.fallback === 'error')
      throw new LoweringError(
        `lower: ${node.op} needs an ATen call: ${reason}${where(node)}${this.mesh === undefined ? '' : `; a program for several devices cannot call libtorch, so move the operator out of the function compiled for ${this.mesh}`}.`,
      );
    this.byCall(node);
    this.noteCall(node, node.op, reason);
  }

  /** Whether kernels of libtorch are called because they are fast. */
  private callsForSpeed(): boolean {
    return this.fallback === 'aten' && this.optimize === 'auto' && this.target === 'cpu' && this.mesh === undefined;
  }

  /** Calls of libtorch's kernels as parts of what a rule makes of `node`. */
  private kernelOf(node: Node): RuleContext['kernel'] {
    const value = ({ shape, dtype }: TensorType): Value => ({
      id: this.temporary--,
      shape,
      strides: rowMajor(shape),
      dtype,
    });
    return (op, given, outs) => {
      const args: Record<string, Arg> = {};
      for (const [name, arg] of Object.entries(given)) {
        if (!isOp(arg)) {
          args[name] = arg;
          continue;
        }
        const operand = value(arg);
        this.bind(operand, arg);
        args[name] = operand;
      }
      const call: Node = { op, args, outs: outs.map(value) };
      this.byCall(call);
      this.noteCall(node, op, "libtorch's kernel is faster");
      return (call.outs as readonly Value[]).map((v) => this.op(v));
    };
  }

  private noteCall(node: Node, op: string, reason: string): void {
    if (!this.callNodes.includes(node)) this.callNodes.push(node);
    this.calls.push({ op, reason, ...(node.line === undefined ? {} : { line: node.line }) });
  }

  /** Lowers by the rule; answers why that was not possible, undefined when it was. */
  private byRule(node: Node): string | undefined {
    const lowerNode = findRule(node.op);
    if (lowerNode === undefined) return whyUnlowered(node.op);
    if (this.fallback === 'aten' && prefersAten(node, this.optimize, this.derivatives))
      return "libtorch's kernel is faster";
    const outs = flat(node.outs);
    const types = outs.map((v) => v ?? undefined);
    const { b } = this;
    const kernel = this.callsForSpeed() && this.derivatives === 'calls' ? this.kernelOf(node) : undefined;
    const ctx: RuleContext = { b, out: types[0]!, outs: types, node, random: this.randomOf(node, types[0]), kernel };
    const args = this.arguments(node);
    try {
      const result = lowerNode(ctx, args as never);
      this.check(node, Array.isArray(result) ? result : [result as Op], outs);
      return undefined;
    } catch (error) {
      if (error instanceof NoLowering || error instanceof DtypeError) return error.message;
      // Arguments that no rule expects, as a dimension out of range where libtorch looks at it in its kernel only: the kernel has the words.
      if (error instanceof TypeError || error instanceof RangeError)
        return `its rule cannot take these arguments: ${error.message}`;
      if (error instanceof BuilderError) throw new LoweringError(`rule ${node.op}: ${error.message}${where(node)}`);
      throw error;
    }
  }

  /** Binds the results after comparing them with libtorch's shapes and dtypes. */
  private check(node: Node, results: readonly (Op | undefined)[], outs: readonly (Value | null)[]): void {
    outs.forEach((v, i) => {
      const op = results[i];
      if (v === null) return;
      if (op === undefined || !sameShape(op.shape, v.shape) || op.dtype !== v.dtype) {
        throw new LoweringError(
          `rule ${node.op}: result ${i} is ${op?.type ?? 'missing'}, libtorch says ${typeText(v.shape, v.dtype)}${where(node)}.`,
        );
      }
      this.ops.set(v.id, op);
    });
  }

  /** A 0-d bool that is true when the check fails. */
  failure(check: Check): Op {
    const { b } = this;
    if ('condition' in check) return anyOf(b, b.not(b.convert(this.op(check.condition), 'bool')));
    if ('notNan' in check) {
      const x = this.op(check.notNan);
      return anyOf(b, b.isNan(x));
    }
    if (check.node.control) return this.failures.get(check.node)!;
    const args = this.arguments(check.node);
    return findCheck(check.node.op)?.(b, args as never) ?? b.scalar(false, 'bool');
  }

  /** libtorch's kernel as a custom call. */
  private byCall(node: Node): void {
    const isTranspose = (v: Value) => this.b.transposedFrom(this.op(v)) !== undefined;
    this.call(encodeCall(node, isTranspose), flat(node.outs), isRandom(node.op));
  }
  private convolution(node: Node, tail: Tail): void {
    const out = flat(tail.nodes.at(-1)!.outs)[0]!;
    this.call(
      encodeConvolution(node, tail, out, (v) => this.op(v).name.startsWith('%arg')),
      [out],
      false,
    );
    const names = tail.nodes.map(({ op }) => op.replace(/^aten::|\..*$/g, ''));
    this.noteCall(node, node.op, `libtorch's kernel is faster, and ${names.join(', ')} are part of the call`);
  }
  private call(
    { text, operands, untransposed, orders }: EncodedCall,
    made: readonly (Value | null)[],
    effect: boolean,
  ): void {
    const outs = made.filter((v) => v !== null);
    const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
    const order = orders
      ? `, operand_layouts = ${layouts(orders.operands)}, result_layouts = ${layouts(orders.results)}`
      : '';
    const attrs = `api_version = 4 : i32, has_side_effect = ${effect}, backend_config = {call = "${escaped}"}${order}`;
    const results = this.b.customCall(
      'jorch_aten',
      operands.map((v, i) => (untransposed?.[i] ? this.b.transposedFrom(this.op(v))! : this.op(v))),
      outs,
      attrs,
      effect,
    );
    outs.forEach((v, i) => {
      this.ops.set(v.id, results[i]!);
    });
  }
}

/**
 * Lowers `graph` to the text of a module `@jorch`.
 * @throws LoweringError when a rule's result does not fit libtorch's, or a node has none and `fallback` is `'error'`.
 */
export function lower(
  graph: Graph,
  {
    results,
    inputs = graph.inputs,
    fallback,
    optimize = 'xla',
    checks = [],
    donated: wished = [],
    donateSafely = false,
    partition,
    target = partition?.mesh.device_type === 'cuda' ? 'gpu' : 'cpu',
    rowMajor = false,
    pack = false,
  }: LowerOptions,
): Lowered {
  const begin = (builder?: Builder): Lowering =>
    new Lowering(fallback, optimize, target, undefined, undefined, partition?.mesh, builder);
  const params = inputs.map((v, i) => parameter(`%arg${i}`, v));
  const write = (lowering: Lowering): Op[] => {
    for (const [i, v] of inputs.entries()) lowering.bind(v, params[i]!);
    lowering.watch(checks);
    lowering.graph(graph, [...results, ...checkOperands(checks)], inputs);
    // In memory order, so that the caller's tensors get eager's strides without a copy.
    const returned = results.map((v) => {
      if (partition !== undefined) return lowering.op(v); // sharded memory is row-major
      const order = rowMajor ? undefined : physicalOrder(v.shape, v.strides);
      return order === undefined || isIdentity(order) ? lowering.op(v) : lowering.b.transpose(lowering.op(v), order);
    });
    if (checks.length === 0) return returned;
    const { b } = lowering;
    const flags = checks.map((c) => b.reshape(lowering.failure(c), [1]));
    return [...returned, b.concatenate(flags, 0)];
  };
  let lowering = begin();
  let returned: readonly Op[] = write(lowering);
  const alone = partition === undefined && wished.length === 0 && lowering.keys.size === 0;
  if (lowering.b instanceof CpuBuilder && alone) {
    const two = inTwoVersions(lowering.b, begin, write);
    if (two !== undefined) ({ lowering, returned } = two);
  }
  const donated = donateSafely && lowering.calls.length > 0 ? [] : wished;
  const parameters = [...params, ...lowering.keys.values()];
  const oneKernel =
    target === 'cpu' && partition === undefined && isOneKernel(lowering.b.lines(), parameters, returned.length);
  const packed =
    pack && oneKernel
      ? packResults(lowering.b, returned, new Set(donated.map(({ output }) => output)))
      : { returned, places: returned.map(() => undefined) };
  const text = moduleText(lowering.b, {
    parameters,
    returned: packed.returned,
    results: results.length,
    donated: donated.map(({ input, output }) => ({
      input,
      output: packed.places.slice(0, output).filter((place) => place === undefined).length,
    })),
    partition,
    oneKernel,
    mayBeCut: target === 'cpu' && partition === undefined && donated.length === 0 && lowering.calls.length > 0,
  });
  const { calls, callNodes } = lowering;
  const lowered = [...lowering.lowered].sort();
  const arithmetic = lowering.b instanceof CpuBuilder && lowering.b.arithmetic;
  return {
    text,
    calls,
    callNodes,
    lowered,
    arithmetic,
    keys: [...lowering.keys.keys()],
    donated,
    places: packed.places,
    ...(partition ? { partition } : {}),
  };
}
