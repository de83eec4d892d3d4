/** @file loadCompiled() of the whole package: exported programs with tensors as results. */
import { HostTensor } from '../export/host-tensor.js';
import { type LoadedProgram, loadProgram } from '../export/load.js';
import { native } from '../runtime/load.js';
import { ARRAY_OF } from '../torch/dtype.js';

/**
 * The program that `fn.export(path, …)` wrote. Takes tensors, typed arrays or `{ data, shape }`, and returns tensors, which need libtorch;
 * the one of `jorch/runtime` does without. The file is trusted like code is: load only what you exported.
 * @throws JorchError BAD_ARGUMENT for a file that is no whole program, or one of another version or device; RUNTIME_MISSING; COMPILE_FAILED.
 */
export const loadCompiled = (path: string): LoadedProgram =>
  loadProgram(path, {
    present: ({ data, dtype, shape }) => native().fromBuffer(data, dtype, shape),
    take: (value) =>
      native().isTensor(value)
        ? new HostTensor(new ARRAY_OF[value.dtype](native().toBytes(value)), value.shape, value.dtype)
        : value,
  });
