/** @file Parses Python's expression grammar from a template's strings: `sin(${x})[1:3, None] @ w` to a tree. */
import { JorchError } from '../runtime/errors.js';

/** `float` marks a number written with a point or an exponent: 2.0 and 2 promote differently. */
export type Tree =
  | { readonly kind: 'number'; readonly value: number | bigint; readonly float: boolean; readonly imaginary: boolean }
  | { readonly kind: 'constant'; readonly value: string | boolean | null }
  | { readonly kind: 'ellipsis' }
  | { readonly kind: 'hole'; readonly index: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Tree[]; readonly tuple: boolean }
  | { readonly kind: 'attribute'; readonly object: Tree; readonly name: string }
  | { readonly kind: 'call'; readonly callee: Tree; readonly args: readonly Argument[] }
  | { readonly kind: 'subscript'; readonly object: Tree; readonly indices: readonly Subscript[] }
  | { readonly kind: 'unary'; readonly op: string; readonly operand: Tree }
  | { readonly kind: 'binary'; readonly op: string; readonly left: Tree; readonly right: Tree }
  | { readonly kind: 'assign'; readonly target: Tree & { kind: 'subscript' }; readonly value: Tree };
export interface Argument {
  readonly name: string | undefined;
  readonly spread: boolean;
  readonly value: Tree;
}
export type Subscript =
  | Tree
  | {
      readonly kind: 'slice';
      readonly start: Tree | undefined;
      readonly stop: Tree | undefined;
      readonly step: Tree | undefined;
    };

type Token =
  | { readonly kind: 'op' | 'name' | 'number' | 'string' | 'end'; readonly text: string }
  | { readonly kind: 'hole'; readonly index: number; readonly text: string };

const SPACE = /\s+/y;
const NAME = /[\p{L}_][\p{L}\p{N}_]*/uy;
const NUMBER = /(?:0[xX][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)[jJ]?/y;
const STRING = /'([^'\\\n]*)'|"([^"\\\n]*)"/y;
const OPERATOR =
  /\*\*=|\/\/=|<<=|>>=|\*\*|\/\/|<<|>>|<=|>=|==|!=|:=|->|[+\-*/%@&|^]=|\.\.\.|[-+*/%@&|^~<>()[\]{},:=.]/y;

/** The formula as its writer sees it, for messages. */
export const source = (strings: readonly string[]): string =>
  strings
    .map((s, i) => (i === 0 ? s : `\${…}${s}`))
    .join('')
    .trim();

function tokens(strings: readonly string[]): Token[] {
  const found: Token[] = [];
  strings.forEach((text, chunk) => {
    if (chunk > 0) found.push({ kind: 'hole', index: chunk - 1, text: `\${…}` });
    let at = 0;
    const take = (pattern: RegExp): string | undefined => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match) at += match[0].length;
      return match?.[0];
    };
    while (at < text.length) {
      if (take(SPACE) !== undefined) continue;
      const name = take(NAME);
      if (name !== undefined) {
        found.push({ kind: 'name', text: name });
        continue;
      }
      // A number before an operator: '.5' begins with a point. '...' and 'x.T' do not match NUMBER.
      const number = take(NUMBER);
      if (number !== undefined) {
        found.push({ kind: 'number', text: number.replaceAll('_', '') });
        continue;
      }
      const string = take(STRING);
      if (string !== undefined) {
        found.push({ kind: 'string', text: string.slice(1, -1) });
        continue;
      }
      const op = take(OPERATOR);
      if (op === undefined)
        throw new JorchError('BAD_ARGUMENT', `expr: unexpected '${text[at]}' in \`${source(strings)}\``);
      found.push({ kind: 'op', text: op });
    }
  });
  found.push({ kind: 'end', text: 'the end' });
  return found;
}

