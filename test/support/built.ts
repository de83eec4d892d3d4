/** @file Builds a library of C++ that a test puts under or beside the addons, once per source; those are the ones that are shipped. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { located } from '../../lib/runtime/load.js';
import { packageRoot, runtimeDir } from '../../lib/runtime/parts.js';

/** Why libraries cannot be built here; undefined when they can. */
export const cannotBuild = (): string | undefined => {
  const { torch } = located();
  if (/lib[a-z]+san\.so/.test(process.env['LD_PRELOAD'] ?? '')) return 'a sanitizer has the allocations';
  if (!existsSync(join(torch, 'include'))) return `no headers in ${torch}`;
  return spawnSync('g++', ['--version']).status === 0 ? undefined : 'no g++';
};

/** The addon `build/FOLDER/…/NAME.node` of the source file test/NAME.cc (a path), linked with `link`. */
export const built = (folder: string, path: string, ...link: string[]): string => {
  const { torch } = located();
  const headers = require('node-api-headers') as { include_dir: string };
  const pjrt = join(runtimeDir(), 'xla_plugins', 'xla_cpu_pjrt', 'include');
  const source = join(packageRoot, 'test', `${path}.cc`);
  const key = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const place = join(packageRoot, 'build', folder, key);
  // The last part of the path stays: libraries look for themselves by name.
  const file = join(place, `${basename(path)}.node`);
  if (existsSync(file)) return file;
  mkdirSync(place, { recursive: true });
  const fresh = `${file}.${process.pid}`;
  const args = ['-std=c++17', '-O1', '-g1', '-shared', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'];
  const api = join(torch, 'include', 'torch', 'csrc', 'api', 'include');
  const includes = [headers.include_dir, pjrt, join(torch, 'include'), api].flatMap((dir) => ['-isystem', dir]);
  const libraries = [`-L${join(torch, 'lib')}`, ...link, '-ldl'];
  const { status, stderr, error } = spawnSync('g++', [...args, ...includes, source, '-o', fresh, ...libraries], {
    encoding: 'utf8',
  });
  if (error || status !== 0) throw new Error(`g++ ${source}: ${error?.message ?? stderr}`);
  renameSync(fresh, file);
  return file;
};
