/** @file Writers of the compilation cache in processes of their own, killed at any moment while others read what they write. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync } from 'node:fs';
import { PersistentCache } from '../../lib/compile/persistent.js';
import { randomOf } from './hostile-files.js';

const KEYS = 8;
const BYTES = 200_000;
const keyOf = (i: number): Buffer => createHash('sha256').update(String(i)).digest();

/** Writes eight programs over and over and says so after the first round, with how many it kept. */
const SCRIPT = (folder: string): string => `
  const { PersistentCache } = require(${JSON.stringify(require.resolve('../../lib/compile/persistent.js'))});
  const { createHash } = require('node:crypto');
  const cache = PersistentCache.open(${JSON.stringify(folder)});
  process.on('warning', () => {});
  for (let i = 0; ; i++) {
    cache.write(createHash('sha256').update(String(i % ${KEYS})).digest(), Buffer.alloc(${BYTES}, i % ${KEYS}));
    if (i === ${KEYS}) process.send(cache.counts.writes);
  }`;

/** A writer, by a shell where it is to begin with something else; resolves with what it kept in its first round. */
const startWriter = async (
  folder: string,
  before = '',
  user?: number,
): Promise<{ writer: ChildProcess; kept: number }> => {
  const writer = spawn('sh', ['-c', `${before} exec "$0" "$@"`, process.execPath, '-e', SCRIPT(folder)], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    ...(user === undefined ? {} : { uid: user, gid: user }),
  });
  const kept = await new Promise<number>((resolve, reject) => {
    writer.once('message', (n) => resolve(Number(n)));
    writer.once('exit', (code, signal) => reject(new Error(`the writer ended by itself: ${code ?? signal}`)));
  });
  writer.removeAllListeners('exit');
  return { writer, kept };
};

const kill = async (writers: readonly ChildProcess[]): Promise<void> => {
  const ended = writers.map((w) => new Promise((resolve) => w.once('exit', resolve)));
  for (const w of writers) w.kill('SIGKILL');
  await Promise.all(ended);
};

/** Reads every program: each is there, whole, and the bytes of its own key. */
const readAll = (reader: PersistentCache): void => {
  for (let i = 0; i < KEYS; i++) {
    const payload = reader.read(keyOf(i));
    assert.ok(payload?.length === BYTES && payload.every((b) => b === i), `program ${i}`);
  }
  assert.equal(reader.counts.damaged, 0);
};

/** Writers, `together` at once, killed at random moments in every round; returns how many programs were read meanwhile. */
export const killWriters = async (folder: string, rounds: number, together: number): Promise<number> => {
  const next = randomOf(7);
  let reads = 0;
  for (let round = 0; round < rounds; round++) {
    const writers = await Promise.all(Array.from({ length: together }, () => startWriter(folder)));
    const reader = PersistentCache.open(folder);
    readAll(reader);
    await new Promise((resolve) => setTimeout(resolve, next() * 20));
    readAll(reader);
    await kill(writers.map(({ writer }) => writer));
    readAll(reader);
    reads += reader.counts.hits;
  }
  return reads;
};

/** A writer whose files may grow to 64 KiB, as on a full disk: it goes on, keeps nothing, and readers have what was there. */
export const fullDisk = async (folder: string): Promise<void> => {
  // A signal would end it: ignored, writing fails.
  const { writer, kept } = await startWriter(folder, 'trap "" XFSZ; ulimit -f 128;');
  assert.equal(kept, 0);
  readAll(PersistentCache.open(folder));
  await kill([writer]);
};

/** A writer in a folder that is read-only: the same. Who may write anywhere is somebody else for that long. */
export const readOnly = async (folder: string): Promise<void> => {
  const root = process.geteuid?.() === 0;
  const user = root ? 65534 : undefined;
  if (user !== undefined) chownSync(folder, user, user);
  chmodSync(folder, 0o500);
  try {
    const { writer, kept } = await startWriter(folder, '', user);
    assert.equal(kept, 0);
    await kill([writer]);
  } finally {
    chmodSync(folder, 0o700);
    if (user !== undefined) chownSync(folder, 0, 0);
  }
  readAll(PersistentCache.open(folder));
};
