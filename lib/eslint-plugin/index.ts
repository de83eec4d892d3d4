/** @file jorch/eslint-plugin: what JavaScript does with tensors without asking them. Needs typescript-eslint's parser with type information. */

/** The little of ESLint's and TypeScript's interfaces that is used: neither is a dependency. */
interface AstNode {
  readonly type: string;
  readonly [key: string]: unknown;
}
interface TypeLike {
  readonly types?: readonly TypeLike[];
  getProperty(name: string): unknown;
}
interface Context {
  readonly sourceCode: {
    readonly parserServices?: { readonly program?: unknown; getTypeAtLocation?(node: AstNode): TypeLike };
  };
  report(problem: { node: AstNode; messageId: string; data?: Record<string, string> }): void;
}
type Listener = Readonly<Record<string, (node: AstNode) => void>>;
interface Rule {
  readonly meta: {
    readonly type: 'problem';
    readonly docs: { readonly description: string; readonly url?: string };
    readonly schema: readonly [];
    readonly messages: Readonly<Record<string, string>>;
  };
  create(context: Context): Listener;
}

/** By structure, not by name: a type with these members is a tensor, whatever it is called and from which copy of jorch. */
const MARKS = ['requires_grad', 'grad_fn', 'dtype', 'backward'];

const isTensorType = (type: TypeLike): boolean =>
  type.types !== undefined
    ? type.types.some(isTensorType)
    : MARKS.every((name) => type.getProperty(name) !== undefined);

const tensorTest = (context: Context): ((node: AstNode) => boolean) => {
  const services = context.sourceCode.parserServices;
  if (!services?.program || !services.getTypeAtLocation)
    throw new Error(
      'jorch/eslint-plugin needs type information: use the parser of typescript-eslint with languageOptions.parserOptions.projectService',
    );
  return (node) => isTensorType(services.getTypeAtLocation!(node));
};

const noTensorCondition: Rule = {
  meta: {
    type: 'problem',
    docs: { description: 'a tensor as a condition is always true: JavaScript does not look at its value' },
    schema: [],
    messages: {
      condition:
        'A tensor is always true here, whatever its value. Read it with .item() outside compile(), or choose with where(condition, a, b) or cond(condition, f, g).',
      negation:
        '! of a tensor is always false, whatever its value. Write t.logical_not(), or read it with .item() outside compile().',
    },
  },
  create(context) {
    const isTensor = tensorTest(context);
    /** `t && f()` and `a ? b : t` in a condition: what decides are their parts. */
    const check = (node: AstNode | null): void => {
      if (node === null) return;
      if (node.type === 'LogicalExpression') {
        // Its left side is reported by its own visit.
        check(node.right as AstNode);
        return;
      }
      if (isTensor(node)) context.report({ node, messageId: 'condition' });
    };
    const test = (node: AstNode): void => check(node.test as AstNode | null);
    return {
      IfStatement: test,
      ConditionalExpression: test,
      WhileStatement: test,
      DoWhileStatement: test,
      ForStatement: test,
      LogicalExpression(node) {
        // `t ?? other` asks for null and undefined only. A tensor that may be absent is asked for with `=== undefined`.
        if (node.operator !== '??' && (node.left as AstNode).type !== 'LogicalExpression') check(node.left as AstNode);
      },
      UnaryExpression(node) {
        if (node.operator === '!' && isTensor(node.argument as AstNode))
          context.report({ node, messageId: 'negation' });
      },
      'CallExpression[callee.name="Boolean"]'(node: AstNode) {
        const [first] = node.arguments as AstNode[];
        if (first && isTensor(first)) context.report({ node: first, messageId: 'condition' });
      },
    };
  },
};

/** What to write instead of an operator. */
const METHODS: Readonly<Record<string, string>> = {
  '===': 'eq',
  '==': 'eq',
  '!==': 'ne',
  '!=': 'ne',
  '<': 'lt',
  '<=': 'le',
  '>': 'gt',
  '>=': 'ge',
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '%': 'remainder',
  '**': 'pow',
  '&': 'bitwise_and',
  '|': 'bitwise_or',
  '^': 'bitwise_xor',
};
const IDENTITY = new Set(['===', '!==', '==', '!=']);

const isNothing = (node: AstNode): boolean =>
  (node.type === 'Literal' && node.value === null && node.raw === 'null') ||
  (node.type === 'Identifier' && node.name === 'undefined');

const noTensorCompare: Rule = {
  meta: {
    type: 'problem',
    docs: {
      description:
        "JavaScript's operators do not work on tensors: === compares objects, < and * read one element, + throws",
    },
    schema: [],
    messages: {
      identity:
        '{{operator}} asks whether two tensors are the same object, not whether their values are equal. Write a.{{method}}(b), or torch.equal(a, b).',
      operator: '{{operator}} does not work on tensors. Write a.{{method}}(b), or a formula with expr.',
      index: 'A tensor as a property name is its text. Write x.at(index), or read it with .item() outside compile().',
    },
  },
  create(context) {
    const isTensor = tensorTest(context);
    const report = (node: AstNode, operator: string): void =>
      context.report({
        node,
        messageId: IDENTITY.has(operator) ? 'identity' : 'operator',
        data: { operator, method: METHODS[operator]! },
      });
    return {
      BinaryExpression(node) {
        const { operator, left, right } = node as unknown as { operator: string; left: AstNode; right: AstNode };
        if (!(operator in METHODS)) return;
        // `t === undefined` is how to ask whether there is one.
        if (IDENTITY.has(operator) && (isNothing(left) || isNothing(right))) return;
        if (isTensor(left) || isTensor(right)) report(node, operator);
      },
      AssignmentExpression(node) {
        const operator = String(node.operator).slice(0, -1);
        if (operator in METHODS && (isTensor(node.left as AstNode) || isTensor(node.right as AstNode)))
          report(node, operator);
      },
      'MemberExpression[computed=true]'(node: AstNode) {
        if (isTensor(node.property as AstNode)) context.report({ node: node.property as AstNode, messageId: 'index' });
      },
    };
  },
};

const plugin = {
  meta: { name: 'jorch' },
  rules: { 'no-tensor-condition': noTensorCondition, 'no-tensor-compare': noTensorCompare },
  configs: {} as Record<string, unknown>,
};
/** `export default [jorch.configs.recommended]` in eslint.config.js, beside typescript-eslint's own. */
plugin.configs.recommended = {
  plugins: { jorch: plugin },
  rules: { 'jorch/no-tensor-condition': 'error', 'jorch/no-tensor-compare': 'error' },
};

export = plugin;
