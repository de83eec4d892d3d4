/** @file Loads the addon on first use, and gives its Tensor class the methods that are TypeScript's. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Compiler, Native, Prefetched, XlaOptions } from '../native.js';
import { installHandles } from '../torch/handle.js';
import { Environment } from './environment.js';
import { JorchError } from './errors.js';
import { lineNow, noteUserLine, userLine } from './lines.js';
import { type Located, locate } from './locate.js';
import { NativeError } from './native-error.js';
import { packageRoot } from './parts.js';
import { loadFailure, systemProblem, thisSystem } from './system.js';

declare const rtExecutable: unique symbol;
/** A loaded program of the addon without libtorch. */
export interface RuntimeExecutable {
  readonly [rtExecutable]: never;
}

/** A program compiled for a card that need not be here. */
export interface CompiledFor {
  /** Serialized: for loadProgram where the card is. */
  readonly bytes: Buffer;
  /** The optimized program, as a protobuf of this format. */
  readonly format: string;
  readonly hlo: Buffer;
  readonly memory: Readonly<Record<'code' | 'arguments' | 'outputs' | 'temporaries', number>>;
  readonly cost: Readonly<Record<string, number>>;
}

declare const openingLibraries: unique symbol;
/** Libraries that a thread opens. */
export interface Opening {
  readonly [openingLibraries]: never;
}

declare const recording: unique symbol;
/** What a plugin notes of its own work, until it is ended. */
export interface Recording {
  readonly [recording]: never;
}

/** What native/rt exports: PJRT alone. Its errors have a `code`. */
export interface RuntimeAddon extends Compiler<RuntimeExecutable> {
  /** undefined, or the dynamic linker's message. */
  open(path: string): string | undefined;
  /** Begins to open these, one after the other, on a thread, once what is being fetched has got going. */
  openAhead(paths: readonly string[], prefetched: Prefetched | undefined): Opening;
  /** Waits until that thread is done. Failures are nobody's: `open` meets them again. */
  endOpen(opening: Opening): void;
  /** Another file of this name that the process has loaded. */
  twin(path: string): string | undefined;
  outputTypes(executable: RuntimeExecutable): { dtype: string; shape: number[] }[];
  /** Cards that compileFor knows, by name. */
  gpuTargets(): string[];
  /** A program for a card that need not be here; `toolkit` has ptxas and libdevice. */
  compileFor(plugin: string, toolkit: string, target: string, stablehlo: string, options: XlaOptions): CompiledFor;
  /** Loads the plugin, and begins to record what it does; undefined when it has no profiler. */
  beginProfile(plugin: string): Recording | undefined;
  /** An XSpace, as a serialized protobuf. */
  endProfile(recording: Recording): Buffer;
  /** A tensor that stays with the device; for `run`. */
  hold(executable: RuntimeExecutable, data: Uint8Array, dtype: string, shape: readonly number[]): unknown;
  /**
   * Begins to load programs on another thread, and to run once on zeros those whose inputs are given; for the addon with libtorch.
   * undefined when there is no compiler.
   */
  prefetch(
    plugin: string,
    programs: readonly { bytes: Buffer; inputs?: readonly { dtype: string; shape: readonly number[] }[] | undefined }[],
  ): Prefetched | undefined;
  /** Parameters are held tensors or `{ data, dtype, shape }`; results row-major. */
  run(executable: RuntimeExecutable, parameters: readonly unknown[]): ArrayBuffer[];
}

let loaded: { native: Native; located: Located } | undefined;
const hooks: ((native: Native) => void)[] = [];

/** Runs `hook` when the addon is loaded (now, if it is): the Tensor class gets its methods this way. */
export const onLoad = (hook: (native: Native) => void): void => {
  if (loaded) hook(loaded.native);
  else hooks.push(hook);
};

/** May say what it has begun to fetch. */
type EarlyHook = (loader: RuntimeAddon, located: Located) => Prefetched | undefined;
const earlyHooks: EarlyHook[] = [];

/** Runs `hook`, which must not throw, before libtorch is loaded, which takes a while. */
export const beforeLibtorch = (hook: EarlyHook): void => void earlyHooks.push(hook);
const runEarlyHooks = (loader: RuntimeAddon, located: Located): Prefetched | undefined =>
  earlyHooks
    .splice(0)
    .map((hook) => hook(loader, located))
    .find((prefetched) => prefetched !== undefined);

/** Where a part of our own is built. @throws JorchError RUNTIME_MISSING */
export const binaryFile = (name: string): string => {
  const folders = [
    join(packageRoot, 'build', 'Release'),
    join(packageRoot, 'prebuilds', `${process.platform}-${process.arch}`),
  ];
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (!found) {
    const inCheckout = existsSync(join(packageRoot, 'CMakeLists.txt'));
    throw new JorchError(
      'RUNTIME_MISSING',
      systemProblem(thisSystem()) ??
        `${name} is not built for ${process.platform}-${process.arch} (looked in ${folders.join(' and ')}); ${inCheckout ? 'build it with: npm run build' : 'the package is damaged, get it again with: npm install --force jorch'}`,
    );
  }
  return found;
};

