/** @file One trace and one compilation per signature; what a signature is; why a call recompiled; eviction. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, ones, zeros } = torch;

/** A function that counts how often its body runs. */
const counted = <A extends unknown[], R>(f: (...args: A) => R): ((...args: A) => R) & { runs: number } => {
  const body = Object.assign(
    (...args: A): R => {
      body.runs++;
      return f(...args);
    },
    { runs: 0 },
  );
  return body;
};

const lastReason = (f: { explain(): torch.Explanation }): string => f.explain().reasons.at(-1) ?? '';

describe('compile: one trace and one compilation per signature', () => {
  it('does not run the body again for the same shapes and dtypes', () => {
    const body = counted((x: Tensor) => x.sin().mul(2));
    const f = compile(body);
    for (let i = 0; i < 5; i++) f(ones(3).mul(i));
    assert.equal(body.runs, 1);
    assert.deepEqual(
      { compiles: f.stats.compiles, hits: f.stats.hits, misses: f.stats.misses },
      { compiles: 1, hits: 4, misses: 1 },
    );
  });

  it('another shape compiles once more, and both programs stay', () => {
    const body = counted((x: Tensor) => x.sum());
    const f = compile(body);
    for (const n of [3, 4, 3, 4, 3]) assert.equal(f(ones(n)).item(), n);
    assert.equal(body.runs, 2);
    assert.equal(f.stats.hits, 3);
    assert.match(lastReason(f), /argument 0: shape changed from \[3\] to \[4\]/);
  });

  it('another dtype compiles once more, and says so', () => {
    const f = compile((x: Tensor) => x.mul(2));
    assert.equal(f(ones(3)).dtype, 'float32');
    assert.equal(f(ones(3, { dtype: 'float64' })).dtype, 'float64');
    assert.equal(f.stats.compiles, 2);
    assert.match(lastReason(f), /argument 0: dtype changed from float32 to float64/);
  });

  it('other strides compile once more, and the reason names the remedy', () => {
    const f = compile((x: Tensor) => x.add(1));
    const x = torch.arange(6).reshape([2, 3]);
    f(x);
    assert.deepEqual(f(torch.arange(6).reshape([3, 2]).t()).tolist(), [
      [1, 3, 5],
      [2, 4, 6],
    ]);
    assert.match(lastReason(f), /argument 0: strides changed from \[3, 1\] to \[1, 2\].*contiguous\(\)/);
  });

  it('requires_grad of an argument is part of the signature', () => {
    const f = compile((x: Tensor) => x.mul(2).detach());
    f(ones(3));
    f(ones(3).requires_grad_(true));
    assert.equal(f.stats.compiles, 2);
    assert.match(lastReason(f), /argument 0: requires_grad changed from false to true/);
  });

  it('a number is part of the program, and the reason says what to do', () => {
    const body = counted((x: Tensor, k: number) => x.mul(k));
    const f = compile(body);
    assert.deepEqual(f(ones(2), 2).tolist(), [2, 2]);
    assert.deepEqual(f(ones(2), 3).tolist(), [3, 3]);
    assert.deepEqual(f(ones(2), 2).tolist(), [2, 2]);
    assert.equal(body.runs, 2);
    assert.match(lastReason(f), /argument 1 changed from 2 to 3.*torch\.tensor\(3\)/);
  });

  it('0 and -0, true and 1, "1" and 1, null and undefined are different static arguments', () => {
    const f = compile((x: Tensor, _: unknown) => x.add(1));
    const values = [0, -0, 1, true, '1', null, undefined, 1n];
    for (const value of values) f(ones(1), value);
    assert.equal(f.stats.compiles, values.length);
    for (const value of values) f(ones(1), value);
    assert.equal(f.stats.compiles, values.length);
  });

  it('NaN is the same static argument as NaN', () => {
    const f = compile((x: Tensor, k: number) => x.mul(k));
    f(ones(1), Number.NaN);
    f(ones(1), Number.NaN);
    assert.equal(f.stats.compiles, 1);
  });

  it('functions are compared by identity', () => {
    const f = compile((x: Tensor, g: (x: Tensor) => Tensor) => g(x));
    const g = (x: Tensor): Tensor => x.add(1);
    assert.equal(f(ones(1), g).item(), 2);
    f(ones(1), g);
    assert.equal(f.stats.compiles, 1);
    assert.equal(f(ones(1), (x) => x.add(2)).item(), 3);
    assert.equal(f.stats.compiles, 2);
  });

  it('an argument named in `static` is compared by identity and not taken apart', () => {
    const body = counted((x: Tensor, config: { scale: number }) => x.mul(config.scale));
    const f = compile(body, { static: [1] });
    const config = { scale: 2 };
    f(ones(1), config);
    f(ones(1), config);
    assert.equal(body.runs, 1);
    f(ones(1), { scale: 2 });
    assert.equal(body.runs, 2);
  });

  it('without `static`, an object of numbers is compared by its values', () => {
    const f = compile((x: Tensor, config: { scale: number }) => x.mul(config.scale));
    f(ones(1), { scale: 2 });
    f(ones(1), { scale: 2 });
    assert.equal(f.stats.compiles, 1);
    f(ones(1), { scale: 3 });
    assert.match(lastReason(f), /argument 1\.scale changed from 2 to 3/);
  });

  it('another number of arguments, another structure, another key', () => {
    const f = compile((...xs: unknown[]) => torch.tree.leaves(xs).reduce((a, b) => a.add(b)));
    f(ones(1));
    f(ones(1), ones(1));
    assert.match(lastReason(f), /changed from 1 to 2 items/);
    f({ a: ones(1) }, ones(1));
    assert.match(lastReason(f), /argument 0 changed from a tensor to a object/);
    f({ b: ones(1) }, ones(1));
    assert.match(lastReason(f), /argument 0: key a became b/);
    assert.equal(f.stats.compiles, 4);
  });

  it('modes are part of the signature: no_grad, default dtype', () => {
    const f = compile((x: Tensor) => x.add(torch.ones(1)));
    f(ones(1));
    torch.no_grad(() => f(ones(1)));
    assert.equal(f.stats.compiles, 2);
    torch.set_default_dtype('float64');
    try {
      assert.equal(f(ones(1, { dtype: 'float32' })).dtype, 'float64');
    } finally {
      torch.set_default_dtype('float32');
    }
    assert.equal(f.stats.compiles, 3);
    f(ones(1));
    assert.equal(f.stats.compiles, 3);
  });

  it('a captured tensor with another shape compiles anew', () => {
    const w = ones(2);
    const f = compile((x: Tensor) => x.add(w));
    assert.deepEqual(f(ones(1)).tolist(), [2, 2]);
    w.data = torch.full([3], 5);
    assert.deepEqual(f(ones(1)).tolist(), [6, 6, 6]);
    assert.equal(f.stats.compiles, 2);
    assert.match(lastReason(f), /captured tensor/);
  });

  it('captured JavaScript values are frozen at the trace', () => {
    let k = 2;
    const f = compile((x: Tensor) => x.mul(k));
    assert.equal(f(ones(1)).item(), 2);
    k = 3;
    assert.equal(f(ones(1)).item(), 2);
    assert.equal(f(ones(2)).at(0).item(), 3);
  });

  it('warmup compiles and does not run', async () => {
    const x = ones(2);
    const f = compile((a: Tensor) => a.add_(1));
    await f.warmup(x);
    assert.deepEqual(x.tolist(), [1, 1]);
    assert.equal(f.stats.compiles, 1);
    f(x);
    assert.deepEqual(x.tolist(), [2, 2]);
    assert.equal(f.stats.compiles, 1);
  });

  it('dispose frees the programs, and a later call compiles anew', () => {
    const f = compile((x: Tensor) => x.add(1));
    f(ones(1));
    f.dispose();
    assert.equal(f(ones(1)).item(), 2);
    assert.equal(f.stats.compiles, 2);
  });

  it('two compiled functions share nothing', () => {
    const body = counted((x: Tensor) => x.add(1));
    const [f, g] = [compile(body), compile(body)];
    f(ones(1));
    g(ones(1));
    assert.equal(body.runs, 2);
  });
});

