/**
 * @file `npm run bench:memory [-- OPTIONS]`, which `--help` lists: peak memory of a process that trains an MLP (784-2048-2048-10, Adam, batch 128; 24 MB of parameters, three
 * times that with Adam's state): eagerly, compiled, and compiled with `donate: false`. Each in a process of its own; medians of several.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Argument, Command } from 'commander';
import * as torch from '../lib/index.js';
import { count, optionsOf } from './options.js';

const MODES = ['load only', 'eager', 'compiled', 'compiled, donate: false'] as const;
type Mode = (typeof MODES)[number];

/** Peak resident memory of this process so far, MiB. */
const peak = (): number => Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

const train = (mode: Mode): number => {
  torch.ones(2).add(1).tolist();
  if (mode === 'load only') return peak();
  const { nn } = torch;
  const [a, b, c] = [new nn.Linear(784, 2048), new nn.Linear(2048, 2048), new nn.Linear(2048, 10)];
  const net = new nn.Sequential(a, new nn.ReLU(), b, new nn.ReLU(), c);
  const optimizer = new torch.optim.Adam(net.parameters());
  const f = (x: torch.Tensor, y: torch.Tensor): torch.Tensor => {
    optimizer.zero_grad();
    const loss = nn.functional.cross_entropy(net.forward(x), y);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    return loss.detach();
  };
  const step = mode === 'eager' ? f : torch.compile(f, mode === 'compiled' ? {} : { donate: false });
  const [x, y] = [torch.randn([128, 784]), torch.randint(0, 10, [128])];
  for (let i = 0; i < 20; i++) step(x, y);
  return peak();
};

const median = (values: number[]): number => values.sort((p, q) => p - q)[values.length >> 1]!;

const main = (rounds: number): void => {
  console.log('peak memory of a training process, MiB (MLP 784-2048-2048-10, Adam, batch 128)');
  for (const mode of MODES) {
    const runs = Array.from({ length: rounds }, () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [__filename, mode], { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      return Number(stdout);
    });
    console.log(`${mode.padEnd(24)}${median(runs).toFixed(0).padStart(6)}`);
  }
};

const command = new Command('npm run bench:memory --')
  .description('Peak memory of a process that trains an MLP, eagerly and compiled.')
  .option('--rounds <n>', 'processes of each kind', count, 3)
  .addArgument(new Argument('[mode]', 'measure this one alone, in this process').choices(MODES));
const { rounds } = optionsOf<{ rounds: number }>(command);
const [mode] = command.processedArgs as [Mode | undefined];
if (mode === undefined) main(rounds);
else console.log(train(mode));
