/** @file Runs a recorded graph eagerly, node by node, with libtorch's own kernels: to see its values, and to hear libtorch's own errors. */
import type { Arg, Control, Graph, Node, Subgraph, Value } from '../compile/graph.js';
import { cut, loopScan } from '../control/scan-operator.js';
import { isValue } from '../lowering/aten-call.js';
import { canFail } from '../lowering/checks.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { tensor } from '../torch/data.js';
import { Scalar } from '../torch/scalar.js';
import type { Tensor } from '../torch/tensor.js';

/** ` (fit.ts:12:7)`; empty when the line is not known. */
export const atLine = (line: string | undefined): string => (line ? ` (${line})` : '');

/** The tensors that a node makes. */
export const resultsOf = (node: Node): Value[] => (node.outs.flat() as (Value | null)[]).filter((v) => v !== null);

/** The tensors that a node reads. */
export const operandsOf = (node: Node): Value[] => {
  const found: Value[] = [];
  const visit = (arg: Arg): void => {
    if (Array.isArray(arg)) arg.forEach(visit);
    else if (isValue(arg)) found.push(arg);
  };
  Object.values(node.args).forEach(visit);
  return found;
};

/** The values of a graph, computed when asked for. Graphs are pure: nothing that is given is changed. */
export class Replay {
  private readonly values = new Map<number, Tensor>();
  private readonly makers = new Map<number, Node>();

  constructor(
    private readonly graph: Graph,
    given: Iterable<readonly [Value, Tensor]>,
  ) {
    for (const [v, t] of given) this.values.set(v.id, t);
    for (const { value, data } of graph.constants)
      this.values.set(value.id, tensor([...data], { dtype: value.dtype }).reshape([...value.shape]));
    for (const node of graph.nodes) for (const v of resultsOf(node)) this.makers.set(v.id, node);
  }

  has(v: Value): boolean {
    return this.values.has(v.id);
  }

  /** @throws JorchError what libtorch raises on the way, with the user's line. */
  value(v: Value): Tensor {
    this.prepare([v]);
    return this.values.get(v.id)!;
  }

  /** Runs one node, and before it whatever it needs. */
  run(node: Node): void {
    this.prepare(operandsOf(node));
    this.call(node);
  }

  /** Runs one node, and of its bodies also what no result needs: libtorch's kernels may raise there. */
  check(node: Node): void {
    this.prepare(operandsOf(node));
    this.call(node, true);
  }

  /** Runs everything that may raise. */
  checkAll(): void {
    for (const node of this.graph.nodes) if (canFail(node)) this.check(node);
  }

  /** In recorded order and without recursion: graphs are thousands of nodes deep. */
  private prepare(wanted: readonly Value[]): void {
    const needed = new Set<Node>();
    const open = [...wanted];
    for (let v = open.pop(); v !== undefined; v = open.pop()) {
      if (this.has(v)) continue;
      const node = this.makers.get(v.id);
      if (node === undefined) throw new JorchError('BAD_ARGUMENT', `replay: value %${v.id} is not given`);
      if (needed.has(node)) continue;
      needed.add(node);
      open.push(...operandsOf(node));
    }
    if (needed.size === 0) return;
    for (const node of this.graph.nodes) if (needed.has(node)) this.call(node);
  }

  private call(node: Node, checked = false): void {
    if (node.control !== undefined) {
      const operands = operandsOf(node).map((v) => this.values.get(v.id)!);
      const made = replayControl(node.control, operands, checked);
      resultsOf(node).forEach((v, i) => {
        this.values.set(v.id, made[i]!);
      });
      return;
    }
    const [packet, overload = ''] = node.op.split('.', 2) as [string, string?];
    const args = Object.fromEntries(Object.entries(node.args).map(([name, arg]) => [name, this.argument(arg)]));
    // Offsets in graphs count from the tensor's first element, libtorch's from the start of its memory.
    if (typeof args.storage_offset === 'number' && isValue(node.args.self))
      args.storage_offset += this.values.get(node.args.self.id)!.offset;
    let result: unknown;
    try {
      result = native().packet(packet, overload)(args);
    } catch (error) {
      if (!(error instanceof JorchError)) throw error;
      // The names of internal operators say nothing to the caller.
      const internal = /^aten::(_\w+)/.exec(packet)?.[1];
      const prefix = internal === undefined ? '' : `${internal}: `;
      const text = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
      throw new JorchError(error.code, `${text}${atLine(node.line)}`, { cause: error });
    }
    for (const [i, out] of node.outs.entries()) {
      if (out === null) continue;
      const made = node.outs.length === 1 ? result : (result as unknown[])[i];
      if (Array.isArray(out))
        for (const [k, v] of (out as readonly Value[]).entries()) this.values.set(v.id, (made as Tensor[])[k]!);
      else this.values.set((out as Value).id, made as Tensor);
    }
  }

  private argument(arg: Arg): unknown {
    if (arg === null || typeof arg !== 'object') return arg;
    if (Array.isArray(arg)) return arg.map((a) => this.argument(a as Arg));
    if (isValue(arg)) return this.values.get(arg.id)!;
    if ('float' in arg) return Scalar.float(arg.float);
    if ('re' in arg) return Scalar.complex(arg.re, arg.im);
    if ('dtype' in arg) return arg.dtype;
    if ('memory_format' in arg) return arg.memory_format;
    if ('generator' in arg) return this.graph.generators![arg.generator];
    return arg;
  }
}

const replayBody = ({ graph, inputs, results }: Subgraph, operands: readonly Tensor[], checked: boolean): Tensor[] => {
  const replay = new Replay(
    graph,
    inputs.map(({ value, operand }) => [value, operands[operand]!] as const),
  );
  if (checked) replay.checkAll();
  return results.map((v) => replay.value(v));
};

/** Loops and branches, with their bodies replayed. */
const replayControl = (control: Control, operands: readonly Tensor[], checked: boolean): Tensor[] => {
  switch (control.kind) {
    case 'scan': {
      const [fixed, carry, slices] = cut(operands, control.carries, control.slices);
      const step = (now: Tensor[], row: Tensor[]) => replayBody(control.body, [...fixed, ...now, ...row], checked);
      return loopScan(step, carry, slices, control.length, control.reverse);
    }
    case 'while': {
      const [fixed, carry] = cut(operands, control.carries, 0);
      let now = carry;
      while (replayBody(control.cond, [...fixed, ...now], checked)[0]!.item())
        now = replayBody(control.body, [...fixed, ...now], checked);
      return now;
    }
    case 'cond':
      return replayBody(control.branches[operands[0]!.item() ? 0 : 1], operands.slice(1), checked);
    case 'key':
      return [];
    case 'barrier':
    case 'sharding':
      return [...operands];
  }
};
