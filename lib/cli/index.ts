#!/usr/bin/env node
/** @file The command line: `npx jorch doctor | install | cache | inspect | run`. */
import { Command } from 'commander';
import { isJorchError } from '../runtime/errors.js';
import { ownVersion } from '../runtime/parts.js';
import { listCache, wipeCache } from './cache.js';
import { doctor } from './doctor.js';
import { inspect } from './inspect.js';
import { installParts } from './install.js';
import { runFile } from './run.js';

const collect = (value: string, earlier: string[]): string[] => [...earlier, value];

const program = new Command('jorch').description('torch for Node.js, with JAX’s speed').version(ownVersion());

program
  .command('doctor')
  .description('say what was found, what is missing and how to get it')
  .action(() => {
    process.exitCode = doctor(console.log) ? 0 : 1;
  });

program
  .command('install [device]')
  .option('--compiler', 'cuda: only what compiling for a GPU needs, not what running on one does')
  .description('fetch libtorch and the XLA plugin into jorch’s cache folder (device: cpu, the default, or cuda)')
  .action((device: string | undefined, options: { compiler?: boolean }) => installParts(device ?? 'cpu', options));

const cache = program.command('cache').description('compiled programs that are kept on disk');
cache
  .command('ls')
  .description('list them, the latest used first')
  .action(() => listCache(console.log));
cache
  .command('clear')
  .description('remove them')
  .action(() => wipeCache(console.log));

program
  .command('inspect <file>')
  .option('--stablehlo', 'print the program’s text')
  .description(
    'show what a file holds: a program that jorch or torch.export wrote, TorchScript, .pt, safetensors, .npy, .npz',
  )
  .action((file: string, options: { stablehlo?: boolean }) => inspect(file, options, console.log));

program
  .command('run <file>')
  .option('-i, --input <value>', 'one tensor argument: a .npy or .json file, or JSON; repeat it for more', collect, [])
  .description('run an exported program, or a model of Python (.pt2, TorchScript), and print its result as JSON')
  .action((file: string, options: { input: string[] }) => runFile(file, options.input, console.log));

program.parseAsync().catch((error: unknown) => {
  // What jorch, or the file system, says in words needs no stack.
  const known = isJorchError(error) || (error instanceof Error && 'syscall' in error);
  console.error(known ? `jorch: ${(error as Error).message}` : error);
  process.exitCode = 1;
});
