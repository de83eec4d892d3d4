/**
 * @file `npm run bench:training [-- OPTIONS]`, which `--help` lists: one step of training (forward, backward, optimizer), eagerly and compiled, and
 * with a Python that has jax the same step under jax.jit. They take turns for `--rounds`; the table has medians over all turns.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { GPT } from '../examples/lib/gpt.js';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { count, existing, optionsOf, positive } from './options.js';

const { nn, optim } = torch;
const F = nn.functional;

interface Training {
  readonly name: string;
  /** Its name in training_jax.py. */
  readonly jax?: string;
  /** Makes a network and gives one step of its training. */
  readonly make: () => () => unknown;
}

const stepOf =
  (
    net: InstanceType<typeof nn.Module>,
    optimizer: InstanceType<typeof optim.Adam>,
    loss: (x: Tensor, y: Tensor) => Tensor,
    clip = false,
  ) =>
  (x: Tensor, y: Tensor): Tensor => {
    const value = loss(x, y);
    value.backward();
    if (clip) nn.utils.clip_grad_norm_(net.parameters(), 1);
    optimizer.step();
    optimizer.zero_grad();
    return value.detach();
  };

const trainings = (compile: (f: (x: Tensor, y: Tensor) => Tensor) => (x: Tensor, y: Tensor) => Tensor): Training[] => [
  {
    name: 'small: 4-16-16-1 (369 parameters), 32 rows, Adam',
    jax: 'small',
    make: () => {
      const net = new nn.Sequential(
        new nn.Linear(4, 16),
        new nn.Tanh(),
        new nn.Linear(16, 16),
        new nn.Tanh(),
        new nn.Linear(16, 1),
      );
      const adam = new optim.Adam(net.parameters());
      const step = compile(stepOf(net, adam, (x, y) => F.mse_loss(net.forward(x) as Tensor, y)));
      const [x, y] = [torch.randn(32, 4), torch.randn(32, 1)];
      return () => step(x, y);
    },
  },
  {
    name: 'mlp: 784-512-256-10, 128 rows, Adam',
    jax: 'mlp',
    make: () => {
      const net = new nn.Sequential(
        new nn.Linear(784, 512),
        new nn.ReLU(),
        new nn.Linear(512, 256),
        new nn.ReLU(),
        new nn.Linear(256, 10),
      );
      const adam = new optim.Adam(net.parameters());
      const step = compile(stepOf(net, adam, (x, y) => F.cross_entropy(net.forward(x) as Tensor, y)));
      const [x, y] = [torch.randn(128, 784), torch.randint(0, 10, [128])];
      return () => step(x, y);
    },
  },
  {
    name: 'digits: 3 convolutions with batch norm, 32 images, AdamW, clipped',
    jax: 'digits',
    make: () => {
      const block = (from: number, to: number) => [
        new nn.Conv2d(from, to, 3, { padding: 1 }),
        new nn.BatchNorm2d(to),
        new nn.ReLU(),
      ];
      const net = new nn.Sequential(
        ...block(1, 32),
        ...block(32, 32),
        new nn.MaxPool2d(2),
        new nn.Dropout(0.25),
        ...block(32, 64),
        new nn.MaxPool2d(2),
        new nn.Flatten(),
        new nn.Dropout(0.5),
        new nn.Linear(256, 10),
      );
      const adam = new optim.AdamW(net.parameters(), { weight_decay: 0.05 });
      const step = compile(stepOf(net, adam, (x, y) => F.cross_entropy(net.forward(x) as Tensor, y), true));
      const [x, y] = [torch.rand(32, 1, 8, 8), torch.randint(0, 10, [32])];
      return () => step(x, y);
    },
  },
  {
    name: 'gpt: 3 layers of width 96, 8 × 128 characters, AdamW, clipped',
    make: () => {
      const net = new GPT({ vocabulary: 81, context: 128, width: 96, heads: 4, layers: 3 });
      const adam = new optim.AdamW(net.parameters());
      const loss = (x: Tensor, y: Tensor): Tensor => F.cross_entropy(net.forward(x).flatten(0, 1), y.flatten());
      const step = compile(stepOf(net, adam, loss, true));
      const [x, y] = [torch.randint(0, 81, [8, 128]), torch.randint(0, 81, [8, 128])];
      return () => step(x, y);
    },
  },
];

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Microseconds of one call each, for `seconds`. */
const measure = (step: () => unknown, seconds: number): number => {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end || times.length < 5) {
    const began = performance.now();
    step();
    times.push(performance.now() - began);
  }
  return median(times) * 1000;
};

