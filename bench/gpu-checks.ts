/**
 * @file What only a card can prove, as JSON: one line per claim of docs/CUDA.md with whether it holds, and what was measured. `node dist/bench/gpu-checks.js
 * --device cuda [--small]`; JORCH_CUDA_EAGER says whose the tensors there are. Answers are compared with libtorch's on the CPU.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as co2 from '../examples/lib/co2-model.js';
import { GPT } from '../examples/lib/gpt.js';
import * as penguins from '../examples/lib/penguins.js';
import { deviceNumber, withoutLibtorch } from '../lib/cuda/devices.js';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';

const { nn } = torch;
const F = nn.functional;

/** undefined or text: it holds; 'skipped: …': it says nothing here. Throws when it does not hold. */
type Check = (place: { device: string; small: boolean }) => string | undefined | Promise<string | undefined>;

const same = (found: Tensor, wanted: Tensor, rtol = 1e-3, atol = 1e-4): void => {
  const here = found.cpu();
  assert.ok(
    torch.allclose(here, wanted, rtol, atol),
    `off by ${here.sub(wanted).abs().max().item()} of ${wanted.abs().max().item()}`,
  );
};
const ms = (f: () => void): number => {
  const started = performance.now();
  f();
  return performance.now() - started;
};
const best = (f: () => void): number => Math.min(...[0, 1, 2, 3, 4].map(() => ms(f)));
const isCard = (device: string): boolean => device === 'cuda';

/** Losses of some steps of AdamW, the whole step compiled, from the same start on the CPU and on the device. */
const trains =
  (make: () => InstanceType<typeof nn.Module>, loss: (m: never, x: Tensor) => Tensor, x: Tensor): Check =>
  ({ device }) => {
    const run = (place: string): number[] => {
      torch.manual_seed(3);
      const model = make().to(place);
      const optimizer = new torch.optim.AdamW(model.parameters(), { lr: 0.01 });
      const input = x.to(place);
      const step = torch.compile((t: Tensor) => {
        optimizer.zero_grad();
        const value = loss(model as never, t);
        value.backward();
        optimizer.step();
        return value;
      });
      return Array.from({ length: 5 }, () => step(input).item() as number);
    };
    const [there, here] = [run(device), run('cpu')];
    here.forEach((value, i) => {
      assert.ok(Math.abs(value - there[i]!) <= 1e-3 + 1e-2 * Math.abs(value), `losses ${there} instead of ${here}`);
    });
    return `losses ${there.map((v) => v.toFixed(4)).join(' ')}`;
  };

/** Value and gradient of a function of one tensor. */
const derives =
  (f: () => (p: Tensor) => Tensor, start: () => Tensor): Check =>
  ({ device }) => {
    const run = (place: string): Tensor[] => {
      const p = start().to(place).requires_grad_(true);
      const value = torch.compile(f(), { device: place })(p);
      return [value.detach(), ...(torch.autograd.grad([value], [p]) as Tensor[])];
    };
    const here = run('cpu');
    run(device).forEach((t, i) => {
      same(t, here[i]!, 1e-6, 1e-6);
    });
    return undefined;
  };

const convolution = (): InstanceType<typeof nn.Module> =>
  new nn.Sequential(
    new nn.Conv2d(3, 16, 3, { padding: 1 }),
    new nn.BatchNorm2d(16),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(16 * 16, 10),
  );

