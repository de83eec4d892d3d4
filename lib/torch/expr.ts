/** @file Formulas in Python's notation: expr`sin(${x}) + exp(2 * ${x}) @ ${w}`, parsed once per place in the source. */
import { JorchError } from '../runtime/errors.js';
import { DTYPES } from './dtype.js';
import { type Constant, constantOp, constantUnary, float, isConstant, plain } from './expr-numbers.js';
import { parse, type Subscript, source, type Tree } from './expr-parse.js';
import { nearest } from './python-call.js';
import type { Tensor } from './python-types.js';
import { Scalar } from './scalar.js';

/** What formulas need from the rest of jorch. */
export interface ExprScope {
  /** torch's names: a bare `sin` is `names.sin`; `linalg.norm` goes through the namespace object. */
  readonly names: Readonly<Record<string, unknown>>;
  isTensor(value: unknown): boolean;
  /** Python's `x[indices]` and `x[indices] = value`. */
  at(tensor: Tensor, indices: readonly unknown[]): unknown;
  setAt(tensor: Tensor, indices: readonly unknown[], value: unknown): unknown;
  slice(start: number | null, stop: number | null, step: number | null): unknown;
}

/** A formula's value; `expr<number>` where it is none of a tensor. */
export type Expr = <R = Tensor>(strings: TemplateStringsArray, ...values: readonly unknown[]) => R;

/** Python's operators as the methods they call: of the left operand, and of the right one where the left is a number. */
const METHODS: Readonly<Record<string, readonly [string, string]>> = {
  '+': ['__add__', '__radd__'],
  '-': ['__sub__', '__rsub__'],
  '*': ['__mul__', '__rmul__'],
  '/': ['__truediv__', '__rtruediv__'],
  '//': ['__floordiv__', '__rfloordiv__'],
  '%': ['__mod__', '__rmod__'],
  '@': ['__matmul__', '__rmatmul__'],
  '**': ['__pow__', '__rpow__'],
  '&': ['__and__', '__rand__'],
  '|': ['__or__', '__ror__'],
  '^': ['__xor__', '__rxor__'],
  '<<': ['__lshift__', '__rlshift__'],
  '>>': ['__rshift__', '__rrshift__'],
  '<': ['__lt__', '__gt__'],
  '>': ['__gt__', '__lt__'],
  '<=': ['__le__', '__ge__'],
  '>=': ['__ge__', '__le__'],
  '==': ['__eq__', '__eq__'],
  '!=': ['__ne__', '__ne__'],
};
const UNARY: Readonly<Record<string, string>> = { '-': '__neg__', '+': '__pos__', '~': '__invert__' };

/** Python's torch has these numbers among its names. */
const NUMBERS: Readonly<Record<string, unknown>> = {
  pi: Math.PI,
  e: Math.E,
  inf: Number.POSITIVE_INFINITY,
  nan: Number.NaN,
  newaxis: null,
};

type Callable = (...args: readonly unknown[]) => unknown;

class Evaluator {
  constructor(
    private readonly scope: ExprScope,
    private readonly strings: readonly string[],
    private readonly values: readonly unknown[],
  ) {}

  evaluate(tree: Tree): unknown {
    switch (tree.kind) {
      case 'hole':
        return this.values[tree.index];
      case 'number':
        if (tree.imaginary) return Scalar.complex(0, Number(tree.value));
        return tree.float ? float(Number(tree.value)) : tree.value;
      case 'constant':
        return tree.value;
      case 'ellipsis':
        return '...';
      case 'name':
        return this.name(tree.name);
      case 'list':
        return tree.items.map((item) => this.evaluate(item));
      case 'attribute':
        return this.attribute(this.evaluate(tree.object), tree.name);
      case 'call':
        return this.call(tree);
      case 'subscript':
        return this.read(this.evaluate(tree.object), tree.indices);
      case 'unary':
        return this.unary(tree.op, this.evaluate(tree.operand));
      case 'binary':
        return this.binary(tree.op, this.evaluate(tree.left), this.evaluate(tree.right));
      case 'assign': {
        const object = this.evaluate(tree.target.object);
        if (!this.scope.isTensor(object))
          this.fail(`only a tensor's elements can be assigned, got ${this.show(object)}`);
        return this.scope.setAt(object as Tensor, this.indices(tree.target.indices), this.evaluate(tree.value));
      }
    }
  }

  private name(name: string): unknown {
    const { names } = this.scope;
    if (Object.hasOwn(names, name)) return names[name];
    if (Object.hasOwn(NUMBERS, name)) return NUMBERS[name];
    if ((DTYPES as readonly string[]).includes(name)) return name;
    if (name === 'torch') return names;
    const near = nearest(name, Object.keys(names));
    return this.fail(
      `torch has no '${name}'; write \${${name}} for a value of yours${near === undefined ? '' : `, or did you mean '${near}'?`}`,
    );
  }

  private attribute(object: unknown, name: string): unknown {
    if (object === null || object === undefined) return this.fail(`${this.show(object)} has no attribute '${name}'`);
    const holder = Object(object) as Record<string, unknown>;
    if (name in holder) return holder[name];
    return holder === this.scope.names ? this.name(name) : this.fail(`${this.show(object)} has no attribute '${name}'`);
  }

