/** @file fn.lower(): graph, StableHLO, optimized HLO as text, cost, memory and picture, with the lines of the user's source. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { JorchError } from '../../lib/index.js';
import { decodeHlo } from '../../lib/inspect/hlo.js';
import { withLines } from '../../lib/inspect/lowered.js';
import { located, native } from '../../lib/runtime/load.js';
import { fails } from '../support/fails.js';

const { compile, ones, zeros } = torch;
const HERE = /lowered\.test\.[jt]s:\d+:\d+/;

describe('fn.lower', () => {
  it('shows the optimized HLO as text, each instruction with the line it comes from', () => {
    const { hlo, stablehlo } = compile((x: Tensor, w: Tensor) => x.matmul(w).exp().sum()).lower(ones(8, 4), ones(4, 2));
    assert.match(stablehlo, /stablehlo\.dot_general .* loc\("\d+ aten::mm"\)/);
    const dot = hlo.text.split('\n').find((line) => / dot\(/.test(line));
    assert.match(
      dot ?? hlo.text,
      /f32\[8,2\]\{1,0\} dot\(%\S+, %\S+\), lhs_contracting_dims=\{1\}, rhs_contracting_dims=\{0\}/,
    );
    assert.match(dot!, HERE);
    assert.match(hlo.text, /^ENTRY %/m);
    assert.match(hlo.text, /ROOT %/);
    assert.match(hlo.text, /exponential\(%\S+\).*aten::exp/);
  });

  it('operators have the user’s own line, however many frames of the library lie between', () => {
    const layer = new torch.nn.TransformerEncoderLayer(8, 2, { dim_feedforward: 8, batch_first: true, dropout: 0 });
    const here = (): string => new Error().stack!.split('\n')[3]!.replace(/^.*?\(?([^( ]+):\d+\)?$/, '$1');
    const lines: string[] = [];
    const at = (t: Tensor): Tensor => {
      lines.push(here());
      return t;
    };
    const { graph } = compile((x: Tensor) => {
      const near = at(x.exp());
      const far = at(layer.forward(near));
      return at(far.sinh());
    }).lower(ones(1, 3, 8));
    const lineOf = (op: string): string[] => [
      ...new Set(graph.nodes.filter((n) => n.op === op).map((n) => n.line!.replace(/:\d+$/, ''))),
    ];
    assert.deepEqual(
      [lineOf('aten::exp'), lineOf('aten::native_layer_norm'), lineOf('aten::sinh')],
      [[lines[0]], [lines[1]], [lines[2]]],
    );
  });

  it('counts flops of products, convolutions, elementwise work and reductions on the optimized program', () => {
    const matmul = compile((x: Tensor, w: Tensor) => x.matmul(w)).lower(ones(16, 32), ones(32, 8)).cost;
    assert.equal(matmul.flops, 2 * 16 * 32 * 8);
    assert.equal(matmul.bytesAccessed, 4 * (16 * 32 + 32 * 8 + 16 * 8));
    assert.equal(matmul.source, 'hlo');
    const conv = compile((x: Tensor, w: Tensor) => torch.nn.functional.conv2d(x, w), { optimize: 'xla' });
    assert.equal(conv.lower(ones(1, 3, 8, 8), ones(4, 3, 3, 3)).cost.flops, 2 * (4 * 6 * 6) * (3 * 3 * 3));
    const pointwise = compile((x: Tensor) => x.exp().mul(x).add(1)).lower(ones(1000)).cost;
    assert.equal(pointwise.transcendentals, 1000);
    assert.equal(pointwise.flops, 2000);
    // One fusion: read once, written once (and the constant's few bytes).
    assert.ok(pointwise.bytesAccessed >= 8000 && pointwise.bytesAccessed < 8100, String(pointwise.bytesAccessed));
    const sum = compile((x: Tensor) => x.sum()).lower(ones(64, 64)).cost;
    assert.ok(sum.flops >= 4095 && sum.flops <= 4200, String(sum.flops));
  });

  it('names what it cannot count: ATen calls', () => {
    const { cost, memory } = compile((x: Tensor) => torch.linalg.cholesky(x)).lower(torch.eye(4));
    assert.deepEqual(cost.uncounted, ['aten::linalg_cholesky_ex']);
    assert.equal(memory.arguments, 64);
  });

  it('draws the graph: operators with their lines, shapes, ATen calls coloured', async () => {
    const f = compile((x: Tensor, w: Tensor) => torch.linalg.inv(x.matmul(w)).add('a<b>&"'.length));
    const svg = await f.lower(torch.eye(3), torch.eye(3)).svg();
    assert.match(svg, /^<\?xml/);
    assert.match(svg, /<svg /);
    assert.match(svg, />mm</);
    assert.match(svg, />lowered\.test\.[jt]s:\d+</);
    assert.match(svg, /float32\[3, 3\]/);
    assert.match(svg, /#fbe3c8/);
    // Nodes without results nobody needs are not there.
    assert.doesNotMatch(svg, /_linalg_check_errors/);
  });

  it('programs are the same text wherever they are written: the cache does not depend on lines', () => {
    const a = compile((x: Tensor) => x.mul(2)).lower(ones(2)).stablehlo;
    const b = compile((x: Tensor) => x.mul(2)).lower(ones(2)).stablehlo;
    assert.equal(a, b);
  });

  it('refuses a format that it cannot read', () => {
    fails('BAD_ARGUMENT', /'mlir'/, () => decodeHlo('mlir', new Uint8Array()));
  });

  it("XLA's errors carry the line of the operator they name", () => {
    const { graph, stablehlo } = compile((x: Tensor) => x.reshape([3, 2]).exp()).lower(zeros(6));
    // A program that says something else than libtorch: the compiler refuses it and names the operation.
    const broken = stablehlo.replaceAll(
      /tensor<3x2xf32> loc\("(\d+) aten::exp"\)/g,
      'tensor<7x2xf32> loc("$1 aten::exp")',
    );
    assert.notEqual(broken, stablehlo);
    let caught: unknown;
    try {
      native().compileProgram(located().cpuPlugin, broken, {});
    } catch (error) {
      caught = withLines(graph, broken, error);
    }
    assert.ok(caught instanceof JorchError);
    assert.equal(caught.code, 'COMPILE_FAILED');
    assert.match(caught.message, HERE);
    assert.match(caught.message, /aten::exp/);
  });
});
