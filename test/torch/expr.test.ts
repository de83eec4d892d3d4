import assert from 'node:assert/strict';
import { isJorchError } from '../../lib/runtime/errors.js';
import { makeExpr } from '../../lib/torch/expr.js';
import { Scalar } from '../../lib/torch/scalar.js';

/** A stand-in tensor that writes down the calls made on it. */
class Fake {
  constructor(readonly text: string) {}
  readonly shape = [3, 4];
  get T() {
    return new Fake(`${this.text}.T`);
  }
  sum(...args: unknown[]) {
    return new Fake(`${this.text}.sum(${show(args)})`);
  }
  [method: `__${string}__`]: (...args: unknown[]) => Fake;
}
for (const name of 'add radd sub rsub mul rmul truediv rtruediv floordiv mod matmul pow rpow and or xor ror lshift lt gt le ge eq ne neg pos invert'.split(
  ' ',
)) {
  Object.defineProperty(Fake.prototype, `__${name}__`, {
    value(this: Fake, ...args: unknown[]) {
      return new Fake(`${name}(${show([this, ...args])})`);
    },
  });
}
const show = (value: unknown): string => {
  if (value instanceof Fake) return value.text;
  if (value instanceof Scalar)
    return `${value.scalarKind}:${value.scalarKind === 'complex' ? `${value.re},${value.im}` : value.value}`;
  if (Array.isArray(value)) return value.map(show).join(', ');
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([k, v]) => `${k}=${show(v)}`)
      .join(', ')}}`;
  return String(value);
};
const fn =
  (name: string) =>
  (...args: unknown[]) =>
    new Fake(`${name}(${show(args)})`);
const expr = makeExpr({
  names: {
    sin: fn('sin'),
    exp: fn('exp'),
    clamp: fn('clamp'),
    cat: fn('cat'),
    float64: 'float64',
    linalg: { norm: fn('linalg.norm') },
    max: () => ({ 0: new Fake('values'), 1: new Fake('indices'), length: 2 }),
  },
  isTensor: (x) => x instanceof Fake,
  at: (x, indices) => new Fake(`${(x as unknown as Fake).text}[${show(indices as unknown[])}]`),
  setAt: (x, indices, value) =>
    new Fake(`${(x as unknown as Fake).text}[${show(indices as unknown[])}] = ${show(value)}`),
  slice: (a, b, c) => new Fake(`${a ?? ''}:${b ?? ''}${c === null ? '' : `:${c}`}`),
});
const x = new Fake('x');
const w = new Fake('w');
const m = new Fake('m');

const is = (value: unknown, text: string): void => assert.equal(show(value), text);

describe('expr', () => {
  it("follows Python's precedence", () => {
    is(expr`sin(${x}) + exp(2 * ${x}) @ ${w}`, 'add(sin(x), matmul(exp(rmul(x, 2)), w))');
    is(expr`-${x}**2`, 'neg(pow(x, 2))');
    is(expr`${x}**-2**2`, 'pow(x, -4)');
    is(expr`2**${x}`, 'rpow(x, 2)');
    is(expr`${x} - ${w} - ${m}`, 'sub(sub(x, w), m)');
    is(expr`${x} < 1 | ${w}`, 'lt(x, ror(w, 1))');
    is(expr`${x} @ ${w} * 2 + ${m} / 3`, 'add(mul(matmul(x, w), 2), truediv(m, 3))');
  });

  it('compares and combines masks', () => {
    is(expr`(${x} > 0) & ~(${x} >= ${w})`, 'and(gt(x, 0), invert(ge(x, w)))');
    is(expr`1 < ${x}`, 'gt(x, 1)');
    is(expr`${x} != ${w}`, 'ne(x, w)');
  });

  it('tells 2.0 from 2 and computes with numbers as Python does', () => {
    is(expr`${x} * 2.0`, 'mul(x, float:2)');
    is(expr`${x} * 1e-3`, 'mul(x, 0.001)');
    is(expr`${x} * (1 + 2j)`, 'mul(x, complex:1,2)');
    is(expr`${x} + 7 // 2`, 'add(x, 3)');
    is(expr`${x} + -7 % 3`, 'add(x, 2)');
    is(expr`${x} + 1 / 2`, 'add(x, 0.5)');
    is(expr`${x} + 4 / 2`, 'add(x, float:2)');
    is(expr`${x} + 2 ** 62`, 'add(x, 4611686018427387904)');
    assert.equal(expr<number>`2.0 * 3`, 6);
    is(expr`${x} * pi`, `mul(x, ${Math.PI})`);
  });

  it('calls functions and methods, with keywords last', () => {
    is(expr`clamp(${x}, min=0, max=1.5)`, 'clamp(x, {min=0, max=1.5})');
    is(expr`${x}.sum(1, keepdim=True)`, 'x.sum(1, {keepdim=true})');
    is(expr`linalg.norm(${x}, 'fro', dtype=float64)`, 'linalg.norm(x, fro, {dtype=float64})');
    is(expr`torch.sin(${x}).T`, 'sin(x).T');
    is(expr`cat([${x}, ${w}], dim=-1)`, 'cat(x, w, {dim=-1})');
    is(expr`cat(*${[x, w]})`, 'cat(x, w)');
  });

  it('reads and writes subscripts', () => {
    is(expr`${x}[1:3, None, ..., ::2]`, 'x[1:3, null, ..., ::2]');
    is(expr`${x}[${m}]`, 'x[m]');
    is(expr`${x}[-1]`, 'x[-1]');
    is(expr`${x}[:-1]`, 'x[:-1]');
    is(expr`${x}[[0, 2]]`, 'x[0, 2]');
    is(expr`${x}[(0, 1)]`, 'x[0, 1]');
    is(expr`${x}[${m} > 0, 0] = ${w} * 2`, 'x[gt(m, 0), 0] = mul(w, 2)');
    assert.equal(expr<number>`${x}.shape[-1]`, 4);
    is(expr`max(${x}, 1)[1]`, 'indices');
  });

  const refuses = (run: () => unknown, message: RegExp): void => {
    assert.throws(
      run,
      (e: unknown) => isJorchError(e) && e.code === 'BAD_ARGUMENT' && message.test(e.message),
      String(message),
    );
  };

  it('says what to write for a name that torch lacks', () => {
    refuses(() => expr`sin(y)`, /torch has no 'y'; write \$\{y\} for a value of yours/);
    refuses(() => expr`sinn(${x})`, /did you mean 'sin'\?/);
    refuses(() => expr`toString(${x})`, /torch has no 'toString'/);
    refuses(() => expr`${x}.summ()`, /a tensor has no attribute 'summ'/);
  });

  it('refuses what asks for a truth value, and says what is elementwise', () => {
    refuses(() => expr`0 < ${x} < 1`, /chained comparisons.*\(a < b\) & \(b < c\)/);
    refuses(() => expr`${x} and ${w}`, /a & b, or logical_and/);
    refuses(() => expr`not ${x}`, /~a, or logical_not/);
    refuses(() => expr`${x} if ${m} else ${w}`, /where\(condition, a, b\)/);
  });

  it('shows the formula in every syntax error', () => {
    refuses(() => expr`sin(${x}`, /expected '\)', got the end, in `sin\(\$\{…\}`/);
    refuses(() => expr`${x} +`, /expected a value, got the end/);
    refuses(() => expr``, /the formula is empty/);
    refuses(() => expr`${x} $ 2`, /unexpected '\$'/);
    refuses(() => expr`${x} = 2`, /only a subscript can be assigned to/);
    refuses(() => expr`${x}[0] += 2`, /write x\[i\] = x\[i\] \+ value/);
    refuses(() => expr`${x} ${w}`, /unexpected \$\{…\}/);
    refuses(() => expr`sin(a=1, ${x})`, /a positional argument follows a keyword/);
    refuses(() => expr`${x} + ${[1]}`, /'\+' needs tensors or numbers, got a tensor and a list/);
    refuses(() => expr`1 / 0 * ${x}`, /division by zero/);
    refuses(() => expr`float64(${x})`, /'float64' is not a function/);
  });

  it('parses once per place', () => {
    const at = (v: unknown) => expr`${v} + 1`;
    is(at(x), 'add(x, 1)');
    is(at(w), 'add(w, 1)');
  });
});