/** Keywords of Python that the language of formulas leaves out, with what to write instead. */
const REFUSED: Readonly<Record<string, string>> = {
  and: "'and' asks for one truth value; elementwise it is a & b, or logical_and(a, b)",
  or: "'or' asks for one truth value; elementwise it is a | b, or logical_or(a, b)",
  not: "'not' asks for one truth value; elementwise it is ~a, or logical_not(a)",
  if: "'if' asks for one truth value; elementwise it is where(condition, a, b)",
  in: "'in' is not part of formulas; write isin(elements, test_elements)",
  is: "'is' is not part of formulas; compare in JavaScript",
  for: 'comprehensions are not part of formulas; loop in JavaScript',
  lambda: 'functions are not part of formulas; write them in JavaScript',
  await: "'await' is not part of formulas",
};

const COMPARISONS = new Set(['<', '>', '<=', '>=', '==', '!=']);
/** Binary operators by how tightly they bind, loosest first; all of them associate to the left. */
const LEVELS: readonly ReadonlySet<string>[] = [
  new Set('|'),
  new Set('^'),
  new Set('&'),
  new Set(['<<', '>>']),
  new Set('+-'),
  new Set(['*', '/', '//', '%', '@']),
];

class Parser {
  private at = 0;
  private readonly list: readonly Token[];

  constructor(private readonly strings: readonly string[]) {
    this.list = tokens(strings);
  }

  /** formula: expression | subscript '=' expression */
  formula(): Tree {
    if (this.peek().kind === 'end') this.fail('the formula is empty');
    const left = this.tupleOr(() => this.expression());
    const next = this.peek();
    if (next.kind === 'op' && next.text === '=') {
      this.at++;
      if (left.kind !== 'subscript') this.fail('only a subscript can be assigned to: x[i] = value');
      const value = this.tupleOr(() => this.expression());
      this.end();
      return { kind: 'assign', target: left, value };
    }
    if (next.kind === 'op' && /^[^=<>!]+=$/.test(next.text))
      this.fail(`'${next.text}' is not part of formulas; write x[i] = x[i] ${next.text.slice(0, -1)} value`);
    this.end();
    return left;
  }

  /** expression: comparison, one at most */
  private expression(): Tree {
    const left = this.binary(0);
    const op = this.peek();
    if (op.kind === 'name') this.refuse(op.text);
    if (op.kind !== 'op' || !COMPARISONS.has(op.text)) return left;
    this.at++;
    const right = this.binary(0);
    const again = this.peek();
    if (again.kind === 'op' && COMPARISONS.has(again.text))
      this.fail(`chained comparisons ask for one truth value; write (a ${op.text} b) & (b ${again.text} c)`);
    if (again.kind === 'name') this.refuse(again.text);
    return { kind: 'binary', op: op.text, left, right };
  }