  /** `x.sum(dim=1)` keeps its object; keywords become the last argument. */
  private call(tree: Tree & { kind: 'call' }): unknown {
    const { callee } = tree;
    const object = callee.kind === 'attribute' ? this.evaluate(callee.object) : undefined;
    const run = callee.kind === 'attribute' ? this.attribute(object, callee.name) : this.evaluate(callee);
    if (typeof run !== 'function')
      return this.fail(
        `${callee.kind === 'name' || callee.kind === 'attribute' ? `'${callee.name}'` : this.show(run)} is not a function`,
      );
    const positional: unknown[] = [];
    const keywords: Record<string, unknown> = {};
    for (const { name, spread, value } of tree.args) {
      const given = this.evaluate(value);
      if (name !== undefined) keywords[name] = given;
      else if (Object.keys(keywords).length > 0) this.fail('a positional argument follows a keyword');
      else if (spread) positional.push(...(given as Iterable<unknown>));
      else positional.push(given);
    }
    if (Object.keys(keywords).length > 0) positional.push(keywords);
    return (run as Callable).apply(object, positional);
  }

  private unary(op: string, x: unknown): unknown {
    if (isConstant(x)) return constantUnary(op, x);
    if (!this.scope.isTensor(x)) return this.fail(`'${op}' needs a tensor or a number, got ${this.show(x)}`);
    return this.method(x, UNARY[op] as string)();
  }

  private binary(op: string, left: unknown, right: unknown): unknown {
    const [own, reflected] = METHODS[op] as readonly [string, string];
    const numbers = [isConstant(left), isConstant(right)];
    const tensors = [this.scope.isTensor(left), this.scope.isTensor(right)];
    if (numbers[0] && numbers[1]) return constantOp(op, left as Constant, right as Constant);
    if (tensors[0] && (tensors[1] || numbers[1])) return this.method(left, own)(right);
    if (tensors[1] && numbers[0]) return this.method(right, reflected)(left);
    return this.fail(`'${op}' needs tensors or numbers, got ${this.show(left)} and ${this.show(right)}`);
  }

  private method(tensor: unknown, name: string): Callable {
    return ((tensor as Record<string, unknown>)[name] as Callable).bind(tensor);
  }

  private indices(list: readonly Subscript[]): unknown[] {
    const bound = (tree: Tree | undefined): number | null => {
      const value = tree === undefined ? null : plain(this.evaluate(tree));
      return value === null || typeof value === 'number'
        ? value
        : this.fail(`a slice needs integers, got ${this.show(value)}`);
    };
    const flat = list.length === 1 && list[0]?.kind === 'list' && list[0].tuple ? list[0].items : list;
    return flat.map((i) =>
      i.kind === 'slice' ? this.scope.slice(bound(i.start), bound(i.stop), bound(i.step)) : this.evaluate(i),
    );
  }

  /** Tensors take any subscript; lists and several results an integer or a slice. */
  private read(object: unknown, list: readonly Subscript[]): unknown {
    if (this.scope.isTensor(object)) return this.scope.at(object as Tensor, this.indices(list));
    const items = object as ArrayLike<unknown> | null | undefined;
    const only = list[0];
    if (typeof object === 'string' || typeof items?.length !== 'number' || list.length !== 1 || only === undefined)
      return this.fail(`${this.show(object)} takes no such subscript`);
    if (only.kind === 'slice') {
      const part = (tree: Tree | undefined): number | undefined =>
        tree === undefined ? undefined : Number(this.evaluate(tree));
      if (only.step !== undefined) this.fail('a list takes no step');
      return Array.from(items).slice(part(only.start), part(only.stop));
    }
    const i = this.evaluate(only);
    if (typeof i !== 'number' || !Number.isInteger(i) || i >= items.length || i < -items.length)
      return this.fail(`subscript ${this.show(i)} is outside a list of ${items.length}`);
    return items[i < 0 ? i + items.length : i];
  }

  private show(value: unknown): string {
    if (this.scope.isTensor(value)) return 'a tensor';
    if (Array.isArray(value)) return 'a list';
    if (typeof value === 'function') return 'a function';
    return value === null
      ? 'None'
      : typeof value === 'object'
        ? 'an object'
        : typeof value === 'string'
          ? `'${value}'`
          : String(value);
  }

  private fail(message: string): never {
    throw new JorchError('BAD_ARGUMENT', `expr: ${message}, in \`${source(this.strings)}\``);
  }
}

/**
 * The template tag over a scope. Python's expressions: arithmetic, `**`, `@`, comparisons (one at a time), calls with keywords, attributes,
 * subscripts (`x[1:3, None, ...]`), lists, and `x[m] = v`.
 * @throws JorchError BAD_ARGUMENT for what the grammar leaves out, names that torch lacks, operands that are neither tensors nor numbers
 */
export function makeExpr(scope: ExprScope): Expr {
  const parsed = new WeakMap<TemplateStringsArray, Tree>();
  return <R>(strings: TemplateStringsArray, ...values: readonly unknown[]): R => {
    let tree = parsed.get(strings);
    if (tree === undefined) {
      tree = parse(strings.raw);
      parsed.set(strings, tree);
    }
    return plain(new Evaluator(scope, strings.raw, values).evaluate(tree)) as R;
  };
}
