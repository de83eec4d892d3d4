/** @file Decides what Python's torch exposes: which operators are functions, methods and namespace members, and in which order their overloads are tried. Mirrors torchgen's gen_python_functions.py. */
import { fullName, isOut } from './schema.mjs';

/**
 * One Python signature: an operator and, where there is one, its `out=` form.
 * @typedef {{ base: import('./schema.mjs').Schema, out: import('./schema.mjs').Schema | undefined, category: string | undefined, key: string,
 *   deprecated: { call: string[], signature: import('./schema.mjs').Schema } | undefined }} Signature
 * @typedef {Map<string, Signature[]>} Bindings operator packet to its signatures, in the order in which Python tries them
 */

const hasDimname = (s) => s.args.some((a) => a.type.startsWith('Dimname'));

/** @param {ReturnType<typeof import('./sources.mjs').readSources>} sources */
export function bind(sources) {
  const bindable = sources.functions.filter((f) => isBindable(f, sources) && !hasDimname(f.schema));
  const by = (test, method) => group(bindable.filter(test), sources.deprecated, method);
  const functions = by((f) => f.module === undefined && f.variants.has('function'), false);
  const methods = by((f) => f.module === undefined && f.variants.has('method'), true);
  addManual(functions, sources, sources.functionStubs, 'function');
  addManual(methods, sources, sources.tensorStubs.methods, 'method');
  const modules = {};
  for (const module of ['nn', 'linalg', 'fft', 'special', 'sparse'])
    modules[module] = by((f) => f.module === module, false);
  return { functions, methods, modules };
}

function isBindable(f, { skipped, skippedSignatures }) {
  if (f.tags.has('generated') && !f.tags.has('view_copy')) return false;
  const name = isOut(f.schema) ? `${f.schema.name}_out` : f.schema.name;
  // Named tensors are left out, and with them what exists only for them; without names libtorch's kernel crashes on an empty list.
  if (/^(align_|rename|refine_names)/.test(name)) return false;
  return !skipped.some((pattern) => pattern.test(name)) && !skippedSignatures.has(f.schema.text);
}

/** Operators that torchgen skips since their bindings are hand-written: the stubs name them. */
function addManual(bindings, sources, stubs, variant) {
  const own = sources.functions.filter(
    (f) =>
      f.module === undefined &&
      f.variants.has(variant) &&
      !hasDimname(f.schema) &&
      stubs.has(f.schema.name) &&
      !bindings.has(f.schema.name),
  );
  for (const [name, signatures] of group(own, [], variant === 'method')) bindings.set(name, signatures);
}

/** Groups by operator; an `out=` form joins the signature that it extends. @returns {Bindings} */
function group(functions, deprecated, method) {
  const packets = new Map();
  const outs = new Map();
  for (const { schema, category } of functions) {
    const key = signatureKey(schema, method, { outputs: false });
    if (isOut(schema)) outs.set(key, schema);
    else {
      if (!packets.has(schema.name)) packets.set(schema.name, []);
      packets.get(schema.name).push({ base: schema, out: undefined, category, key, deprecated: undefined });
    }
  }
  for (const d of deprecated) {
    if (isOut(d.signature)) continue;
    const packet = packets.get(d.signature.name);
    const target = packet?.find((s) => !s.deprecated && delegatesTo(d, s.base));
    if (target)
      packet.push({
        ...target,
        key: `${signatureKey(d.signature, method, { outputs: false })}|deprecated`,
        deprecated: d,
      });
  }
  for (const signatures of packets.values())
    for (const s of signatures)
      s.out = outs.get(s.deprecated ? signatureKey(s.base, method, { outputs: false }) : s.key);
  return new Map([...packets].map(([name, signatures]) => [name, sorted(signatures, method)]));
}

/** Whether a deprecated signature's arguments, in the order of its call, are those of `schema`. */
function delegatesTo({ signature, call }, schema) {
  const types = new Map(signature.args.map((a) => [a.name, a.type]));
  return schema.args.every((a, i) =>
    i < call.length ? (types.get(call[i]) ?? 'Scalar') === a.type : a.default !== undefined,
  );
}

