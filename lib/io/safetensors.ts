/** @file safetensors: a JSON header and raw tensors. @see https://github.com/huggingface/safetensors (the format's description) */
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { DType } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import { byteLength, fromBytes, toBytes } from './bytes.js';
import { bad, checkPath, SourceFile, withFile, writeAtomically } from './file.js';

const NAMES: Readonly<Record<DType, string>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
};
const DTYPES = new Map(Object.entries(NAMES).map(([dtype, name]) => [name, dtype as DType]));
/** The format's own limit. */
const MOST_HEADER = 100_000_000;

/** A tensor's place in the file. */
export interface Entry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}
export interface Header {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly metadata: Readonly<Record<string, string>>;
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);

const parseEntry = (path: string, name: string, value: unknown): Entry => {
  const { dtype: code, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  const dtype = DTYPES.get(String(code));
  if (dtype === undefined) return bad(path, `'${name}' has dtype ${JSON.stringify(code)}, which jorch does not know`);
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
    return bad(path, `'${name}' has no valid shape and data_offsets`);
  const [from, to] = offsets as [number, number];
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined || to - from !== bytes)
    return bad(path, `'${name}' of shape [${shape.join(', ')}] and ${dtype} does not fit its bytes ${from} to ${to}`);
  return { dtype, shape, from, to };
};

/** @throws JorchError BAD_ARGUMENT for a header that is damaged or does not account for every byte once. */
export const readHeader = (file: SourceFile): Header => {
  const { path } = file;
  if (file.size < 8) bad(path, 'is too short for a safetensors file');
  const announced = file.read(0, 8).readBigUInt64LE(0);
  if (announced > BigInt(MOST_HEADER))
    bad(path, `announces a header of ${announced} bytes; at most ${MOST_HEADER} are allowed`);
  const length = Number(announced);
  if (8 + length > file.size) bad(path, `announces a header of ${length} bytes, but has only ${file.size} in all`);
  let json: unknown;
  try {
    json = JSON.parse(file.read(8, length).toString('utf8'));
  } catch {
    return bad(path, 'its header is not JSON: not a safetensors file');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return bad(path, 'its header is no JSON object');
  const { __metadata__: metadata = {}, ...tensors } = json as Record<string, unknown>;
  if (typeof metadata !== 'object' || metadata === null || Object.values(metadata).some((v) => typeof v !== 'string'))
    return bad(path, 'its __metadata__ are not texts by name');
  const parsed = Object.entries(tensors).map(([name, value]) => [name, parseEntry(path, name, value)] as const);
  // The data are a partition: no holes that could hide something, no overlaps.
  const inOrder = [...parsed].sort(([, a], [, b]) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const [name, { from, to }] of inOrder) {
    if (from !== end)
      bad(path, `'${name}' begins at byte ${from} of the data, where ${end} was expected: overlap or hole`);
    end = to;
  }
  if (8 + length + end !== file.size)
    bad(path, `has ${file.size - 8 - length} bytes of data, its header accounts for ${end}`);
  const base = 8 + length;
  const entries = new Map(parsed.map(([name, e]) => [name, { ...e, from: base + e.from, to: base + e.to }]));
  return { entries, metadata: metadata as Record<string, string> };
};

/** An open safetensors file: tensors are read when asked for. */
export interface SafeOpen {
  keys(): string[];
  metadata(): Readonly<Record<string, string>>;
  /** Shape and dtype, without reading the data. */
  describe(name: string): { readonly shape: readonly number[]; readonly dtype: DType };
  get_tensor(name: string): Tensor;
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * Opens a safetensors file and reads its header only.
 * @throws JorchError BAD_ARGUMENT for a file whose header is damaged or does not account for every byte once.
 */
export const safe_open = (path: string): SafeOpen => {
  const file = new SourceFile(path);
  let header: Header;
  try {
    header = readHeader(file);
  } catch (error) {
    file.close();
    throw error;
  }
  const find = (name: string): Entry =>
    header.entries.get(name) ??
    bad(path, `has no tensor '${name}'; there are ${[...header.entries.keys()].join(', ')}`);
  const close = (): void => file.close();
  return {
    keys: () => [...header.entries.keys()],
    metadata: () => header.metadata,
    describe: (name) => {
      const { shape, dtype } = find(name);
      return { shape, dtype };
    },
    get_tensor: (name) => {
      const { from, to, dtype, shape } = find(name);
      return fromBytes(file.read(from, to - from), dtype, shape);
    },
    close,
    [Symbol.dispose]: close,
  };
};

/** All tensors of a safetensors file by name. */
export const load_file = (path: string): Record<string, Tensor> => {
  const file = safe_open(path);
  try {
    return Object.fromEntries(file.keys().map((name) => [name, file.get_tensor(name)]));
  } finally {
    file.close();
  }
};

/** Whether a file begins like safetensors. */
export const looksLikeSafetensors = (path: string): boolean =>
  withFile(
    path,
    (file) =>
      file.size >= 9 && file.read(0, 8).readBigUInt64LE(0) <= BigInt(file.size - 8) && file.read(8, 1)[0] === 0x7b,
  );

/** A tensor to be written: its bytes are asked for when their turn comes. */
export interface RawTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes. */
  readonly length: number;
  data(): Uint8Array;
}

/** Writes tensors and texts by name, atomically, in the order given. @throws JorchError TOO_LARGE for texts beyond the format's limit */
export const writeRaw = (
  path: string,
  tensors: readonly (readonly [string, RawTensor])[],
  metadata?: Readonly<Record<string, string>>,
): void => {
  let end = 0;
  const header: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  for (const [name, { dtype, shape, length }] of tensors) {
    header.push([name, { dtype: NAMES[dtype], shape, data_offsets: [end, end + length] }]);
    end += length;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  if (padded.length > MOST_HEADER)
    throw new JorchError(
      'TOO_LARGE',
      `${path}: a safetensors header of ${padded.length} bytes would be needed, ${MOST_HEADER} are allowed`,
    );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const chunks = function* (): Generator<Uint8Array> {
    yield length;
    yield padded;
    for (const [, tensor] of tensors) yield tensor.data();
  };
  writeAtomically(path, chunks());
};

/** Writes tensors by name, and texts by name, atomically. Tensors that share memory are written each. */
export const save_file = (
  tensors: Readonly<Record<string, Tensor>>,
  path: string,
  metadata?: Readonly<Record<string, string>>,
): void => {
  checkPath(path);
  if (typeof tensors !== 'object' || tensors === null)
    throw new JorchError(
      'BAD_ARGUMENT',
      `save_file: expected an object of tensors, got ${tensors === null ? 'null' : typeof tensors}`,
    );
  const order = Object.keys(NAMES);
  const list = Object.entries(tensors);
  for (const [name, tensor] of list) {
    if (!native().isTensor(tensor))
      throw new JorchError(
        'BAD_ARGUMENT',
        `save_file: '${name}' is ${tensor === null ? 'null' : typeof tensor}, not a tensor; safetensors holds tensors only`,
      );
    if (name === '__metadata__') throw new JorchError('BAD_ARGUMENT', "save_file: '__metadata__' cannot name a tensor");
  }
  // Widest elements first keeps every tensor aligned.
  list.sort(([a, s], [b, t]) => order.indexOf(s.dtype) - order.indexOf(t.dtype) || (a < b ? -1 : 1));
  list.sort(([, s], [, t]) => t.itemsize - s.itemsize);
  writeRaw(
    path,
    list.map(([name, t]) => [name, { dtype: t.dtype, shape: [...t.shape], length: t.nbytes, data: () => toBytes(t) }]),
    metadata,
  );
};
