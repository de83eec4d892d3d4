/**
 * @file What follows a convolution of images element by element and is part of its call of libtorch's kernel, which then works on a few images at a time
 * (native/program/convolution_call.h): what a group of images has become is changed while it is in a core's own cache, and not fetched from memory again.
 */
import type { Arg, Node, Value } from '../compile/graph.js';
import { sameShape } from '../stablehlo/types.js';
import { floatText, isValue } from './aten-call.js';
import { flat, valuesIn } from './live-nodes.js';

/** The nodes behind a convolution, the last of which makes the call's result. */
export interface Tail {
  readonly nodes: readonly Node[];
  /** As they stand in the text of the call. */
  readonly steps: readonly string[];
  /** Numbers per channel, or images. */
  readonly operands: readonly Value[];
}
interface Step {
  readonly text: string;
  readonly operands: readonly Value[];
}

const isFloat = (v: Arg | undefined): v is Value => isValue(v) && v.dtype === 'float32';
const bound = (arg: Arg | undefined): number | undefined => {
  const x = typeof arg === 'object' && arg !== null && 'float' in arg ? arg.float : arg;
  return typeof x === 'number' && !Number.isNaN(x) ? x : undefined;
};

/** Lower and upper bound, either of which may be missing. */
const clamped = (low: Arg | undefined, high: Arg | undefined): Step | undefined => {
  const given = [low, high].map((arg) => (arg === null || arg === undefined ? null : bound(arg)));
  if (given.includes(undefined)) return undefined;
  const texts = given.flatMap((x, i) => (typeof x === 'number' ? [`${'lu'[i]}${floatText(x)}`] : []));
  return texts.length === 0 ? undefined : { text: texts.join('&'), operands: [] };
};

/** By given statistics, that is. */
const normalised = ({ args }: Node, v: Value): Step | undefined => {
  const { input, running_mean, running_var, weight, bias, training, eps } = args;
  if (input !== v || training === true || !isFloat(running_mean) || !isFloat(running_var)) return undefined;
  const scales = [weight, bias].filter((p) => p !== null);
  if (!scales.every(isFloat)) return undefined;
  const digits = [weight, bias].map((p) => (p === null ? 0 : 1)).join('');
  return { text: `n${digits},${floatText(bound(eps)!)}`, operands: [running_mean, running_var, ...scales] };
};
const added = ({ args }: Node, v: Value): Step | undefined => {
  const other = args.self === v ? args.other : args.self;
  return bound(args.alpha) === 1 && isFloat(other) && sameShape(other.shape, v.shape)
    ? { text: '+', operands: [other] }
    : undefined;
};

/** What each operator does to `v`; undefined where it is not one of its steps. */
const STEPS: Readonly<Record<string, (node: Node, v: Value) => Step | undefined>> = {
  'aten::native_batch_norm': normalised,
  'aten::_native_batch_norm_legit_no_training': normalised,
  'aten::relu': () => clamped(0, null),
  'aten::hardtanh': ({ args }) => clamped(args.min_val, args.max_val),
  'aten::clamp': ({ args }) => clamped(args.min, args.max),
  'aten::clamp_min': ({ args }) => clamped(args.min, null),
  'aten::clamp_max': ({ args }) => clamped(null, args.max),
  'aten::add.Tensor': added,
};

/** The mean of all pixels: nothing follows it. */
const averaged = ({ op, args, outs }: Node, v: Value): boolean =>
  op === 'aten::mean.dim' &&
  args.self === v &&
  isFloat(outs[0] as Value) &&
  Array.isArray(args.dim) &&
  args.dim.length === 2 &&
  [2, 3].every((d) => (args.dim as readonly Arg[]).some((given) => given === d || given === d - 4));

/** Of those among the nodes that are calls and convolutions of images: their tails. `results`: what else is looked at. */
export function tailsOf(
  nodes: readonly Node[],
  results: readonly Value[],
  isCall: (node: Node) => boolean,
): Map<Node, Tail> {
  const tails = new Map<Node, Tail>();
  const convolutions = nodes.filter((node) => node.op === 'aten::convolution' && isCall(node));
  if (convolutions.length === 0) return tails;
  const uses = new Map<number, number>();
  const users = new Map<number, Node>();
  const use = (v: Value): void => {
    uses.set(v.id, (uses.get(v.id) ?? 0) + 1);
  };
  results.forEach(use);
  for (const node of nodes)
    for (const name in node.args)
      valuesIn(node.args[name]!, (v) => {
        use(v);
        users.set(v.id, node);
      });

  /** A sum of what follows two convolutions is part of one of them. */
  const taken = new Set<Node>();
  /** The next step, unless somebody else wants `v` or another result of the next node. */
  const next = (v: Value): { readonly node: Node; readonly out: Value; readonly step: Step } | undefined => {
    const node = uses.get(v.id) === 1 ? users.get(v.id) : undefined;
    if (node === undefined || taken.has(node)) return undefined;
    const [out, ...rest] = flat(node.outs);
    if (averaged(node, v)) return { node, out: out!, step: { text: 'm', operands: [] } };
    const step = STEPS[node.op]?.(node, v);
    if (step === undefined || !isFloat(out) || !sameShape(out.shape, v.shape)) return undefined;
    return rest.some((r) => r !== null && uses.has(r.id)) ? undefined : { node, out, step };
  };
  for (const convolution of convolutions) {
    const found: Step[] = [];
    const behind: Node[] = [];
    let v = flat(convolution.outs)[0]!;
    if (!isFloat(v) || v.shape.length !== 4 || convolution.args.transposed === true) continue;
    for (let step = next(v); step !== undefined; step = next(v)) {
      found.push(step.step);
      behind.push(step.node);
      taken.add(step.node);
      v = step.out;
      if (step.step.text === 'm') break;
    }
    if (behind.length > 0)
      tails.set(convolution, {
        nodes: behind,
        steps: found.map(({ text }) => text),
        operands: found.flatMap(({ operands }) => operands),
      });
  }
  return tails;
}
