/** @file `jorch/runtime`: running exported programs where there is no libtorch. */
export { isJorchError, JorchError } from '../runtime/errors.js';
export { HostTensor } from './host-tensor.js';
export { type HostInput, type LoadedProgram, loadCompiled } from './load.js';
export type { ProgramSignature } from './signature.js';
