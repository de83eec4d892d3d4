/** @file torch.export: programs that Python exported. */
import { withFile } from '../io/file.js';
import { type ExportedProgram, readProgram } from './module.js';

export { ExportedProgram } from './module.js';

/**
 * The program that Python's `torch.export.save` wrote, as a module: parameters and buffers have their names, `forward` runs the graph operator
 * by operator, so that it differentiates, trains and compiles. Nothing in the file is code: it names ATen operators, and only those are called.
 * @throws JorchError BAD_ARGUMENT for what is no archive of torch.export, a damaged or hostile one, or a program with operators that jorch lacks.
 * @example const model = torch.export.load('model.pt2'); const y = model.forward(x); const fast = torch.compile(model);
 * @see https://docs.pytorch.org/docs/stable/export.html
 */
export const load = (path: string): ExportedProgram => withFile(path, readProgram);
