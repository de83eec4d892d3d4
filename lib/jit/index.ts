/** @file torch.jit: programs written as TorchScript. */
import { withFile } from '../io/file.js';
import { native } from '../runtime/load.js';
import { checkScriptArchive } from './archive.js';
import { openScript, type ScriptModule } from './script-module.js';

export { ScriptModule } from './script-module.js';

/**
 * The module that Python's `torch.jit.save` (or `ScriptModule.save`) wrote. It is called, differentiated, trained and compiled like any
 * other module; its methods run operator by operator, without TorchScript's fusers.
 *
 * A TorchScript file is a program: `load` runs none of it, but calling the module runs what its author wrote. Load files that you trust.
 * @throws JorchError BAD_ARGUMENT for what is no TorchScript archive, or a damaged one.
 * @example const model = torch.jit.load('model.pt'); const y = model.forward(x); const fast = torch.compile(model);
 * @see https://docs.pytorch.org/docs/stable/generated/torch.jit.load.html
 */
export const load = (path: string): ScriptModule => {
  withFile(path, checkScriptArchive);
  return openScript(native().loadScript(path));
};
