/** @file PyTorch's checkpoints (.pt, .pth): a zip archive with a pickle and the storages. */
import { basename } from 'node:path';
import { Parameter } from '../nn/index.js';
import { isParameter } from '../nn/parameter.js';
import { native } from '../runtime/load.js';
import { DTYPES, type DType, ITEM_BYTES } from '../torch/dtype.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/tensor.js';
import { elements, fromBytes, toBytes } from './bytes.js';
import { bad, type SourceFile, writeAtomically } from './file.js';
import { dictOf, emptyDict, type Known, readPickle } from './pickle-read.js';
import { Call, Global, Persistent, Tuple, writePickle } from './pickle-write.js';
import { readEntry, type ZipEntry, zipChunks } from './zip.js';

/** torch's storage classes by dtype. */
const STORAGES: Readonly<Record<DType, string>> = {
  float64: 'DoubleStorage',
  float32: 'FloatStorage',
  float16: 'HalfStorage',
  bfloat16: 'BFloat16Storage',
  int64: 'LongStorage',
  int32: 'IntStorage',
  int16: 'ShortStorage',
  int8: 'CharStorage',
  uint8: 'ByteStorage',
  bool: 'BoolStorage',
  complex64: 'ComplexFloatStorage',
  complex128: 'ComplexDoubleStorage',
  // These have no class of their own: the storage is untyped and the tensor says its dtype.
  uint16: 'UntypedStorage',
  uint32: 'UntypedStorage',
  uint64: 'UntypedStorage',
};
const UNTYPED = 'untyped';

class StorageClass {
  constructor(readonly dtype: DType | typeof UNTYPED) {}
}
/** A storage that the pickle refers to; read when a tensor wants it. */
class Storage {
  private readonly flat = new Map<DType, Tensor>();
  constructor(
    private readonly file: SourceFile,
    private readonly entry: ZipEntry,
    readonly dtype: DType | typeof UNTYPED,
  ) {}
  get bytes(): number {
    return this.entry.size;
  }
  as(dtype: DType): Tensor {
    let flat = this.flat.get(dtype);
    if (flat === undefined) {
      flat = fromBytes(readEntry(this.file, this.entry), dtype, [this.entry.size / ITEM_BYTES[dtype]]);
      this.flat.set(dtype, flat);
    }
    return flat;
  }
}

const isSizes = (v: unknown): v is number[] =>
  Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);

const rebuild = (
  path: string,
  storage: unknown,
  offset: unknown,
  size: unknown,
  stride: unknown,
  given?: DType,
): Tensor => {
  if (
    !(storage instanceof Storage) ||
    !isSizes([offset]) ||
    !isSizes(size) ||
    !isSizes(stride) ||
    size.length !== stride.length
  )
    return bad(path, 'has a tensor without a valid storage, size and stride');
  const dtype = given ?? storage.dtype;
  if (dtype === UNTYPED) return bad(path, 'has a tensor of an untyped storage without a dtype');
  const width = ITEM_BYTES[dtype];
  const available = storage.bytes / width;
  const empty = size.includes(0);
  const last = size.reduce((at, n, d) => at + (n - 1) * stride[d]!, offset as number);
  if (!Number.isInteger(available) || elements(size) === undefined || (!empty && !(last < available)))
    return bad(
      path,
      `has a tensor of shape [${size.join(', ')}] that reaches beyond its storage of ${available} elements`,
    );
  return no_grad(() => torch.as_strided(storage.as(dtype), size, stride, offset as number));
};

const namesFor = (path: string): Record<string, Known> => {
  const ofStorage = (storage: unknown, offset: unknown, size: unknown, stride: unknown): Tensor =>
    rebuild(path, storage, offset, size, stride);
  const finished = (tensor: Tensor, requiresGrad: unknown, metadata: unknown): Tensor => {
    const { conj } = (metadata ?? {}) as { conj?: boolean };
    const value = conj === true ? tensor.conj() : tensor;
    return requiresGrad === true ? value.requires_grad_(true) : value;
  };
  const parameter = (data: unknown, requiresGrad: unknown): Tensor =>
    native().isTensor(data)
      ? new Parameter(data, requiresGrad === true)
      : bad(path, 'has a parameter without a tensor');
  const names: Record<string, Known> = {
    'collections OrderedDict': {
      call: (pairs) => (Array.isArray(pairs) ? dictOf(pairs as [unknown, unknown][]) : emptyDict()),
    },
    'collections defaultdict': { call: () => emptyDict() },
    'builtins dict': { call: () => emptyDict(), value: 'dict' },
    'builtins set': { call: (items) => new Set(items as unknown[]) },
    'builtins frozenset': { call: (items) => new Set(items as unknown[]) },
    'builtins complex': { call: (re, im) => ({ re, im }) },
    'builtins bytearray': { call: (data) => data },
    '_codecs encode': { call: (text) => Uint8Array.from(Buffer.from(String(text), 'latin1')) },
    'torch Size': { call: (sizes) => sizes },
    'torch device': { call: (type, index) => (index === undefined ? type : `${String(type)}:${String(index)}`) },
    'torch.serialization _get_layout': { call: (name) => name },
    'torch._utils _rebuild_tensor': { call: ofStorage },
    'torch._utils _rebuild_tensor_v2': {
      call: (storage, offset, size, stride, requiresGrad, _hooks, metadata) =>
        finished(ofStorage(storage, offset, size, stride), requiresGrad, metadata),
    },
    'torch._utils _rebuild_tensor_v3': {
      call: (storage, offset, size, stride, requiresGrad, _hooks, dtype, metadata) =>
        finished(rebuild(path, storage, offset, size, stride, dtype as DType), requiresGrad, metadata),
    },
    'torch._utils _rebuild_parameter': { call: parameter },
    'torch._utils _rebuild_parameter_with_state': { call: parameter },
    'torch.nn.parameter Parameter': { value: 'Parameter' },
    'torch.storage UntypedStorage': { value: new StorageClass(UNTYPED) },
    'torch UntypedStorage': { value: new StorageClass(UNTYPED) },
  };
  for (const dtype of DTYPES) {
    names[`torch ${dtype}`] = { value: dtype };
    if (STORAGES[dtype] !== 'UntypedStorage') names[`torch ${STORAGES[dtype]}`] = { value: new StorageClass(dtype) };
  }
  return names;
};

