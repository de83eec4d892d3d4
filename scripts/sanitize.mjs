#!/usr/bin/env node
/**
 * @file `npm run sanitize`: builds native/ with AddressSanitizer and UndefinedBehaviorSanitizer beside the ordinary build, and runs tests on it. libtorch,
 * the plugin and node are as they are: only our own code is watched. Fails where a test fails or a report has a frame of ours.
 *
 *   npm run sanitize                          the tests of dist/test, folder by folder; about half an hour after the build
 *   npm run sanitize -- torch compile         some folders
 *   npm run sanitize -- --build DIR torch     in a folder that stays, so that the build is done once
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values, positionals } = parseArgs({ options: { build: { type: 'string' } }, allowPositionals: true });
const tree = values.build ?? mkdtempSync(join(tmpdir(), 'jorch-sanitize-'));
const [build, logs] = [join(tree, 'build'), join(tree, 'logs')];

const load = (name) => createRequire(import.meta.url)(join(root, 'dist', 'lib', 'runtime', `${name}.js`));
const run = (command, args, env = {}) =>
  spawnSync(command, args, { cwd: tree, stdio: 'inherit', env: { ...process.env, ...env } }).status;

/** A checkout whose addon is the watched one. */
const lay = () => {
  mkdirSync(tree, { recursive: true });
  rmSync(join(tree, 'dist'), { recursive: true, force: true });
  cpSync(join(root, 'dist'), join(tree, 'dist'), { recursive: true });
  for (const name of ['package.json', 'runtime.json']) cpSync(join(root, name), join(tree, name));
  for (const name of ['node_modules', 'test', 'docs', 'examples', 'lib', 'native', 'scripts', 'README.md'])
    if (!existsSync(join(tree, name))) symlinkSync(join(root, name), join(tree, name));
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs);
};

const compile = () => {
  const env = { JORCH_RUNTIME: load('parts').runtimeDir(), JORCH_TORCH_ROOT: load('locate').locate().torch };
  const configure = ['-S', root, '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DJORCH_SANITIZE=address,undefined'];
  if (run('cmake', configure, env) !== 0 || run('cmake', ['--build', build, '--parallel', '2'], env) !== 0)
    throw new Error('the build failed');
};

const library = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
const watched = () => ({
  LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
  // Node keeps memory until it ends and mixes allocators; sizes beyond all memory are asked for on purpose.
  ASAN_OPTIONS: `detect_leaks=0:quarantine_size_mb=16:alloc_dealloc_mismatch=0:detect_odr_violation=0:allocator_may_return_null=1:allow_user_segv_handler=1:handle_segv=0:log_path=${join(logs, 'address')}`,
  UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(logs, 'undefined')}`,
});

/** Reports with a frame of ours, or a line of native/. */
const reports = () =>
  readdirSync(logs)
    .map((name) => readFileSync(join(logs, name), 'utf8'))
    .flatMap((text) => text.split(/(?=^==\d+==ERROR|^\S+: runtime error)/m))
    .filter((text) => /ERROR: AddressSanitizer|runtime error/.test(text) && /jorch(_rt)?\.node|native\//.test(text));

lay();
compile();
const folders = readdirSync(join(root, 'dist', 'test')).filter((name) =>
  readdirSync(join(root, 'dist', 'test', name)).some((file) => file.endsWith('.test.js')),
);
const failed = [];
for (const folder of positionals.length > 0 ? positionals : folders) {
  console.log(`== ${folder}`);
  const mocha = join(tree, 'node_modules', 'mocha', 'bin', 'mocha.js');
  const args = [
    mocha,
    '--no-config',
    '--reporter',
    'dot',
    '--timeout',
    '0',
    join(tree, 'dist', 'test', folder, '*.test.js'),
  ];
  if (run(process.execPath, args, watched()) !== 0) failed.push(folder);
}
const found = reports();
if (process.env.JORCH_FIGURES)
  writeFileSync(
    process.env.JORCH_FIGURES,
    `${JSON.stringify({ row: 26, text: `${found.length} reports in our frames` })}\n`,
    { flag: 'a' },
  );
console.log(
  `${found.length} reports in our frames${failed.length > 0 ? `; tests failed in ${failed.join(', ')}` : ''}`,
);
for (const text of found) console.log(text.slice(0, 4000));
if (values.build === undefined) rmSync(tree, { recursive: true, force: true });
process.exitCode = found.length + failed.length > 0 ? 1 : 0;
