/**
 * @file Double backward through a compiled call: its backward as a compiled function that is differentiable itself. It calls the user's
 * function again, so that every rule of autograd holds, and is compiled when it is first asked for.
 */
import { isDeepStrictEqual } from 'node:util';
import { valuesIn } from '../lowering/index.js';
import type { BackwardFunction, BackwardSpec, Capture, Place } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, unflatten } from '../tree.js';
import { asNumbers } from './dynamic.js';
import type { Arg, Graph, Value } from './graph.js';
import type { LeafSignature } from './reasons.js';
import type { Internal } from './record.js';
import type { Trace } from './trace.js';

/** The function that a program was traced from, and what it was traced with. */
export interface Backward {
  readonly name: string;
  readonly f: (...args: never[]) => unknown;
  readonly structure: Structure;
  /** What the arguments were; `first`: the first leaf that is the same tensor. */
  readonly leaves: readonly (LeafSignature & { readonly first: number })[];
  compile(
    f: (inputs: Tensor[], gradients: Tensor[]) => (Tensor | null)[],
    name: string,
    internal: Internal,
  ): BackwardFunction;
}

/** What the plan of the program knows: the values that its parameters are, where those come from, and how many random keys it takes. */
export interface PlannedCall {
  readonly trace: Trace;
  readonly inputs: readonly Value[];
  readonly parameters: readonly Place[];
  readonly keys: number;
}
export type SecondOrder = (call: PlannedCall) => BackwardSpec['second'];

const emptyStrided = op('aten::empty_strided');

/** Whether the second graph begins with the nodes that the function recorded into the first. */
const beginsAlike = (first: Trace, second: Trace): boolean => {
  const twins = new Map<number, number>();
  const inputOf = ({ graph }: Trace, { input }: Capture): Value | undefined => graph.inputs[input];
  for (const capture of first.captures) {
    const other = second.captures.find((c) =>
      capture.leaf >= 0 ? c.leaf === capture.leaf : c.identity === capture.identity,
    );
    const [a, b] = [inputOf(first, capture), other && inputOf(second, other)];
    if (a !== undefined && b !== undefined) twins.set(a.id, b.id);
  }
  const constants = ({ graph }: Trace): Map<number, Graph['constants'][number]> =>
    new Map(graph.constants.map((c) => [c.value.id, c]));
  const [ours, theirs] = [constants(first), constants(second)];
  const sameValue = (a: Value, b: Value): boolean => {
    const [x, y] = [ours.get(a.id), theirs.get(b.id)];
    if (x === undefined) return twins.get(a.id) === b.id;
    return y !== undefined && a.dtype === b.dtype && isDeepStrictEqual([a.shape, x.data], [b.shape, y.data]);
  };
  const isValue = (arg: Arg): arg is Value => typeof arg === 'object' && arg !== null && 'id' in arg;
  const same = (a: Arg, b: Arg): boolean => {
    if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((x, i) => same(x, b[i] as Arg));
    if (isValue(a)) return isValue(b) && sameValue(a, b);
    return isDeepStrictEqual(a, b);
  };
  return first.graph.nodes.slice(0, first.ownNodes).every((node, i) => {
    const other = second.graph.nodes[i];
    if (other === undefined || other.op !== node.op || !isDeepStrictEqual(node.control, other.control)) return false;
    if (!Object.entries(node.args).every(([name, arg]) => same(arg, other.args[name] as Arg))) return false;
    const [made, remade] = [node.outs.flat(), other.outs.flat()] as (Value | null)[][];
    return made!.every((v, k) => {
      const w = remade![k];
      if (v === null || !w) return v === w;
      twins.set(v.id, w.id);
      return v.dtype === w.dtype && isDeepStrictEqual(v.shape, w.shape);
    });
  });
};

/** The positions among the function's results that its backward begins at; undefined when it begins elsewhere. */
const rootsOf = ({ outputs, resultCount, sameAs, views, backward }: Trace): number[] | undefined => {
  const places = backward!.results.map((id) =>
    outputs.findIndex((output, i) => output === id && i < resultCount && sameAs[i]! < 0 && views[i] === null),
  );
  return places.includes(-1) ? undefined : places;
};

