#!/usr/bin/env node
/**
 * @file Makes a checkout ready: npm dependencies, libtorch and the XLA plugin in the cache folder, the generated API, the addon,
 * the compiled TypeScript, in two files. Idempotent: what is up to date is not touched, and then nothing is printed.
 *
 *   node scripts/bootstrap.mjs            everything
 *   node scripts/bootstrap.mjs --native   the addon only (for node-gyp, which binding.gyp sends here)
 *   node scripts/bootstrap.mjs --parts    only what the addon is built with, and prints where: the parts, libtorch (for CMakeLists.txt)
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const say = (text) => process.stderr.write(`jorch: ${text}\n`);
const fail = (text) => {
  say(text);
  process.exit(1);
};

/** Runs a command quietly; its output is shown only when it fails. */
const run = (command, args, env = {}) => {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.error || result.status !== 0)
    fail(`${command} ${args.join(' ')} failed:\n${result.error ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`);
};

const prerequisites = () => {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20)
    fail(`Node.js 20 or newer is needed, this is ${process.versions.node}; get it with: npm install -g n && n 22`);
  if (process.platform !== 'linux' || process.arch !== 'x64')
    fail(`jorch runs on Linux x64 today; this is ${process.platform} ${process.arch}`);
  const needs = [
    ['python3', ['--version'], 'Python 3', 'apt-get install python3 python3-pip'],
    ['python3', ['-m', 'pip', '--version'], 'pip for Python 3', 'apt-get install python3-pip'],
    ['cmake', ['--version'], 'cmake', 'apt-get install cmake'],
    ['g++', ['--version'], 'a C++17 compiler (g++)', 'apt-get install g++'],
    ['make', ['--version'], 'make', 'apt-get install make'],
  ];
  for (const [command, args, what, get] of needs) {
    if (spawnSync(command, args, { stdio: 'ignore' }).status !== 0)
      fail(`${what} is needed and was not found; get it with: ${get}`);
  }
};

const filesUnder = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

const digest = (files, extra = '') => {
  const hash = createHash('sha256').update(extra);
  for (const file of files) hash.update(file.slice(root.length)).update(readFileSync(file));
  return hash.digest('hex');
};

/** Runs `make` unless the stamp says that it ran for the same inputs and the results are there. */
const step = async (name, key, results, make) => {
  const stamp = join(root, 'build', `${name}.stamp`);
  const done =
    results.every((file) => existsSync(join(root, file))) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key;
  if (done) return;
  await make();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, key);
};

const tsc = (project) => run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project]);

const npmDependencies = () =>
  step(
    'npm',
    digest([join(root, 'package-lock.json'), join(root, 'package.json')]),
    ['node_modules/typescript', 'node_modules/cmake-js'],
    () => {
      say('installing npm dependencies');
      // Not `npm ci`: it refuses a lock file without the other platforms' optional packages, which some registries do not carry.
      run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']);
    },
  );

/** libtorch, the plugin and the headers; returns the folder of the parts. */
const runtimeParts = async () => {
  const sources = ['parts', 'install', 'locate', 'packages', 'progress', 'errors'].map((name) =>
    join(root, 'lib', 'runtime', `${name}.ts`),
  );
  await step('installer', digest(sources), ['dist/lib/runtime/install.js'], () => tsc('tsconfig.runtime.json'));
  const load = (name) => require(join(root, 'dist', 'lib', 'runtime', `${name}.js`));
  const { install } = load('install');
  const { runtimeDir } = load('parts');
  const { findPython, pluginFromEnvironment } = load('locate');
  if (!existsSync(runtimeDir())) {
    const python = findPython();
    const ownTorch = process.env.JORCH_TORCH_DIR ?? python.torch;
    const ownPlugin = pluginFromEnvironment('cpu') ?? python.cpuPlugin;
    say('fetching libtorch and the XLA plugin (once; 755 MB)');
    // A torch that is here already brings its own libraries, headers and operator descriptions.
    await install(
      load('progress').consoleProgress(),
      (part) =>
        (part.name === 'torch' && ownTorch !== undefined) || (part.role === 'xla-cpu' && ownPlugin !== undefined),
    );
  }
  return { parts: runtimeDir(), torch: load('locate').locate().torch };
};

const addon = (parts, torch) => {
  const key = digest([...filesUnder('native'), join(root, 'CMakeLists.txt')], `${parts} ${torch} ${process.arch}`);
  return step('addon', key, ['build/Release/jorch.node', 'build/Release/jorch_rt.node'], () => {
    say('building the addon (once; a few minutes)');
    const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
    run(process.execPath, [cmakeJs, 'build', '--directory', root, '--out', join(root, 'build'), '--parallel', '2'], {
      JORCH_RUNTIME: parts,
      JORCH_TORCH_ROOT: torch,
    });
  });
};

const api = (torch) => {
  const key = digest(filesUnder('scripts/generate'), torch);
  return step('api', key, ['lib/torch/generated/ops.ts'], () => {
    say('generating the typed API from libtorch’s schemas');
    const schemas = join(root, 'build', 'schemas.json');
    run(process.execPath, [join(root, 'scripts', 'list-schemas.cjs'), schemas]);
    run(process.execPath, [join(root, 'scripts', 'generate', 'index.mjs'), dirname(torch), '--schemas', schemas]);
  });
};

const typescript = () => {
  const folders = ['lib', 'test', 'examples', 'bench'].filter((folder) => existsSync(join(root, folder)));
  const files = folders.flatMap(filesUnder).filter((file) => /\.m?ts$/.test(file));
  const others = ['tsconfig.json', 'scripts/bundle.mjs'].map((name) => join(root, name));
  return step('typescript', digest([...files, ...others]), ['dist/lib/bundle/rest.js'], async () => {
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    tsc('tsconfig.json');
    // Only now: npm may have brought what it is made with a moment ago.
    const { bundle } = await import('./bundle.mjs');
    await bundle(root);
  });
};

const only = (what) => process.argv.includes(`--${what}`);
prerequisites();
await npmDependencies();
const { parts, torch } = await runtimeParts();
if (only('parts')) process.stdout.write(`${parts};${torch}`);
else {
  await addon(parts, torch);
  if (!only('native')) {
    await api(torch);
    await typescript();
  }
}
