/** @file The pytrees of arguments and results, as torch.export writes them down. */
import { bad } from '../io/file.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { JsonReader, parseJson } from './json.js';

/** A tuple or list (with the fields of a named tuple), a dict by its keys in order, or a leaf. */
export type TreeSpec =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'none' }
  | { readonly kind: 'list'; readonly items: readonly TreeSpec[]; readonly fields?: readonly string[] }
  | {
      readonly kind: 'dict';
      readonly keys: readonly (string | number | boolean)[];
      readonly items: readonly TreeSpec[];
    };

const LISTS = new Set([
  'builtins.tuple',
  'builtins.list',
  'collections.deque',
  'torch.Size',
  'torch.fx.immutable_collections.immutable_list',
]);
const DICTS = new Set(['builtins.dict', 'collections.OrderedDict', 'torch.fx.immutable_collections.immutable_dict']);
const DEEPEST = 200;

/** Reads a spec. `namedtuples` are the fields of named tuples by class. */
export const parseTreeSpec = (
  path: string,
  text: string,
  namedtuples: Readonly<Record<string, readonly string[]>>,
): TreeSpec => {
  const json = new JsonReader(path);
  const spec = json.list(parseJson(path, 'a pytree', text), 'a pytree');
  if (spec[0] !== 1) json.damaged(`it has pytrees of version ${String(spec[0])}, jorch reads version 1`);
  const context = (value: unknown): unknown =>
    typeof value === 'string' ? parseJson(path, 'the context of a pytree', value) : value;
  const visit = (given: unknown, depth: number): TreeSpec => {
    if (depth > DEEPEST) return json.damaged('a pytree is nested too deeply');
    const fields = json.object(given, 'a pytree');
    const items = json.list(fields['children_spec'], 'the children of a pytree').map((c) => visit(c, depth + 1));
    const { type } = fields;
    if (type === null) return { kind: 'leaf' };
    if (type === 'builtins.NoneType') return { kind: 'none' };
    const name = json.text(type, 'the type of a pytree');
    if (LISTS.has(name)) return { kind: 'list', items };
    if (name === 'collections.namedtuple') {
      const names = namedtuples[String(fields['context'])];
      return { kind: 'list', items, ...(names?.length === items.length ? { fields: names } : {}) };
    }
    if (DICTS.has(name) || name === 'collections.defaultdict') {
      const c = context(fields['context']);
      const keys = json.list(
        DICTS.has(name) ? c : json.object(c, 'a defaultdict')['dict_context'],
        'the keys of a dict',
      );
      if (keys.length !== items.length || !keys.every((k) => ['string', 'number', 'boolean'].includes(typeof k)))
        json.damaged('a dict has no valid keys');
      return { kind: 'dict', keys: keys as string[], items };
    }
    return bad(path, `takes or returns a ${name}, which has no form in JavaScript`);
  };
  return visit(spec[1], 0);
};

export const countLeaves = (spec: TreeSpec): number =>
  spec.kind === 'leaf' ? 1 : spec.kind === 'none' ? 0 : spec.items.reduce((sum, item) => sum + countLeaves(item), 0);

/** Takes a value apart; `path` names it in messages. */
export const flattenLike = (spec: TreeSpec, value: unknown, path: string, into: unknown[]): void => {
  const mismatch = (wanted: string): never => {
    throw new JorchError('BAD_ARGUMENT', `forward: ${path} must be ${wanted}`);
  };
  switch (spec.kind) {
    case 'leaf':
      into.push(value);
      return;
    case 'none':
      if (value !== null && value !== undefined) mismatch('null');
      return;
    case 'list':
      if (!Array.isArray(value) || value.length !== spec.items.length) mismatch(`an array of ${spec.items.length}`);
      for (const [i, item] of spec.items.entries()) flattenLike(item, (value as unknown[])[i], `${path}[${i}]`, into);
      return;
    case 'dict': {
      const isMap = value instanceof Map;
      if (typeof value !== 'object' || value === null || native().isTensor(value) || Array.isArray(value))
        mismatch('an object or a Map');
      const size = isMap ? value.size : Object.keys(value as object).length;
      const has = (key: string | number | boolean): boolean =>
        isMap ? value.has(key) : Object.hasOwn(value as object, String(key));
      if (size !== spec.keys.length || !spec.keys.every(has))
        mismatch(`an object with the keys ${spec.keys.join(', ')}`);
      for (const [i, key] of spec.keys.entries())
        flattenLike(
          spec.items[i]!,
          isMap ? value.get(key) : (value as Record<string, unknown>)[String(key)],
          `${path}.${String(key)}`,
          into,
        );
    }
  }
};

/** Puts a value together from its leaves. Dicts become plain objects, Maps where keys are no texts. */
export const unflattenLike = (spec: TreeSpec, leaves: Iterator<unknown>): unknown => {
  switch (spec.kind) {
    case 'leaf':
      return leaves.next().value;
    case 'none':
      return null;
    case 'list': {
      const items = spec.items.map((item) => unflattenLike(item, leaves));
      for (const [i, name] of (spec.fields ?? []).entries()) Object.defineProperty(items, name, { value: items[i] });
      return items;
    }
    case 'dict': {
      const values = spec.items.map((item) => unflattenLike(item, leaves));
      return spec.keys.every((key) => typeof key === 'string')
        ? Object.fromEntries(spec.keys.map((key, i) => [key, values[i]]))
        : new Map(spec.keys.map((key, i) => [key, values[i]]));
    }
  }
};
