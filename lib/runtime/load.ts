/** @file Loads the addon on first use, and gives its Tensor class the methods that are TypeScript's. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Native } from '../native.js';
import { JorchError } from './errors.js';
import { type Located, locate } from './locate.js';
import { packageRoot } from './parts.js';

interface Loader {
  /** undefined, or the dynamic linker's message. */
  open(path: string): string | undefined;
}

let loaded: { native: Native; located: Located } | undefined;
const hooks: ((native: Native) => void)[] = [];

/** Runs `hook` when the addon is loaded (now, if it is): the Tensor class gets its methods this way. */
export const onLoad = (hook: (native: Native) => void): void => {
  if (loaded) hook(loaded.native);
  else hooks.push(hook);
};

const binary = (name: string): string => {
  const folders = [
    join(packageRoot, 'build', 'Release'),
    join(packageRoot, 'prebuilds', `${process.platform}-${process.arch}`),
  ];
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (!found)
    throw new JorchError(
      'RUNTIME_MISSING',
      `${name} is not built for ${process.platform}-${process.arch} (looked in ${folders.join(' and ')}); build it with: npm run build`,
    );
  return found;
};

/** The user's line that called into jorch: the innermost frame outside this package. */
const userLine = (): string => {
  const holder: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 24;
  Error.captureStackTrace(holder, userLine);
  Error.stackTraceLimit = limit;
  for (const frame of (holder.stack ?? '').split('\n').slice(1)) {
    const at = /\(?((?:\/|file:)[^()]*:\d+:\d+)\)?$/.exec(frame)?.[1];
    if (at && !at.includes(join(packageRoot, 'dist', 'lib')) && !at.startsWith('node:')) return at;
  }
  return '';
};

/** V8's collector, which Node hides behind a flag. Small tensors die in the young generation: a minor collection frees them. */
const collector = (): ((full: boolean) => void) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  return (full) => (full ? gc() : gc({ type: 'minor' }));
};

const load = (): { native: Native; located: Located } => {
  const located = locate();
  const loader = require(binary('jorch_rt.node')) as Loader;
  const lib = (name: string): string => join(located.torch, 'lib', name);
  for (const file of [...located.preload, lib('libc10.so'), lib('libtorch_cpu.so')]) {
    const message = loader.open(file);
    if (message) throw new JorchError('RUNTIME_MISSING', `${file} could not be loaded: ${message}`);
  }
  const native = require(binary('jorch.node')) as Native;
  native.setErrorClass(JorchError);
  native.setLineReader(userLine);
  native.setCollector(collector());
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
