/** @file Asynchronous calls: results as at the call, one compilation for all who wait, failures that leave nothing behind. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { isJorchError } from '../../lib/index.js';
import { fails } from '../support/fails.js';
import { figure } from '../support/figure.js';

const { compile, ones, spec, zeros } = torch;

const rejects = async (promise: Promise<unknown>, code: string, words: RegExp): Promise<void> => {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(isJorchError(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
};

/** Takes some hundred milliseconds to compile and is new in every process: nothing on disk fits it. */
const slowToCompile = (): ((x: Tensor) => Tensor) => {
  const salt = Math.random();
  return (x) => {
    let y = x;
    for (let i = 0; i < 12; i++)
      y = torch.softmax(
        y
          .matmul(y)
          .tanh()
          .add(salt + i),
        -1,
      );
    return y;
  };
};

describe('compile: asynchronous calls', () => {
  it('give what the call gives, first and cached, for any pytree', async () => {
    const f = (o: { x: Tensor; k: number }): { y: Tensor; z: Tensor[] } => ({ y: o.x.mul(o.k), z: [o.x.sum(), o.x] });
    const fast = compile(f);
    for (let i = 0; i < 3; i++) {
      const x = ones(3).mul(i);
      const { y, z } = await fast.async({ x, k: 2 });
      assert.deepEqual(y.tolist(), [2 * i, 2 * i, 2 * i]);
      assert.equal(z[0]!.item(), 3 * i);
      assert.equal(z[1], x);
    }
    assert.deepEqual([fast.stats.compiles, fast.stats.hits], [1, 2]);
    assert.deepEqual(fast({ x: ones(3), k: 2 }).y.tolist(), [2, 2, 2]);
    assert.equal(fast.stats.compiles, 1);
  });

  it('100 concurrent first calls trace once and compile once', async () => {
    let traces = 0;
    const g = slowToCompile();
    const f = compile((x: Tensor) => {
      traces++;
      return g(x);
    });
    const x = torch.rand(4, 4);
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => f.async(x.mul(i))));
    assert.equal(traces, 1);
    assert.equal(f.stats.compiles, 1);
    results.forEach((r, i) => {
      assert.ok(torch.allclose(r, g(x.mul(i)), { atol: 1e-5 }), `call ${i}`);
    });
    figure(15, '100 concurrent first calls: 1 trace, 1 compilation');
  });

  it('many requests in flight, of several functions and shapes, come back right', async () => {
    const f = compile((x: Tensor) => x.square().sum());
    const g = compile((x: Tensor) => x.cumsum(0).mul(3));
    const calls = Array.from({ length: 400 }, async (_, i) => {
      const x = torch.full([1 + (i % 5)], i, { dtype: 'float64' });
      if (i % 2) assert.equal((await f.async(x)).item(), x.square().sum().item());
      else assert.deepEqual((await g.async(x)).tolist(), x.cumsum(0).mul(3).tolist());
    });
    await Promise.all(calls);
  });

  it('the event loop turns while XLA compiles', async () => {
    const f = compile(slowToCompile());
    let turns = 0;
    let waiting = true;
    const tick = (): void => {
      turns++;
      if (waiting) setImmediate(tick);
    };
    const call = f.async(torch.rand(8, 8));
    tick();
    await call;
    waiting = false;
    // Synchronously there would be none.
    assert.ok(turns > 20, `${turns} turns`);
  });

  it('a function may be called synchronously while it compiles', async () => {
    const g = slowToCompile();
    const f = compile(g);
    const x = torch.rand(4, 4);
    const later = f.async(x);
    assert.ok(torch.allclose(f(x), g(x), { atol: 1e-5 }));
    assert.ok(torch.allclose(await later, g(x), { atol: 1e-5 }));
  });
});

