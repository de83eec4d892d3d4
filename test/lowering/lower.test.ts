/** @file lower(): what a graph becomes, which nodes turn into ATen calls, and how a wrong rule is reported. */
import assert from 'node:assert/strict';
import type { Arg, Graph, Node, Value } from '../../lib/compile/graph.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { encodeCall } from '../../lib/lowering/aten-call.js';
import { lower, ruleNames } from '../../lib/lowering/index.js';
import { rule } from '../../lib/lowering/registry.js';
import { rowMajor } from '../../lib/stablehlo/types.js';
import type { DType } from '../../lib/torch/dtype.js';
import { fails } from '../support/fails.js';

/** Collects the values of a hand-made graph. */
class Draft {
  readonly values: Value[] = [];
  readonly nodes: Node[] = [];
  value(shape: number[], dtype: DType = 'float32'): Value {
    const v = { id: this.values.length, shape, strides: rowMajor(shape), dtype };
    this.values.push(v);
    return v;
  }
  node(op: string, args: Record<string, Arg>, ...outs: Value[]): void {
    this.nodes.push({ op, args, outs, line: 'fit.ts:41' });
  }
  graph(inputs: readonly Value[]): Graph {
    return { values: this.values, inputs, constants: [], nodes: this.nodes };
  }
}
const unary = (op: string, shape: number[] = [3], outShape = shape) => {
  const d = new Draft();
  const [x, y] = [d.value(shape), d.value(outShape)];
  d.node(op, { self: x }, y);
  return { graph: d.graph([x]), x, y };
};

describe('lower', () => {
  it('prints a module whose main takes the inputs in order', () => {
    const { graph, y } = unary('aten::sin');
    const { text, calls, lowered } = lower(graph, { results: [y], fallback: 'error' });
    assert.equal(
      text,
      [
        'module @jorch {',
        'func.func public @main(%arg0: tensor<3xf32>) -> (tensor<3xf32>) {',
        '%0 = stablehlo.sine %arg0 : tensor<3xf32> loc("0 aten::sin")',
        'return %0 : tensor<3xf32>',
        '}',
        '}',
        '',
      ].join('\n'),
    );
    assert.deepEqual([calls, lowered], [[], ['aten::sin']]);
  });

  it('drops what no result needs and computes equal things once', () => {
    const d = new Draft();
    const [x, a, c, sum, dead] = [d.value([3]), d.value([3]), d.value([3]), d.value([3]), d.value([3])] as const;
    d.node('aten::sin', { self: x }, a);
    d.node('aten::sin', { self: x }, c);
    d.node('aten::cos', { self: x }, dead);
    d.node('aten::add.Tensor', { self: a, other: c, alpha: 1 }, sum);
    const { text } = lower(d.graph([x]), { results: [sum], fallback: 'error' });
    assert.equal(text.match(/stablehlo\.sine/g)?.length, 1);
    assert.doesNotMatch(text, /cosine/);
  });

  it('returns results and inputs as they are asked for, twice too', () => {
    const { graph, x, y } = unary('aten::sin');
    const { text } = lower(graph, { results: [y, x, y], fallback: 'error' });
    assert.match(text, /return %0, %arg0, %0 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>/);
  });

  it('turns a node without a rule into a call of libtorch, or refuses', () => {
    const { graph, y } = unary('aten::no_such_operator');
    const { text, calls } = lower(graph, { results: [y], fallback: 'aten' });
    assert.match(text, /custom_call @jorch_aten\(%arg0\).*call = "aten::no_such_operator\|T\|->float32\[3\]\{1\}"/);
    assert.match(text, /has_side_effect = false/);
    assert.deepEqual(calls, [{ op: 'aten::no_such_operator', reason: 'no lowering rule', line: 'fit.ts:41' }]);
    assert.throws(
      () => lower(graph, { results: [y], fallback: 'error' }),
      /aten::no_such_operator needs an ATen call: no lowering rule \(called at fit\.ts:41\)/,
    );
  });

  it('names the rule whose result is not what libtorch says', () => {
    const { graph, y } = unary('aten::sin', [3], [4]);
    assert.throws(
      () => lower(graph, { results: [y], fallback: 'aten' }),
      /rule aten::sin: .*tensor<3xf32>.*tensor<4xf32>.*fit\.ts:41/,
    );
  });

  it('refuses a second rule for the same overload', () => {
    assert.throws(() => rule('aten::relu', (_, { self }) => self), /aten::relu is registered twice/);
    assert.ok(ruleNames().includes('aten::relu'));
  });

  it('lowers a long chain fast enough to be used at every compilation', () => {
    const d = new Draft();
    const x = d.value([3]);
    let last = x;
    for (let i = 0; i < 2000; i++) {
      const y = d.value([3]);
      d.node('aten::add.Scalar', { self: last, other: i, alpha: 1 }, y);
      last = y;
    }
    assert.equal(
      lower(d.graph([x]), { results: [last], fallback: 'error' }).text.match(/stablehlo\.add /g)?.length,
      2000,
    );
  });
});

