/** @file Another copy of jorch, as a second `npm install` would make one. */
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';

/** Copies what the package needs at run time to the folder `copy`. */
export const copyPackage = (copy: string): void => {
  for (const part of [
    'package.json',
    'runtime.json',
    'dist/lib',
    'build/Release/jorch.node',
    'build/Release/jorch_rt.node',
  ])
    cpSync(join(packageRoot, part), join(copy, part), { recursive: true });
  symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'));
};