describe('compile: what asynchronous calls see', () => {
  const n = 200_000;
  const sources: Readonly<Record<string, () => { x: Tensor; write: () => void }>> = {
    'a tensor': () => {
      const x = ones(n);
      return { x, write: () => void x.fill_(7) };
    },
    'a view': () => {
      const base = ones(2, n);
      return { x: base.select(0, 1), write: () => void base.zero_() };
    },
    'a transposed tensor': () => {
      const x = ones(n / 2, 2).t();
      return { x, write: () => void x.mul_(5) };
    },
    'a result of a compiled function': () => {
      const x = compile((y: Tensor) => y.add(1))(zeros(n));
      return { x, write: () => void x.add_(1) };
    },
    'a typed array': () => {
      const data = new Float32Array(n).fill(1);
      return { x: torch.frombuffer(data), write: () => void data.fill(9) };
    },
    'a small tensor': () => {
      const x = ones(1);
      return { x, write: () => void x.fill_(3) };
    },
  };
  for (const [name, make] of Object.entries(sources)) {
    it(`${name} written right after the call, or when it compiles, does not change the result`, async () => {
      const f = compile((x: Tensor) => x.double().sin().sum());
      const expected = make().x.double().sin().sum().item() as number;
      for (let round = 0; round < 3; round++) {
        const { x, write } = make();
        const call = f.async(x);
        write();
        assert.ok(Math.abs(((await call).item() as number) - expected) < 1e-6 * n, `round ${round}`);
        write();
        assert.notEqual(x.double().sum().item(), expected);
      }
    });
  }

  it('200 calls whose arguments are overwritten at once', async () => {
    const f = compile((x: Tensor, y: Tensor) => x.mul(y).sum());
    const x = zeros(5000);
    const y = ones(5000);
    const calls = Array.from({ length: 200 }, (_, i) => {
      x.fill_(i);
      const call = f.async(x, y);
      x.fill_(-1);
      return call;
    });
    (await Promise.all(calls)).forEach((sum, i) => {
      assert.equal(sum.item(), 5000 * i);
    });
  });

  it('captured tensors count as at the call, also while the function compiles', async () => {
    const w = ones(3);
    const g = slowToCompile();
    const f = compile((x: Tensor) => [x.mul(w).sum(), g(zeros(4, 4))]);
    const first = f.async(ones(3));
    w.fill_(10);
    const second = f.async(ones(3));
    w.fill_(100);
    assert.equal((await first)[0]!.item(), 3);
    assert.equal((await second)[0]!.item(), 30);
    assert.equal((await f.async(ones(3)))[0]!.item(), 300);
  });

  it('memory that nobody writes to is not copied, and stays usable in place', async () => {
    const x = ones(1000);
    const f = compile((y: Tensor) => y.sum());
    const { bytes } = torch.memory();
    await f.async(x);
    x.add_(1);
    assert.equal(x.sum().item(), 2000);
    assert.equal(f(x).item(), 2000);
    assert.ok(torch.memory().bytes - bytes < 4000);
  });
});

