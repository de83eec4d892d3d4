#!/usr/bin/env node
/**
 * @file `npm run sanitize`: builds native/ with AddressSanitizer and UndefinedBehaviorSanitizer beside the ordinary build, and runs the tests on it. libtorch,
 * the plugin and node are as they are: only our own code is watched. Every test file has a process of its own and a time limit; one that fails stops
 * no other. Fails where a test fails or a report has a frame of ours.
 *
 *   npm run sanitize                          all of dist/test; an hour or two after the build
 *   npm run sanitize -- torch compile/cache   some folders or files; `lifetime .` is all, those first
 *   npm run sanitize -- --build DIR           in a folder that stays: what was built and what has passed on that build is not done again
 *   npm run sanitize -- --threads lifetime    with ThreadSanitizer instead, which watches what our own code does on several threads
 *   npm run sanitize -- --as-built --build DIR  goes on with the addons that were built there, though sources have changed
 *   npm run sanitize -- --report --build DIR  only what is known there
 *   npm run sanitize -- --jobs 2              two files at a time; each takes one to three gigabytes
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
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
const { values, positionals } = parseArgs({
  options: {
    build: { type: 'string' },
    threads: { type: 'boolean' },
    report: { type: 'boolean' },
    'as-built': { type: 'boolean' },
    jobs: { type: 'string', default: '1' },
  },
  allowPositionals: true,
});
const kept = values.build ?? process.env.JORCH_SANITIZE_BUILD;
const tree = kept ?? mkdtempSync(join(tmpdir(), 'jorch-sanitize-'));
const [build, logs, notes] = [join(tree, 'build'), join(tree, 'logs'), join(tree, 'sanitized.json')];
const sanitizers = values.threads ? 'thread' : 'address,undefined';
/** A file that takes longer hangs: watched code takes two to ten times as long. */
const FILE_MINUTES = 30;

/** Files that a sanitizer cannot run, and why. */
const LEFT_OUT = {
  'faults/faults': 'puts an allocator of its own before malloc, where the sanitizer has its own',
  'compile/kept-heap': 'measures the memory that malloc keeps, whose place the sanitizer takes',
  'cuda/gpu-check': 'runs no native code of ours',
  'lint/eslint-plugin': 'runs no native code of ours',
  'lowering/coverage': 'counts rules; runs no program',
  'runtime/symbols': 'looks at the binaries as they are shipped',
};

const load = (name) => createRequire(import.meta.url)(join(root, 'dist', 'lib', 'runtime', `${name}.js`));
const run = (command, args, env = {}) =>
  spawnSync(command, args, { cwd: tree, stdio: 'inherit', env: { ...process.env, ...env } }).status;

/** Tests have time limits of their own, for a build that is not watched: a file that hangs has FILE_MINUTES. */
const WITHOUT_LIMITS = `
const lift = (suite) => {
  for (const part of [suite, ...suite._beforeAll, ...suite._beforeEach, ...suite._afterEach, ...suite._afterAll, ...suite.tests]) part.timeout(0);
  for (const inner of suite.suites) lift(inner);
};
exports.mochaHooks = { beforeAll() { lift(this.test.parent); } };
`;

/** A checkout whose addon is the watched one. */
const lay = () => {
  mkdirSync(logs, { recursive: true });
  writeFileSync(join(tree, 'without-limits.cjs'), WITHOUT_LIMITS);
  rmSync(join(tree, 'dist'), { recursive: true, force: true });
  cpSync(join(root, 'dist'), join(tree, 'dist'), { recursive: true });
  for (const name of ['package.json', 'runtime.json', 'tsconfig.json']) cpSync(join(root, name), join(tree, name));
  for (const name of ['node_modules', 'test', 'docs', 'examples', 'lib', 'native', 'scripts', 'README.md', 'bench'])
    if (!existsSync(join(tree, name))) symlinkSync(join(root, name), join(tree, name));
};

const compile = () => {
  const env = { JORCH_RUNTIME: load('parts').runtimeDir(), JORCH_TORCH_ROOT: load('locate').locate().torch };
  const configure = ['-S', root, '-B', build, '-DCMAKE_BUILD_TYPE=Release', `-DJORCH_SANITIZE=${sanitizers}`];
  if (run('cmake', configure, env) !== 0 || run('cmake', ['--build', build, '--parallel', '2'], env) !== 0)
    throw new Error('the build failed');
};

const library = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
/** What the sanitizers are told; reports of the file `name` begin with its name. */
const watched = (name) => {
  const log = join(logs, name.replace('/', '.'));
  return values.threads
    ? { LD_PRELOAD: library('libtsan.so'), TSAN_OPTIONS: `report_signal_unsafe=0:halt_on_error=0:log_path=${log}` }
    : {
        LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
        // Node keeps memory until it ends and mixes allocators; sizes beyond all memory are asked for on purpose.
        ASAN_OPTIONS: `detect_leaks=0:quarantine_size_mb=16:alloc_dealloc_mismatch=0:detect_odr_violation=0:allocator_may_return_null=1:allow_user_segv_handler=1:handle_segv=0:log_path=${log}`,
        UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
      };
};

