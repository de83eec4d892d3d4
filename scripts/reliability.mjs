#!/usr/bin/env node
/**
 * @file `npm run reliability`: runs the tests behind every row of docs/RELIABILITY.md and writes that page with their figures.
 *
 *   npm run reliability                   all rows; the long campaigns take hours
 *   npm run reliability -- --rows 2,17    some rows; the others keep what they had, with its date
 *   npm run reliability -- --rows 7 --test ends    of a row only the tests whose file has this in its name
 *   npm run reliability -- --rows 26 -- --report   what follows the second -- is for the program of the row
 *
 * JORCH_SANITIZE_BUILD names a folder for row 26 that stays (scripts/sanitize.mjs --build). Several at once, of different rows, do not disturb one another.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs', 'RELIABILITY.md');
const LONG = 'stress/lifetime.stress';

/** Row, what is promised, the test file (or program, by its path), and which of its tests (all when left out). */
const ROWS = [
  [
    1,
    '50 000 eager operators of 1 MiB, and compiled calls, without a pause for the event loop: at most 256 MiB more',
    'lifetime/memory.test',
    'memory in synchronous loops',
  ],
  [2, '1 000 000 tensors in scopes: back to the exact start', LONG, 'row 2:'],
  [3, 'a million compiled calls, 100 000 backward passes: at most 1 MiB per 100 000', LONG, 'row 3:'],
  [4, '300 functions compiled and dropped: at most 100 KiB each', LONG, 'row 4:'],
  [5, '10 rounds of 8 workers: every worker ends with 0', LONG, 'row 5:'],
  [6, '300 workers terminated at random moments: no process dies', LONG, 'row 6:'],
  [7, 'every use × every way to end, three times: right code, no signal', LONG, 'row 7:'],
  [7, 'the same at 13 moments between 0 and 300 ms while programs are compiled or fetched', 'stress/ends.stress'],
  [8, 'a second copy of the package in one process is refused in words', 'lifetime/copies.test'],
  [
    9,
    'faults inside: allocations, libtorch’s kernels and plugin calls that fail, arguments that throw whatever is asked of them: an error, no process ends',
    'faults/faults.test',
    'every native entry',
  ],
  [9, 'the same at place after place of 23 scenarios', 'stress/faults.stress'],
  [
    10,
    'more than 10 000 calls of all public functions with hostile values, eager and inside compiled functions: a result or a typed error',
    'torch/hostile.test',
  ],
  [10, '100 000 calls of every registered operator with hostile arguments of the right kinds', 'stress/hostile.stress'],
  [
    11,
    '500 shape bombs, eager and compiled, intermediates included: refused before XLA sees them',
    'torch/shape-bombs.test',
  ],
  [12, '10 000 damaged StableHLO programs: no process dies', LONG, 'row 12:'],
  [
    12,
    '5 000 random functions with views, writes, mixed types and gradients: compiled is eager',
    'stress/random-graphs.stress',
  ],
  [
    13,
    'every operator of PyTorch’s own operator tests, eager and compiled, at torch’s default tolerances',
    'dist/test/opinfo/run.js',
  ],
  [14, 'its gradients, compiled', 'dist/test/opinfo/run.js'],
  [
    15,
    'one trace and one compilation per signature; concurrent first calls share one; a failure is tried again',
    'compile/async.test',
    '100 concurrent|failed trace',
  ],
  [
    16,
    'arguments changed during a run or after it do not change its results, a failed one changes none: 1 000 seeded cases',
    'compile/mutated-inputs.test',
  ],
  [
    17,
    '30 requests beyond a limit, eager, compiled, asynchronous, with gradients: OUT_OF_MEMORY each, the next call is right, the memory is back',
    'lifetime/memory.test',
    'memory that is not there',
  ],
  [18, '1 000 damaged cache files: compiled again, healed, one warning', 'compile/persistent.test', '1 000 damaged'],
  [19, '200 writers of the cache killed, a full disk, a read-only folder: readers never fail', 'stress/cache.stress'],
  [
    20,
    'the cache folder: its owner’s alone, no symbolic links, else nothing is kept',
    'compile/persistent.test',
    'folder',
  ],
  [21, 'files: the known attacks are refused before anything is read', 'io/hostile-files.test', 'attacks'],
  [
    21,
    '100 000 mutants of each format: tensors that the bytes account for, or an error in words',
    'stress/files.stress',
  ],
  [22, 'installation under faults of network, disk and kill leaves nothing half usable', 'runtime/install-faults.test'],
  [23, 'timers and file reads while a program is compiled asynchronously: p99 within 50 ms', LONG, 'row 23:'],
  [24, 'threads: at most 4 × cores + 16, and the workers’ own', 'lifetime/exit.test', 'threads:'],
  [24, 'four workers get at least 0.8 times as much done as one thread', LONG, 'row 24:'],
  [25, 'a seed gives the same bits', LONG, 'row 25:'],
  [26, 'native/ under AddressSanitizer and UBSan: no report in frames of ours', 'scripts/sanitize.mjs'],
  [27, 'symbols within glibc 2.28 and GLIBCXX_3.4.28', 'runtime/symbols.test'],
  [
    27,
    'a wrong plugin, a damaged one, one of another or an older API: RUNTIME_MISSING with the path tried',
    'runtime/plugins.test',
  ],
  [27, 'no GPU: RUNTIME_MISSING in words', 'cuda/device.test', 'not there is refused'],
  [27, 'one build on Node 20, 22, 24 and 26', 'scripts/node-versions.mjs'],
  [
    27,
    'the packages on the C and C++ libraries of Debian 11: imported, eager, compiled, gradients, a worker',
    'scripts/old-glibc.mjs',
  ],
  [
    28,
    'the packages, installed from a registry into an empty project: from npm install to the first compiled result in 60 s, later starts in 3 s',
    'pack/install.pack',
  ],
];