describe('compile: asynchronous calls that change tensors', () => {
  it('change them when the promise resolves, not before', async () => {
    const x = zeros(3);
    const f = compile((y: Tensor) => y.add_(1).sum());
    for (let i = 0; i < 3; i++) {
      const call = f.async(x);
      assert.deepEqual(x.tolist(), [i, i, i]);
      assert.equal((await call).item(), 3 * (i + 1));
      assert.deepEqual(x.tolist(), [i + 1, i + 1, i + 1]);
    }
  });

  it('run one after the other, and a batch counts as it was at its call', async () => {
    const w = zeros(2);
    const step = compile((batch: Tensor) => w.add_(batch).sum());
    const batch = zeros(2);
    const sums = await Promise.all(
      Array.from({ length: 10 }, (_, i) => {
        batch.fill_(i);
        return step.async(batch);
      }),
    );
    assert.deepEqual(w.tolist(), [45, 45]);
    assert.deepEqual(
      sums.map((s) => s.item()),
      [0, 2, 6, 12, 20, 30, 42, 56, 72, 90],
    );
  });

  it('run one after the other with arguments that are views, expanded, or share memory', async () => {
    const w = zeros(3);
    const step = compile((a: Tensor, b: Tensor, c: Tensor) => w.add_(a.add(b).add(c)).sum());
    const base = torch.arange(6).reshape([3, 2]).to('float32');
    const calls = [0, 1, 2, 3].map((i) => {
      base.add_(i);
      const call = step.async(base.select(1, 1), base.select(1, 1), ones(1).mul(i).expand([3]));
      return call;
    });
    // Of i: twice (1 + 3 + 5 + 3 · what was added by then), and 3 i.
    const sums = [0, 1, 3, 6].map((added, i) => 2 * (9 + 3 * added) + 3 * i);
    let total = 0;
    for (const [i, call] of calls.entries()) {
      total += sums[i]!;
      assert.equal((await call).item(), w.sum().item());
    }
    assert.equal(w.sum().item(), total);
    assert.ok(step.stats.compiles === 1, `${step.stats.compiles} compiled`);
  });

  it('a whole training step, as often as awaited, ends where eager ends', async () => {
    const train = async (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => unknown): Promise<unknown> => {
      const w = torch.tensor([1, 2, 3], { requires_grad: true, dtype: 'float64' });
      const step = wrap((x) => {
        const loss = x.mul(w).sin().sum();
        loss.backward();
        torch.no_grad(() => w.sub_(w.grad!.mul(0.1)));
        w.grad = null;
        return loss.detach();
      });
      for (let i = 0; i < 5; i++) await step(torch.full([3], i / 2, { dtype: 'float64' }));
      return w.tolist();
    };
    const expected = (await train((f) => f)) as number[];
    const actual = (await train((f) => compile(f).async)) as number[];
    actual.forEach((v, i) => {
      assert.ok(Math.abs(v - expected[i]!) < 1e-9);
    });
  });

  it('refuse when somebody else changed what they change, and change nothing', async () => {
    const x = zeros(3);
    const f = compile((y: Tensor) => void y.add_(1));
    await f.async(x);
    const call = f.async(x);
    x.fill_(10);
    await rejects(call, 'BAD_ARGUMENT', /changed by others/);
    assert.deepEqual(x.tolist(), [10, 10, 10]);
    await f.async(x);
    assert.deepEqual(x.tolist(), [11, 11, 11]);
  });

  it('gradients flow through, to what the arguments were', async () => {
    const w = torch.tensor([2, 3], { requires_grad: true });
    const f = compile((a: Tensor, b: Tensor) => a.mul(b).sum());
    const x = torch.tensor([5, 7]);
    for (let i = 0; i < 2; i++) {
      w.grad = null;
      const call = f.async(w, x);
      x.fill_(1);
      const loss = await call;
      loss.backward();
      assert.deepEqual(w.grad!.tolist(), [5, 7]);
      x.copy_(torch.tensor([5, 7]));
    }
    const call = f.async(w, x);
    torch.no_grad(() => w.zero_());
    await rejects(call, 'BAD_ARGUMENT', /requires grad was changed in place/);
  });
});