describe('compile: eviction', () => {
  it('maxCompiles.limit drops the least recently used program', () => {
    const body = counted((x: Tensor) => x.sum());
    const f = compile(body, { maxCompiles: { limit: 2 } });
    f(ones(1));
    f(ones(2));
    f(ones(1)); // 2 is now the least recently used
    f(ones(3));
    assert.equal(f.stats.evictions, 1);
    assert.equal(body.runs, 3);
    f(ones(1));
    assert.equal(body.runs, 3);
    assert.equal(f(ones(2)).item(), 2);
    assert.equal(body.runs, 4);
  });

  it("maxCompiles.policy 'error' throws at the ninth compilation and names the reason", () => {
    const f = compile((x: Tensor) => x.sum(), { name: 'total', maxCompiles: { policy: 'error' } });
    for (let n = 1; n <= 8; n++) f(ones(n));
    fails('BAD_ARGUMENT', [/total has been compiled 8 times/, /shape changed from \[8\] to \[9\]/], () => f(ones(9)));
    assert.equal(f(ones(4)).item(), 4);
  });

  it('a program that was dropped leaves nothing behind: compiled again, it is found again', () => {
    const f = compile((x: Tensor, n: number) => x.mul(n), { maxCompiles: { limit: 2 } });
    for (let round = 0; round < 2; round++) for (let n = 0; n < 8; n++) f(torch.ones(1), n);
    assert.deepEqual([f.stats.compiles, f.stats.evictions], [16, 14]);
    f(torch.ones(1), 7);
    assert.equal(f.stats.hits, 1);
  });

  it('warns once at the ninth compilation', async () => {
    const warnings: Error[] = [];
    const listen = (w: Error): void => void warnings.push(w);
    process.on('warning', listen);
    try {
      const f = compile((x: Tensor) => x.sum(), { name: 'total' });
      for (let n = 1; n <= 11; n++) f(ones(n));
      await new Promise(setImmediate);
    } finally {
      process.off('warning', listen);
    }
    const ours = warnings.filter((w) => w.name === 'JorchRecompilation');
    assert.equal(ours.length, 1);
    assert.match(ours[0]!.message, /total has been compiled 8 times.*shape changed/);
  });
});

