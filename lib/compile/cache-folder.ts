/** @file The folder of the persistent compilation cache: only one that nobody else can write to is used. */
import { lstatSync, mkdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDir } from '../runtime/parts.js';

/** Where compiled programs are kept, whether or not it exists. */
export const programsDir = (): string => join(cacheDir(), 'programs');

const othersMayWrite = (s: Stats): boolean => (s.mode & 0o022) !== 0 && (s.mode & 0o1000) === 0;

/** Why `folder` must not be trusted, or undefined. Programs are machine code: who can write them can run code. */
const objection = (folder: string, user: number): string | undefined => {
  const above = statSync(realpathSync(dirname(folder)));
  if (above.uid !== user && above.uid !== 0) return `${dirname(folder)} belongs to user ${above.uid}`;
  if (othersMayWrite(above)) return `${dirname(folder)} can be written by other users (chmod go-w makes it safe)`;
  const own = lstatSync(folder);
  if (own.isSymbolicLink()) return `${folder} is a symbolic link`;
  if (!own.isDirectory()) return `${folder} is not a folder`;
  if (own.uid !== user) return `${folder} belongs to user ${own.uid}`;
  if ((own.mode & 0o077) !== 0)
    return `${folder} is open to other users (mode ${(own.mode & 0o777).toString(8)}; chmod 700 after making sure of its contents)`;
  return undefined;
};

/** The folder, made if it is not there; or why it cannot be used. */
export const openFolder = (folder: string): { folder: string } | { refused: string } => {
  try {
    mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const refused = objection(folder, process.geteuid?.() ?? 0);
    return refused === undefined ? { folder } : { refused };
  } catch (error) {
    return { refused: (error as Error).message };
  }
};
