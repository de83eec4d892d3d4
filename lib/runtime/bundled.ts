/**
 * @file How a built jorch is loaded: its modules are the functions of two files (scripts/bundle.mjs). The first, `early.js`, has this one and what
 * begins to load libtorch; the second, `rest.js`, everything else. What V8 made of the second is kept in the cache folder: compiling the text
 * took longer than all that is done with it.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { Module } from 'node:module';
import { join } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';
import { isMainThread } from 'node:worker_threads';
import { limitBytes, PersistentCache, persistentCache } from '../compile/persistent.js';
import { isLoaded } from './load.js';
import { cacheIsOff } from './parts.js';

/** Modules by their path below dist/lib. */
export type Modules = Readonly<Record<string, () => unknown>>;

/** How much of jorch a process has used: V8 compiles functions when they are called, and what was kept has those of its process. */
enum Used {
  Modules = 0,
  Eager = 1,
  Compiled = 2,
}
const used = (): Used => {
  if (!isLoaded()) return Used.Modules;
  const { hits, misses } = persistentCache().counts;
  return hits + misses > 0 ? Used.Compiled : Used.Eager;
};

/** What V8's code for `file` is kept under: it looks at the length of the text only. No ordinary user can set a change time back. */
const keyOf = (file: string): Buffer => {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
  const what = ['code', file, `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`, process.version, cachedDataVersionTag()];
  return createHash('sha256').update(JSON.stringify(what)).digest();
};

/** Whether V8 may be given code of an earlier process: Node reads the maps of what it loads itself, and coverage wants every function. */
const mayKeep = (): boolean =>
  !process.sourceMapsEnabled &&
  process.env['NODE_V8_COVERAGE'] === undefined &&
  new Script('Error').runInThisContext() === Error;

type Wrapper = (exports: object, require: NodeJS.Require, module: object, file: string, folder: string) => void;

/** Reads `file`, a module of ASCII text; what is returned runs it, with what V8 kept of it, and keeps it for the next process. */
const read = (file: string, folder: string): (() => Modules) => {
  if (cacheIsOff() || !mayKeep()) return () => require(file) as Modules;
  const key = keyOf(file);
  const kept = PersistentCache.look()?.note(key);
  const text = Module.wrap(readFileSync(file, 'latin1'));
  return () => {
    const script = new Script(text, {
      filename: file,
      ...(kept && { cachedData: kept.subarray(1) }),
    });
    const module = { exports: {} };
    (script.runInThisContext() as Wrapper)(module.exports, require, module, file, folder);
    const known = kept === undefined || script.cachedDataRejected ? -1 : kept[0]!;
    if (isMainThread && known < Used.Compiled) process.once('exit', () => keep(script, key, known));
    return module.exports as Modules;
  };
};

/** Keeps the code of a process that has used more of jorch than that of the code before. */
const keep = (script: Script, key: Buffer, known: number): void => {
  const now = used();
  // A folder that is not there yet only the cache of programs makes.
  const cache = now > known ? PersistentCache.look() : undefined;
  const code = cache && Buffer.concat([Buffer.of(now), script.createCachedData()]);
  // Where there is little room it is for programs.
  if (code && code.length < limitBytes() / 64) cache.remember(key, code);
};

/** The module at `name`, one instance for all who ask: those of `early` are there, the others in `folder`. */
export const modulesOf = (early: Modules, folder: string): ((name: string) => unknown) => {
  let rest: Modules | undefined;
  return (name) => {
    const own = early[name];
    if (own) return own();
    if (rest === undefined) {
      // Before libtorch is opened, which holds up whoever touches new memory; the rest meanwhile.
      const run = read(join(folder, 'rest.js'), folder);
      if (name === 'index.js') early['runtime/begin.js']!();
      rest = run();
    } else if (name === 'index.js') early['runtime/begin.js']!();
    return rest[name]!();
  };
};
