/**
 * @file Compiled programs on disk, one file each: magic, version, key, length, SHA-256, payload. Files are written beside and
 * renamed into place. A file that is not exactly what was written counts as not there: the plugin gets no damaged bytes, which
 * could end the process.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  futimesSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheIsOff } from '../runtime/parts.js';
import { openFolder, programsDir } from './cache-folder.js';

const MAGIC = Buffer.from('JORCHXLA');
const VERSION = 1;
/** magic, version, key, payload length, SHA-256 of all that and the payload. */
const HEADER = MAGIC.length + 4 + 32 + 8 + 32;
const DIGEST_AT = HEADER - 32;
const SUFFIX = '.xla';
/** Of so many processes that write one program one looks whether there are too many. */
const TURNS = 64;
/** Small files about programs. */
const NOTE = '.note';
/** Leftovers of processes that died while writing are older than any writer that lives. */
const STALE_MS = 3600_000;

export interface CacheCounts {
  /** Programs loaded from disk. */
  hits: number;
  /** Programs asked for that were not there, or not whole. */
  misses: number;
  writes: number;
  /** Files that were not what was written, and were replaced. */
  damaged: number;
  evictions: number;
}

/** Bytes that the cache may hold: `JORCH_CACHE_MAX_MB` (default 2048) in MiB. */
export const limitBytes = (): number => {
  const given = Number(process.env['JORCH_CACHE_MAX_MB'] ?? '');
  return (Number.isFinite(given) && given > 0 ? given : 2048) * 2 ** 20;
};

const isCode = (error: unknown, ...codes: string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '');

const headerOf = (key: Buffer, payload: Uint8Array): Buffer => {
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, MAGIC.length);
  key.copy(header, MAGIC.length + 4);
  header.writeBigUInt64LE(BigInt(payload.length), DIGEST_AT - 8);
  createHash('sha256').update(header.subarray(0, DIGEST_AT)).update(payload).digest().copy(header, DIGEST_AT);
  return header;
};

/** The payload of a whole file for `key`; undefined for anything else. */
const payloadOf = (file: Buffer, key: Buffer): Buffer | undefined => {
  if (file.length < HEADER) return undefined;
  const payload = file.subarray(HEADER);
  return headerOf(key, payload).equals(file.subarray(0, HEADER)) ? payload : undefined;
};

/** What a file is: whole bytes of our own, nothing there, or something else. */
type Found = { readonly bytes: Buffer } | 'absent' | 'damaged';

const readOwn = (path: string, user: number): Found => {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return isCode(error, 'ENOENT') ? 'absent' : 'damaged';
  }
  try {
    const { mode, uid, size } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || uid !== user || (mode & 0o777) !== 0o600) return 'damaged';
    const bytes = Buffer.allocUnsafe(size);
    for (let done = 0; done < size; ) {
      const n = readSync(fd, bytes, done, size - done, done);
      if (n === 0) return 'damaged';
      done += n;
    }
    const now = new Date();
    futimesSync(fd, now, now); // eviction goes by last use
    return { bytes };
  } catch {
    return 'damaged';
  } finally {
    closeSync(fd);
  }
};

export interface CacheEntry {
  readonly name: string;
  readonly bytes: number;
  readonly used: Date;
}

/** The programs of a cache folder, the latest used first. */
export const entriesOf = (folder: string): CacheEntry[] => filesOf(folder).filter(({ name }) => name.endsWith(SUFFIX));

const isKept = (name: string): boolean => name.endsWith(SUFFIX) || name.endsWith(NOTE);

const filesOf = (folder: string): CacheEntry[] => {
  const entries: CacheEntry[] = [];
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
  for (const name of names) {
    if (!isKept(name)) continue;
    const stat = statSync(join(folder, name), { throwIfNoEntry: false }); // another process may clear it meanwhile
    if (stat) entries.push({ name, bytes: stat.size, used: stat.mtime });
  }
  return entries.sort((a, b) => b.used.getTime() - a.used.getTime());
};

/** Removes every program; returns how many there were. */
export const clearFolder = (folder: string): number => {
  const count = entriesOf(folder).length;
  rmSync(folder, { recursive: true, force: true });
  return count;
};

/** The cache in one folder. No method throws: what does not work is a miss. */
export class PersistentCache {
  readonly counts: CacheCounts = { hits: 0, misses: 0, writes: 0, damaged: 0, evictions: 0 };
  private readonly user = process.geteuid?.() ?? 0;
  private warned = false;
  /** May be written before the folder is looked at. */
  private allowance: number | undefined;

  private constructor(
    /** undefined: nothing is kept. */
    readonly folder: string | undefined,
    /** Why nothing is kept. */
    readonly refused: string | undefined,
  ) {}