/** Without the tensors that the function was called with: those live no longer than the graph of a call. */
const withoutArguments = (trace: Trace): Trace => ({
  ...trace,
  captures: trace.captures.map((c) => (c.leaf < 0 ? c : { ...c, tensor: undefined as never })),
});

/** `places`: which parameters of the program are given, `roots`: which results gradients come to. */
const handlerOf = (
  { name, f, structure, leaves, compile }: Backward,
  trace: Trace,
  roots: readonly number[],
  places: readonly Place[],
): BackwardFunction => {
  const targets = trace.backward!.captures.map((k) => trace.captures[k]!);
  const body = (given: Tensor[], cotangents: Tensor[]): (Tensor | null)[] => {
    const args = unflatten(structure, asNumbers(structure, given)) as never[];
    const results = flatten(f(...args)).leaves;
    return native().grad(
      roots.map((i) => results[i]!),
      targets.map(({ leaf, tensor }) => (leaf >= 0 ? given[leaf]! : tensor)),
      cotangents,
      true,
      true,
      true,
    );
  };
  const check = (again: Trace): void => {
    if (!beginsAlike(trace, again))
      throw new JorchError(
        'BAD_ARGUMENT',
        `double backward through a compiled call: ${name} records other operators now than when it was called: a JavaScript value that it captures, or a mode (autocast, default dtype) has changed. Take the second derivative inside the compiled function (autograd.grad with create_graph), or call the function uncompiled`,
      );
  };
  let compiled: BackwardFunction | undefined;
  return (values, cotangents) => {
    const known = new Map(places.flatMap(({ isArg, index }, i) => (isArg ? [[index, values[i]!] as const] : [])));
    const given: Tensor[] = [];
    // What the gradient does not depend on is there for its shape only.
    for (const [i, { shape, strides, dtype, requires_grad, first }] of leaves.entries())
      given.push(
        known.get(first) ??
          (first < i
            ? given[first]!
            : (emptyStrided([...shape], [...strides], { dtype }) as Tensor).requires_grad_(requires_grad)),
      );
    compiled ??= compile(body, `backward of ${name}`, { check });
    return compiled(given, cotangents);
  };
};

/** The inputs that values depend on. Batch norm is handed the statistics that it updates, and does not look at them while it trains. */
const inputsBehind = (graph: Graph, values: readonly Value[]): Value[] => {
  const needed = new Set(values.map((v) => v.id));
  for (const node of [...graph.nodes].reverse()) {
    if (!(node.outs.flat() as (Value | null)[]).some((v) => v !== null && needed.has(v.id))) continue;
    const training = node.args.training === true || node.args.train === true;
    for (const [name, arg] of Object.entries(node.args))
      if (!training || !name.startsWith('running_')) valuesIn(arg, (v) => needed.add(v.id));
  }
  return graph.inputs.filter((v) => needed.has(v.id));
};

/** How to go backward twice through the calls of a program. */
export const backwardOf =
  (of: Backward): SecondOrder =>
  ({ trace, inputs, parameters, keys }) => {
    const { graph, backward } = trace;
    const gradients = backward!.gradients.filter((id) => id >= 0).map((id) => graph.values[id]!);
    const cotangents = new Set(backward!.cotangents);
    const read = inputsBehind(graph, gradients).filter((v) => !cotangents.has(v.id));
    const indices = read.map((v) => inputs.findIndex((input) => input.id === v.id));
    const places = indices.map((i) => parameters[i]!);
    const roots = rootsOf(trace);
    if (keys > 0) return { refused: `${of.name} draws random numbers, which its backward would draw anew` };
    if (roots === undefined)
      return { refused: `${of.name} returns several views of one tensor, or changes one in place that requires grad` };
    if (places.some((place) => place.ofGrad || place.ofStorage))
      return { refused: 'the gradient depends on a .grad, or on memory that several arguments share' };
    return { inputs: indices, handler: handlerOf(of, withoutArguments(trace), roots, places) };
  };
