/** @file The lines of the user's code that errors name and that operators of a trace have. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import type { Graph } from '../../lib/compile/graph.js';
import { runTrace } from '../../lib/compile/trace.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { compile, ones } = torch;

/** What `code`, a file of the user's, returns. */
const user = <F>(code: string): F =>
  (compileFunction(code, ['torch'], { filename: '/user/model.js' }) as (t: typeof torch) => F)(torch);

/** `line:column` of the operators of this name, each once. */
const placesOf = ({ nodes }: Pick<Graph, 'nodes'>, op: string): string[] => [
  ...new Set(
    nodes.filter((n) => n.op === op).map((n) => /^\/user\/model\.js:(\d+:\d+)$/.exec(n.line ?? '')?.[1] ?? `${n.line}`),
  ),
];

describe('runtime: the line of the user', () => {
  for (const flags of [[], ['--enable-source-maps']])
    it(`is named by an error from data ${flags.join(' ')}`, () => {
      const dir = mkdtempSync(join(tmpdir(), 'jorch-line-'));
      const file = join(dir, 'pick.cjs');
      writeFileSync(
        file,
        `const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
const pick = torch.compile((x, i) => x.at(i), { checks: true });
try { pick(torch.ones(3), torch.tensor([5n])); } catch (error) { console.log(error.message); }`,
      );
      const { stdout } = spawnSync(process.execPath, [...flags, file], { encoding: 'utf8' });
      rmSync(dir, { recursive: true });
      assert.equal(stdout, `index 5 is out of bounds for dimension 0 with size 3 (${file}:2:40)\n`);
    });

  it('is each operator’s own, column and all, also when V8 has optimised the function', () => {
    const f = user<(x: Tensor) => Tensor>(`return (x) => {
      let y = x;
      for (let i = 0; i < 40; i++) {
        y = y.sin().cos();
        y = torch.tanh(y);
      }
      return y.sum();
    };`);
    for (let round = 1; round <= 80; round++) {
      const { graph } = runTrace(([x]) => [f(x!)], [ones(round)], true);
      const found = ['sin', 'cos', 'tanh', 'sum'].map((op) => placesOf(graph, `aten::${op}`));
      assert.deepEqual(found, [['4:15'], ['4:21'], ['5:19'], ['7:16']], `round ${round}`);
    }
  });

  it('is that of the call of a function of several operators; a callback of the user’s has its own', () => {
    const f = user<(x: Tensor) => Tensor>(`return (x) => {
      const distance_function = (a, b) =>
        a.sub(b).abs().sum(-1);
      const y = torch.nn.functional.triplet_margin_with_distance_loss(x, x.mul(2), x.mul(3), { distance_function });
      return y.exp();
    };`);
    const { graph } = compile(f).lower(ones(3, 4));
    const found = ['mul.Scalar', 'abs', 'clamp_min', 'exp'].map((op) => placesOf(graph, `aten::${op}`));
    assert.deepEqual(found, [['4:76', '4:86'], ['3:18'], ['4:37'], ['5:16']]);
  });

  it('of an optimizer’s step is that of its call; in a class of the user’s each operator has its own', () => {
    const made = user<(kind: string) => (x: Tensor) => Tensor>(`return (kind) => {
      class Mine extends torch.optim.SGD {
        update(parameter, gradient) {
          parameter.add_(gradient.sqrt());
        }
      }
      const weight = new torch.nn.Parameter(torch.ones(4));
      const optimizer = kind === 'Mine' ? new Mine([weight]) : new torch.optim.AdamW([weight]);
      return (x) => {
        weight.mul(x).sum().backward();
        optimizer.step();
        optimizer.zero_grad();
        return x.exp();
      };
    };`);
    for (const [kind, line] of [
      ['Mine', '4:35'],
      ['AdamW', '11:19'],
    ] as const) {
      const { graph } = compile(made(kind)).lower(ones(4));
      assert.deepEqual([placesOf(graph, 'aten::sqrt'), placesOf(graph, 'aten::exp')], [[line], ['13:18']], kind);
    }
  });

  it('in the body of a loop is its own, and so is the one behind the loop', () => {
    const f = user<(x: Tensor) => Tensor>(`return (x) => {
      const [y] = torch.scan((carry, slice) => [
        carry.add(slice).cosh(),
        slice.sinh(),
      ], x.sum(), x);
      return y.exp();
    };`);
    const { graph } = compile(f).lower(ones(4));
    const { control } = graph.nodes.find((n) => n.op === 'jorch::scan')!;
    assert.ok(control?.kind === 'scan');
    const body = control.body.graph;
    assert.deepEqual(
      [placesOf(body, 'aten::cosh'), placesOf(body, 'aten::sinh'), placesOf(graph, 'aten::exp')],
      [['3:26'], ['4:15'], ['6:16']],
    );
  });

  it('is not lost where errors show few frames; a formatter of the user’s own stays in its place', () => {
    const { prepareStackTrace, stackTraceLimit } = Error;
    const traced = (): Graph => compile(user<(x: Tensor) => Tensor>('return (x) => x.sinh();')).lower(ones(4)).graph;
    const own = (error: Error, frames: readonly NodeJS.CallSite[]): string =>
      [error.message, ...frames.map((frame) => `    at ${String(frame)}`)].join('\n');
    try {
      Error.stackTraceLimit = 0;
      assert.deepEqual(placesOf(traced(), 'aten::sinh'), ['1:17']);
      assert.equal(Error.stackTraceLimit, 0);
      Error.prepareStackTrace = own;
      assert.deepEqual(placesOf(traced(), 'aten::sinh'), ['1:17']);
      assert.equal(Error.prepareStackTrace, own);
    } finally {
      Object.assign(Error, { prepareStackTrace, stackTraceLimit });
    }
  });
});