/** The peer answers one line for each. */
function jaxPeer(python: string): { ask(name: string, seconds: number): Promise<number>; close(): void } {
  const script = join(__dirname, '../../bench/training_jax.py');
  const child = spawn(python, [script], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, JAX_PLATFORMS: 'cpu' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = new Promise<never>((_, reject) => void child.once('error', reject));
  failed.catch(() => undefined);
  return {
    ask: async (name, seconds) => {
      child.stdin.write(`${name} ${seconds}\n`);
      const { value, done } = await Promise.race([lines.next(), failed]);
      if (done === true) throw new Error(`${script} ended`);
      return Number(value);
    },
    close: () => void child.stdin.end(),
  };
}

interface Options {
  readonly only?: string;
  readonly jax?: string;
  readonly json?: string;
  readonly rounds: number;
  readonly seconds: number;
}

async function main(): Promise<void> {
  const {
    only,
    jax: python,
    json,
    rounds,
    seconds,
  } = optionsOf<Options>(
    new Command('npm run bench:training --')
      .description('Times one step of training: eagerly, compiled, and under jax.jit, in turns.')
      .option('--only <text>', 'networks whose name has this text')
      .option('--jax <python>', 'a Python that has jax', existing)
      .option('--rounds <n>', 'turns', count, 7)
      .option('--seconds <s>', 'of one turn', positive, 0.4)
      .option('--json <file>', 'write all figures'),
  );
  const peer = python === undefined ? undefined : jaxPeer(python);
  const [eager, compiled] = [trainings((f) => f), trainings((f) => torch.compile(f))];
  const rows: object[] = [];
  const column = (text: string): string => text.padStart(12);
  console.log(
    `${'median of one step, µs'.padEnd(66)}${['eager', 'compiled', 'jax.jit', 'eager/comp.', 'comp./jax'].map(column).join('')}`,
  );
  for (const [i, { name, jax, make }] of eager.entries()) {
    if (only !== undefined && !name.includes(only)) continue;
    const [slow, fast] = [make(), compiled[i]!.make()];
    for (let n = 0; n < 3; n++) {
      slow();
      fast();
    }
    const times: Record<'eager' | 'compiled' | 'jax', number[]> = { eager: [], compiled: [], jax: [] };
    for (let round = 0; round < rounds; round++) {
      times.eager.push(measure(slow, seconds));
      times.compiled.push(measure(fast, seconds));
      if (peer !== undefined && jax !== undefined) times.jax.push(await peer.ask(jax, seconds));
    }
    const row = { name, eager: median(times.eager), compiled: median(times.compiled), jax: median(times.jax) };
    rows.push(row);
    const cell = (x: number | undefined, digits: number): string =>
      column(x === undefined || Number.isNaN(x) ? '-' : x.toFixed(digits));
    console.log(
      name.padEnd(66) +
        cell(row.eager, 1) +
        cell(row.compiled, 1) +
        cell(row.jax, 1) +
        cell(row.eager / row.compiled, 2) +
        cell(row.compiled / row.jax, 2),
    );
  }
  peer?.close();
  if (json !== undefined)
    writeFileSync(
      json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), rows }, null, 2)}\n`,
    );
}
main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
