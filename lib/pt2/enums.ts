/** @file The numbers of torch.export's schema. @see torch/_export/serde/schema.py, SCHEMA_VERSION 8 */
import type { DType } from '../torch/dtype.js';
import type { JsonReader } from './json.js';

const DTYPES: Readonly<Record<number, DType>> = {
  1: 'uint8',
  2: 'int8',
  3: 'int16',
  4: 'int32',
  5: 'int64',
  6: 'float16',
  7: 'float32',
  8: 'float64',
  10: 'complex64',
  11: 'complex128',
  12: 'bool',
  13: 'bfloat16',
  28: 'uint16',
};
const STRIDED = 7;
const MEMORY_FORMATS: Readonly<Record<number, string>> = {
  1: 'contiguous_format',
  2: 'channels_last',
  3: 'channels_last_3d',
  4: 'preserve_format',
};

export const dtypeOf = (json: JsonReader, value: unknown): DType =>
  DTYPES[value as number] ?? json.damaged(`it uses the scalar type ${String(value)}, which jorch has not`);
export const layoutOf = (json: JsonReader, value: unknown): string =>
  value === STRIDED ? 'strided' : json.damaged(`it uses the layout ${String(value)}; jorch has strided tensors only`);
export const memoryFormatOf = (json: JsonReader, value: unknown): string =>
  MEMORY_FORMATS[value as number] ?? json.damaged(`it uses the memory format ${String(value)}`);
