/** @file numpy's .npy: one array. @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
import { JorchError } from '../runtime/errors.js';
import { type DType, ITEM_BYTES, isComplex } from '../torch/dtype.js';
import type { Tensor } from '../torch/tensor.js';
import { byteLength, fromBytes, toBytes } from './bytes.js';
import { bad } from './file.js';

const CODES: Readonly<Partial<Record<DType, string>>> = {
  float64: 'f8',
  float32: 'f4',
  float16: 'f2',
  int64: 'i8',
  int32: 'i4',
  int16: 'i2',
  int8: 'i1',
  uint64: 'u8',
  uint32: 'u4',
  uint16: 'u2',
  uint8: 'u1',
  bool: 'b1',
  complex64: 'c8',
  complex128: 'c16',
};
const DTYPES = new Map(Object.entries(CODES).map(([dtype, code]) => [code, dtype as DType]));

/** Any part of a file or archive, by range. */
export interface Bytes {
  readonly path: string;
  readonly size: number;
  read(from: number, length: number): Buffer;
}
export const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
const HEADER =
  /^\{\s*'descr':\s*'([<>|=])(\w+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\sL]*)\),?\s*\}\s*$/;

/** What a .npy file holds: elements in little-endian order, and whether they are column-major. */
export interface NpyArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Buffer;
  readonly fortran: boolean;
}

/** @throws JorchError BAD_ARGUMENT for a damaged header, for objects and structured arrays. */
export const parseNpy = (source: Bytes): NpyArray => {
  const { path } = source;
  if (source.size < 10 || !source.read(0, 6).equals(MAGIC)) bad(path, 'is not a .npy file');
  const [major] = source.read(6, 1) as unknown as [number];
  if (major < 1 || major > 3) bad(path, `has .npy version ${major}, which jorch does not know`);
  const start = major === 1 ? 10 : 12;
  const length = major === 1 ? source.read(8, 2).readUInt16LE() : source.read(8, 4).readUInt32LE();
  if (length > 1_000_000) bad(path, `announces a header of ${length} bytes`);
  const header = source.read(start, length).toString(major === 3 ? 'utf8' : 'latin1');
  const found = HEADER.exec(header);
  if (!found)
    return bad(path, `is no plain array of numbers; its header is ${JSON.stringify(header.trim().slice(0, 200))}`);
  const [, order, code, fortran, sizes] = found as unknown as [string, string, string, string, string];
  const dtype = DTYPES.get(code);
  if (dtype === undefined) return bad(path, `has elements '${order}${code}', which no torch dtype holds`);
  const shape = sizes.split(',').flatMap((s) => (s.trim() === '' ? [] : [Number.parseInt(s, 10)]));
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined || start + length + bytes !== source.size)
    return bad(
      path,
      `has ${source.size - start - length} bytes of data, which is not the shape [${shape.join(', ')}] of ${dtype}`,
    );
  const data = source.read(start + length, bytes);
  if (order === '>') swap(data, isComplex(dtype) ? ITEM_BYTES[dtype] / 2 : ITEM_BYTES[dtype]);
  return { dtype, shape, data, fortran: fortran === 'True' };
};

/** The same as a tensor. */
export const readNpy = (source: Bytes): Tensor => {
  const { dtype, shape, data, fortran } = parseNpy(source);
  if (!fortran || shape.length < 2) return fromBytes(data, dtype, shape);
  const turned = fromBytes(data, dtype, [...shape].reverse());
  return turned.permute(shape.map((_, d) => shape.length - 1 - d));
};

const swap = (data: Buffer, width: number): void => {
  if (width === 2) data.swap16();
  else if (width === 4) data.swap32();
  else if (width === 8) data.swap64();
};

/** The chunks of a .npy file. bfloat16 has no numpy dtype. */
export const npyChunks = (tensor: Tensor): Uint8Array[] => {
  const code = CODES[tensor.dtype];
  if (code === undefined)
    throw new JorchError('BAD_ARGUMENT', `save: numpy has no ${tensor.dtype}; convert with to('float32') first`);
  const { shape } = tensor;
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const order = ITEM_BYTES[tensor.dtype] === 1 ? '|' : '<';
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const padding = 63 - ((10 + text.length) % 64);
  const header = Buffer.from(`${text}${' '.repeat(padding)}\n`, 'latin1');
  const front = Buffer.alloc(10);
  MAGIC.copy(front);
  front[6] = 1;
  front.writeUInt16LE(header.length, 8);
  return [front, header, toBytes(tensor)];
};
