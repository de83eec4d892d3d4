/** @file Every Node that jorch claims, as test/pack's dependencies bring them. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = join(dirname(dirname(fileURLToPath(import.meta.url))), 'test', 'pack', 'node_modules');

/** The executables, oldest first, with what each says of its version. */
export const nodes = () =>
  [20, 22, 24, 26].map((major) => {
    const node = join(modules, `node${major}`, 'bin', 'node');
    return { node, version: spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? `Node ${major}` };
  });