/** Reads the pickle at `name` of an archive whose storages are at `data`. Tensors that share a storage share memory. */
export const readCheckpoint = (file: SourceFile, entries: ReadonlyMap<string, ZipEntry>, name: string): unknown => {
  const { path } = file;
  const root = name.slice(0, name.lastIndexOf('/') + 1);
  const order = entries.get(`${root}byteorder`);
  if (order !== undefined && order.size < 16 && readEntry(file, order).toString().trim() === 'big')
    bad(path, 'was written on a big-endian machine, which jorch does not read');
  const storages = new Map<string, Storage>();
  return readPickle(readEntry(file, entries.get(name)!), {
    path,
    names: namesFor(path),
    persistent: (id) => {
      const [kind, type, key, , count] = Array.isArray(id) ? (id as unknown[]) : [];
      if (kind !== 'storage' || !(type instanceof StorageClass) || typeof key !== 'string')
        return bad(path, 'refers to an object outside the pickle that is no storage');
      const entry = entries.get(`${root}data/${key}`) ?? bad(path, `has no storage '${key}'`);
      const width = type.dtype === UNTYPED ? 1 : ITEM_BYTES[type.dtype];
      if (entry.size !== (count as number) * width)
        bad(path, `says that storage '${key}' has ${String(count)} elements, but it has ${entry.size} bytes`);
      const storage = storages.get(key) ?? new Storage(file, entry, type.dtype);
      storages.set(key, storage);
      return storage;
    },
  });
};

/** Writes a value as torch.save does. Tensors that are the same memory are written once. */
export const writeCheckpoint = (value: unknown, path: string): void => {
  const stored: { tensor: Tensor; key: string }[] = [];
  const buckets = new Map<string, { tensor: Tensor; key: string }[]>();
  const keyOf = (tensor: Tensor): string => {
    const bucket = `${tensor.dtype} ${tensor.shape.join()} ${tensor.strides.join()} ${tensor.offset}`;
    const list = buckets.get(bucket) ?? [];
    buckets.set(bucket, list);
    let known = list.find((k) => k.tensor === tensor || k.tensor.is_set_to(tensor));
    if (known === undefined) {
      known = { tensor, key: String(stored.length) };
      stored.push(known);
      list.push(known);
    }
    return known.key;
  };
  const rowMajor = (shape: readonly number[]): number[] =>
    shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * Math.max(b, 1), 1));
  const tensorOf = (given: Tensor): unknown => {
    const tensor = no_grad(() => given.detach());
    const key = keyOf(given);
    const type = STORAGES[tensor.dtype];
    const untyped = type === 'UntypedStorage';
    const count = untyped ? tensor.nbytes : tensor.numel();
    const storage = new Persistent([
      'storage',
      new Global(untyped ? 'torch.storage UntypedStorage' : `torch ${type}`),
      key,
      'cpu',
      count,
    ]);
    const shape = new Tuple([...tensor.shape]);
    const parameter: boolean = isParameter(given);
    const common = [storage, 0, shape, new Tuple(rowMajor(tensor.shape)), !parameter && given.requires_grad];
    const hooks = new Call(new Global('collections OrderedDict'), []);
    const made = untyped
      ? new Call(new Global('torch._utils _rebuild_tensor_v3'), [
          ...common,
          hooks,
          new Global(`torch ${tensor.dtype}`),
          {},
        ])
      : new Call(new Global('torch._utils _rebuild_tensor_v2'), [...common, hooks]);
    return parameter
      ? new Call(new Global('torch._utils _rebuild_parameter'), [made, given.requires_grad, hooks])
      : made;
  };
  const pickle = writePickle(value, (v) => (native().isTensor(v) ? tensorOf(v) : undefined));
  const root = basename(path).replace(/\.[^.]*$/, '') || 'archive';
  const text = (name: string, content: string) => ({ name: `${root}/${name}`, bytes: () => Buffer.from(content) });
  writeAtomically(
    path,
    zipChunks([
      { name: `${root}/data.pkl`, bytes: () => pickle },
      text('.format_version', '1'),
      text('.storage_alignment', '64'),
      text('byteorder', 'little'),
      ...stored.map(({ tensor, key }) => ({ name: `${root}/data/${key}`, bytes: () => toBytes(tensor) })),
      text('version', '3\n'),
    ]),
  );
};
