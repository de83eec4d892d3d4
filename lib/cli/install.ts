/** @file `jorch install`: the pinned parts, fetched, verified and unpacked. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { JorchError } from '../runtime/errors.js';
import { install, installCuda } from '../runtime/install.js';
import { findPython, pluginFromEnvironment } from '../runtime/locate.js';
import { findCuda } from '../runtime/locate-cuda.js';
import { cudaMark, type Part, pins } from '../runtime/parts.js';
import { consoleProgress } from '../runtime/progress.js';

/** What is there already in a Python environment or on the system is not fetched again. */
const installCudaParts = async (compilerOnly: boolean): Promise<void> => {
  const { plugin, toolkit, missing } = findCuda();
  const wanted = ({ role }: Part): boolean => {
    if (role === 'xla-cuda') return plugin === undefined;
    if (role === 'cuda-compiler') return toolkit === undefined;
    // All or none: half of a Python environment's libraries and half of others do not belong in one process.
    return !compilerOnly && missing.length > 0;
  };
  const bytes = pins()
    .cuda.parts.filter((part) => wanted(part) && !existsSync(cudaMark(part)))
    .reduce((sum, { size }) => sum + size, 0);
  if (bytes > 0) console.error(`fetching ${(bytes / 1e6).toFixed(0)} MB`);
  const folder = await installCuda(consoleProgress(), wanted);
  const found = findCuda();
  console.log(`plugin: ${found.plugin}\nptxas and libdevice: ${found.toolkit}`);
  if (!compilerOnly) console.log(`CUDA's libraries: ${dirname(found.libraries[0]!)}`);
  if (bytes > 0) console.log(`installed in ${folder}`);
};

/** @throws JorchError BAD_ARGUMENT for another device than the CPU and CUDA; RUNTIME_MISSING when a part cannot be fetched. */
export const installParts = async (
  device: string,
  { compiler = false }: { compiler?: boolean } = {},
): Promise<void> => {
  if (device === 'cuda') return installCudaParts(compiler);
  if (device !== 'cpu')
    throw new JorchError(
      'BAD_ARGUMENT',
      `install: there are no parts for '${device}'; there are cpu and cuda: npx jorch install cuda`,
    );
  const python = findPython();
  const torch = process.env['JORCH_TORCH_DIR'] ?? python.torch;
  const plugin = pluginFromEnvironment('cpu') ?? python.cpuPlugin;
  const folder = await install(
    consoleProgress(),
    (part) =>
      part.role === 'headers' ||
      (part.name === 'torch' && torch !== undefined) ||
      (part.role === 'xla-cpu' && plugin !== undefined),
  );
  console.log(`installed in ${folder}`);
};
