#!/usr/bin/env node
/**
 * @file `npm run test:old-glibc`: the packages of `npm run pack` on the C and C++ libraries of Debian 11, the oldest that Debian's mirrors still have: glibc 2.31
 * and libstdc++ 3.4.28, the very limit of scripts/check-symbols.mjs. Every Node that jorch claims is started by that system's loader, computes eagerly,
 * compiled, asynchronously, in a worker and backwards, and must not have a library of this system mapped.
 * The libraries come through apt from the mirror that this machine has for Debian, signatures checked; nothing is installed.
 */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodes } from './nodes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SUITE = 'bullseye';
/** The last is asked for by Node 26 itself. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const dir = mkdtempSync(join(tmpdir(), 'jorch-old-glibc-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
const fail = (text) => {
  console.error(text);
  process.exit(1);
};
const run = (command, args, options = {}) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error || status !== 0)
    fail(`${command} ${args.join(' ')} failed: ${error ?? ''}${(stdout + stderr).slice(-2000)}`);
  return stdout;
};

/** The folders of the old system's libraries, unpacked under `dir`. */
const oldSystem = () => {
  const known = run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(LABEL) $(REPO_URI)', 'Created-By: Packages']);
  const mirror = /^Debian Debian (\S+)$/m.exec(known)?.[1] ?? fail('apt has no mirror of Debian here');
  const apt = join(dir, 'apt');
  for (const folder of ['lists/partial', 'archives/partial', 'debs']) mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, 'sources.list'), `deb [arch=amd64 signed-by=${KEYRING}] ${mirror} ${SUITE} main\n`);
  writeFileSync(join(apt, 'status'), '');
  const settings = [
    `Dir::Etc::sourcelist=${join(apt, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State=${apt}`,
    `Dir::State::status=${join(apt, 'status')}`,
    `Dir::Cache=${apt}`,
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'APT::Sandbox::User=',
  ].flatMap((setting) => ['-o', setting]);
  run('apt-get', [...settings, 'update', '--error-on=any']);
  run('apt-get', [...settings, 'download', ...LIBRARIES], { cwd: join(apt, 'debs') });
  for (const file of readdirSync(join(apt, 'debs'))) run('dpkg-deb', ['-x', join(apt, 'debs', file), join(dir, 'old')]);
  return ['lib', 'usr/lib'].map((folder) => realpathSync(join(dir, 'old', folder, 'x86_64-linux-gnu')));
};

/** A project with the packed packages unpacked and their dependencies linked. */
const project = () => {
  const modules = join(dir, 'project', 'node_modules');
  const packed = join(root, 'build', 'pack');
  if (!existsSync(join(packed, 'jorch', 'prebuilds'))) fail('nothing is packed here: npm run pack');
  mkdirSync(join(modules, '@jorch'), { recursive: true });
  cpSync(join(packed, 'jorch'), join(modules, 'jorch'), { recursive: true });
  for (const name of ['libtorch-linux-x64', 'xla-cpu-linux-x64'])
    cpSync(join(packed, name), join(modules, '@jorch', name), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  return dirname(modules);
};

/** Prints what it computed, the C library that it ran on, and every shared library that was mapped. */
const PROGRAM = `
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import * as torch from 'jorch';
const f = (x) => x.sin().mul(x).sum();
const x = torch.arange(64, { dtype: torch.float64 }).requires_grad_();
const eager = f(x).item();
f(x).backward();
const slope = x.grad.clone();
const fast = torch.compile(f);
const close = (a, b) => Math.abs(a - b) < 1e-9 * Math.abs(b);
x.grad = null;
fast(x).backward();
const same = {
  compiled: close(fast(x).item(), eager),
  gradient: torch.allclose(x.grad, slope),
  asynchronous: close((await fast.async(x)).item(), eager),
  linear: close(torch.linalg.solve(torch.eye(3).mul(2), torch.ones(3, 1)).sum().item(), 1.5),
  worker: await new Promise((resolve, reject) => {
    const worker = new Worker("const torch = require('jorch'); require('worker_threads').parentPort.postMessage(torch.compile((x) => x.add(1).sum())(torch.ones(3)).item())", { eval: true });
    worker.once('message', (sum) => resolve(sum === 6)).once('error', reject);
  }),
};
const files = readFileSync('/proc/self/maps', 'utf8').split('\\n').map((line) => line.split(/ +/)[5]);
const libraries = [...new Set(files.filter((file) => /\\.so[.0-9]*$|\\.node$/.test(file ?? '')))];
console.log(JSON.stringify({ same, libraries, glibc: process.report.getReport().header.glibcVersionRuntime }));
`;

const folders = oldSystem();
const home = project();
writeFileSync(join(home, 'first.mjs'), PROGRAM);
const loader = join(folders[0], 'ld-linux-x86-64.so.2');
const libstdcxx = readdirSync(folders[1]).find((name) => /^libstdc\+\+\.so\.6\./.test(name));
const passed = [];
let system = '';
for (const { node, version } of nodes()) {
  const started = spawnSync(loader, ['--library-path', folders.join(':'), node, 'first.mjs'], {
    cwd: home,
    encoding: 'utf8',
    env: { PATH: '', HOME: home },
  });
  const problems = [];
  if (started.status !== 0)
    problems.push(`exit code ${started.status}, signal ${started.signal}: ${started.stderr.slice(-2000)}`);
  else {
    const { same, libraries, glibc } = JSON.parse(started.stdout);
    system = `glibc ${glibc}, ${libstdcxx}`;
    for (const [what, right] of Object.entries(same)) if (!right) problems.push(`${what}: another result than eager`);
    for (const file of libraries)
      if (!file.startsWith(`${realpathSync(dir)}/`)) problems.push(`${file} is of this system`);
    for (const name of ['libc-2', 'libstdc++', 'libtorch_cpu', 'pjrt_c_api_cpu_plugin', 'jorch.node'])
      if (!libraries.some((file) => file.includes(name))) problems.push(`${name} is not among the mapped libraries`);
  }
  console.log(`${version}: ${problems.length === 0 ? `works on ${system}` : problems.join('\n  ')}`);
  if (problems.length === 0) passed.push(version);
  else process.exitCode = 1;
}
if (process.env.JORCH_FIGURES)
  appendFileSync(
    process.env.JORCH_FIGURES,
    `${JSON.stringify({ row: 27, text: `${system}: ${passed.join(', ') || 'none'}` })}\n`,
  );
