/** @file `jorch install`: the pinned parts, fetched, verified and unpacked. */
import { JorchError } from '../runtime/errors.js';
import { install } from '../runtime/install.js';
import { findPython, pluginFromEnvironment } from '../runtime/locate.js';
import { consoleProgress } from '../runtime/progress.js';

/** @throws JorchError BAD_ARGUMENT for another device than the CPU; RUNTIME_MISSING when a part cannot be fetched. */
export const installParts = async (device: string): Promise<void> => {
  if (device !== 'cpu')
    throw new JorchError(
      'BAD_ARGUMENT',
      `install: there are no parts for '${device}'; this jorch runs on the CPU: npx jorch install`,
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
