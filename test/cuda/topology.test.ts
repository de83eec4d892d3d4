/** @file compile.forTopology: programs for GPUs that are not here, and what is said where none can be made. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileText } from '../../lib/cuda/topology.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { compile, loadCompiled, nn, spec } from '../../lib/index.js';
import { decodeHlo, printHlo } from '../../lib/inspect/hlo.js';
import { native } from '../../lib/runtime/load.js';
import { findCuda, hasNvidiaDevice } from '../../lib/runtime/locate-cuda.js';
import { fails } from '../support/fails.js';
import { compileAll } from './compile-all.js';
import { merge, type Program } from './programs.js';
import { rulePrograms } from './rule-programs.js';

const { plugin, toolkit } = findCuda();
const f = (x: Tensor, w: Tensor) => x.matmul(w).relu().sum(-1);

describe('cuda: compile.forTopology', () => {
  it('names the cards that there are, for any other', () => {
    fails('BAD_ARGUMENT', /expected the name of a GPU \(a100, h100, h200, b200\), got 'tpu'/, () =>
      compile.forTopology('tpu', f, spec([2, 3]), spec([3, 4])),
    );
    fails('BAD_ARGUMENT', /got object/, () => compile.forTopology(null as never, f, spec([2, 3]), spec([3, 4])));
  });

  it('says how to get the compiler where it is not', () => {
    const dir = mkdtempSync(join(tmpdir(), 'jorch-none-'));
    const script = `const { compile, ones, spec } = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      ones(1); process.env.JORCH_CACHE_DIR = ${JSON.stringify(dir)}; process.env.PATH = ${JSON.stringify(dir)};
      process.env.JORCH_PJRT_PLUGIN = '';
      try { compile.forTopology('h100', (x) => x.exp(), spec([2])); } catch (e) { console.log(e.code, e.message); }`;
    const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    rmSync(dir, { recursive: true });
    assert.match(stdout, /^RUNTIME_MISSING the XLA plugin for CUDA.* not found .*npx jorch install cuda --compiler/);
  });
});

describe('cuda: compiling for GPUs that are not here', function () {
  this.timeout(300_000);
  let dir = '';
  before(function () {
    if (!plugin || !toolkit) this.skip(); // npx jorch install cuda --compiler
    dir = mkdtempSync(join(tmpdir(), 'jorch-topology-'));
  });
  after(() => dir && rmSync(dir, { recursive: true, force: true }));

  it('debug.profile has the passes of XLA’s compiler, at their times', () => {
    const make = () => compile.forTopology('h100', f, spec([2, 3]), spec([3, 4]));
    make(); // the plugin is in use
    const dir = mkdtempSync(join(tmpdir(), 'jorch-profile-'));
    torch.debug.profile(make, join(dir, 'trace.json'));
    const { traceEvents } = JSON.parse(readFileSync(join(dir, 'trace.json'), 'utf8')) as {
      traceEvents: { name: string; cat?: string; ts: number; dur: number }[];
    };
    rmSync(dir, { recursive: true });
    const whole = traceEvents.find(({ cat }) => cat === 'js')!;
    const ofXla = traceEvents.filter(({ cat }) => cat === 'xla');
    assert.ok(ofXla.length > 50, `${ofXla.length} events`);
    assert.ok(ofXla.some(({ name }) => /cudnn|fusion|layout/i.test(name)));
    for (const { ts, dur } of ofXla) assert.ok(ts > whole.ts - 1e5 && ts + dur < whole.ts + whole.dur + 1e5);
  });

  it('gives memory, cost, HLO and machine code, and says nothing on stderr', () => {
    const script = `const { compile, spec } = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      const f = (x, w) => x.matmul(w).relu().sum(-1);
      const p = compile.forTopology('h100', f, spec([64, 32]), spec([32, 16]));
      console.log(JSON.stringify({ target: p.target, memory: p.memory, flops: p.cost.flops, text: p.hlo.text, bytes: p.executable.length }));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    assert.equal(stderr, '');
    const { target, memory, flops, text, bytes } = JSON.parse(stdout);
    assert.equal(target, 'h100');
    assert.equal(memory.arguments, (64 * 32 + 32 * 16) * 4);
    assert.equal(memory.outputs, 64 * 4);
    assert.ok(flops >= 2 * 64 * 32 * 16, `flops ${flops}`);
    assert.ok(bytes > 1000);
    assert.match(text, /^HloModule/);
  });

  it('takes modules and training steps, whose new values are results', () => {
    const model = new nn.Linear(8, 2);
    const optimizer = new torch.optim.AdamW(model.parameters(), { lr: 0.01 });
    assert.ok(compile.forTopology('a100', model, spec([4, 8])).executable.length > 0);
    const step = (x: Tensor, y: Tensor) => {
      optimizer.zero_grad();
      const loss = nn.functional.mse_loss(model.forward(x), y);
      loss.backward();
      optimizer.step();
      return loss;
    };
    const program = compile.forTopology('h200', step, spec([4, 8]), spec([4, 2]));
    assert.match(program.stablehlo, /stablehlo\.dot_general/);
    // The loss, and new values of the weight, the bias and both moments of each.
    assert.ok(program.memory.outputs >= (1 + 3 * 18) * 4, JSON.stringify(program.memory));
    fails('BAD_ARGUMENT', /changes tensors in place/, () => program.save(join(dir, 'step.jorch')));
  });

  it('writes elementary functions for the GPU, not for the CPU', () => {
    const f = (x: Tensor) => x.sin().exp();
    const text = compile.forTopology('h100', f, spec([4096])).stablehlo;
    assert.match(text, /stablehlo\.sine/);
    assert.notEqual(compile(f).lower(spec([4096])).stablehlo, text);
  });

  it('names the operators that need libtorch', () => {
    fails('NO_RULE', /cannot be compiled for 'h100', since it calls libtorch’s kernels: aten::_logcumsumexp/, () =>
      compile.forTopology('h100', (x: Tensor) => x.logcumsumexp(0), spec([3], { dtype: 'complex64' })),
    );
  });

  it('a saved program holds the machine code, and is refused in words where the card is not', function () {
    const file = join(dir, 'f.jorch');
    const program = compile.forTopology('b200', f, spec([2, 3]), spec([3, 4]));
    program.save(file);
    assert.ok(readFileSync(file).includes(program.executable));
    if (hasNvidiaDevice()) this.skip();
    fails('RUNTIME_MISSING', /no NVIDIA GPU on this machine/, () => loadCompiled(file));
  });

  it('programs that call libtorch’s kernels on XLA’s stream compile, once those may be called', () => {
    const f = compile((x: Tensor) => x.logcumsumexp(0).mul(2));
    const { stablehlo } = f.lower(torch.zeros([4, 3], { dtype: 'complex64' }));
    native().allowCudaCalls(plugin!);
    const { memory, hlo, format } = compileText('h100', stablehlo);
    assert.equal(memory.outputs, 96);
    assert.match(printHlo(decodeHlo(format, hlo)), /custom_call_target="jorch_aten"/);
  });

  it('programs merged into one module compile; of those that do not, each is found', async () => {
    // One of every family that XLA compiles in a way of its own for GPUs.
    const rules = [
      'sort.stable',
      'cholesky',
      'linalg_qr',
      '_linalg_eigh',
      'convolution_backward',
      'upsample_bicubic2d',
      'special_zeta',
      'index_reduce',
      'round.decimals',
    ];
    const programs = rulePrograms([...rules.map((name) => `aten::${name}`)], () => {});
    assert.ok(programs.length >= 7, programs.map(({ source }) => source).join());
    const bad: Program = {
      source: 'bad',
      text: programs[0]!.text.replace(/stablehlo\.\w+/, 'stablehlo.no_such_thing'),
      rules: [],
      calls: [],
    };
    const failures = await compileAll([...programs, bad], { card: 'h100', jobs: 1, limit: 10_000 });
    assert.deepEqual(
      failures.map(({ program }) => program.source),
      ['bad'],
      failures.map(({ error }) => error).join('\n'),
    );
  });

  it('merge keeps parameters, results and their order', () => {
    const text = (line: string): string =>
      `module @jorch {\nfunc.func public @main(%arg0: tensor<2x3xf32>, %arg1: tensor<f32> {tf.aliasing_output = 0 : i32}) -> (tensor<f32>, tensor<2x3xf32>) {\n${line}\nreturn %arg1, %0 : tensor<f32>, tensor<2x3xf32>\n}\n}\n`;
    const merged = merge([
      text('%0 = stablehlo.abs %arg0 : tensor<2x3xf32>'),
      text('%0 = stablehlo.negate %arg0 : tensor<2x3xf32>'),
    ]);
    assert.match(
      merged,
      /@main\(%p0_0: tensor<2x3xf32>, %p0_1: tensor<f32>, %p1_0: tensor<2x3xf32>, %p1_1: tensor<f32>\)/,
    );
    assert.match(
      merged,
      /return %r0#0, %r0#1, %r1#0, %r1#1 : tensor<f32>, tensor<2x3xf32>, tensor<f32>, tensor<2x3xf32>/,
    );
  });
});