  private binary(level: number): Tree {
    const ops = LEVELS[level];
    if (ops === undefined) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const token = this.peek();
      if (token.kind !== 'op' || !ops.has(token.text)) return left;
      this.at++;
      left = { kind: 'binary', op: token.text, left, right: this.binary(level + 1) };
    }
  }

  /** unary: ('-' | '+' | '~') unary | power. A power binds tighter than a sign before it: -x**2 is -(x**2). */
  private unary(): Tree {
    const token = this.peek();
    if (token.kind === 'name') this.refuse(token.text);
    if (token.kind === 'op' && '-+~'.includes(token.text)) {
      this.at++;
      return { kind: 'unary', op: token.text, operand: this.unary() };
    }
    const base = this.primary();
    if (!this.accept('**')) return base;
    return { kind: 'binary', op: '**', left: base, right: this.unary() };
  }

  /** primary: atom followed by attributes, calls and subscripts */
  private primary(): Tree {
    let tree = this.atom();
    for (;;) {
      if (this.accept('.')) {
        const name = this.next();
        if (name.kind !== 'name') this.fail(`expected a name after '.', got ${name.text}`);
        tree = { kind: 'attribute', object: tree, name: name.text };
      } else if (this.accept('('))
        tree = { kind: 'call', callee: tree, args: this.sequence(')', () => this.argument()) };
      else if (this.accept('[')) {
        const indices = this.sequence(']', () => this.subscript());
        if (indices.length === 0) this.fail('a subscript is missing between [ and ]');
        tree = { kind: 'subscript', object: tree, indices };
      } else return tree;
    }
  }

  private argument(): Argument {
    if (this.accept('**')) this.fail("'**' arguments are not part of formulas; write the keywords");
    if (this.accept('*')) return { name: undefined, spread: true, value: this.expression() };
    const token = this.peek();
    const after = this.list[this.at + 1];
    if (token.kind === 'name' && after?.kind === 'op' && after.text === '=') {
      this.at += 2;
      return { name: token.text, spread: false, value: this.expression() };
    }
    return { name: undefined, spread: false, value: this.expression() };
  }

  private subscript(): Subscript {
    const stops = (): boolean => [':', ',', ']'].includes(this.peek().text);
    const start = stops() ? undefined : this.expression();
    if (!this.accept(':')) return start ?? this.fail('a subscript is missing');
    const stop = stops() ? undefined : this.expression();
    const step = this.accept(':') && !stops() ? this.expression() : undefined;
    return { kind: 'slice', start, stop, step };
  }

  private atom(): Tree {
    const token = this.next();
    if (token.kind === 'hole') return { kind: 'hole', index: token.index };
    if (token.kind === 'number') return number(token.text);
    if (token.kind === 'string') return { kind: 'constant', value: token.text };
    if (token.kind === 'name') {
      if (token.text === 'True' || token.text === 'False') return { kind: 'constant', value: token.text === 'True' };
      if (token.text === 'None') return { kind: 'constant', value: null };
      this.refuse(token.text);
      return { kind: 'name', name: token.text };
    }
    if (token.text === '...') return { kind: 'ellipsis' };
    if (token.text === '[') return { kind: 'list', items: this.sequence(']', () => this.expression()), tuple: false };
    if (token.text === '(') {
      if (this.accept(')')) return { kind: 'list', items: [], tuple: true };
      const inner = this.tupleOr(() => this.expression(), ')');
      this.expect(')');
      return inner;
    }
    if (token.text === '{') this.fail('dictionaries and sets are not part of formulas');
    return this.fail(`expected a value, got ${token.kind === 'end' ? token.text : `'${token.text}'`}`);
  }

  /** One item, or several with commas between them as a tuple. */
  private tupleOr(item: () => Tree, close?: string): Tree {
    const first = item();
    if (this.peek().text !== ',') return first;
    const items = [first];
    while (this.accept(',')) {
      const next = this.peek();
      if (next.kind === 'end' || next.text === close || next.text === '=') break;
      items.push(item());
    }
    return { kind: 'list', items, tuple: true };
  }

  /** Items with commas between them, up to `close`; a trailing comma is allowed. */
  private sequence<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.accept(close)) {
      items.push(item());
      if (!this.accept(',')) {
        this.expect(close);
        break;
      }
    }
    return items;
  }

  private peek(): Token {
    return this.list[this.at] as Token;
  }
  private next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.at++;
    return token;
  }
  private accept(op: string): boolean {
    const token = this.peek();
    if (token.kind !== 'op' || token.text !== op) return false;
    this.at++;
    return true;
  }
  private expect(op: string): void {
    if (!this.accept(op)) this.fail(`expected '${op}', got ${this.peek().text}`);
  }
  private end(): void {
    const token = this.peek();
    if (token.kind === 'name') this.refuse(token.text);
    if (token.kind !== 'end') this.fail(`unexpected ${token.text}`);
  }
  private refuse(name: string): void {
    if (Object.hasOwn(REFUSED, name)) this.fail(REFUSED[name] as string);
  }
  private fail(message: string): never {
    throw new JorchError('BAD_ARGUMENT', `expr: ${message}, in \`${source(this.strings)}\``);
  }
}

function number(text: string): Tree {
  const imaginary = /[jJ]$/.test(text);
  const digits = imaginary ? text.slice(0, -1) : text;
  const hex = /^0[xX]/.test(digits);
  const float = imaginary || (!hex && /[.eE]/.test(digits));
  const value = Number(digits);
  return { kind: 'number', value: float || Number.isSafeInteger(value) ? value : BigInt(digits), float, imaginary };
}

/** The tree of a template's formula. @throws JorchError BAD_ARGUMENT with the formula and what to write instead */
export const parse = (strings: readonly string[]): Tree => new Parser(strings).formula();