type Collect = (options?: { type: 'minor' }) => void;
/** V8's collector, which Node hides behind a flag. V8 refuses code that was kept under other flags, so that one is set for a moment only. */
const exposed = (): Collect => {
  const find = (): Collect | undefined => runInNewContext('typeof gc === "function" ? gc : undefined') as never;
  const given = find(); // node --expose-gc
  if (given) return given;
  setFlagsFromString('--expose-gc');
  try {
    return find()!;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
};
let gc: Collect | undefined;
/** Small tensors die in the young generation: a minor collection frees them. */
const collector = (): ((full: boolean) => void) => {
  gc ??= exposed();
  const found = gc;
  return (full) => (full ? found() : found({ type: 'minor' }));
};

let collect: ((full: boolean) => void) | undefined;
/** Frees what only garbage holds, now. */
export const collectGarbage = (): void => {
  collect ??= collector();
  collect(true);
};

/** An addon of ours. @throws JorchError RUNTIME_MISSING that says why it does not load */
const addon = (name: string): unknown => {
  const file = binaryFile(name);
  try {
    const exports = require(file) as { guardExit(): void };
    // As late as can be, because what is registered later comes first (native/pjrt/exit_guard.h).
    process.on('exit', () => exports.guardExit());
    return exports;
  } catch (error) {
    throw new JorchError('RUNTIME_MISSING', loadFailure(file, (error as Error).message), { cause: error });
  }
};

interface SmallAddon extends RuntimeAddon {
  /** What makes room before an error is thrown. */
  setCollector(collect: (full: boolean) => void): void;
}
let small: SmallAddon | undefined;
let hasCollector = false;

/** The same, for what throws no errors. */
const smallAddon = (): SmallAddon => {
  small ??= addon('jorch_rt.node') as SmallAddon;
  return small;
};

/** The addon without libtorch. @throws JorchError RUNTIME_MISSING */
export const runtimeAddon = (): RuntimeAddon => {
  const loader = smallAddon();
  if (!hasCollector) {
    loader.setCollector(collector());
    hasCollector = true;
  }
  return loader;
};

/** What libtorch and the addon are, in the order in which they are opened. */
const libraries = ({ torch, preload }: Located): string[] => [
  ...preload,
  join(torch, 'lib', 'libc10.so'),
  join(torch, 'lib', 'libtorch_cpu.so'),
];

/** Another copy of libtorch, or of the addon, that the process has loaded, and the file that cannot be loaded beside it. */
const conflict = (loader: RuntimeAddon, located: Located): { twin: string; file: string } | undefined => {
  for (const file of [binaryFile('jorch.node'), libraries(located).at(-1)!]) {
    const twin = loader.twin(file);
    if (twin !== undefined) return { twin, file };
  }
  return undefined;
};

/** What is being opened, for which environment. */
let ahead: { loader: RuntimeAddon; opening: Opening; environment: Environment } | undefined;

/**
 * Begins to open libtorch, and the addon, on a thread: while jorch's own modules are loaded. Never throws: whoever needs libtorch hears what is
 * wrong. Python is not asked where libtorch is, because that would take longer than what it gains.
 */
export const beginLoad = (): void => {
  if (loaded || ahead) return;
  try {
    const loader = smallAddon();
    const located = locate(() => ({}));
    if (conflict(loader, located)) return;
    const before = process.env['PJRT_NPROC'];
    const prefetched = runEarlyHooks(loader, located);
    // From now on nothing may write to the environment until `endLoad`: libtorch reads it there.
    const environment = new Environment(before);
    const opening = loader.openAhead([...libraries(located), binaryFile('jorch.node')], prefetched);
    ahead = { loader, opening, environment };
  } catch {
    return;
  }
};

/** Waits for it. Before a script goes on: what writes to `process.env` must not run beside what reads it. */
export const endLoad = (): void => {
  if (ahead) ahead.loader.endOpen(ahead.opening);
};

/** Whether what was made ahead would be the same if it were made now. */
export const environmentHolds = (): boolean => changes.length === 0;
let changes: readonly string[] = [];

const load = (): { native: Native; located: Located } => {
  endLoad();
  changes = ahead?.environment.changed() ?? [];
  const loader = runtimeAddon();
  const located = locate();
  const twins = conflict(loader, located);
  if (twins)
    throw new JorchError(
      'RUNTIME_CONFLICT',
      `${twins.twin} is loaded in this process, so ${twins.file} cannot be: libtorch keeps one table of operators for both. Keep one copy: npm ls jorch shows who brings them, npm dedupe joins them`,
    );
  runEarlyHooks(loader, located);
  for (const file of libraries(located)) {
    const message = loader.open(file);
    if (message) throw new JorchError('RUNTIME_MISSING', loadFailure(file, message));
  }
  const native = addon('jorch.node') as Native;
  installHandles(native);
  native.setErrorClass(NativeError);
  native.setLineReader(userLine, noteUserLine, lineNow);
  native.setCollector(collector());
  if (changes.length > 0) ahead!.environment.hear(changes, native);
  return { native, located };
};

/** The addon, loaded at the first call. @throws JorchError RUNTIME_MISSING */
export const native = (): Native => {
  if (!loaded) {
    loaded = load();
    for (const hook of hooks.splice(0)) hook(loaded.native);
  }
  return loaded.native;
};

/** Where the native parts were loaded from. */
export const located = (): Located => {
  native();
  return loaded!.located;
};

/** Whether anybody has asked for the addon yet. */
export const isLoaded = (): boolean => loaded !== undefined;