/** What figures do not say. */
const NOTES = `## What the rows leave open
- Row 12: the sign of a zero is eager's but where eager has no rule (maximum, minimum and clamp with tensors take the first or the second of 0 and -0 by where they
  stand in memory) and where XLA simplifies (x + 0 and a sum of one element keep -0).
- Row 26 watches our own code: libtorch, XLA and node are as they are shipped, so that what only they do is not seen.
  ThreadSanitizer (\`npm run sanitize -- --threads\`) knows nothing of what they synchronise by atomics: a report counts where both accesses are in our frames. Run once by
  hand (2026-11-23, native/program, pjrt, rt, the addon and tensors watched) over workers that compute, are in flight and are terminated, and over test/compile/async,
  test/compile/prefetch and test/lifetime/share: no race between two accesses of watched code.
- Row 26: six files are left out, each with its reason in scripts/sanitize.mjs: fault injection and the kept heap put an allocator of their own where the sanitizer has its, the
  others look at binaries or run no native code of ours. Run on 6c77cec; three files a second time, with their own time limits lifted: watched code on a busy machine overran them.
- Row 27: the packages run on glibc 2.31, the oldest that Debian’s mirrors still have, and on libstdc++ 3.4.28; that they ask for nothing newer than glibc 2.28 is checked by symbols.
`;

/** Rows of the previous page, by number and promise. */
const earlier = () => {
  const rows = new Map();
  if (!existsSync(page)) return rows;
  for (const line of readFileSync(page, 'utf8').split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (/^\d+$/.test(cells[1] ?? ''))
      rows.set(`${cells[1]} ${cells[2]}`, { result: cells[4], figure: cells[5], date: cells[6] });
  }
  return rows;
};

const { values, positionals } = parseArgs({
  options: { rows: { type: 'string' }, test: { type: 'string' } },
  allowPositionals: true,
});
/** What a command has told, by its arguments: rows may share one. */
const told = new Map();