/** Python's parser tries signatures in this order: alphabetical, then Tensor before Scalar, int before int[], and so on. */
function sorted(signatures, method) {
  const list = signatures
    .map((s) => ({
      s,
      text:
        signatureKey(s.deprecated?.signature ?? s.base, method, { out: s.out }) + (s.deprecated ? '|deprecated' : ''),
    }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ s }) => s);
  const args = list.map((s) => (s.deprecated?.signature ?? s.base).args.map((a) => a.type));
  const larger = list.map((_, i) => new Set([...list.keys()].filter((j) => isSmaller(args[i], args[j]))));
  const order = [...list.keys()].filter((i) => larger[i].size === 0);
  for (let n = 0; n < order.length; n++) {
    for (const [j, waits] of larger.entries()) if (waits.delete(order[n]) && waits.size === 0) order.push(j);
  }
  return order.map((i) => list[i]);
}

function isSmaller(a, b) {
  if (a.length !== b.length || a.every((t, i) => t === b[i])) return false;
  return a.every((t, i) => t === b[i] || isTypeSmaller(t, b[i]));
}

const isTypeSmaller = (t, u) =>
  (t === 'Scalar' && u === 'Tensor') ||
  (t === 'Scalar?' && u === 'Tensor?') ||
  (t === 'int[]' && (u === 'int' || u === 'int?')) ||
  (t === 'Tensor[]' && u.includes('[]')) ||
  (t === 'SymInt[]' && u === 'int[]') ||
  ((t === 'SymInt' || t === 'int') && u === 'Tensor');

const PARSER_TYPES = { int: 'int64_t', float: 'double', str: 'c10::string_view' };

/** A schema type as Python's parser spells it; only the alphabetical order of the results matters. */
function parserType(type) {
  if (type.endsWith('?')) return `${parserType(type.slice(0, -1))}?`;
  const list = /^(.*)\[(\d*)\]$/.exec(type);
  if (!list) return PARSER_TYPES[type] ?? type;
  const [, element, size] = list;
  const suffix = size ? `[${size}]` : '';
  if (element === 'bool') return `::std::array<bool,${size}>`;
  if (element === 'int') return `IntArrayRef${suffix}`;
  if (element === 'SymInt') return `SymIntArrayRef${suffix}`;
  if (element === 'Tensor' || element === 'Scalar') return `${element}List${suffix}`;
  if (element === 'Tensor?') return 'c10::List<::std::optional<Tensor>>';
  return `ArrayRef<${parserType(element)}>`;
}

/** The text that Python's parser would be given. Two schemas with one key differ in their outputs only. */
function signatureKey(schema, method, { outputs = true, out }) {
  const selfless = schema.args.filter(
    (a) => !(method && a.name === 'self') && !(a.kwOnly && a.writes) && !isOption(schema, a),
  );
  const show = (a) =>
    `${parserType(a.type)} ${a.name === 'self' && !method ? 'input' : a.name}${a.default === undefined ? '' : `=${a.default}`}`;
  const positional = selfless.filter((a) => !a.kwOnly).map(show);
  const keywords = selfless.filter((a) => a.kwOnly).map(show);
  if (outputs)
    for (const a of out?.args.filter((o) => o.kwOnly && o.writes) ?? []) keywords.push(show({ ...a, default: 'None' }));
  return `${schema.name}(${[...positional, ...(keywords.length ? ['*', ...keywords] : [])].join(', ')})`;
}

const OPTIONS = ['dtype', 'layout', 'device', 'pin_memory'];
/** dtype, layout, device and pin_memory, where a schema has all four, are one `TensorOptions` and appear in no `out=` form. */
export const hasOptions = (schema) => OPTIONS.every((name) => schema.args.some((a) => a.name === name));
export const isOption = (schema, a) => hasOptions(schema) && OPTIONS.includes(a.name);

/** Whether Python adds the keyword `requires_grad`: the operator makes its tensor. @param {Signature} s */
export function makesTensor(s) {
  if (s.category === 'dummy') return false;
  const takesTensor = s.base.args.some((a) => a.type.startsWith('Tensor'));
  const givesTensor = s.base.returns.some((r) => r.type.startsWith('Tensor'));
  return (
    s.category !== undefined ||
    (givesTensor && !takesTensor) ||
    s.base.name.startsWith('new_') ||
    s.base.name.endsWith('_like')
  );
}

/** `Tensor:out Scalar:Scalar_out`: overloads in Python's order, each with its `out=` form. @param {Signature[]} signatures */
export const overloadOrder = (signatures) =>
  signatures
    .filter((s) => !s.deprecated)
    .map((s) => (s.base.overload || 'default') + (s.out ? `:${s.out.overload}` : ''))
    .join(' ');

export { fullName };
