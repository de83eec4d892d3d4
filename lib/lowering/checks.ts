/** @file What eager would raise from data: per operator, a flag computed from its operands. A flag is a suspicion: libtorch's own kernel is asked then. */
import type { Control, Node, Subgraph } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import { type Literal, numel, type Op, range } from '../stablehlo/types.js';
import { isInteger } from '../torch/dtype.js';
import { wrapDim } from './common.js';
import type { RuleName } from './registry.js';
import type { RuleArgs } from './rule-args.js';

/** A 0-d bool, true where libtorch's kernel would raise; undefined when this call cannot. */
type Check<N extends RuleName> = (b: Builder, args: RuleArgs[N]) => Op | undefined;
type AnyCheck = (b: Builder, args: never) => Op | undefined;

const table = new Map<string, AnyCheck>();
const check = <N extends RuleName>(names: N | readonly N[], body: Check<N>): void => {
  for (const name of typeof names === 'string' ? [names] : names) table.set(name, body as AnyCheck);
};

/** Whether any element of a bool tensor is true. */
export const anyOf = (b: Builder, x: Op): Op =>
  x.shape.length === 0 ? x : b.reduce(x, b.scalar(false, 'bool'), 'or', range(x.shape.length));

/** Whether any element lies outside low … high-1. */
const outside = (b: Builder, index: Op, low: number, high: number): Op | undefined => {
  if (numel(index.shape) === 0 || index.dtype === 'bool') return undefined;
  const i = b.convert(index, 'int64');
  return anyOf(b, b.or(b.compare('LT', i, b.fill(i, low)), b.compare('GE', i, b.fill(i, high))));
};

const either = (b: Builder, flags: readonly (Op | undefined)[]): Op | undefined => {
  const given = flags.filter((f) => f !== undefined);
  return given.length === 0 ? undefined : given.reduce((x, y) => b.or(x, y));
};

const sizeAlong = (x: Op, dim: number): number => x.shape[wrapDim(dim, x.shape.length)] ?? 1;

check(
  ['aten::gather', 'aten::scatter.src', 'aten::scatter.value', 'aten::scatter.reduce', 'aten::scatter.value_reduce'],
  (b, { self, dim, index }) => outside(b, index, 0, sizeAlong(self, dim)),
);
check(['aten::scatter_add', 'aten::scatter_reduce.two'], (b, { self, dim, index }) =>
  outside(b, index, 0, sizeAlong(self, dim)),
);
check(['aten::index_select', 'aten::index_add', 'aten::index_copy', 'aten::index_reduce'], (b, { self, dim, index }) =>
  outside(b, index, 0, sizeAlong(self, dim)),
);
check(['aten::index_fill.int_Scalar', 'aten::index_fill.int_Tensor'], (b, { self, dim, index }) =>
  outside(b, index, -sizeAlong(self, dim), sizeAlong(self, dim)),
);
check(['aten::take', 'aten::put'], (b, { self, index }) => outside(b, index, -numel(self.shape), numel(self.shape)));
check(['aten::index.Tensor', 'aten::index_put'], (b, { self, indices }) => {
  let dim = 0;
  const flags = indices.map((index) => {
    const at = dim;
    dim += index?.dtype === 'bool' ? index.shape.length : 1;
    return index && outside(b, index, -self.shape[at]!, self.shape[at]!);
  });
  return either(b, flags);
});
check('aten::embedding', (b, { weight, indices }) => outside(b, indices, 0, weight.shape[0]!));
check(['aten::_embedding_bag', 'aten::_embedding_bag_forward_only'], (b, { weight, indices }) =>
  outside(b, indices, 0, weight.shape[0]!),
);

/** Class numbers along dimension 1 of the input (0 of a single sample), or the one that is ignored. */
const targets = (b: Builder, self: Op, target: Op, ignored: number | undefined): Op | undefined => {
  if (numel(target.shape) === 0) return undefined;
  const t = b.convert(target, 'int64');
  const classes = self.shape.length === 1 ? self.shape[0]! : self.shape[1]!;
  const wrong = b.or(b.compare('LT', t, b.fill(t, 0)), b.compare('GE', t, b.fill(t, classes)));
  return anyOf(b, ignored === undefined ? wrong : b.and(wrong, b.compare('NE', t, b.fill(t, ignored))));
};
check(['aten::nll_loss_forward', 'aten::nll_loss2d_forward'], (b, { self, target, ignore_index }) =>
  targets(b, self, target, ignore_index),
);
check('aten::multi_margin_loss', (b, { self, target }) => targets(b, self, target, undefined));

