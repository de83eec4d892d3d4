/** @file Spells a recorded call as text, for nodes without a lowering: libtorch's own kernel runs inside the compiled program. */
import type { Arg, Node, Value } from '../compile/graph.js';
import { rowMajor } from '../stablehlo/types.js';
import { isComplex } from '../torch/dtype.js';
import { FAILURE_FLAGS } from './prefer.js';

export const isValue = (a: unknown): a is Value => typeof a === 'object' && a !== null && 'strides' in a;

/** A number as strtod reads it. */
export const floatText = (x: number): string =>
  Number.isNaN(x) ? 'nan' : Number.isFinite(x) ? (Object.is(x, -0) ? '-0' : `${x}`) : x > 0 ? 'inf' : '-inf';
const float = (x: number): string => `f${floatText(x)}`;
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

/** Dimensions from the one whose elements lie farthest apart to the one whose elements are neighbours. */
type Order = readonly number[];
const ROWS = (v: Value): Order => v.shape.map((_, d) => d);
const CHANNELS_LAST: Order = [0, 2, 3, 1];

/**
 * Images whose channels lie together: libtorch's convolutions are fastest on them, and XLA lays out its own code around a call as the call wants
 * it. By operator: the arguments and results that are images.
 */
const IMAGES: Readonly<Record<string, { readonly args: readonly string[]; readonly outs: readonly number[] }>> = {
  'aten::convolution': { args: ['input'], outs: [0] },
  'aten::convolution_backward': { args: ['grad_output', 'input'], outs: [0] },
  'aten::batch_norm_update_stats': { args: ['input'], outs: [] },
  'aten::native_batch_norm_backward': { args: ['grad_out', 'input'], outs: [0] },
};

const strides = (shape: readonly number[], order: Order): number[] => {
  const result: number[] = [];
  const sizes = rowMajor(order.map((d) => shape[d]!));
  order.forEach((d, i) => {
    result[d] = sizes[i]!;
  });
  return result;
};
const result = (v: Value, order: Order): string =>
  `${v.dtype}[${v.shape.join(',')}]{${strides(v.shape, order).join(',')}}`;

export interface EncodedCall {
  readonly text: string;
  readonly operands: readonly Value[];
  /** Which operands are to be the matrices that they are the transposes of. */
  readonly untransposed?: readonly boolean[];
  /** How operands and results lie in memory; undefined: all row-major. */
  readonly orders?: { readonly operands: readonly Order[]; readonly results: readonly Order[] };
}

/**
 * Read column by column a matrix that lies row by row is its transpose, and LAPACK takes columns: triangular systems are written as those of the transposes, or libtorch
 * would copy matrices and results (a third of the time at 100×100). A single right side lies in both ways. A transpose that the program would have to make is not made.
 */
const SOLVE = 'aten::linalg_solve_triangular';
const solveByColumns = (
  { op, args, outs }: Node,
  isTranspose: (v: Value) => boolean,
): Pick<EncodedCall, 'text' | 'operands' | 'untransposed'> | undefined => {
  if (op !== SOLVE) return undefined;
  const [A, B] = [args.self as Value, args.B as Value];
  const [left, upper, unit] = [args.left, args.upper, field(args.unitriangular!, [])];
  const turned = left === false || B.shape.at(-1) !== 1;
  const [flipA, flipB] = [isTranspose(A), turned && isTranspose(B)];
  const a = turned === flipA ? 'T' : 'Tt';
  const b = turned === flipB ? 'T' : 'Tt';
  const out = outs[0] as Value;
  const flags = [turned ? !upper : upper, turned ? !left : left].map((flag) => field(flag!, []));
  return {
    text: `${SOLVE}|${a}|${b}|${flags.join('|')}|${unit}|->${result(out, ROWS(out))}${turned ? 't' : ''}`,
    operands: [A, B],
    untransposed: [flipA, flipB],
  };
};
/** The lower factor row by row is the upper one column by column, and a triangle of the matrix is the other triangle of its transpose. */
const CHOLESKY = 'aten::linalg_cholesky_ex';
const factorByColumns = ({ op, args, outs }: Node): Pick<EncodedCall, 'text' | 'operands'> | undefined => {
  const A = args.self as Value;
  if (op !== CHOLESKY || isComplex(A.dtype)) return undefined;
  const [L, info] = outs as Value[];
  const flags = [!args.upper, args.check_errors!].map((flag) => field(flag, []));
  const text = `${CHOLESKY}|Tt|${flags.join('|')}|->${result(L!, ROWS(L!))}t${spoiled(op, 0)};${result(info!, ROWS(info!))}`;
  return { text, operands: [A] };
};
const spoiled = (op: string, out: number): string => {
  const failure = FAILURE_FLAGS[op];
  return failure?.[0] === out ? `n${failure[1]}` : '';
};

