#!/usr/bin/env node
/**
 * @file `npm run reliability`: runs the tests behind every row of docs/RELIABILITY.md and writes that page with their figures.
 *
 *   npm run reliability                   all rows; the long campaigns take an hour or two
 *   npm run reliability -- --only 2,17    some rows; the others keep what they had
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs', 'RELIABILITY.md');
const LONG = 'stress/lifetime.stress';

/** Row, what is promised, the test file, and which of its tests (all when left out). */
const ROWS = [
  [
    1,
    '50 000 eager operators of 1 MiB without a pause for the event loop: at most 256 MiB more',
    'lifetime/memory.test',
    'memory in synchronous loops',
  ],
  [2, '1 000 000 tensors in scopes: back to the exact start', LONG, 'row 2:'],
  [3, 'a million compiled calls, 100 000 backward passes: at most 1 MiB per 100 000', LONG, 'row 3:'],
  [4, '300 functions compiled and dropped: at most 100 KiB each', LONG, 'row 4:'],
  [5, '10 rounds of 8 workers: every worker ends with 0', LONG, 'row 5:'],
  [6, '300 workers terminated at random moments: no process dies', LONG, 'row 6:'],
  [7, 'every use × every way to end, three times: right code, no signal', LONG, 'row 7:'],
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
  [11, 'shapes whose products do not fit are refused, intermediates included', 'torch/errors.test', 'shape bombs'],
  [12, '10 000 damaged StableHLO programs: no process dies', LONG, 'row 12:'],
  [
    12,
    '5 000 random functions with views, writes, mixed types and gradients: compiled is eager',
    'stress/random-graphs.stress',
  ],
  [
    15,
    'one trace and one compilation per signature; concurrent first calls share one; a failure is tried again',
    'compile/async.test',
    '100 concurrent|failed trace',
  ],
  [
    16,
    'arguments changed during an asynchronous run do not change its results',
    'compile/async.test',
    'what asynchronous calls see',
  ],
  [17, '30 requests beyond memory: OUT_OF_MEMORY each, the next call is right', LONG, 'row 17:'],
  [18, '1 000 damaged cache files: compiled again, healed, one warning', 'compile/persistent.test', '1 000 damaged'],
  [
    19,
    'writers of the cache killed at any moment: readers never fail',
    'compile/persistent.test',
    'killed at any moment',
  ],
  [
    20,
    'the cache folder: its owner’s alone, no symbolic links, else nothing is kept',
    'compile/persistent.test',
    'folder',
  ],
  [21, 'files: sizes, offsets, overlaps and names are checked before anything is read', 'io/files.test'],
  [22, 'installation under faults of network, disk and kill leaves nothing half usable', 'runtime/install-faults.test'],
  [23, 'timers and file reads while a program is compiled asynchronously: p99 within 50 ms', LONG, 'row 23:'],
  [24, 'threads: at most 4 × cores + 16, and the workers’ own', 'lifetime/exit.test', 'threads:'],
  [24, 'four workers get at least 0.8 times as much done as one thread', LONG, 'row 24:'],
  [25, 'a seed gives the same bits', LONG, 'row 25:'],
  [26, 'native/ under AddressSanitizer and UBSan: no report in frames of ours', 'sanitize'],
  [27, 'symbols within glibc 2.28 and GLIBCXX_3.4.28', 'runtime/symbols.test'],
  [
    28,
    'the packages, installed from a registry into an empty project: from npm install to the first compiled result in 60 s, later starts in 3 s',
    'pack/install.pack',
  ],
];

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

const measure = (row, file, grep) => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-figures-'));
  const figures = join(dir, 'figures');
  // A script of its own, which is no test of mocha's.
  const script = join(root, 'scripts', `${file}.mjs`);
  const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
  const args = [mocha, '--no-config', '--timeout', '0', '--reporter', 'json', ...(grep ? ['-g', grep] : [])];
  const command = existsSync(script) ? [script] : [...args, join(root, 'dist', 'test', `${file}.js`)];
  if (file.startsWith('pack/')) {
    spawnSync(process.execPath, [join(root, 'scripts', 'pack', 'index.mjs')], { cwd: root, stdio: 'inherit' });
    spawnSync('npm', ['install', '--prefix', 'test/pack', '--no-package-lock'], { cwd: root, stdio: 'inherit' });
  }
  const { stdout, status } = spawnSync(process.execPath, command, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, JORCH_FIGURES: figures },
  });
  let stats;
  try {
    stats = existsSync(script)
      ? { passes: status === 0 ? 1 : 0, failures: status === 0 ? 0 : 1 }
      : JSON.parse(stdout.slice(stdout.indexOf('{\n  "stats"'))).stats;
  } catch {
    stats = { passes: 0, failures: 1 };
  }
  const told = existsSync(figures)
    ? readFileSync(figures, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  rmSync(dir, { recursive: true, force: true });
  const holds = stats.failures === 0 && stats.passes > 0;
  const texts = told.filter((entry) => entry.row === row).map((entry) => entry.text);
  return {
    result: holds ? 'holds' : '**fails**',
    figure: texts.join('; ') || `${stats.passes} test${stats.passes === 1 ? '' : 's'}`,
    date: new Date().toISOString().slice(0, 10),
  };
};

const only = process.argv[2] === '--only' ? new Set((process.argv[3] ?? '').split(',').map(Number)) : undefined;
const known = earlier();

const lineOf = ([row, goal, file]) => {
  const { result, figure, date } = known.get(`${row} ${goal}`) ?? { result: 'not run', figure: '', date: '' };
  const source = existsSync(join(root, 'scripts', `${file}.mjs`)) ? `scripts/${file}.mjs` : `test/${file}.ts`;
  return `| ${row} | ${goal} | \`${source}\` | ${result} | ${figure} | ${date} |`;
};
const write = () =>
  writeFileSync(
    page,
    `# Reliability

What jorch promises about memory, threads, faults and hostile input, and what the tests behind it measured. Made by \`npm run reliability\`;
\`npm test\` runs the short campaigns, \`npm run test:stress\` the long ones. Operators and their gradients are measured by \`npm run test:opinfo\`
(figures in the README), Node 20, 22, 24 and 26 by \`npm run test:node-versions\`.

| row | promise | test | result | figure | when |
|---|---|---|---|---|---|
${ROWS.map(lineOf).join('\n')}
`,
  );

for (const [row, goal, file, grep] of ROWS) {
  if (only && !only.has(row)) continue;
  const told = measure(row, file, grep);
  known.set(`${row} ${goal}`, told);
  console.log(`${row}: ${told.result}: ${told.figure}`);
  if (told.result !== 'holds') process.exitCode = 1;
  write(); // a run of hours may be cut short
}
write();
