/** @file Where a program is compiled and run, and with which options of XLA's. */
import { createHash } from 'node:crypto';
import { backendOf, targetOf } from '../cuda/devices.js';
import type { Lowered } from '../lowering/index.js';
import type { Executable, Target, XlaOptions } from '../native.js';
import { located, native } from '../runtime/load.js';
import { cpuPluginFile } from '../runtime/locate.js';
import { targetOf as targetOfMesh } from '../shard/mesh.js';
import { Ahead } from './ahead.js';
import { Executables } from './executables.js';
import { persistentCache } from './persistent.js';
import { type ScriptPrograms, scriptPrograms } from './prefetch.js';
import { xlaOptions } from './xla-options.js';

const executablesOf = (target: Target, ready?: ScriptPrograms): Executables<Executable, Target> =>
  new Executables<Executable, Target>(native(), target, persistentCache(), ready);

/** By device; one Executables asks for its compiler's identity once. */
const ofDevices = new Map<number, Executables<Executable, Target>>();

const ofDevice = (device: number): Executables<Executable, Target> => {
  let known = ofDevices.get(device);
  if (!known) {
    known =
      device === 0
        ? executablesOf(located().cpuPlugin || cpuPluginFile(), scriptPrograms())
        : executablesOf(backendOf(device).target);
    ofDevices.set(device, known);
  }
  return known;
};

/** What of a program decides. */
type Program = Pick<Lowered, 'text' | 'arithmetic' | 'partition'>;

/** What makes a program's executable. */
export interface Place {
  readonly executables: Executables<Executable, Target>;
  readonly options: XlaOptions;
}

/**
 * The place of a program: the devices of its mesh if it has one, else the device with this number (0: the CPU). `given` options win.
 * @throws JorchError RUNTIME_MISSING, TOO_LARGE for a mesh of more devices than there are
 */
export const placeOf = (program: Program, given: XlaOptions = {}, device = 0): Place => {
  const { partition } = program;
  const own = device !== 0 && targetOf(device) === 'gpu' ? {} : xlaOptions(program);
  if (device !== 0) return { executables: ofDevice(device), options: { ...own, ...backendOf(device).xla, ...given } };
  const options = { ...own, ...given };
  if (partition === undefined) return { executables: ofDevice(0), options };
  const free = partition.results.map((sharding) => sharding === undefined);
  return { executables: executablesOf(targetOfMesh(partition.mesh, free)), options };
};

/** Calls that were compiled, and how often: one function of the same arguments may stand for several programs. */
const turns = new Map<string, number>();
/** Calls that are remembered; the oldest are forgotten first, and begin with their first program again. */
const REMEMBERED = 4096;

/** Begins to load what a call on the CPU loaded in another process; `parts` say what makes it the same call. */
export const loadAhead = (parts: readonly string[]): Ahead<Executable> | undefined => {
  try {
    const executables = ofDevice(0);
    if (executables.cache.folder === undefined) return undefined;
    const call = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
    const turn = turns.get(call) ?? 0;
    turns.delete(call);
    turns.set(call, turn + 1);
    if (turns.size > REMEMBERED) turns.delete(turns.keys().next().value!);
    return new Ahead(native(), executables, createHash('sha256').update(`${call} ${turn}`).digest());
  } catch {
    return undefined; // whoever compiles hears of it
  }
};

/** From the persistent cache or compiled, while the caller waits. */
export const obtain = (
  program: Program,
  given?: XlaOptions,
  device?: number,
  ahead?: Ahead<Executable>,
): ReturnType<Place['executables']['obtain']> => {
  const { executables, options } = placeOf(program, given, device);
  return executables.obtain(program.text, options, ahead?.executables === executables ? ahead : undefined);
};