/** The call's text and its tensor operands; `isTranspose` knows which the program computes by transposing. The results of a tensor list stand one by one. */
export function encodeCall(node: Node, isTranspose: (v: Value) => boolean = () => false): EncodedCall {
  const byColumns = solveByColumns(node, isTranspose) ?? factorByColumns(node);
  if (byColumns !== undefined) return byColumns;
  const operands: Value[] = [];
  const images = IMAGES[node.op];
  const orders = { operands: [] as Order[], results: [] as Order[] };
  const fields = Object.entries(node.args).map(([name, a]) => {
    const first = operands.length;
    // `indices` of the index family is the one `Tensor?[]` of ATen: no list of tensors even when all are there.
    const text = name === 'indices' && Array.isArray(a) ? list(a, operands, true) : field(a, operands);
    const image = images?.args.includes(name) && operands[first]?.shape.length === CHANNELS_LAST.length;
    orders.operands.push(...operands.slice(first).map((v) => (image ? CHANNELS_LAST : ROWS(v))));
    return image ? `${text}c` : text;
  });
  const outs = (node.outs.flat() as (Value | null)[]).map((v, i) => {
    if (v === null) return '-';
    const order = images?.outs.includes(i) && v.shape.length === CHANNELS_LAST.length ? CHANNELS_LAST : ROWS(v);
    orders.results.push(order);
    return `${result(v, order)}${spoiled(node.op, i)}`;
  });
  const text = `${[node.op, ...fields].join('|')}|->${outs.join(';')}`;
  const plain = !orders.operands.includes(CHANNELS_LAST) && !orders.results.includes(CHANNELS_LAST);
  return plain ? { text, operands } : { text, operands, orders };
}

/**
 * A convolution of images with what is done to its result (convolution-tail.ts), which is `out`. An image that `liesInRows` is laid out anew in the call, a few at a time.
 */
export function encodeConvolution(
  node: Node,
  tail: { readonly steps: readonly string[]; readonly operands: readonly Value[] },
  out: Value,
  liesInRows: (v: Value) => boolean,
): EncodedCall {
  const { text, operands, orders } = encodeCall({ ...node, outs: [out] });
  const rows = liesInRows(operands[0]!);
  const behind = tail.operands.map((v) => (v.shape.length === CHANNELS_LAST.length ? CHANNELS_LAST : ROWS(v)));
  return {
    text: [rows ? text.replace('|Tc|', '|T|') : text, ...tail.steps].join('&'),
    operands: [...operands, ...tail.operands],
    orders: {
      operands: [rows ? ROWS(operands[0]!) : CHANNELS_LAST, ...orders!.operands.slice(1), ...behind],
      results: orders!.results,
    },
  };
}

/** XLA's words for it: dimensions from the nearest to the farthest. */
export const layouts = (orders: readonly Order[]): string =>
  `[${orders.map((order) => `dense<${order.length ? `[${[...order].reverse().join(', ')}]` : ''}> : tensor<${order.length}xindex>`).join(', ')}]`;
