/** @file What a plugin's file is, without reading its 200 MB in every process: its SHA-256 is remembered beside size and times. */
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import { pins, runtimeDir } from '../runtime/parts.js';
import type { PersistentCache } from './persistent.js';

/**
 * What tells the plugin at `path` from every other: the pinned SHA-256 of what the installer unpacked, or the file's own. The latter is kept
 * in `cache` under path, device, inode, size and both times of the file, whose change time no ordinary user can set back.
 */
export const pluginDigest = (path: string, cache: PersistentCache): string => {
  const real = realpathSync(path);
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(real, { bigint: true });
  // Unpacked by the installer from the wheel whose SHA-256 is pinned.
  const pinned = pins().parts.find(({ role }) => role === 'xla-cpu')!.sha256;
  if (path.startsWith(runtimeDir() + sep)) return `${pinned} ${size} ${mtimeNs}`;
  const key = createHash('sha256')
    .update(JSON.stringify(['plugin', real, `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`]))
    .digest();
  const known = cache.note(key);
  if (known?.length === 32) return known.toString('hex');
  const digest = createHash('sha256').update(readFileSync(real)).digest();
  cache.remember(key, digest);
  return digest.toString('hex');
};
