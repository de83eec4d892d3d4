#!/usr/bin/env node
/**
 * @file `npm run test:from-source`: the three ways to build the addons, each from nothing in a fresh clone of the last commit: `node-gyp rebuild`,
 * `cmake-js build`, `npm run prebuild`. What they make is within the symbol limits, and a program runs on it. A quarter of an hour each;
 * with CMAKE_CXX_COMPILER_LAUNCHER=ccache in the environment the later ones take what the first one compiled.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { problemsOf } from './check-symbols.mjs';
import { ownHeaders } from './pack/prebuild.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dir = mkdtempSync(join(tmpdir(), 'jorch-from-source-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
const clone = join(dir, 'jorch');
const release = join(clone, 'build', 'Release');
const NAMES = ['jorch.node', 'jorch_rt.node'];

const run = (command, args) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: clone,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...ownHeaders() },
  });
  if (error || status !== 0)
    throw new Error(
      `${command} ${args.join(' ')}: ${error ?? `exit code ${status}\n${(stdout + stderr).slice(-4000)}`}`,
    );
  return stdout;
};
const bin = (name, ...args) => run(process.execPath, [join(clone, 'node_modules', ...name), ...args]);

/** Stamps of what is not the addon stay. */
const clean = () => {
  for (const name of readdirSync(join(clone, 'build')))
    if (!/^((api|typescript|installer|npm)\.stamp|schemas\.json)$/.test(name))
      rmSync(join(clone, 'build', name), { recursive: true });
};
const digest = () => {
  const hash = createHash('sha256');
  for (const name of NAMES) hash.update(readFileSync(join(release, name)));
  return hash.digest('hex');
};

const PROGRAM = `
const torch = require(${JSON.stringify(join(clone, 'dist', 'lib', 'index.js'))});
const x = torch.ones(3).requires_grad_();
torch.compile((x) => x.mul(x).sum())(x).backward();
console.log(JSON.stringify(x.grad.tolist()));`;

const check = (folder) => {
  const problems = NAMES.flatMap((name) => problemsOf(join(folder, name)).map((problem) => `${name}: ${problem}`));
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const said = run(process.execPath, ['-e', PROGRAM]).trim();
  if (said !== '[2,2,2]') throw new Error(`the program says ${said}`);
};

const WAYS = {
  'node-gyp rebuild': () => {
    bin(['node-gyp', 'bin', 'node-gyp.js'], 'rebuild');
    const built = digest();
    run(process.execPath, ['scripts/bootstrap.mjs']); // the API and the TypeScript; the addon is there
    if (digest() !== built) throw new Error('the addon was built again');
    check(release);
  },
  'cmake-js build': () => {
    clean();
    bin(['cmake-js', 'bin', 'cmake-js'], 'build');
    check(release);
  },
  'npm run prebuild': () => {
    clean();
    run('npm', ['run', 'prebuild']);
    rmSync(join(clone, 'build'), { recursive: true });
    check(join(clone, 'prebuilds', 'linux-x64')); // the program finds no other
  },
};

const { status } = spawnSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, clone], {
  stdio: 'inherit',
});
if (status !== 0) throw new Error('git clone failed');
run(process.execPath, ['scripts/bootstrap.mjs', '--parts']); // npm's packages, libtorch, the plugin
for (const [way, build] of Object.entries(WAYS)) {
  const started = Date.now();
  try {
    build();
    console.log(`${way}: works, ${Math.round((Date.now() - started) / 1000)} s`);
  } catch (error) {
    console.log(`${way}: ${error.message}`);
    process.exitCode = 1;
  }
}