  /** The cache at `folder`; one that keeps nothing, with one warning, when the folder cannot be trusted. */
  static open(folder: string): PersistentCache {
    const opened = openFolder(folder);
    if ('folder' in opened) return new PersistentCache(opened.folder, undefined);
    const cache = new PersistentCache(undefined, opened.refused);
    cache.warn(
      `compiled programs are not kept on disk: ${opened.refused}. JORCH_CACHE_DIR names another folder, JORCH_CACHE_DIR=off switches the cache off`,
    );
    return cache;
  }

  /** The cache that is already there; undefined where none is, or it cannot be used, which whoever uses it hears. */
  static look(): PersistentCache | undefined {
    if (cacheIsOff() || !existsSync(programsDir())) return undefined;
    const opened = openFolder(programsDir());
    return 'folder' in opened ? new PersistentCache(opened.folder, undefined) : undefined;
  }

  static off(): PersistentCache {
    return new PersistentCache(undefined, 'JORCH_CACHE_DIR switches it off');
  }

  private warn(text: string): void {
    if (this.warned) return;
    this.warned = true;
    process.emitWarning(text, { type: 'JorchCache', code: 'CACHE_REFUSED' });
  }

  private path(key: Buffer, suffix = SUFFIX): string {
    return join(this.folder!, key.toString('hex') + suffix);
  }

  private find(key: Buffer, suffix = SUFFIX): { found: Found; payload: Buffer | undefined } {
    const found = readOwn(this.path(key, suffix), this.user);
    return { found, payload: typeof found === 'object' ? payloadOf(found.bytes, key) : undefined };
  }

  /** What was remembered for `key`, or undefined. */
  note(key: Buffer): Buffer | undefined {
    return this.folder === undefined ? undefined : this.find(key, NOTE).payload;
  }

  /** Keeps something that is no program, uncounted. */
  remember(key: Buffer, payload: Uint8Array): void {
    this.put(key, NOTE, payload);
  }

  /** The payload written for `key`, or undefined; nothing is counted or said until it is used, or read. */
  peek(key: Buffer): Buffer | undefined {
    return this.folder === undefined ? undefined : this.find(key).payload;
  }

  /** The payload written for `key` (SHA-256), or undefined. */
  read(key: Buffer): Buffer | undefined {
    if (this.folder === undefined) return undefined;
    const { found, payload } = this.find(key);
    if (payload) {
      this.counts.hits++;
      return payload;
    }
    this.counts.misses++;
    if (found !== 'absent') this.reportDamage(key);
    return undefined;
  }

  /** For a payload that was whole and yet could not be loaded: the hit becomes a miss. */
  reject(key: Buffer): void {
    this.counts.hits--;
    this.counts.misses++;
    this.reportDamage(key);
  }

  private reportDamage(key: Buffer): void {
    this.counts.damaged++;
    this.warn(`a file of the compilation cache is damaged and is made anew (${this.path(key)})`);
  }

  /** Keeps `payload` under `key`, replacing whatever is there. */
  write(key: Buffer, payload: Uint8Array): void {
    if (this.put(key, SUFFIX, payload)) this.counts.writes++;
  }

  private put(key: Buffer, suffix: string, payload: Uint8Array): boolean {
    if (this.folder === undefined) return false;
    const path = this.path(key, suffix);
    const temporary = join(this.folder, `.${process.pid}-${randomBytes(6).toString('hex')}`);
    try {
      writeFileSync(temporary, Buffer.concat([headerOf(key, payload), payload]), { flag: 'wx', mode: 0o600 });
      try {
        renameSync(temporary, path);
      } catch (error) {
        if (!isCode(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
        rmSync(path, { recursive: true, force: true });
        renameSync(temporary, path);
      }
      this.makeRoom(payload.length);
      return true;
    } catch (error) {
      rmSync(temporary, { force: true });
      this.warn(`a compiled program could not be kept on disk: ${(error as Error).message}`);
      return false;
    }
  }

  /**
   * Removes the least recently used files beyond the limit, now and again: looking at tens of thousands takes longer than many a process. Those that write
   * little take turns by chance, one of some sixty, so that the cache is seldom larger by more than sixty programs.
   */
  private makeRoom(written: number): void {
    const limit = limitBytes();
    this.allowance ??= Math.random() * Math.min(limit / 16, TURNS * written);
    this.allowance -= written;
    if (this.allowance > 0) return;
    this.allowance = limit / 16;
    const folder = this.folder!;
    for (const name of readdirSync(folder)) {
      if (isKept(name)) continue;
      const stat = statSync(join(folder, name), { throwIfNoEntry: false });
      if (stat && Date.now() - stat.mtimeMs > STALE_MS) rmSync(join(folder, name), { recursive: true, force: true });
    }
    let total = 0;
    for (const { name, bytes } of filesOf(folder)) {
      total += bytes;
      if (total <= limit) continue;
      rmSync(join(folder, name), { recursive: true, force: true });
      this.counts.evictions++;
    }
  }
}

let shared: PersistentCache | undefined;

/** The cache of this process. */
export const persistentCache = (): PersistentCache => {
  shared ??= cacheIsOff() ? PersistentCache.off() : PersistentCache.open(programsDir());
  return shared;
};
