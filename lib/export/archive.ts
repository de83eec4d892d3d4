/** @file The file of an exported program: a safetensors file whose metadata holds the program. Read as if its writer were an enemy. */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { JorchError } from '../runtime/errors.js';
import { DTYPES, type DType, ITEM_BYTES } from '../torch/dtype.js';

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

/** safetensors' names of dtypes; the complex ones beyond C64 are ours. */
const NAMES: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int8: 'I8',
  int16: 'I16',
  int32: 'I32',
  int64: 'I64',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
};
const BY_NAME = new Map(DTYPES.map((d) => [NAMES[d], d]));

/** As safetensors has it: no header is longer. */
const MAX_HEADER = 100_000_000;
const DIGEST = 'sha256';

const digestOf = (metadata: Readonly<Record<string, string>>, tensors: ReadonlyMap<string, ArchiveTensor>): string => {
  const hash = createHash('sha256');
  for (const key of Object.keys(metadata).sort()) if (key !== DIGEST) hash.update(JSON.stringify([key, metadata[key]]));
  for (const [name, { dtype, shape, data }] of tensors) hash.update(JSON.stringify([name, dtype, shape])).update(data);
  return hash.digest('hex');
};

/** Writes the file beside its place and renames it. @throws the file system's error; JorchError TOO_LARGE */
export const writeArchive = (path: string, { metadata, tensors }: Archive): void => {
  const header: Record<string, unknown> = {
    __metadata__: { ...metadata, format: 'jorch', [DIGEST]: digestOf({ ...metadata, format: 'jorch' }, tensors) },
  };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  let text = Buffer.from(JSON.stringify(header));
  text = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  if (text.length > MAX_HEADER)
    throw new JorchError(
      'TOO_LARGE',
      `export: the program's text has ${text.length} bytes, more than the ${MAX_HEADER} that a file may have; make large constants captured tensors`,
    );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  const fd = openSync(temporary, 'wx', 0o644);
  try {
    try {
      const write = (bytes: Uint8Array): void => {
        for (let done = 0; done < bytes.byteLength; ) done += writeSync(fd, bytes, done, bytes.byteLength - done);
      };
      write(length);
      write(text);
      for (const { data } of tensors.values()) write(data);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Placed {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** One tensor of the header; everything about it is checked before any memory is taken. */
const placed = (name: string, value: unknown, refuse: (why: string) => never): Placed => {
  if (!isRecord(value)) return refuse(`'${name}' is no tensor`);
  const { dtype: dtypeName, shape, data_offsets: offsets } = value;
  const dtype = BY_NAME.get(dtypeName as string);
  if (!dtype) return refuse(`'${name}' has the unknown dtype ${JSON.stringify(dtypeName)}`);
  const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isSize)) return refuse(`'${name}' has no shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    return refuse(`'${name}' has no place`);
  const [from, to] = offsets as [number, number];
  const bytes = shape.reduce((product: number, n) => product * n, ITEM_BYTES[dtype]);
  if (!Number.isSafeInteger(bytes) || to - from !== bytes)
    return refuse(`'${name}' takes ${to - from} bytes, its shape and dtype need ${bytes}`);
  return { name, dtype, shape, from, to };
};

/**
 * Reads a whole file that writeArchive wrote.
 * @throws JorchError BAD_ARGUMENT for any other file, with what is wrong; the file system's error.
 */
export const readArchive = (path: string): Archive => {
  const what = 'no exported program';
  const archive = readTensorFile(path, what);
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${path} is ${what}: ${why}`);
  };
  if (archive.metadata['format'] !== 'jorch') return refuse('it has no program (a safetensors file?)');
  if (digestOf(archive.metadata, archive.tensors) !== archive.metadata[DIGEST])
    return refuse('it is damaged (its SHA-256 does not match)');
  return archive;
};

/** Reads any safetensors file. @throws JorchError BAD_ARGUMENT for another file: `… is WHAT: …`; the file system's error */
export const readTensorFile = (path: string, what = 'no safetensors file'): Archive => {
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${path} is ${what}: ${why}`);
  };
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return refuse('it is no file');
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const n = readSync(fd, bytes, done, length - done, at + done);
        if (n === 0) return refuse('it ends too early');
        done += n;
      }
      return bytes;
    };
    if (stat.size < 8) return refuse('it is too short');
    const length = Number(read(0, 8).readBigUInt64LE());
    if (length > MAX_HEADER || length + 8 > stat.size) return refuse(`its header would have ${length} bytes`);
    let header: unknown;
    try {
      header = JSON.parse(read(8, length).toString('utf8'));
    } catch {
      return refuse('its header is not JSON');
    }
    if (!isRecord(header)) return refuse('its header is no object');
    const { __metadata__: metadata = {}, ...rest } = header;
    if (!isRecord(metadata)) return refuse('its metadata is no object');
    for (const [key, value] of Object.entries(metadata))
      if (typeof value !== 'string') return refuse(`its metadata '${key}' is no text`);
    const texts = metadata as Record<string, string>;
    const places = Object.entries(rest)
      .map(([name, value]) => placed(name, value, refuse))
      .sort((a, b) => a.from - b.from || a.to - b.to);
    const start = 8 + length;
    let end = 0;
    for (const { name, from, to } of places) {
      if (from !== end) return refuse(`'${name}' begins at ${from}, ${end} was expected`);
      end = to;
    }
    if (start + end !== stat.size) return refuse(`it has ${stat.size} bytes, its header tells of ${start + end}`);
    const tensors = new Map<string, ArchiveTensor>();
    for (const { name, dtype, shape, from, to } of places)
      tensors.set(name, { dtype, shape, data: read(start + from, to - from) });
    return { metadata: texts, tensors };
  } finally {
    closeSync(fd);
  }
};