describe('compile: lower and explain', () => {
  it('lower shows graph, StableHLO, XLA’s program and its memory, and does not run', () => {
    const x = zeros(2, 3);
    const f = compile((a: Tensor) => a.add_(1).sin());
    const { graph, stablehlo, hlo, memory } = f.lower(x);
    assert.deepEqual(x.tolist(), [
      [0, 0, 0],
      [0, 0, 0],
    ]);
    assert.ok(graph.nodes.some((n) => n.op === 'aten::sin'));
    assert.match(stablehlo, /func\.func public @main\(%arg0: tensor<2x3xf32>\)/);
    assert.match(stablehlo, /stablehlo\.sine/);
    assert.ok(hlo.bytes.length > 0);
    assert.equal(memory.arguments, 24);
  });

  it('lower after a call gives the program that ran, without another compilation', () => {
    const f = compile((a: Tensor) => a.sin());
    f(zeros(2));
    f.lower(zeros(2));
    assert.equal(f.stats.compiles, 1);
  });

  it('lower and explain choose the program of this moment: mode, captured tensors, modules', () => {
    const net = new torch.nn.Dropout(0.5);
    let w = torch.ones(2);
    const f = compile((x: Tensor) => net.forward(torch.is_grad_enabled() ? x.mul(w) : x.exp()));
    const x = torch.ones(2);
    f(x);
    torch.no_grad(() => f(x));
    assert.deepEqual(
      [f.lower(x), torch.no_grad(() => f.lower(x))].map(({ stablehlo }) => /exponential/.test(stablehlo)),
      [false, true],
    );
    assert.equal(f.stats.compiles, 2);
    net.eval();
    assert.ok(!f.explain(x).lowered.some((name) => /bernoulli|dropout/.test(name)));
    assert.equal(f.stats.compiles, 3);
    w = torch.ones(1);
    f(x);
    assert.equal(f.stats.compiles, 3);
  });

  it('explain tells lowered operators, ATen calls with reasons, and why each compilation happened', () => {
    const f = compile((a: Tensor) => torch.poisson(a.cos()), { name: 'counts' });
    f(torch.eye(3));
    f(torch.eye(4));
    const { lowered, calls, reasons } = f.explain();
    assert.ok(lowered.includes('aten::cos'));
    assert.equal(calls.length, 1);
    assert.equal(calls[0]!.op, 'aten::poisson');
    assert.ok(calls[0]!.reason.length > 0);
    assert.match(calls[0]!.line ?? '', /cache\.test\.[jt]s:\d+/);
    assert.equal(reasons.length, 2);
    assert.equal(reasons[0], 'first call');
    assert.match(String(f.explain()), /counts: 2 compilations\n {2}1\. first call/);
    assert.equal(inspect(f.explain()), String(f.explain()));
  });

  it("fallback: 'error' refuses an operator without lowering and names it", () => {
    const f = compile((a: Tensor) => torch.linalg.eig(a)[0].real, { fallback: 'error' });
    fails('NO_RULE', /aten::linalg_eig/, () => f(torch.eye(3)));
    fails('NO_RULE', /aten::linalg_eig/, () => f(torch.eye(3)));
  });

  it('an operator called in no_grad, a matmul and a reduction lower without ATen calls', () => {
    const f = compile((a: Tensor) => torch.no_grad(() => torch.softmax(a.matmul(a.t()), -1).logsumexp(0)));
    f(torch.eye(3));
    assert.deepEqual(f.explain().calls, []);
  });
});