/** Runs a file's tests, or a program; the figures that it notes are lines of { row, text }. */
const perform = (file, grep) => {
  const key = `${file} ${grep}`;
  if (told.has(key)) return told.get(key);
  const dir = mkdtempSync(join(tmpdir(), 'jorch-figures-'));
  const figures = join(dir, 'figures');
  const isProgram = existsSync(join(root, file));
  const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
  const tests = [mocha, '--no-config', '--timeout', '0', '--reporter', 'json', ...(grep ? ['-g', grep] : [])];
  const command = isProgram ? [join(root, file), ...positionals] : [...tests, join(root, 'dist', 'test', `${file}.js`)];
  if (/pack|node-versions|old-glibc/.test(file)) {
    if (!file.includes('node-versions'))
      spawnSync(process.execPath, [join(root, 'scripts', 'pack', 'index.mjs')], { cwd: root, stdio: 'inherit' });
    spawnSync('npm', ['install', '--prefix', 'test/pack', '--no-package-lock'], { cwd: root, stdio: 'inherit' });
  }
  const { stdout, stderr, status } = spawnSync(process.execPath, command, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, JORCH_FIGURES: figures },
  });
  let stats = { passes: 0, failures: 1, words: `${stdout.slice(-3000)}${stderr.slice(-3000)}` };
  if (isProgram && status === 0) stats = { passes: 1, failures: 0 };
  else if (!isProgram)
    try {
      const report = JSON.parse(stdout.slice(stdout.indexOf('{\n  "stats"')));
      const words = report.failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message}`).join('\n');
      stats = { ...report.stats, words };
    } catch {
      // It did not live to tell: what it said last has to do.
    }
  const lines = existsSync(figures) ? readFileSync(figures, 'utf8').trim().split('\n') : [];
  rmSync(dir, { recursive: true, force: true });
  if (stats.failures > 0) console.log(stats.words);
  const result = { stats, isProgram, figures: lines.map((line) => JSON.parse(line)) };
  told.set(key, result);
  return result;
};

/** The row as measured now; undefined where a program has nothing to tell here (no cases at hand). */
const measure = (row, file, grep) => {
  const { stats, isProgram, figures } = perform(file, grep);
  const texts = figures.filter((entry) => entry.row === row).map((entry) => entry.text);
  const holds = stats.failures === 0 && stats.passes > 0;
  if (isProgram && holds && texts.length === 0) return undefined;
  return {
    result: holds ? 'holds' : '**fails**',
    figure: texts.join('; ') || `${stats.passes} test${stats.passes === 1 ? '' : 's'}`,
    date: new Date().toISOString().slice(0, 10),
  };
};

const rows = values.rows && new Set(values.rows.split(',').map(Number));
const measured = new Map();

const lineOf = (known, [row, goal, file]) => {
  const key = `${row} ${goal}`;
  const { result, figure, date } = measured.get(key) ?? known.get(key) ?? { result: 'not run', figure: '', date: '' };
  const source = existsSync(join(root, file)) ? file.replace('dist/', '').replace(/\.js$/, '.ts') : `test/${file}.ts`;
  return `| ${row} | ${goal} | \`${source}\` | ${result} | ${figure} | ${date} |`;
};
const write = () => {
  const known = earlier(); // read again: others may have measured other rows
  writeFileSync(
    page,
    `# Reliability

What jorch promises about memory, threads, faults and hostile input, and what the tests behind it measured. Every line is written by \`npm run reliability\`
(\`-- --rows 7,12\` measures some of them, the others keep their figures and dates); \`npm test\` runs the short campaigns, \`npm run test:stress\` the long ones.

| row | promise | test | result | figure | when |
|---|---|---|---|---|---|
${ROWS.map((row) => lineOf(known, row)).join('\n')}

${NOTES}`,
  );
};

for (const [row, goal, file, grep] of ROWS) {
  if ((rows && !rows.has(row)) || (values.test && !file.includes(values.test))) continue;
  const now = measure(row, file, grep);
  if (now === undefined) continue;
  measured.set(`${row} ${goal}`, now);
  console.log(`${row}: ${now.result}: ${now.figure}`);
  if (now.result !== 'holds') process.exitCode = 1;
  write(); // a run of hours may be cut short
}
write();
