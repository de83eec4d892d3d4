#!/usr/bin/env node
/**
 * @file Whether the built addons load on the oldest system that jorch claims: no symbol of a newer glibc or libstdc++ than the limits below,
 * no path of the machine that built them, no library needed that the packages do not bring, no external ArrayBuffer (Electron has none).
 *
 *   node scripts/check-symbols.mjs [FILE.node ...]      default: build/Release
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** manylinux_2_28, which Node 20's binaries and libtorch's wheel need too. */
const LIMITS = { GLIBC: '2.28', GLIBCXX: '3.4.28', CXXABI: '1.3.12', GCC: '8.0.0' };
const NEEDED =
  /^(libtorch_cpu\.so|libc10\.so|libstdc\+\+\.so\.6|libm\.so\.6|libgcc_s\.so\.1|libc\.so\.6|ld-linux-x86-64\.so\.2)$/;

const readelf = (...args) => {
  const { status, stdout, stderr, error } = spawnSync('readelf', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error || status !== 0) throw new Error(`readelf ${args.join(' ')}: ${error ?? stderr}`);
  return stdout;
};

const newer = (version, limit) => {
  const [a, b] = [version, limit].map((text) => text.split('.').map(Number));
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  return false;
};

/** What is wrong with one file, a sentence each. */
export const problemsOf = (file) => {
  const problems = [];
  for (const line of readelf('--dyn-syms', '--wide', file).split('\n')) {
    const [external] = /napi_create_external_(array)?buffer/.exec(line) ?? [];
    if (external) problems.push(`${external}: memory that JavaScript does not own, which Electron refuses; copy it`);
    const [, name, family, number] = /\bUND (\S+?)@+([A-Z]+)_([0-9.]+)\b/.exec(line) ?? [];
    if (family in LIMITS && newer(number, LIMITS[family]))
      problems.push(
        `${name} needs ${family}_${number}, the limit is ${LIMITS[family]}: bind it to an older one in native/compat/old_glibc.h`,
      );
  }
  for (const line of readelf('--dynamic', '--wide', file).split('\n')) {
    const [, kind, value] = /\((NEEDED|RPATH|RUNPATH)\).*\[(.*)\]/.exec(line) ?? [];
    if (kind === 'NEEDED' && !NEEDED.test(value)) problems.push(`needs ${value}, which no package brings`);
    if (kind?.endsWith('PATH')) problems.push(`looks for libraries in ${value}`);
  }
  return problems;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const release = join(dirname(dirname(fileURLToPath(import.meta.url))), 'build', 'Release');
  const named = process.argv.slice(2);
  const files = named.length ? named : ['jorch.node', 'jorch_rt.node'].map((name) => join(release, name));
  for (const file of files) {
    const problems = problemsOf(file);
    if (problems.length) process.exitCode = 1;
    for (const problem of problems.length ? problems : ['within the limits']) console.log(`${file}: ${problem}`);
  }
}
