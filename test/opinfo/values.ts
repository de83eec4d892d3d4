/** @file Arguments of recorded calls as a user of jorch would write them, and tensors from stored elements. */
import * as torch from '../../lib/index.js';
import type { Encoded, Entry, Input, Ref } from './format.js';
import type { StoredTensors } from './safetensors.js';

/** Values of `$t` and `$r`. */
export interface Scope {
  readonly inputs: readonly torch.Tensor[];
  readonly results: readonly unknown[];
}

/** Follows a reference to a call's result or an input. */
export const resolveRef = (ref: Ref, { inputs, results }: Scope): unknown => {
  let value: unknown = ref.$t !== undefined ? inputs[ref.$t] : results[ref.$r!];
  for (const step of ref.path ?? []) value = (value as Record<number | string, unknown>)[step];
  return value;
};

/** What a Python type means as a dtype. */
const PYTYPES: Readonly<Record<string, string>> = {
  float: 'float64',
  int: 'int64',
  bool: 'bool',
  complex: 'complex128',
};

const numberOf = (text: string): number =>
  text === 'inf' ? Number.POSITIVE_INFINITY : text === '-inf' ? Number.NEGATIVE_INFINITY : Number(text);

type Tagged = Readonly<Record<string, Encoded>>;

/** `exactFloats`: 2.0 as `Scalar.float(2)`, for operators whose result depends on it; functions written in TypeScript take plain numbers. */
export const decode = (value: Encoded, scope: Scope, exactFloats: boolean): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((v) => decode(v, scope, exactFloats));
  const tagged = value as Tagged;
  if ('$t' in tagged || '$r' in tagged) return resolveRef(tagged as Ref, scope);
  const [tag, content] = Object.entries(tagged)[0] ?? ['', null];
  switch (tag) {
    case '$float': {
      const x = numberOf(content as string);
      return exactFloats && Number.isInteger(x) ? torch.Scalar.float(x) : x;
    }
    case '$int':
      return BigInt(content as string);
    case '$complex': {
      const [re, im] = content as readonly string[];
      return torch.Scalar.complex(numberOf(re!), numberOf(im!));
    }
    case '$tuple':
      return (content as readonly Encoded[]).map((v) => decode(v, scope, exactFloats));
    case '$dict':
      return Object.fromEntries(
        (content as readonly (readonly [Encoded, Encoded])[]).map(([k, v]) => [
          String(k),
          decode(v, scope, exactFloats),
        ]),
      );
    case '$slice': {
      const [start, stop, step] = (content as readonly Encoded[]).map((v) => decode(v, scope, false) as number | null);
      return torch.slice(start ?? null, stop ?? null, step ?? 1);
    }
    case '$ellipsis':
      return '...';
    case '$generator':
      return new torch.Generator().manual_seed(content as number);
    case '$pytype':
      return PYTYPES[content as string] ?? content;
    case '$dtype':
    case '$device':
    case '$layout':
    case '$memory_format':
      return content;
    default:
      throw new Error(`the runner does not know the value ${JSON.stringify(value)}`);
  }
};

const isComplex = (entry: Entry): boolean => entry.dtype === 'complex64' || entry.dtype === 'complex128';

const flatTensor = (entry: Entry, tensors: StoredTensors): torch.Tensor => {
  const elements = tensors.get(entry.key!);
  if (!elements) throw new Error(`the safetensors file lacks ${entry.key}`);
  const flat = torch.tensor(elements);
  // The clone is a tensor of its own, not a view: calls may change it in place.
  if (isComplex(entry)) return torch.view_as_complex(flat.reshape([elements.length / 2, 2])).clone();
  return flat.dtype === entry.dtype ? flat : flat.to(entry.dtype);
};

/** A fresh row-major tensor with an entry's elements. */
export const makeTensor = (entry: Entry, tensors: StoredTensors): torch.Tensor =>
  flatTensor(entry, tensors).reshape([...entry.shape]);

/** A fresh input: a view of its flat storage where it has strides, a leaf that takes gradients where it says so. */
export const makeInput = (input: Input, tensors: StoredTensors): torch.Tensor => {
  const { shape, stride, offset } = input;
  const made = stride
    ? flatTensor(input, tensors).as_strided([...shape], [...stride], offset ?? 0)
    : makeTensor(input, tensors);
  return input.requires_grad ? made.detach().requires_grad_(true) : made;
};
