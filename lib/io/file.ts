/** @file Files read by range and written atomically. */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { JorchError } from '../runtime/errors.js';

export const bad = (path: string, message: string): never => {
  throw new JorchError('BAD_ARGUMENT', `${path}: ${message}`);
};

/** @throws JorchError BAD_ARGUMENT for what is no path. */
export const checkPath = (path: unknown): void => {
  if (typeof path !== 'string' || path === '' || path.includes('\0'))
    throw new JorchError('BAD_ARGUMENT', `expected the path of a file as a string, got ${inspect(path)}`);
};

/** An open file; what it has not is an error in words, never a short read. */
export class SourceFile {
  private readonly fd: number;
  readonly size: number;
  private open = true;
  constructor(readonly path: string) {
    checkPath(path);
    try {
      this.fd = openSync(path, 'r');
    } catch (error) {
      throw new JorchError('BAD_ARGUMENT', `${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`, {
        cause: error,
      });
    }
    const stat = fstatSync(this.fd);
    if (!stat.isFile()) {
      closeSync(this.fd);
      bad(path, 'is not a file');
    }
    this.size = stat.size;
  }
  /** `length` bytes from `from` on, in memory of their own. */
  read(from: number, length: number): Buffer {
    if (!this.open) bad(this.path, 'has been closed');
    if (from < 0 || length < 0 || from + length > this.size)
      bad(this.path, `ends before byte ${from + length}, it has ${this.size}: cut off or damaged`);
    const buffer = Buffer.from(new ArrayBuffer(length));
    for (let got = 0; got < length; ) {
      const n = readSync(this.fd, buffer, got, Math.min(length - got, 1 << 30), from + got);
      if (n === 0) bad(this.path, 'became shorter while it was read');
      got += n;
    }
    return buffer;
  }
  close(): void {
    if (this.open) closeSync(this.fd);
    this.open = false;
  }
}

/** Opens, runs, closes. */
export const withFile = <T>(path: string, fn: (file: SourceFile) => T): T => {
  const file = new SourceFile(path);
  try {
    return fn(file);
  } finally {
    file.close();
  }
};

let written = 0;
/** Writes the chunks to a file beside `path` and renames it: whoever reads `path` sees the old content or the new. */
export const writeAtomically = (path: string, chunks: Iterable<Uint8Array>): void => {
  const temporary = `${path}.${process.pid}.${written++}.tmp`;
  let fd: number;
  try {
    fd = openSync(temporary, 'wx');
  } catch (error) {
    throw new JorchError('BAD_ARGUMENT', `${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
  try {
    for (const chunk of chunks)
      for (let done = 0; done < chunk.length; )
        done += writeSync(fd, chunk, done, Math.min(chunk.length - done, 1 << 30));
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    try {
      closeSync(fd);
    } catch {
      // Closed already.
    }
    rmSync(temporary, { force: true });
    throw error;
  }
};
