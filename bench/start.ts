/**
 * @file `npm run bench:start [-- OPTIONS]`, which `--help` lists: how long the first call of a compiled function takes, counted from the call, libtorch loaded before: in a
 * process that finds nothing on disk (cold), in one that finds the program (warm), and in a second process of the same script, which fetches
 * it while libtorch is loaded (again); what tracing and lowering take per operator, which share of a cold first call XLA has, and how long
 * the whole process takes. Medians of several processes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, Command } from 'commander';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { cacheDir } from '../lib/runtime/parts.js';
import { count, optionsOf } from './options.js';

interface Model {
  readonly f: (...args: Tensor[]) => Tensor;
  readonly args: () => Tensor[];
}

const { nn } = torch;

const encoder = (layers: number): torch.nn.Module & { forward(x: Tensor): Tensor } =>
  new nn.TransformerEncoder(
    new nn.TransformerEncoderLayer(64, 4, { dim_feedforward: 128, batch_first: true, dropout: 0 }),
    layers,
  );

/** Made when asked for: a model is measured in a process of its own. */
const models: Readonly<Record<string, () => Model>> = {
  'nn.TransformerEncoder, 6 layers': () => {
    const net = encoder(6).eval();
    return { f: (x) => torch.no_grad(() => net.forward(x!).sum()), args: () => [torch.randn([4, 16, 64])] };
  },
  'its training step, 2 layers, AdamW': () => {
    const net = encoder(2);
    const optimizer = new torch.optim.AdamW(net.parameters());
    const f = (x: Tensor): Tensor => {
      optimizer.zero_grad();
      const loss = net.forward(x).square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zero_grad();
      return loss.detach();
    };
    return { f: (x) => f(x!), args: () => [torch.randn([4, 16, 64])] };
  },
  'transformer-like, 30 layers': () => ({
    f: (x, w, g) => {
      let h = x;
      for (let i = 0; i < 30; i++) {
        const y = torch.nn.functional.layer_norm(h, [64], g!, g!);
        h = h!.add(torch.softmax(torch.nn.functional.gelu(y.matmul(w!)), -1).mul(i + 1)).tanh();
      }
      return h!.sum();
    },
    args: () => [torch.randn([8, 64]), torch.randn([64, 64]), torch.ones([64])],
  }),
  'training step, 20 layers': () => ({
    f: (x, w) => {
      let h = x!;
      for (let i = 0; i < 20; i++) h = torch.tanh(h.matmul(w!)).add(h.mul(0.1));
      const leaf = w!.detach().requires_grad_();
      let p = x!;
      for (let i = 0; i < 20; i++) p = torch.tanh(p.matmul(leaf)).add(p.mul(0.1));
      return torch.autograd.grad([p.square().sum()], [leaf])[0]!.add(h.sum());
    },
    args: () => [torch.randn([8, 32]), torch.randn([32, 32])],
  }),
  'pointwise chain, 300 operators': () => ({
    f: (x) => {
      let y = x!;
      for (let i = 0; i < 100; i++)
        y = y
          .mul(0.99)
          .add(0.01 * i)
          .sin();
      return y.sum();
    },
    args: () => [torch.randn([64, 64])],
  }),
};

interface Figures {
  readonly total: number;
  readonly trace: number;
  readonly lower: number;
  readonly compile: number;
  readonly nodes: number;
}

const measure = (name: string): Figures => {
  const { f, args } = models[name]!();
  const given = args();
  torch.ones(2).add(1).sum().item();
  const fast = torch.compile(f);
  const started = performance.now();
  fast(...given).tolist();
  const total = performance.now() - started;
  const { traceMs: trace, lowerMs: lower, compileMs: compile } = fast.stats;
  return { total, trace, lower, compile, nodes: fast.lower(...given).graph.nodes.length };
};

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

interface Run extends Figures {
  /** The whole process, from its start to its end. */
  readonly process: number;
}
type Kind = 'cold' | 'warm' | 'again';
const KINDS: readonly Kind[] = ['cold', 'warm', 'again'];

const runAs = (kind: Kind, name: string, dir: string): Run => {
  const started = performance.now();
  const { stdout } = spawnSync(process.execPath, [__filename, name], {
    encoding: 'utf8',
    env: { ...process.env, JORCH_CACHE_DIR: dir, ...(kind === 'warm' ? { JORCH_PREFETCH: 'off' } : {}) },
  });
  return { ...(JSON.parse(stdout) as Figures), process: performance.now() - started };
};

const main = (rounds: number): void => {
  const ms = (value: number): string => value.toFixed(0).padStart(7);
  const heads = ['cold', 'warm', '', 'again', ''].map((head) => head.padStart(7)).join('');
  console.log(
    `${'first call, ms'.padEnd(34)}${'nodes'.padStart(6)}${heads}   again: trace, lower, wait   process: cold, warm, again   cold, µs an operator: trace, lower   XLA’s share`,
  );
  for (const name of Object.keys(models)) {
    const runs: Record<Kind, Run>[] = [];
    for (let i = 0; i < rounds; i++) {
      const dir = mkdtempSync(join(tmpdir(), 'jorch-start-'));
      symlinkSync(join(cacheDir(), 'runtime'), join(dir, 'runtime'));
      runs.push(Object.fromEntries(KINDS.map((kind) => [kind, runAs(kind, name, dir)])) as Record<Kind, Run>);
      rmSync(dir, { recursive: true, force: true });
    }
    const of = (kind: Kind, pick: (r: Run) => number): number => median(runs.map((r) => pick(r[kind])));
    const [cold, warm, again] = KINDS.map((kind) => of(kind, (r) => r.total)) as [number, number, number];
    const ratio = (of: number): string => `${(cold / of).toFixed(1)}×`.padStart(7);
    const parts = (['trace', 'lower', 'compile'] as const).map((key) => of('again', (r) => r[key]).toFixed(0));
    const whole = KINDS.map((kind) => of(kind, (r) => r.process).toFixed(0)).join(', ');
    const per = (['trace', 'lower'] as const).map((key) => of('cold', (r) => (r[key] / r.nodes) * 1000).toFixed(0));
    const share = of('cold', (r) => (100 * r.compile) / r.total).toFixed(0);
    console.log(
      `${name.padEnd(34)}${String(runs[0]!.cold.nodes).padStart(6)}${ms(cold)}${ms(warm)}${ratio(warm)}${ms(again)}${ratio(again)}   ${parts.join(', ').padEnd(26)}${whole.padEnd(29)}${per.join(', ').padEnd(34)}${share} %`,
    );
  }
};

const command = new Command('npm run bench:start --')
  .description(
    'Times the first call of compiled functions in new processes, cold and with what earlier ones left on disk.',
  )
  .option('--rounds <n>', 'processes of each kind', count, 5)
  .addArgument(new Argument('[model]', 'measure this one alone, in this process').choices(Object.keys(models)));
const { rounds } = optionsOf<{ rounds: number }>(command);
const [model] = command.processedArgs as [string | undefined];
if (model === undefined) main(rounds);
else console.log(JSON.stringify(measure(model)));
