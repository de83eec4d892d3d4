/** @file Reads a safetensors file into typed arrays: the runner's own reader, so that it does not test jorch's with itself. */
import { readFileSync } from 'node:fs';

/** Elements in row-major order; complex numbers as pairs; float16 and bfloat16 widened to float32. */
export type Elements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export type StoredTensors = ReadonlyMap<string, Elements>;

type Reader = (bytes: ArrayBuffer) => Elements;

/** The value of IEEE binary16 bits. */
const halfToNumber = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
};

const READERS: Readonly<Record<string, Reader>> = {
  F32: (b) => new Float32Array(b),
  F64: (b) => new Float64Array(b),
  F16: (b) => Float32Array.from(new Uint16Array(b), halfToNumber),
  // bfloat16 is the upper half of a float32.
  BF16: (b) => new Float32Array(Uint32Array.from(new Uint16Array(b), (bits) => bits << 16).buffer),
  I8: (b) => new Int8Array(b),
  I16: (b) => new Int16Array(b),
  I32: (b) => new Int32Array(b),
  I64: (b) => new BigInt64Array(b),
  U8: (b) => new Uint8Array(b),
  U16: (b) => new Uint16Array(b),
  U32: (b) => new Uint32Array(b),
  U64: (b) => new BigUint64Array(b),
  BOOL: (b) => new Uint8Array(b),
};

export const readSafetensors = (path: string): StoredTensors => {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Elements>();
  for (const [
    key,
    {
      dtype,
      data_offsets: [from, to],
    },
  ] of Object.entries(header).filter(([name]) => name !== '__metadata__')) {
    const read = READERS[dtype];
    if (!read) throw new Error(`${path}: ${key} has dtype ${dtype}, which the reader does not know`);
    const start = 8 + headerLength + from;
    // A copy: entries are aligned to their own elements at best.
    tensors.set(key, read(Uint8Array.from(file.subarray(start, start + to - from)).buffer));
  }
  return tensors;
};