const checks: Readonly<Record<string, Check>> = {
  'the plugin finds its libraries and opens the card': ({ device }) =>
    `${torch.ones([1]).to(device).device}, memory ${torch.memory().deviceBytes} bytes`,
  'eager operators': ({ device }) => {
    const x = torch.randn([64, 64]);
    const y = x.to(device);
    same(y.add(1).matmul(y.t()).softmax(-1), x.add(1).matmul(x.t()).softmax(-1));
    const lacks = withoutLibtorch(deviceNumber(device));
    const wish = process.env['JORCH_CUDA_EAGER'];
    assert.ok(wish !== 'libtorch' || lacks === undefined, String(lacks));
    return lacks === undefined ? 'libtorch’s own' : `programs of one operator (${lacks})`;
  },
  'results stay and feed the next call; eager operators in between; memory freed early': ({ device, small }) => {
    const [x, w] = [torch.randn([256, 256]), torch.randn([256, 256]).mul(0.06)];
    const f = torch.compile((a: Tensor, b: Tensor) => a.matmul(b).tanh());
    const there = w.to(device);
    for (let round = 0; round < (small ? 5 : 200); round++) {
      let [y, wanted] = [x.mul(round / 100).to(device), x.mul(round / 100)];
      for (let i = 0; i < 5; i++) {
        const next = f(y.add(0.01), there).mul(0.9);
        y.dispose();
        torch.zeros([256, 256]).to(device).add_(7).dispose();
        [y, wanted] = [next, wanted.add(0.01).matmul(w).tanh().mul(0.9)];
      }
      same(y, wanted);
      y.dispose();
    }
    return undefined;
  },
  'changes in place, donation': ({ device }) => {
    const state = torch.zeros([1 << 20]).to(device);
    const grow = torch.compile(
      (x: Tensor) => {
        state.add_(x);
      },
      { donate: true },
    );
    const one = torch.tensor(1).to(device);
    for (let i = 0; i < 10; i++) {
      grow(one);
      state.mul_(1);
    }
    assert.equal(state.sum().item(), 10 * (1 << 20));
    return undefined;
  },
  'a call of libtorch’s kernel inside a program, on XLA’s stream': ({ device }) => {
    if (withoutLibtorch(deviceNumber(device)) !== undefined) return 'skipped: libtorch has no kernels there';
    const f = torch.compile((t: Tensor) => t.mul(2).logcumsumexp(0).mul(0.5));
    const x = torch.randn([100, 30]).to('complex64');
    const there = x.to(device);
    for (let i = 0; i < 20; i++) same(f(there).real, f(x).real);
    return undefined;
  },
  'asynchronous calls read their arguments as they were': async ({ device }) => {
    const x = torch.ones([1000]).to(device);
    const later = torch.compile((t: Tensor) => t.mul(2).sum()).async(x);
    x.add_(10);
    assert.equal((await later).item(), 2000);
    return undefined;
  },
  'a call returns before its work is done': ({ device, small }) => {
    const n = small ? 128 : 8192;
    const x = torch.randn([n, n]).to(device);
    const f = torch.compile((t: Tensor) => t.matmul(t).mul(1 / n));
    f(f(x)).sum().item();
    let y = x;
    const call = best(() => {
      y = f(f(x));
    });
    const read = best(() => f(f(x)).sum().item());
    y.sum().item();
    return `call ${call.toFixed(2)} ms, with reading ${read.toFixed(2)} ms`;
  },
  'copies from the host go on beside computing': ({ device, small }) => {
    const n = small ? 128 : 8192;
    const x = torch.randn([n, n]).to(device);
    const host = torch.randn([small ? 1 << 18 : 1 << 27]);
    const f = torch.compile((t: Tensor) => t.matmul(t).mul(1 / n));
    const compute = (): Tensor => f(f(f(x)));
    compute().sum().item();
    const copied = (): Tensor => host.to(device);
    const [c, u] = [best(() => compute().sum().item()), best(() => copied().narrow(0, 0, 1).item())];
    const both = best(() => {
      const y = compute();
      copied().narrow(0, 0, 1).item();
      y.sum().item();
    });
    return `computing ${c.toFixed(1)} ms, copying ${(host.nbytes / 2 ** 20).toFixed(0)} MiB ${u.toFixed(1)} ms, both ${both.toFixed(1)} ms`;
  },
  '30 out-of-memory errors in a row, and the next call works': ({ device }) => {
    const x = torch.tensor(1).to(device);
    const huge = torch.compile((t: Tensor) =>
      t
        .expand([2 ** 36])
        .mul(t)
        .clone()
        .mul(2)
        .cumsum(0),
    );
    for (let i = 0; i < 30; i++) {
      assert.throws(
        () => huge(x).sum().item(),
        (error: { code?: string }) => error.code === 'OUT_OF_MEMORY',
      );
      assert.equal(x.add(1).item(), 2);
    }
    return undefined;
  },
  'XLA takes its fraction of the card’s memory and no more': ({ device, small }) => {
    if (small) return 'skipped: not a card';
    const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=memory.total', '--format=csv,noheader,nounits'], {
      encoding: 'utf8',
    });
    const total = Number.parseInt(stdout, 10) / 1024;
    const gibibyte = torch.compile((t: Tensor) => t.expand([1 << 28]).mul(t), { device });
    const held: Tensor[] = [];
    const zero = torch.tensor(0).to(device);
    try {
      for (;;) {
        held.push(gibibyte(zero));
        held.at(-1)!.narrow(0, 0, 1).item();
      }
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'OUT_OF_MEMORY', String(error));
    }
    const taken = held.length;
    for (const t of held) t.dispose();
    assert.ok(taken > 0.5 * total && taken < 0.85 * total, `${taken} of ${total} GiB`);
    return `${taken} of ${total.toFixed(0)} GiB`;
  },
  'a program compiled for a named card loads there': ({ device, small }) => {
    if (small) return 'skipped: not a card';
    const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], { encoding: 'utf8' });
    const card = /\b([ahb]\d00)\b/i.exec(stdout)?.[1]?.toLowerCase();
    if (card === undefined) return `skipped: no description of ${stdout.trim()}`;
    const dir = mkdtempSync(join(tmpdir(), 'jorch-gpu-'));
    const f = (x: Tensor, w: Tensor) => x.matmul(w).relu().sum(-1);
    const [x, w] = [torch.randn([64, 32]), torch.randn([32, 16])];
    torch.compile.forTopology(card, f, torch.spec([64, 32]), torch.spec([32, 16])).save(join(dir, 'f.jorch'));
    try {
      same(torch.loadCompiled(join(dir, 'f.jorch'))(x, w) as Tensor, f(x, w));
    } finally {
      rmSync(dir, { recursive: true });
    }
    return `${card}, ${device}`;
  },
  'example: a GPT learns': trains(
    () => new GPT({ vocabulary: 50, context: 32, width: 64, heads: 4, layers: 2 }),
    (m: GPT, t) => F.cross_entropy(m.forward(t).flatten(0, 1), t.roll(-1, 1).flatten()),
    torch.randint(0, 50, [4, 32]),
  ),
  'example: a convolution network with batch norm learns': trains(
    convolution,
    (m: InstanceType<typeof nn.Sequential>, x) => m.forward(x).square().mean(),
    torch.randn([8, 3, 8, 8]),
  ),
  'example: likelihood of a Gaussian process and its gradient': derives(
    () => {
      const t = Float64Array.from({ length: 60 }, (_, i) => i / 12);
      return co2.negativeLogLikelihood({ t, y: t.map((v) => Math.sin(6.28 * v) + 0.1 * v), mean: 0 } as never);
    },
    () => co2.startTensor(),
  ),
  'example: likelihood of a mixture and its gradient': derives(
    () => {
      const random = penguins.xorshift(5);
      const draw = (): Float64Array => Float64Array.from({ length: 100 }, () => 4 * random() - 2);
      return penguins.negativeLogLikelihood({ length: draw(), depth: draw(), species: [] });
    },
    () => torch.linspace(-0.5, 0.5, 18, { dtype: 'float64' }).reshape([6, 3]),
  ),
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: { device: { type: 'string', default: 'cuda' }, small: { type: 'boolean', default: false } },
  });
  const place = { device: values.device, small: values.small || !isCard(values.device) };
  const told: Record<string, { holds: boolean; detail?: string; seconds: number }> = {};
  for (const [name, check] of Object.entries(checks)) {
    const started = performance.now();
    const seconds = (): number => Math.round((performance.now() - started) / 100) / 10;
    try {
      const detail = await check(place);
      told[name] = { holds: true, ...(detail === undefined ? {} : { detail }), seconds: seconds() };
    } catch (error) {
      told[name] = { holds: false, detail: String((error as Error).stack).slice(0, 1000), seconds: seconds() };
    }
  }
  console.log(JSON.stringify({ device: values.device, checks: told }));
};

if (require.main === module) void main();