describe('compile: warmup, signals, failures', () => {
  it('warmup compiles for specs; the call then is a hit', async () => {
    const f = compile((o: { x: Tensor }, k: number) => o.x.mul(k));
    await f.warmup({ x: spec([2, 3], { dtype: 'float64' }) }, 2);
    await f.warmup({ x: spec([2, 3], { dtype: 'float64' }) }, 2);
    assert.equal(f.stats.compiles, 1);
    assert.deepEqual(f({ x: ones(2, 3, { dtype: 'float64' }) }, 2).tolist(), [
      [2, 2, 2],
      [2, 2, 2],
    ]);
    assert.deepEqual([f.stats.compiles, f.stats.hits], [1, 1]);
    assert.match(f.lower({ x: spec([4]) }, 2).stablehlo, /tensor<4xf32>/);
    assert.throws(() => spec([-1]), /expected a shape/);
  });

  it('an aborted call rejects with the reason and changes nothing; the program stays', async () => {
    const x = zeros(4, 4);
    const g = slowToCompile();
    const f = compile((y: Tensor) => y.add_(g(y)));
    const controller = new AbortController();
    const call = f.with({ signal: controller.signal }).async(x);
    controller.abort();
    await assert.rejects(call, { name: 'AbortError' });
    await assert.rejects(f.with({ signal: controller.signal }).async(x), { name: 'AbortError' });
    await assert.rejects(f.with({ signal: AbortSignal.abort(new Error('my own')) }).warmup(x), /my own/);
    assert.equal(x.sum().item(), 0);
    const expected = g(x);
    await f.async(x);
    assert.ok(torch.allclose(x, expected, { atol: 1e-5 }));
    assert.equal(f.stats.compiles, 1);
  });

  it('a first call in a scope that closes while it compiles', async () => {
    const w = torch.full([2], 3).requires_grad_();
    const f = compile((x: Tensor) => x.mul(w).sin());
    const g = compile((x: Tensor) => x.mul(w));
    const x = ones(2);
    const [call, warm] = torch.scope(() => [f.async(x), g.warmup(x)] as const);
    assert.deepEqual((await call).tolist(), f(x).tolist());
    await warm;
    g(x);
    assert.deepEqual([f.stats.compiles, g.stats.compiles], [1, 1]);
    const v = ones(2).requires_grad_();
    const [d] = torch.autograd.grad(f(v).sum(), v, { create_graph: true });
    assert.equal(torch.autograd.grad(d!.sum(), w)[0]!.shape[0], 2);
  });

  it('a signal that is none is refused', () => {
    fails('BAD_ARGUMENT', /AbortSignal/, () => compile((x: Tensor) => x).with({ signal: 3 as never }));
  });

  it('a failed trace or compilation rejects all who wait, is not kept, and the next call tries again', async () => {
    let broken = true;
    const f = compile((x: Tensor) => {
      if (broken) throw new Error('not today');
      return x.add(1);
    });
    const calls = [f.async(ones(2)), f.async(ones(2))];
    for (const call of calls) await assert.rejects(call, /not today/);
    broken = false;
    assert.deepEqual((await f.async(ones(2))).tolist(), [2, 2]);
    const script = `
      process.env.XLA_FLAGS = '--xla_no_such_flag=1';
      const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      const f = torch.compile((x) => x.sin().sum());
      Promise.allSettled([f.async(torch.zeros(3)), f.async(torch.zeros(3))]).then(async (all) => {
        all.push(...(await Promise.allSettled([f.async(torch.zeros(3))])));
        console.log(all.map(({ reason }) => reason.code + /xla_no_such_flag/.test(reason.message)).join(), f.stats.compiles, f.stats.misses);
      });`;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    assert.equal(stdout.trim(), 'COMPILE_FAILEDtrue,COMPILE_FAILEDtrue,COMPILE_FAILEDtrue 0 2', stderr);
    figure(15, 'a trace and a compilation that fail reject all who wait, and are tried again');
  });

  it('an error of an ATen call at run time rejects with torch’s words', async () => {
    const f = compile((p: Tensor) => torch.poisson(p));
    await f.async(ones(2));
    await rejects(f.async(ones(2).neg()), 'BAD_ARGUMENT', /rate.*\(.*async\.test\.[jt]s:\d+/s);
    assert.equal((await f.async(zeros(2))).sum().item(), 0);
  });

  it('a first call whose leaf has a grad and one whose has none share a compilation', async () => {
    const w = torch.ones(2).requires_grad_();
    w.sum().backward();
    const v = torch.ones(2).requires_grad_();
    const f = compile((x: Tensor) => x.mul(2));
    await Promise.all([f.async(w), f.async(v)]);
    assert.equal(f.stats.compiles, 1);
  });

  it('a first call in train() and one in eval() each get their own program', async () => {
    const dropout = new torch.nn.Dropout(1);
    const f = compile((x: Tensor) => dropout.forward(x));
    const first = f.async(ones(2));
    dropout.eval();
    const second = f.async(ones(2));
    const third = f.async(ones(2));
    assert.deepEqual(
      (await Promise.all([first, second, third])).map((t) => t.sum().item()),
      [0, 2, 2],
    );
    assert.equal(f.stats.compiles, 2);
  });

  it('inside a trace it is refused in words', async () => {
    const inner = compile((x: Tensor) => x.add(1));
    let call: Promise<unknown> | undefined;
    compile((x: Tensor) => {
      call = inner.async(x);
      return x;
    })(ones(1));
    await rejects(call!, 'BAD_ARGUMENT', /being traced or transformed/);
  });

  it('dispose and eviction while calls are under way', async () => {
    const f = compile((x: Tensor) => ({ sum: x.sum() }), { maxCompiles: { limit: 1 } });
    const calls = Array.from({ length: 6 }, (_, i) => f.async(ones(i + 1)));
    (await Promise.all(calls)).forEach(({ sum }, i) => {
      assert.equal(sum.item(), i + 1);
    });
    const last = f.async(ones(3));
    f.dispose();
    assert.equal((await last).sum.item(), 3);
  });

  it('loads from the persistent cache', () => {
    const dir = mkdtempSync(join(tmpdir(), 'jorch-async-'));
    const script = `
      const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      torch.ones(1);
      process.env.JORCH_CACHE_DIR = ${JSON.stringify(dir)};
      const f = torch.compile((x) => x.sin().sum());
      f.async(torch.zeros(3)).then((y) => console.log(y.item(), f.stats.compiles, f.stats.cacheLoads));`;
    try {
      const run = (): string => spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout.trim();
      assert.equal(run(), '0 1 0');
      assert.equal(run(), '0 1 1');
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
