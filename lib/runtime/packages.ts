/** @file The npm packages that bring the native parts, beside jorch's own: @jorch/libtorch-linux-x64 and @jorch/xla-cpu-linux-x64. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { JorchError } from './errors.js';
import { pins } from './parts.js';

/** What a package brings, in the folders that the wheel has. */
export type PackagedRole = 'libtorch' | 'xla-cpu';

export const packageName = (role: PackagedRole): string => `@jorch/${role}-${process.platform}-${process.arch}`;

/** The one version of a package that this jorch works with: that of the part inside. */
export const packageVersion = (role: PackagedRole): string =>
  role === 'libtorch' ? pins().torch : pins().parts.find((part) => part.role === role)!.version;

/** `name@version`, as npm takes it. */
export const packageSpec = (role: PackagedRole): string => `${packageName(role)}@${packageVersion(role)}`;

/**
 * The folder of an installed package; undefined when there is none.
 * @throws JorchError RUNTIME_MISSING when it is there in another version.
 */
export const packageFolder = (role: PackagedRole): string | undefined => {
  let manifest: string;
  try {
    manifest = require.resolve(`${packageName(role)}/package.json`);
  } catch {
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  if (version !== packageVersion(role))
    throw new JorchError(
      'RUNTIME_MISSING',
      `${packageName(role)} ${version} is installed (${dirname(manifest)}); this jorch works with ${packageVersion(role)} only; get it with: npm install ${packageSpec(role)}`,
    );
  return dirname(manifest);
};
