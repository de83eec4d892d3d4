/** @file The file of an exported program: a safetensors file whose metadata holds the program. Read as if its writer were an enemy. */
import { createHash } from 'node:crypto';
import { checkPath, withFile } from '../io/file.js';
import { readHeader, writeRaw } from '../io/safetensors.js';
import { isJorchError, JorchError } from '../runtime/errors.js';
import type { DType } from '../torch/dtype.js';

export interface ArchiveTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major elements, little-endian. */
  readonly data: Uint8Array;
}

export interface Archive {
  /** Texts by name. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, ArchiveTensor>;
}

const FORMAT = 'jorch';
const DIGEST = 'sha256';

const digestOf = (metadata: Readonly<Record<string, string>>, tensors: ReadonlyMap<string, ArchiveTensor>): string => {
  const hash = createHash('sha256');
  for (const key of Object.keys(metadata).sort()) if (key !== DIGEST) hash.update(JSON.stringify([key, metadata[key]]));
  for (const [name, { dtype, shape, data }] of tensors) hash.update(JSON.stringify([name, dtype, shape])).update(data);
  return hash.digest('hex');
};

/** Writes the file beside its place and renames it. @throws the file system's error; JorchError TOO_LARGE */
export const writeArchive = (path: string, { metadata, tensors }: Archive): void => {
  const texts = { ...metadata, format: FORMAT };
  writeRaw(
    path,
    [...tensors].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, length: data.byteLength, data: () => data },
    ]),
    { ...texts, [DIGEST]: digestOf(texts, tensors) },
  );
};

/** Texts and tensors of any safetensors file. @throws JorchError BAD_ARGUMENT for another file; the file system's error */
export const readTensorFile = (path: string): Archive =>
  withFile(path, (file) => {
    const { entries, metadata } = readHeader(file);
    const tensors = new Map<string, ArchiveTensor>();
    // In the order of the data, which is the order they were written in.
    for (const [name, { dtype, shape, from, to }] of [...entries].sort(
      ([, a], [, b]) => a.from - b.from || a.to - b.to,
    ))
      tensors.set(name, { dtype, shape, data: file.read(from, to - from) });
    return { metadata, tensors };
  });

/**
 * Reads a whole file that writeArchive wrote.
 * @throws JorchError BAD_ARGUMENT for any other file, with what is wrong; the file system's error.
 */
export const readArchive = (path: string): Archive => {
  checkPath(path);
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${path} is no exported program: ${why}`);
  };
  let archive: Archive;
  try {
    archive = readTensorFile(path);
  } catch (error) {
    // A file that cannot be opened is none to judge.
    if (!isJorchError(error) || error.cause !== undefined) throw error;
    return refuse(error.message.replace(`${path}: `, ''));
  }
  if (archive.metadata['format'] !== FORMAT) return refuse('it has no program (a safetensors file?)');
  if (digestOf(archive.metadata, archive.tensors) !== archive.metadata[DIGEST])
    return refuse('it is damaged (its SHA-256 does not match)');
  return archive;
};
