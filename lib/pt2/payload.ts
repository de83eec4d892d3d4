/** @file The weights and constants of an exported program. */
import { elements, fromBytes } from '../io/bytes.js';
import { bad, type SourceFile } from '../io/file.js';
import { readEntry, type ZipEntry } from '../io/zip.js';
import { type DType, ITEM_BYTES } from '../torch/dtype.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';
import { dtypeOf, layoutOf } from './enums.js';
import { JsonReader, parseJson } from './json.js';

export interface Payload {
  readonly tensor: Tensor;
  readonly isParameter: boolean;
  readonly requiresGrad: boolean;
}
/** An archive's entries by name, without its root folder. */
export type Entries = ReadonlyMap<string, ZipEntry>;

/** PyTorch stores its JSON as it is; what is compressed may be a bomb. */
const MOST_JSON = 512 << 20;
const MOST_INFLATED = 32 << 20;

export const readJson = (file: SourceFile, entries: Entries, name: string): unknown => {
  const entry = entries.get(name) ?? bad(file.path, `has no '${name}'`);
  const most = entry.size > entry.compressed ? MOST_INFLATED : MOST_JSON;
  if (entry.size > most) bad(file.path, `'${name}' has ${entry.size} bytes; jorch reads at most ${most}`);
  return parseJson(file.path, name, readEntry(file, entry).toString());
};

/**
 * The tensors that `${folder}/${model}_…_config.json` lists, by name. Tensors in one payload share memory; those that are the same part of it
 * are one tensor (tied weights).
 */
export const readPayloads = (
  file: SourceFile,
  entries: Entries,
  folder: string,
  config: string,
): Map<string, Payload> => {
  const { path } = file;
  const json = new JsonReader(path);
  const storages = new Map<string, Tensor>();
  const made = new Map<string, Payload>();
  const numbers = (value: unknown, what: string): number[] =>
    json.list(value, what).map((item) => {
      const [kind, n] = json.union(item, what);
      return kind === 'as_int' ? json.size(n, what) : json.damaged(`${what} is symbolic`);
    });

  const storage = (name: string, dtype: DType): Tensor => {
    const key = `${name} ${dtype}`;
    let flat = storages.get(key);
    if (flat === undefined) {
      const entry = entries.get(`${folder}/${name}`) ?? bad(path, `has no payload '${folder}/${name}'`);
      const count = entry.size / ITEM_BYTES[dtype];
      if (!Number.isInteger(count))
        bad(path, `'${folder}/${name}' has ${entry.size} bytes, no whole number of ${dtype}`);
      flat = fromBytes(readEntry(file, entry), dtype, [count]);
      storages.set(key, flat);
    }
    return flat;
  };

  const read = (name: string, given: unknown): Payload => {
    const fields = json.object(given, `'${name}'`);
    const payload = json.text(fields['path_name'], `the payload of '${name}'`);
    if (fields['use_pickle'] === true)
      bad(path, `'${name}' is a tensor of a Python class or a custom object, which jorch does not load`);
    const meta = json.object(fields['tensor_meta'], `'${name}'`);
    const dtype = dtypeOf(json, meta['dtype']);
    layoutOf(json, meta['layout']);
    const sizes = numbers(meta['sizes'], `the shape of '${name}'`);
    const strides = numbers(meta['strides'], `the strides of '${name}'`);
    const [offset] = numbers([meta['storage_offset']], `the offset of '${name}'`);
    if (strides.length !== sizes.length || elements(sizes) === undefined) json.damaged(`'${name}' has no valid shape`);
    const requiresGrad = meta['requires_grad'] === true;
    const isParameter = fields['is_param'] === true;
    const key = `${payload} ${dtype} ${sizes.join()} ${strides.join()} ${offset} ${isParameter}`;
    const known = made.get(key);
    if (known !== undefined) return known;
    let tensor: Tensor;
    if (sizes.includes(0)) tensor = torch.zeros(sizes, { dtype });
    else {
      const bytes = entries.get(`${folder}/${payload}`)?.size ?? 0;
      const last = sizes.reduce((at, n, d) => at + (n - 1) * strides[d]!, offset!);
      // Before the payload is read.
      if (!((last + 1) * ITEM_BYTES[dtype] <= bytes))
        bad(path, `'${name}' of shape [${sizes.join(', ')}] reaches beyond its payload of ${bytes} bytes`);
      const flat = storage(payload, dtype);
      tensor = no_grad(() => torch.as_strided(flat, sizes, strides, offset!));
    }
    const result = { tensor, isParameter, requiresGrad };
    made.set(key, result);
    return result;
  };

  const { config: listed } = json.object(readJson(file, entries, config), config);
  return new Map(Object.entries(json.object(listed, config)).map(([name, given]) => [name, read(name, given)]));
};
