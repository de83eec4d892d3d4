/** @file NumPy's .npy files, as arguments of `jorch run`. Format: numpy.lib.format, versions 1 to 3. */
import { ARRAY_OF, elementsOf } from '../export/host-tensor.js';
import type { TypedArray } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import type { DType } from '../torch/dtype.js';

const DTYPE_OF: Readonly<Record<string, DType>> = {
  '<f4': 'float32',
  '<f8': 'float64',
  '<f2': 'float16',
  '|i1': 'int8',
  '<i2': 'int16',
  '<i4': 'int32',
  '<i8': 'int64',
  '|u1': 'uint8',
  '<u2': 'uint16',
  '<u4': 'uint32',
  '<u8': 'uint64',
  '|b1': 'bool',
  '<c8': 'complex64',
  '<c16': 'complex128',
};

/** @throws JorchError BAD_ARGUMENT for what is no little-endian, row-major .npy file, with the reason */
export const readNpy = (bytes: Buffer, name: string): { data: TypedArray; shape: number[]; dtype: DType } => {
  const refuse = (why: string): never => {
    throw new JorchError('BAD_ARGUMENT', `${name}: ${why}`);
  };
  if (bytes.length < 10 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY') return refuse('no .npy file');
  const long = bytes[6]! >= 2;
  if (long && bytes.length < 12) return refuse('it ends too early');
  const start = long ? 12 : 10;
  const length = long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  if (start + length > bytes.length) return refuse('it ends too early');
  const header = bytes.toString('utf8', start, start + length);
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? '';
  const dtype = DTYPE_OF[descr];
  if (!dtype)
    return refuse(`its dtype is ${descr || 'not simple'}; save it with .astype('float32') or another plain one`);
  if (!/'fortran_order':\s*False/.test(header))
    return refuse('it is column-major; save it with numpy.ascontiguousarray');
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  if (shapeText === undefined) return refuse('it has no shape');
  const shape = shapeText.split(',').flatMap((n) => (n.trim() === '' ? [] : [Number(n)]));
  const Elements = ARRAY_OF[dtype];
  const count = elementsOf(dtype, shape);
  const data = bytes.subarray(start + length);
  if (data.length !== count * Elements.BYTES_PER_ELEMENT)
    return refuse(`it holds ${data.length} bytes, its shape needs ${count * Elements.BYTES_PER_ELEMENT}`);
  return { data: new Elements(new Uint8Array(data).buffer), shape, dtype };
};
