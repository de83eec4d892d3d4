/** @file The devices besides the CPU: opened at their first use, named as torch names them. */

import type { XlaOptions } from '../compile/executables.js';
import { noteUse } from '../debug/xspace.js';
import type { Target } from '../lowering/lower.js';
import type { DeviceTarget } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { located, native, runtimeAddon } from '../runtime/load.js';
import { cpuPluginFile } from '../runtime/locate.js';
import { cudaRuntime } from '../runtime/locate-cuda.js';
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
}

const cuda = (): Backend => {
  const { plugin, toolkit, libraries } = cudaRuntime();
  // By absolute path, before the plugin asks for them by name: one set of libraries in the process.
  for (const file of libraries) {
    const message = runtimeAddon().open(file);
    if (message) throw new JorchError('RUNTIME_MISSING', `${file} could not be loaded: ${message}`);
  }
  noteUse(plugin);
  return { plugin, client: {}, xla: { xla_gpu_cuda_data_dir: toolkit } };
};

/** XLA's CPU client as a device of its own: its tensors are as opaque to libtorch as a GPU's, and its programs run as asynchronously. */
const xla = (): Backend => ({
  plugin: located().cpuPlugin || cpuPluginFile(),
  client: { cpu_device_count: 1, asynchronous: true },
  xla: {},
});

const opened = new Map<number, Opened>();
const numbers = new Map<string, number>();

const open = (name: string): number => {
  const backend = name === 'cuda:0' ? cuda() : xla();
  const number = native().openDevice(name, backend.plugin, backend.client);
  opened.set(number, { name, target: { plugin: backend.plugin, device: number }, xla: backend.xla });
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
