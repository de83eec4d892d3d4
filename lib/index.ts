/** @file The public surface: `import * as torch from 'jorch'` reads like Python's torch. */
import './runtime/begin.js';

export * as amp from './amp/index.js';
export { type Compiled, compile } from './compile/compile.js';
export { loadCompiled } from './compile/load-compiled.js';
export type { CompileOptions, CompileStats, Explanation } from './compile/options.js';
export { type Spec, type SpecOptions, spec } from './compile/spec.js';
export * from './control/index.js';
export * as cuda from './cuda/index.js';
export { devices } from './cuda/index.js';
export type { TopologyProgram } from './cuda/topology.js';
export * as debug from './debug/index.js';
export type { LoadedProgram } from './export/load.js';
export type { Cost } from './inspect/cost.js';
export type { LoweredProgram } from './inspect/lowered.js';
export { load, load_file, type SafeOpen, safe_open, save, save_file } from './io/index.js';
export * as jit from './jit/index.js';
export * as optim from './optim/index.js';
export * from './optimize/index.js';
export * as export from './pt2/index.js';
export { type ErrorCode, isJorchError, JorchError } from './runtime/errors.js';
export { type Runtime, runtime } from './runtime/info.js';
export * from './shard/index.js';
export * as testing from './testing.js';
export * from './torch/constants.js';
export { as_tensor, frombuffer, type NestedData, type NestedList, type TensorOptions, tensor } from './torch/data.js';
export { type Device, device } from './torch/device.js';
export * from './torch/dtype-names.js';
export { expr } from './torch/expression.js';
export { type PrintOptions, set_printoptions } from './torch/format.js';
export * from './torch/functions.js';
export { Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state } from './torch/generator.js';
export type { TensorHook } from './torch/hooks.js';
export { type Index, type Slice, slice } from './torch/indexing.js';
export { keep, memory, scope } from './torch/memory.js';
export {
  type AutocastOptions,
  autocast,
  enable_grad,
  get_default_dtype,
  get_num_threads,
  inference_mode,
  is_grad_enabled,
  no_grad,
  set_default_dtype,
  set_grad_enabled,
  set_num_threads,
} from './torch/modes.js';
export { ops } from './torch/runtime-ops.js';
export { Scalar } from './torch/scalar.js';
export { receive, type ShareOptions, type ShareToken, share, withdraw } from './torch/share.js';
export type { Shape, Tensor } from './torch/tensor.js';
export * as autograd from './transforms/autograd.js';
export { customJvp, customVjp } from './transforms/custom.js';
export * as func from './transforms/index.js';
export { vmap } from './transforms/index.js';
export * as tree from './tree.js';
export * as utils from './utils.js';

import './runtime/begun.js';
