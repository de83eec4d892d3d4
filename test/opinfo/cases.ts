/** @file A folder of cases: which operators it has, their samples and their tensors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { CaseFile, ManifestEntry } from './format.js';
import { readSafetensors, type StoredTensors } from './safetensors.js';

/** One operator's samples with their tensors. */
export interface Cases extends CaseFile {
  readonly file: string;
  readonly tensors: StoredTensors;
  readonly manifest: ManifestEntry | undefined;
}

const NO_CASES = new Set(['manifest.json', 'greedy.json']);

/** The checkout, wherever tsc put this file. */
export const repositoryRoot = (): string => {
  let root = __dirname;
  while (!existsSync(join(root, 'package.json'))) {
    const parent = dirname(root);
    if (parent === root) throw new Error(`no package.json above ${__dirname}`);
    root = parent;
  }
  return root;
};

/** The cases beside the checkout, which are not part of the repository. */
export const defaultFolder = (): string => resolve(repositoryRoot(), '..', 'shared', 'opinfo');

/** Whether a folder has cases at all. */
export const hasCases = (folder: string): boolean => existsSync(folder) && caseFiles(folder).length > 0;

/** Names of the case files without their ending, sorted. */
export const caseFiles = (folder: string): string[] =>
  readdirSync(folder)
    .filter(
      (name) =>
        name.endsWith('.json') && !NO_CASES.has(name) && existsSync(join(folder, name.replace(/json$/, 'safetensors'))),
    )
    .map((name) => name.slice(0, -'.json'.length))
    .sort();

/** The manifest's entries by file name; an empty map where a folder has none. */
export const readManifest = (folder: string): Map<string, ManifestEntry> => {
  const path = join(folder, 'manifest.json');
  if (!existsSync(path)) return new Map();
  const { ops } = JSON.parse(readFileSync(path, 'utf8')) as { ops: readonly ManifestEntry[] };
  return new Map(ops.map((entry) => [entry.file ?? entry.op, entry]));
};

/** Reads one operator. `withTensors: false` leaves the safetensors file alone. */
export const readCases = (
  folder: string,
  file: string,
  manifest: ReadonlyMap<string, ManifestEntry>,
  withTensors = true,
): Cases => {
  const cases = JSON.parse(readFileSync(join(folder, `${file}.json`), 'utf8')) as CaseFile;
  if (cases.format !== 1) throw new Error(`${file}.json: format ${cases.format} is not known, expected 1`);
  const tensors = withTensors ? readSafetensors(join(folder, `${file}.safetensors`)) : new Map();
  return { ...cases, file, tensors, manifest: manifest.get(file) };
};