describe('the text of an ATen call', () => {
  const value = (id: number, shape: number[] = [2, 3]): Value => ({
    id,
    shape,
    strides: rowMajor(shape),
    dtype: 'float32',
  });
  const text = (args: Record<string, Arg>, ...outs: Node['outs'][number][]) =>
    encodeCall({ op: 'aten::f', args, outs: outs.length ? outs : [value(9)] }).text;

  it('spells every kind of argument', () => {
    assert.equal(text({ a: value(0), b: null, c: true, d: 3, e: -0.5 }), 'aten::f|T|N|b1|i3|f-0.5|->float32[2,3]{3,1}');
    assert.equal(text({ a: { float: 2 }, b: { re: 1, im: -2 } }), 'aten::f|f2|c1,-2|->float32[2,3]{3,1}');
    assert.equal(
      text({ a: NaN, b: -Infinity, c: 2n ** 60n }),
      'aten::f|fnan|f-inf|i1152921504606846976|->float32[2,3]{3,1}',
    );
    assert.equal(
      text({ a: [1, 2], b: [0.5, 1], c: [true, false], d: [] }),
      'aten::f|I[1,2]|F[0.5,1]|B[1,0]|I[]|->float32[2,3]{3,1}',
    );
    assert.equal(text({ a: 'a|b;"c"', b: { dtype: 'int64' } }), 'aten::f|sa%7Cb%3B%22c%22|dint64|->float32[2,3]{3,1}');
  });

  it('counts tensors of lists and masks optional ones', () => {
    assert.equal(text({ tensors: [value(0), value(1)] }), 'aten::f|TL2|->float32[2,3]{3,1}');
    assert.equal(text({ indices: [null, value(1)] }), 'aten::f|TO01|->float32[2,3]{3,1}');
    assert.equal(text({ indices: [value(0)] }), 'aten::f|TO1|->float32[2,3]{3,1}');
  });

  it('marks images whose channels come last, and says how results lie', () => {
    const images = [value(0, [2, 3, 5, 7]), value(1, [4, 3, 1, 1])];
    const { text: call, orders } = encodeCall({
      op: 'aten::convolution',
      args: { input: images[0]!, weight: images[1]!, bias: value(2, [4]) },
      outs: [value(9, [2, 4, 5, 7])],
    });
    assert.equal(call, 'aten::convolution|Tc|T|T|->float32[2,4,5,7]{140,1,28,4}');
    assert.deepEqual(orders, { operands: [[0, 2, 3, 1], [0, 1, 2, 3], [0]], results: [[0, 2, 3, 1]] });
  });

  it('turns triangular systems and factorisations round, so that no matrix is copied to columns', () => {
    const solve = (left: boolean, columns: number, ...transposes: number[]) => {
      const shape = left ? [3, columns] : [columns, 3];
      const { text, untransposed } = encodeCall(
        {
          op: 'aten::linalg_solve_triangular',
          args: { self: value(0, [3, 3]), B: value(1, shape), upper: true, left, unitriangular: false },
          outs: [value(9, shape)],
        },
        ({ id }) => transposes.includes(id),
      );
      assert.deepEqual(untransposed, [transposes.includes(0), transposes.includes(1) && !(left && columns === 1)]);
      return text.slice('aten::linalg_solve_triangular|'.length);
    };
    assert.equal(solve(true, 3), 'Tt|Tt|b0|b0|b0|->float32[3,3]{3,1}t');
    assert.equal(solve(false, 2), 'Tt|Tt|b0|b1|b0|->float32[2,3]{3,1}t');
    assert.equal(solve(true, 3, 0), 'T|Tt|b0|b0|b0|->float32[3,3]{3,1}t');
    assert.equal(solve(true, 3, 1), 'Tt|T|b0|b0|b0|->float32[3,3]{3,1}t');
    assert.equal(solve(true, 1), 'T|T|b1|b1|b0|->float32[3,1]{1,1}');
    assert.equal(solve(true, 1, 0, 1), 'Tt|T|b1|b1|b0|->float32[3,1]{1,1}');
    const factor = (upper: boolean) =>
      encodeCall({
        op: 'aten::linalg_cholesky_ex',
        args: { self: value(0, [3, 3]), upper, check_errors: false },
        outs: [value(8, [3, 3]), value(9, [])],
      }).text;
    assert.equal(factor(false), 'aten::linalg_cholesky_ex|Tt|b1|b0|->float32[3,3]{3,1}tn1;float32[]{}');
    assert.equal(factor(true), 'aten::linalg_cholesky_ex|Tt|b0|b0|->float32[3,3]{3,1}tn1;float32[]{}');
  });

  it('lists results, undefined ones as a dash', () => {
    assert.equal(
      text({ a: 1 }, value(1, []), null, [value(2), value(3, [0])]),
      'aten::f|i1|->float32[]{};-;float32[2,3]{3,1};float32[0]{1}',
    );
  });
});

describe('lowering: errors of ATen calls', () => {
  it('name the operator whose data was wrong', () => {
    const f = torch.compile((x: Tensor) => torch.poisson(x));
    fails('BAD_ARGUMENT', /poisson: invalid Poisson rate/, () => f(torch.tensor([-1, 2])));
  });
});
