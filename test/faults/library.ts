/** @file Builds the libraries that make faults (faults.cc, faulty_memory.cc), once per source; the addons under them are the ones that are shipped. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { located } from '../../lib/runtime/load.js';
import { packageRoot, runtimeDir } from '../../lib/runtime/parts.js';

const folder = join(packageRoot, 'build', 'faults');

export interface FaultLibraries {
  /** To be preloaded, and to be loaded as an addon. */
  readonly faults: string;
  /** An addon that makes libtorch's memory faulty; to be loaded when libtorch is. */
  readonly memory: string;
}

/** The libraries, or why they cannot be built here. */
export const faultLibraries = (): FaultLibraries | string => {
  const { torch } = located();
  const headers = require('node-api-headers') as { include_dir: string };
  const pjrt = join(runtimeDir(), 'xla_plugins', 'xla_cpu_pjrt', 'include');
  if (/lib[a-z]+san\.so/.test(process.env['LD_PRELOAD'] ?? '')) return 'a sanitizer has the allocations';
  if (!existsSync(join(torch, 'include'))) return `no headers in ${torch}`;
  const built = (name: string, ...link: string[]): string => {
    const source = join(packageRoot, 'test', 'faults', `${name}.cc`);
    const key = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
    // The last part of the path stays: faults.cc looks for itself by name.
    const file = join(folder, key, `${name}.node`);
    if (existsSync(file)) return file;
    mkdirSync(join(folder, key), { recursive: true });
    const fresh = `${file}.${process.pid}`;
    const args = ['-std=c++17', '-O1', '-g1', '-shared', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'];
    const includes = [headers.include_dir, pjrt, join(torch, 'include')].flatMap((path) => ['-isystem', path]);
    const { status, stderr, error } = spawnSync('g++', [...args, ...includes, source, '-o', fresh, ...link], {
      encoding: 'utf8',
    });
    if (error || status !== 0) throw new Error(`g++ ${source}: ${error?.message ?? stderr}`);
    renameSync(fresh, file);
    return file;
  };
  if (spawnSync('g++', ['--version']).status !== 0) return 'no g++';
  return { faults: built('faults', '-ldl'), memory: built('faulty_memory', `-L${join(torch, 'lib')}`, '-lc10') };
};