/** Integer division: both integers, or a bool among them. */
const zeroDivisor = (b: Builder, self: Op | Literal, other: Op | Literal): Op | undefined => {
  const integral = (x: Op | Literal) =>
    typeof x === 'object' && 'dtype' in x ? isInteger(x.dtype) || x.dtype === 'bool' : Number.isInteger(Number(x));
  if (!integral(self) || !integral(other)) return undefined;
  if (typeof other === 'object' && 'dtype' in other) {
    if (numel(other.shape) === 0) return undefined;
    return anyOf(b, b.compare('EQ', other, b.fill(other, 0)));
  }
  return Number(other) === 0 ? b.scalar(true, 'bool') : undefined;
};
check(['aten::div.Tensor_mode', 'aten::div.Scalar_mode'], (b, { self, other, rounding_mode }) =>
  rounding_mode === undefined ? undefined : zeroDivisor(b, self, other as Op | Literal),
);
check(['aten::floor_divide', 'aten::remainder.Tensor', 'aten::fmod.Tensor'], (b, { self, other }) =>
  zeroDivisor(b, self, other),
);
check(['aten::floor_divide.Scalar', 'aten::remainder.Scalar', 'aten::fmod.Scalar'], (b, { self, other }) =>
  zeroDivisor(b, self, other),
);
check('aten::remainder.Scalar_Tensor', (b, { self, other }) => zeroDivisor(b, self, other));

// Factorisations say in a result of their own that they failed; this is where libtorch reads it.
check('aten::_linalg_check_errors', (b, { info }) =>
  numel(info.shape) === 0 ? undefined : anyOf(b, b.compare('NE', info, b.fill(info, 0))),
);

/** Whether any element lies outside low … high, or is NaN. */
const beyond = (b: Builder, x: Op, low: number, high = Number.POSITIVE_INFINITY): Op | undefined => {
  if (numel(x.shape) === 0) return undefined;
  return anyOf(b, b.not(b.and(b.compare('GE', x, b.fill(x, low)), b.compare('LE', x, b.fill(x, high)))));
};
check('aten::bernoulli', (b, { self }) => beyond(b, self, 0, 1));
check('aten::bernoulli.Tensor', (b, { p }) => beyond(b, p, 0, 1));
check('aten::binary_cross_entropy', (b, { self }) => beyond(b, self, 0, 1));
check(['aten::normal.Tensor_Tensor', 'aten::normal.float_Tensor'], (b, { std }) => beyond(b, std, 0));
check('aten::multinomial', (b, { self }) => {
  const rows = self.shape.length - 1;
  if (numel(self.shape) === 0) return undefined;
  const sums = b.reduce(self, b.scalar(0, self.dtype), 'add', [rows]);
  const empty = anyOf(b, b.compare('LE', sums, b.fill(sums, 0)));
  return either(b, [empty, beyond(b, self, 0), anyOf(b, b.not(b.isFinite(self)))]);
});

/** libtorch's own assertions on data; `one_hot` makes them. */
check(['aten::_assert_async', 'aten::_assert_async.msg'], (b, { self }) => anyOf(b, b.not(b.convert(self, 'bool'))));

/** The programs inside an operator of our own. */
export const bodiesOf = (control: Control): readonly Subgraph[] => {
  switch (control.kind) {
    case 'scan':
      return [control.body];
    case 'while':
      return [control.cond, control.body];
    case 'cond':
      return control.branches;
    case 'key':
    case 'barrier':
    case 'sharding':
      return [];
  }
};

/** Whether eager would look at the data of a call, or of one in a body of it. */
export const canFail = (node: Node): boolean =>
  node.control === undefined
    ? findCheck(node.op) !== undefined
    : bodiesOf(node.control).some(({ graph }) => graph.nodes.some(canFail));

export const findCheck = (name: string): AnyCheck | undefined => table.get(name);
/** The overloads that have a check. */
export const checkedOps = (): string[] => [...table.keys()].sort();