const OURS = /jorch(_rt)?\.node|native\//;
/** Both accesses are ours: what others do between them (libtorch, XLA, V8) has no synchronisation that the sanitizer would see. */
const isOwnRace = (text) => {
  const stacks = text
    .split(/\n\s*\n/)
    .slice(0, 2)
    .map((stack) => (stack.match(/#\d+ .*/g) ?? []).find((frame) => !/libsanitizer|lib.san/.test(frame)));
  return stacks.length === 2 && stacks.every((frame) => frame !== undefined && OURS.test(frame));
};

/** Reports of a file's run: those with a frame of ours, or a line of native/. */
const reportsOf = (name) =>
  readdirSync(logs)
    .filter((file) => file.startsWith(`${name.replace('/', '.')}.`))
    .map((file) => readFileSync(join(logs, file), 'utf8'))
    .flatMap((text) => text.split(/(?=^==\d+==ERROR|^WARNING: ThreadSanitizer|^\S+: runtime error)/m))
    .filter((text) => /(ERROR|WARNING): \w+Sanitizer|runtime error/.test(text))
    .filter((text) => (values.threads ? isOwnRace(text) : OURS.test(text)));

/** In the order in which they were asked for. */
const testFiles = () => {
  const all = readdirSync(join(tree, 'dist', 'test'), { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => file.slice(0, -'.test.js'.length))
    .sort();
  if (positionals.length === 0) return all;
  return [
    ...new Set(positionals.flatMap((p) => all.filter((file) => p === '.' || file === p || file.startsWith(`${p}/`)))),
  ];
};

/** Runs one file of tests. */
const attempt = async (name) => {
  for (const file of readdirSync(logs)) if (file.startsWith(`${name.replace('/', '.')}.`)) rmSync(join(logs, file));
  const results = join(logs, `${name.replace('/', '.')}.json`);
  const started = Date.now();
  const { error, stderr } = await new Promise((resolve) =>
    execFile(
      process.execPath,
      [
        '--expose-gc',
        join(tree, 'node_modules', 'mocha', 'bin', 'mocha.js'),
        ...['--no-config', '--require', join(tree, 'without-limits.cjs'), '--exit'],
        ...['--reporter', 'json', '--reporter-option', `output=${results}`],
        join(tree, 'dist', 'test', `${name}.test.js`),
      ],
      {
        cwd: tree,
        maxBuffer: 1 << 28,
        timeout: FILE_MINUTES * 60_000,
        killSignal: 'SIGKILL',
        env: { ...process.env, ...watched(name) },
      },
      (error, _, stderr) => resolve({ error, stderr }),
    ),
  );
  const seconds = Math.round((Date.now() - started) / 1000);
  const reports = reportsOf(name);
  if (!existsSync(results))
    return {
      passes: 0,
      pending: 0,
      seconds,
      reports,
      failures: [`did not finish: ${error?.signal ?? `exit code ${error?.code ?? 0}`} ${stderr.slice(-500)}`],
    };
  const { stats, failures } = JSON.parse(readFileSync(results, 'utf8'));
  return {
    passes: stats.passes,
    pending: stats.pending,
    seconds,
    reports,
    failures: failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message?.slice(0, 500)}`),
  };
};

if (!values.report) {
  lay();
  if (!values['as-built']) compile();
}
const binary = createHash('sha256')
  .update(readFileSync(join(build, 'Release', 'jorch.node')))
  .update(readFileSync(join(build, 'Release', 'jorch_rt.node')))
  .digest('hex');
const before = existsSync(notes) ? JSON.parse(readFileSync(notes, 'utf8')) : {};
const files = before.binary === binary ? before.files : {};
const passed = ({ failures, reports } = { failures: ['not run'], reports: [] }) =>
  failures.length + reports.length === 0;
const waiting = values.report ? [] : testFiles().filter((name) => !passed(files[name]) && !LEFT_OUT[name]);
const work = async () => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    files[name] = await attempt(name);
    const { passes, failures, reports, seconds } = files[name];
    console.log(`${name}: ${passes} passed, ${failures.length} failed, ${reports.length} reports, ${seconds} s`);
    for (const text of [...failures, ...reports]) console.log(`  ${text.slice(0, 1500).replaceAll('\n', '\n  ')}`);
    writeFileSync(notes, JSON.stringify({ binary, files }));
  }
};
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work));

const wanted = testFiles().filter((name) => !LEFT_OUT[name]);
const done = wanted.filter((name) => files[name]).map((name) => files[name]);
const sum = (of) => done.reduce((n, result) => n + of(result), 0);
const [tests, reports, failures] = [sum((f) => f.passes), sum((f) => f.reports.length), sum((f) => f.failures.length)];
const missing = wanted.length - done.length;
const what = values.threads ? 'ThreadSanitizer' : 'AddressSanitizer and UBSan';
const figure =
  `${what}: ${tests} tests of ${done.length} files pass, ${reports} reports in our frames` +
  `${failures > 0 ? `, ${failures} failures` : ''}${missing > 0 ? `, ${missing} files not run` : ''}, ${Object.keys(LEFT_OUT).length} files left out`;
if (process.env.JORCH_FIGURES)
  writeFileSync(process.env.JORCH_FIGURES, `${JSON.stringify({ row: 26, text: figure })}\n`, { flag: 'a' });
console.log(figure);
for (const [name, why] of Object.entries(LEFT_OUT)) console.log(`${name}: left out: ${why}`);
if (kept === undefined) rmSync(tree, { recursive: true, force: true });
process.exitCode = reports + failures + missing > 0 ? 1 : 0;
