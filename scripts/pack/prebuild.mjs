#!/usr/bin/env node
/**
 * @file The addons for the package, in prebuilds/linux-x64: built from nothing by prebuildify (node-gyp → binding.gyp → cmake-js), stripped,
 * and checked against the oldest system that jorch claims. One binary serves Node 20, 22, 24 and 26.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { problemsOf } from '../check-symbols.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = join(root, 'prebuilds', 'linux-x64');
const names = ['jorch.node', 'jorch_rt.node'];
export const files = names.map((name) => join(folder, name));

/** The headers of the Node that runs this, for node-gyp, which asks for some; the addons are compiled with those of node-api-headers. */
export const ownHeaders = () => {
  const nodedir = dirname(dirname(process.execPath));
  return existsSync(join(nodedir, 'include', 'node', 'common.gypi')) ? { npm_config_nodedir: nodedir } : {};
};

const run = (command, args) => {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...ownHeaders() },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error ?? `exit code ${status}`}`);
};

/** What the binaries are made of. */
export const sources = () => {
  const hash = createHash('sha256');
  const list = readdirSync(join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of [...list.sort(), join(root, 'CMakeLists.txt'), join(root, 'runtime.json')])
    hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.digest('hex');
};

/** Builds them unless those that are there were made of the same sources. */
export const prebuild = (always) => {
  const stamp = join(folder, '.sources');
  const key = sources();
  if (!always && [...files, stamp].every((file) => existsSync(file)) && readFileSync(stamp, 'utf8') === key) return;
  // prebuildify takes the first addon by name, moves it away and strips it; the second is ours to copy.
  const second = `mkdir -p prebuilds/linux-x64 && cp build/Release/jorch_rt.node prebuilds/linux-x64/ && strip --strip-all prebuilds/linux-x64/jorch_rt.node`;
  run(process.execPath, [
    join(root, 'node_modules', 'prebuildify', 'bin.js'),
    '--napi',
    '--strip',
    '--name',
    'jorch',
    '--postinstall',
    second,
  ]);
  mkdirSync(join(root, 'build', 'Release'), { recursive: true });
  copyFileSync(files[0], join(root, 'build', 'Release', names[0]));
  for (const file of files) for (const problem of problemsOf(file)) throw new Error(`${file}: ${problem}`);
  writeFileSync(stamp, key);
};

if (process.argv[1] === fileURLToPath(import.meta.url)) prebuild(true);
