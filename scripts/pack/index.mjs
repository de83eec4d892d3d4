#!/usr/bin/env node
/**
 * @file `npm run pack`: the tarballs for a registry, in build/pack.
 *   jorch                        the TypeScript build (CommonJS with an ES module face, declarations for both), the prebuilt addons
 *   @jorch/libtorch-linux-x64    libtorch for the CPU and what it needs, stripped
 *   @jorch/xla-cpu-linux-x64     the XLA CPU plugin, stripped
 * The last two are optional dependencies of the first with os, cpu and libc: npm fetches them where they work. Nothing has an install script.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeEsm } from './esm.mjs';
import { prebuild, files as prebuilt } from './prebuild.mjs';

/** What a registry takes without being asked. */
const LARGEST = 190e6;

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const require = createRequire(import.meta.url);
const out = join(root, 'build', 'pack');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { packageName, packageVersion } = require(join(root, 'dist/lib/runtime/packages.js'));
const { locate } = require(join(root, 'dist/lib/runtime/locate.js'));

const run = (command, args, cwd = root) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error ?? stdout + stderr}`);
  return stdout;
};

const json = (file, value) => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);

/** An empty folder with what every package has. */
const stage = (name) => {
  const folder = join(out, name.replace('@jorch/', ''));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of ['LICENSE', 'THIRD_PARTY_NOTICES']) copyFileSync(join(root, file), join(folder, file));
  return folder;
};

const strip = (from, to) => {
  mkdirSync(dirname(to), { recursive: true });
  run('strip', ['--strip-unneeded', from, '-o', to]);
  chmodSync(to, 0o644);
};

/** A package of shared libraries: files as they lie in the wheels, so that their search paths hold. */
const nativePackage = (role, description, license, libraries, extra) => {
  const name = packageName(role);
  const folder = stage(name);
  for (const [from, to] of libraries) strip(from, join(folder, to));
  for (const [from, to] of extra) copyFileSync(from, join(folder, to));
  json(join(folder, 'package.json'), {
    name,
    version: packageVersion(role),
    description,
    license,
    os: ['linux'],
    cpu: ['x64'],
    libc: ['glibc'],
    preferUnplugged: true,
    exports: { './package.json': './package.json' },
  });
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}\n\n${description}, for jorch, which loads it. Not for use by itself.\nWhose work it is and under which licences: THIRD_PARTY_NOTICES.\n`,
  );
  return folder;
};

const libtorch = () => {
  const { torch, preload } = locate();
  const beside = join(torch, '..', 'nvidia', 'cu13', 'lib');
  const cuda = (file) => preload.find((path) => path.endsWith(file)) ?? join(beside, file);
  return nativePackage(
    'libtorch',
    'libtorch’s libraries for the CPU',
    'BSD-3-Clause AND LicenseRef-THIRD-PARTY-NOTICES',
    [
      ...['libtorch_cpu.so', 'libc10.so', 'libgomp.so.1'].map((file) => [
        join(torch, 'lib', file),
        `torch/lib/${file}`,
      ]),
      ...['libcudart.so.13', 'libcupti.so.13'].map((file) => [cuda(file), `nvidia/cu13/lib/${file}`]),
    ],
    [[join(torch, 'version.py'), 'torch/version.py']],
  );
};

const xla = () =>
  nativePackage(
    'xla-cpu',
    'XLA for the CPU as a PJRT plugin',
    'Apache-2.0 AND LicenseRef-THIRD-PARTY-NOTICES',
    [[locate().cpuPlugin, 'lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so']],
    [],
  );

/** Copies the built JavaScript and the declarations; source maps stay behind, and so do the comments that point to them. */
const copyBuild = (folder) => {
  const from = join(root, 'dist', 'lib');
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(js|d\.ts)$/.test(entry.name)) continue;
    const file = join(entry.parentPath, entry.name);
    const to = join(folder, 'dist', 'lib', file.slice(from.length + 1));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n'), {
      mode: statSync(file).mode & 0o777,
    });
  }
};

/** An ESLint plugin is one value (`export =`). */
const ONE_VALUE = new Set(['./eslint-plugin']);

/** `./x.js` with its declarations, for `import` and for `require`. */
const bothFaces = (file) => ({
  import: { types: file.replace(/\.js$/, '.d.mts'), default: file.replace(/\.js$/, '.mjs') },
  require: { types: file.replace(/\.js$/, '.d.ts'), default: file },
});

const jorch = () => {
  const folder = stage('jorch');
  copyBuild(folder);
  mkdirSync(join(folder, 'prebuilds', 'linux-x64'), { recursive: true });
  for (const file of prebuilt) copyFileSync(file, join(folder, file.slice(root.length)));
  for (const file of ['runtime.json', 'README.md', 'SECURITY.md']) copyFileSync(join(root, file), join(folder, file));
  if (existsSync(join(root, 'docs')))
    cpSync(join(root, 'docs'), join(folder, 'docs'), {
      recursive: true,
      filter: (file) => !file.includes('node_modules'),
    });
  const exports = {};
  for (const [name, target] of Object.entries(manifest.exports)) {
    exports[name] = typeof target === 'string' ? target : bothFaces(target.default);
    if (typeof target === 'string') continue;
    // Loaded from the checkout, whose dependencies are there; the names are the same.
    const names = writeEsm(join(root, target.default), join(folder, target.default), ONE_VALUE.has(name));
    process.stderr.write(`jorch: ${name} exports ${names} names\n`);
  }
  const { scripts, devDependencies, workspaces, exports: _, ...rest } = manifest;
  json(join(folder, 'package.json'), {
    ...rest,
    main: manifest.main,
    exports,
    optionalDependencies: Object.fromEntries(
      ['libtorch', 'xla-cpu'].map((role) => [packageName(role), packageVersion(role)]),
    ),
  });
  return folder;
};

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

prebuild(false);
const tarballs = join(out, 'tarballs');
rmSync(tarballs, { recursive: true, force: true });
mkdirSync(tarballs, { recursive: true });
for (const folder of [jorch(), libtorch(), xla()]) {
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', tarballs], folder),
  );
  console.log(`${filename}: ${megabytes(size)} (${megabytes(unpackedSize)} in ${entryCount} files)`);
  if (size > LARGEST) throw new Error(`${filename} is larger than ${megabytes(LARGEST)}`);
}
