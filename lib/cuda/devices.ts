/** @file The devices besides the CPU: opened at their first use, named as torch names them. */

import { noteUse } from '../debug/xspace.js';
import type { Target } from '../lowering/lower.js';
import type { DeviceTarget, XlaOptions } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { located, native, runtimeAddon } from '../runtime/load.js';
import { cpuPluginFile } from '../runtime/locate.js';
import { cudaRuntime, findLibtorchCuda } from '../runtime/locate-cuda.js';
import { device as deviceNamed } from '../torch/device.js';
import type { Tensor } from '../torch/tensor.js';

/** What a device is opened with. */
interface Backend {
  readonly plugin: string;
  /** The client's options, as the plugin names them. */
  readonly client: Readonly<Record<string, boolean | number | string>>;
  /** Options of every compilation. */
  readonly xla: XlaOptions;
}

interface Opened {
  readonly name: string;
  readonly target: DeviceTarget;
  readonly xla: XlaOptions;
  /** Why tensors there are not libtorch's own; undefined when they are. */
  withoutLibtorch: string | undefined;
}

/**
 * By absolute path, before others ask for them by name: one set of libraries in the process. What is loaded from elsewhere (libtorch_cpu needs two of them) stays.
 * @throws JorchError RUNTIME_MISSING
 */
const openAll = (files: readonly string[]): void => {
  for (const file of files) {
    if (runtimeAddon().twin(file) !== undefined) continue;
    const message = runtimeAddon().open(file);
    if (message) throw new JorchError('RUNTIME_MISSING', `${file} could not be loaded: ${message}`);
  }
};

const cuda = (): Backend => {
  const { plugin, toolkit, libraries } = cudaRuntime();
  native(); // with what libtorch brings
  openAll(libraries);
  noteUse(plugin);
  return { plugin, client: {}, xla: { xla_gpu_cuda_data_dir: toolkit } };
};

/** XLA's CPU client as a device of its own: its tensors are as opaque to libtorch as a GPU's, and its programs run as asynchronously. */
const xla = (): Backend => ({
  plugin: located().cpuPlugin || cpuPluginFile(),
  client: { cpu_device_count: 1, asynchronous: true },
  xla: {},
});

/**
 * Tensors on the opened device are libtorch's own from now on, on `own` as libtorch names it: its operators and XLA's programs share their memory.
 * @throws JorchError RUNTIME_MISSING when libtorch has no such device
 */
export const useLibtorch = (number: number, own: string): void => {
  try {
    native().useLibtorch(number, own);
    const x = native().moveTo(native().fromData(new Float32Array([1, 2, 3]), 'float32', [3]), number);
    const y = runAsProgram('probe', (t: Tensor) => t.mul(2), [x.add(1)]) as Tensor;
    const told = native().moveTo(y.add(1), 0).tolist();
    if (String(told) !== '5,7,9')
      throw new JorchError('RUNTIME_CONFLICT', `libtorch and XLA disagree on ${own}: ${told}`);
  } catch (error) {
    native().useLibtorch(number, null);
    throw error;
  }
  opened.get(number)!.withoutLibtorch = undefined;
};

/** Loads libtorch's CUDA library and lets it have the tensors of the device; why not, when it is not there or does not work, and all is XLA's then. */
const loadLibtorch = (number: number, plugin: string): string | undefined => {
  const wish = process.env['JORCH_CUDA_EAGER'];
  if (wish === 'xla') return 'JORCH_CUDA_EAGER is xla';
  try {
    const found = findLibtorchCuda(located().torch);
    if ('lacks' in found) throw new JorchError('RUNTIME_MISSING', found.lacks);
    openAll(found.files);
    native().allowCudaCalls(plugin);
    useLibtorch(number, 'cuda:0');
    return undefined;
  } catch (error) {
    if (wish === 'libtorch') throw error;
    return (error as Error).message;
  }
};

const opened = new Map<number, Opened>();
const numbers = new Map<string, number>();

const open = (name: string): number => {
  const backend = name === 'cuda:0' ? cuda() : xla();
  const number = native().openDevice(name, backend.plugin, backend.client);
  opened.set(number, {
    name,
    target: { plugin: backend.plugin, device: number },
    xla: backend.xla,
    withoutLibtorch: 'it has no kernels for it',
  });
  if (name === 'cuda:0') opened.get(number)!.withoutLibtorch = loadLibtorch(number, backend.plugin);
  return number;
};

/**
 * The number by which C++ knows a device; 0 is the CPU. Opens it if need be.
 * @throws JorchError BAD_ARGUMENT for a device that there is none of; RUNTIME_MISSING saying what is missing and how to get it.
 */
export const deviceNumber = (given: unknown): number => {
  const { type, index } = deviceNamed(String(given));
  if (type === 'cpu') return 0;
  const name = `${type}:${index ?? 0}`;
  if ((type !== 'cuda' && type !== 'xla') || (index ?? 0) !== 0)
    throw new JorchError(
      'BAD_ARGUMENT',
      `there is no device '${String(given)}' to compute on; there are cpu and cuda:0`,
    );
  let number = numbers.get(name);
  if (number === undefined) {
    number = open(name);
    numbers.set(name, number);
  }
  return number;
};

/** Whether any was opened: until then every tensor is on the CPU. */
export const anyOpened = (): boolean => opened.size > 0;

/** The first device other than the CPU that one of the tensors is on; 0 when there is none. */
export const deviceOfAny = (tensors: readonly Tensor[]): number => {
  if (opened.size === 0) return 0;
  for (const tensor of tensors) {
    const number = native().deviceOf(tensor);
    if (number !== 0) return number;
  }
  return 0;
};

/** An opened device as the compiler knows it, and options of all its compilations. */
export const backendOf = (number: number): Readonly<Pick<Opened, 'target' | 'xla'>> => opened.get(number)!;

/** What programs for the device are written for. */
export const targetOf = (number: number): Target => (nameOfDevice(number).startsWith('cuda') ? 'gpu' : 'cpu');

/** Whether tensors on the device are libtorch's own, so that its operators run there, also inside programs. */
export const runsLibtorch = (number: number): boolean => number !== 0 && withoutLibtorch(number) === undefined;

/** Why tensors on the device are not libtorch's own; undefined when they are. */
export const withoutLibtorch = (number: number): string | undefined => opened.get(number)?.withoutLibtorch;

/** `cuda:0`, … */
export const nameOfDevice = (number: number): string => (number === 0 ? 'cpu' : opened.get(number)!.name);

/** The same values on another device; gradients flow back to where the tensor is. The tensor itself when it is there. */
export const moveTo = (tensor: Tensor, number: number): Tensor => {
  const from = native().deviceOf(tensor);
  if (from === number) return tensor;
  const moved = native().moveTo(tensor, number);
  if (tensor.requires_grad && native().gradEnabled())
    native().attach('ToCopy', [tensor], [moved], [], (_, [gradient]) => [
      gradient === null || gradient === undefined ? null : native().moveTo(gradient, from),
    ]);
  return moved;
};

type Run = (name: string, f: (...args: never[]) => unknown, args: readonly unknown[]) => unknown;
let run: Run | undefined;

/** Called by operator.ts, which is built on all of compile and so cannot be imported here. */
export const setProgramRunner = (runner: Run): void => {
  run = runner;
};

/** Runs `f` as one program on the device of its tensors: what it changes is changed, views are views. One function has one name. */
export const runAsProgram: Run = (name, f, args) => run!(name, f, args);
