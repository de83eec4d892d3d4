/** @file Spells a recorded call as text, for nodes without a lowering: libtorch's own kernel runs inside the compiled program. */
import type { Arg, Node, Value } from '../compile/graph.js';
import { rowMajor } from '../stablehlo/types.js';

export const isValue = (a: unknown): a is Value => typeof a === 'object' && a !== null && 'strides' in a;

const float = (x: number): string =>
  `f${Number.isNaN(x) ? 'nan' : Number.isFinite(x) ? (Object.is(x, -0) ? '-0' : x) : x > 0 ? 'inf' : '-inf'}`;
const number = (x: number): string => (Number.isSafeInteger(x) && !Object.is(x, -0) ? `i${x}` : float(x));
const percent = (s: string): string =>
  encodeURIComponent(s).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);

function list(items: readonly Arg[], operands: Value[], optional = false): string {
  if (items.some(isValue)) {
    for (const i of items) if (isValue(i)) operands.push(i);
    return items.every(isValue) && !optional
      ? `TL${items.length}`
      : `TO${items.map((i) => (isValue(i) ? 1 : 0)).join('')}`;
  }
  if (items.length > 0 && items.every((i) => i === null)) return `TO${items.map(() => 0).join('')}`;
  if (items.length > 0 && items.every((i) => typeof i === 'boolean')) return `B[${items.map(Number).join(',')}]`;
  const parts = items.map((i) => field(i, operands));
  const kind = parts.some((p) => p.startsWith('f')) ? 'F' : 'I';
  return `${kind}[${parts.map((p) => p.slice(1)).join(',')}]`;
}

/** One argument; tensors go to `operands` in the order they are met. */
function field(arg: Arg, operands: Value[]): string {
  if (arg === null) return 'N';
  if (typeof arg === 'boolean') return arg ? 'b1' : 'b0';
  if (typeof arg === 'number') return number(arg);
  if (typeof arg === 'bigint') return `i${arg}`;
  if (typeof arg === 'string') return `s${percent(arg)}`;
  if (isValue(arg)) {
    operands.push(arg);
    return 'T';
  }
  if (Array.isArray(arg)) return list(arg as readonly Arg[], operands);
  if ('float' in arg) return float(arg.float);
  if ('re' in arg) return `c${float(arg.re).slice(1)},${float(arg.im).slice(1)}`;
  if ('dtype' in arg) return `d${arg.dtype}`;
  return `m${(arg as { memory_format: string }).memory_format}`;
}

const result = (v: Value | null): string =>
  v === null ? '-' : `${v.dtype}[${v.shape.join(',')}]{${rowMajor(v.shape).join(',')}}`;

/** The call's text and its tensor operands. Results are written row-major; those of a tensor list stand one by one. */
export function encodeCall(node: Node): { readonly text: string; readonly operands: readonly Value[] } {
  const operands: Value[] = [];
  // `indices` of the index family is the one `Tensor?[]` of ATen: no list of tensors even when all are there.
  const fields = Object.entries(node.args).map(([name, a]) =>
    name === 'indices' && Array.isArray(a) ? list(a, operands, true) : field(a, operands),
  );
  const outs = node.outs.flat().map((v) => result(v as Value | null));
  return { text: `${[node.op, ...fields].join('|')}|->${outs.join(';')}`, operands };
}
