/** @file Comparisons and logic: operands are compared in torch's result type, the answer is bool. */
import type { Builder } from '../stablehlo/builder.js';
import type { Direction } from '../stablehlo/elementwise.js';
import { type Literal, type Op, range, type TensorType } from '../stablehlo/types.js';
import { isComplex, isFloating } from '../torch/dtype.js';
import { isValue } from './aten-call.js';
import { isOp, promote, resultType, spread } from './common.js';
import { NoLowering, type RuleContext, type RuleName, rule } from './registry.js';

/** Both operands in their common dtype and the result's shape. A recorded `{ float: 2 }` still counts as a float. */
export function promoted(ctx: RuleContext, self: Op, other: Op | Literal): readonly [Op, Op] {
  const raw = ctx.node.args.other;
  const isFloat = typeof raw === 'object' && raw !== null && !isValue(raw) && 'float' in raw;
  const dtype = resultType(self, isFloat ? { float: Number(other) } : other);
  const like: TensorType = { shape: ctx.out.shape, dtype };
  return [spread(ctx.b, self, like), spread(ctx.b, other, like)];
}

const DIRECTIONS = { eq: 'EQ', ne: 'NE', lt: 'LT', le: 'LE', gt: 'GT', ge: 'GE' } as const satisfies Record<
  string,
  Direction
>;
for (const [name, direction] of Object.entries(DIRECTIONS) as [keyof typeof DIRECTIONS, Direction][]) {
  for (const overload of [`aten::${name}.Tensor`, `aten::${name}.Scalar`] as const) {
    rule(overload, (ctx, args: { self: Op; other: Op | Literal }) => {
      const [x, y] = promoted(ctx, args.self, args.other);
      if (isComplex(x.dtype) && direction !== 'EQ' && direction !== 'NE')
        throw new NoLowering(`no order on ${x.dtype}`);
      return ctx.b.compare(direction, x, y);
    });
  }
}

const logical = (name: RuleName, combine: (b: Builder, x: Op, y: Op) => Op) =>
  rule(name, ({ b, out }, args) => {
    const [x, y] = Object.values(args).filter(isOp);
    return combine(b, spread(b, b.convert(x!, 'bool'), out), spread(b, b.convert(y!, 'bool'), out));
  });
logical('aten::logical_and', (b, x, y) => b.and(x, y));
logical('aten::logical_or', (b, x, y) => b.or(x, y));
logical('aten::logical_xor', (b, x, y) => b.xor(x, y));
rule('aten::logical_not', ({ b }, { self }) => b.not(b.convert(self, 'bool')));

/** Either part of a complex number counts. */
const anyPart = (b: Builder, x: Op, test: (part: Op) => Op): Op =>
  isComplex(x.dtype) ? b.or(test(b.real(x)), test(b.imag(x))) : test(x);
const never = (b: Builder, x: Op): Op => b.constant(false, x.shape, 'bool');
const equals = (b: Builder, x: Op, v: number): Op =>
  isFloating(x.dtype) ? b.compare('EQ', x, b.fill(x, v)) : never(b, x);

rule('aten::isnan', ({ b }, { self }) => anyPart(b, self, (x) => b.isNan(x)));
rule('aten::isinf', ({ b }, { self }) =>
  anyPart(b, self, (x) => (isFloating(x.dtype) ? equals(b, b.abs(x), Infinity) : never(b, x))),
);
rule('aten::isposinf', ({ b }, { self }) => equals(b, self, Infinity));
rule('aten::isneginf', ({ b }, { self }) => equals(b, self, -Infinity));

/** Each element of `elements` against all of `test_elements`. */
rule('aten::isin.Tensor_Tensor', ({ b, out }, { elements, test_elements, invert }) => {
  const dtype = promote(elements.dtype, test_elements.dtype);
  const n = test_elements.shape.reduce((p, d) => p * d, 1);
  const like = { shape: [...out.shape, n], dtype };
  const x = b.broadcastInDim(
    b.convert(elements, dtype),
    like.shape,
    out.shape.map((_, i) => i),
  );
  const y = spread(b, b.reshape(test_elements, [n]), like);
  const found = b.reduce(b.compare('EQ', x, y), b.scalar(false, 'bool'), 'or', [out.shape.length]);
  return invert ? b.not(found) : found;
});
rule('aten::isin.Tensor_Scalar', ({ b, out }, { elements, test_element, invert }) => {
  const like = { shape: out.shape, dtype: resultType(elements, test_element) };
  return b.compare(invert ? 'NE' : 'EQ', spread(b, elements, like), b.fill(like, test_element));
});
rule('aten::isin.Scalar_Tensor', ({ b }, { element, test_elements, invert }) => {
  const like = { shape: test_elements.shape, dtype: resultType(test_elements, element) };
  const same = b.compare('EQ', spread(b, test_elements, like), b.fill(like, element));
  const found = b.reduce(same, b.scalar(false, 'bool'), 'or', range(like.shape.length));
  return invert ? b.not(found) : found;
});
