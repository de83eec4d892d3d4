/**
 * @file Two files instead of 350 modules: what tsc wrote to dist/lib becomes functions of dist/lib/bundle/{early,rest}.js, and every file one line that asks
 * for its function (lib/runtime/bundled.ts). Reading and compiling the modules one by one took a fifth of a short process. Every path, name and
 * declaration stays; a module is still run when somebody asks for it first, and once.
 */
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const require = createRequire(import.meta.url);
/** One module without others, for ESLint alone. */
const ALONE = new Set(['eslint-plugin/index.js']);

/** Rewrites dist/lib of the package at `root`, which tsc has just written. */
export const bundle = async (root) => {
  const lib = join(root, 'dist', 'lib');
  const folder = join(lib, 'bundle');
  if (readFileSync(join(lib, 'index.js'), 'utf8').includes('bundle/early.js')) return; // done before
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entries = Object.values(manifest.exports).flatMap((target) =>
    target.default ? [relative(lib, join(root, target.default))] : [],
  );
  rmSync(folder, { recursive: true, force: true });
  const names = readdirSync(lib, { recursive: true })
    .filter((name) => name.endsWith('.js') && !ALONE.has(name))
    .sort();
  // Node looks for them in the text of a CommonJS module.
  const exported = new Map(
    entries.filter((name) => names.includes(name)).map((name) => [name, Object.keys(require(join(lib, name)))]),
  );

  const table = (list) =>
    `{ ${list.map((name) => `${JSON.stringify(name)}: () => require(${JSON.stringify(`./${name}`)})`).join(',\n')} }`;
  const options = {
    bundle: true,
    write: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    charset: 'ascii',
    keepNames: true, // classes are printed by theirs
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
    sourcemap: true,
    sourcesContent: false,
  };
  const of = (contents, file, plugins = []) =>
    build({ ...options, plugins, stdin: { contents, resolveDir: lib }, outfile: join(folder, file) });

  // What the first needs is found out by making it without a table.
  const inputs = async (contents) => {
    const { metafile } = await build({
      ...options,
      write: false,
      stdin: { contents, resolveDir: lib },
      outfile: join(folder, 'early.js'),
      absWorkingDir: lib,
    });
    return Object.keys(metafile.inputs).filter((name) => names.includes(name));
  };
  const early = await inputs(
    "require('./runtime/begin.js'); require('./runtime/bundled.js'); require('./runtime/esm.js');",
  );
  await of(`module.exports = require('./runtime/bundled.js').modulesOf(${table(early)}, __dirname);`, 'early.js');

  const isEarly = new Set(early);
  /** Modules of the first file, for the second. */
  const shared = {
    name: 'shared',
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /^\.\/early\.js$/ }, ({ path }) => ({ path, external: true }));
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        const name = relative(lib, path);
        return isEarly.has(name)
          ? { contents: `module.exports = require('./early.js')(${JSON.stringify(name)});` }
          : undefined;
      });
    },
  };
  await of(`module.exports = ${table(names.filter((name) => !isEarly.has(name)))};`, 'rest.js', [shared]);

  for (const name of names) {
    const file = join(lib, name);
    const from = relative(dirname(file), join(folder, 'early.js'));
    const first = readFileSync(file, 'utf8').startsWith('#!') ? '#!/usr/bin/env node\n' : '';
    const list = exported.get(name);
    const hint = list ? `0 && (${list.map((key) => `exports.${key} = `).join('')}0);\n` : '';
    const { mode } = statSync(file);
    writeFileSync(
      file,
      `${first}module.exports = require('${from.startsWith('.') ? from : `./${from}`}')('${name}');\n${hint}`,
    );
    chmodSync(file, mode & 0o777);
    rmSync(`${file}.map`, { force: true });
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle(dirname(dirname(process.argv[1])));
