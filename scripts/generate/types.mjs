/** @file Writes the TypeScript signatures of one public function from its Python signatures. */
import { hasOptions, makesTensor } from './bindings.mjs';

/**
 * @typedef {{ name: string, types: Set<string>, optional: boolean, kwOnly: boolean }} Parameter
 * @typedef {{ parameters: Parameter[], result: string, schemas: string[], variadic: boolean }} Shape
 */

const BASIC = {
  Tensor: 'Tensor',
  int: 'number',
  SymInt: 'number',
  float: 'number',
  bool: 'boolean',
  str: 'string',
  Scalar: 'Num',
  ScalarType: 'DType',
  Device: 'DeviceLike',
  Layout: 'Layout',
  MemoryFormat: 'MemoryFormat',
  Generator: 'Generator',
};
const RESERVED = new Set([
  'default',
  'function',
  'in',
  'var',
  'new',
  'delete',
  'with',
  'return',
  'class',
  'import',
  'export',
]);

/** An argument's type: `int[2]?` takes a number, a list or null. @returns {string[]} members of the union */
function inputType(type) {
  if (type.endsWith('?')) return [...inputType(type.slice(0, -1)), 'null'];
  const list = /^(.*)\[(\d*)\]$/.exec(type);
  if (!list) return [BASIC[type] ?? 'unknown'];
  const element = inputType(list[1]).join(' | ');
  const array = `readonly ${element.includes('|') ? `(${element})` : element}[]`;
  return list[2] && element !== 'boolean' ? [element, array] : [array];
}

function outputType(type) {
  if (type.endsWith('?')) return outputType(type.slice(0, -1));
  if (type.endsWith('[]')) return `${outputType(type.slice(0, -2))}[]`;
  return type === 'Scalar' ? 'number' : (BASIC[type] ?? 'unknown');
}

/** @param {{ type: string, name: string | undefined }[]} returns */
function resultType(returns) {
  if (returns.length === 0) return 'void';
  if (returns.length === 1) return outputType(returns[0].type);
  const types = returns.map((r) => outputType(r.type)).join(', ');
  return returns.every((r) => r.name)
    ? `Results<[${types}], [${returns.map((r) => `'${r.name}'`).join(', ')}]>`
    : `Results<[${types}]>`;
}

const keyword = (name, types) => ({ name, types: new Set(types), optional: true, kwOnly: true });

/** @param {import('./bindings.mjs').Signature} signature @returns {Shape} */
function shapeOf(signature, method) {
  const { base, out } = signature;
  const parameters = base.args
    .filter((a) => !(method && a.name === 'self'))
    .map((a) => ({
      name: a.name === 'self' ? 'input' : a.name,
      types: new Set(inputType(a.type)),
      optional: a.default !== undefined,
      kwOnly: a.kwOnly,
    }));
  const outs = out?.args.filter((a) => a.kwOnly && a.writes) ?? [];
  if (outs.length === 1)
    parameters.push(keyword('out', [outs[0].type === 'Tensor' ? 'Tensor' : 'readonly Tensor[]', 'null']));
  if (outs.length > 1) parameters.push(keyword('out', [`readonly [${outs.map(() => 'Tensor').join(', ')}]`, 'null']));
  if (makesTensor(signature)) {
    if (!hasOptions(base)) {
      const given = new Set(parameters.map((p) => p.name));
      for (const [name, types] of [
        ['dtype', ['DType', 'null']],
        ['layout', ['Layout', 'null']],
        ['device', ['DeviceLike', 'null']],
      ])
        if (!given.has(name)) parameters.push(keyword(name, types));
    }
    parameters.push(keyword('requires_grad', ['boolean']));
  }
  // Python's parser: a signature whose only positional argument is a list of integers also takes them one by one.
  const positional = base.args.filter((a) => !a.kwOnly && !(method && a.name === 'self'));
  const variadic = positional.length === 1 && /^(Sym)?[Ii]nt\[\d*\]$/.test(positional[0].type);
  return { parameters, result: resultType(base.returns), schemas: [base.text], variadic };
}

/** Joins signatures that differ in argument types alone: `eq.Tensor` and `eq.Scalar`. @param {Shape[]} shapes */
function merged(shapes) {
  const byForm = new Map();
  for (const shape of shapes) {
    const form = `${shape.parameters.filter((p) => p.name !== 'out').map((p) => `${p.kwOnly ? '*' : ''}${p.name}${p.optional ? '?' : ''}`)} ${shape.result}`;
    const twin = byForm.get(form);
    if (!twin) byForm.set(form, shape);
    else {
      for (const p of shape.parameters) {
        const own = twin.parameters.find((q) => q.name === p.name);
        if (own) for (const type of p.types) own.types.add(type);
        else twin.parameters.push(p);
      }
      twin.schemas.push(...shape.schemas);
    }
  }
  return [...byForm.values()];
}

const union = (types) => [...types].sort((a, b) => (a === 'null' ? 1 : 0) - (b === 'null' ? 1 : 0)).join(' | ');
const member = (p) => `${p.name}${p.optional ? '?' : ''}: ${union(p.types)}${p.optional ? ' | undefined' : ''}`;
const options = (list) => `Options<{ ${list.map(member).join('; ')} }>`;
const identifier = (name) => (RESERVED.has(name) ? `${name}_` : name);

/** The parameter lists of one shape: all positions; each shorter prefix with the rest as keywords; the first argument with everything else as keywords. @param {Shape} shape */
function parameterLists({ parameters, variadic }, method) {
  const positional = parameters.filter((p) => !p.kwOnly);
  const keywords = parameters.filter((p) => p.kwOnly);
  const required = positional.filter((p) => !p.optional).length;
  const lists = [];
  const place = (p, last) => {
    const type = union(p.types);
    if (!p.optional) return `${identifier(p.name)}: ${type}`;
    return last ? `${identifier(p.name)}?: ${type} | undefined` : `${identifier(p.name)}: ${type} | undefined`;
  };
  const mustGive = keywords.some((p) => !p.optional);
  const full = positional.map((p) => place(p, !mustGive));
  lists.push([...full, ...(keywords.length ? [`options${mustGive ? '' : '?'}: ${options(keywords)}`] : [])]);
  for (let n = positional.length - 1; n >= required; n--) {
    lists.push([
      ...positional.slice(0, n).map((p) => place(p, false)),
      `options: ${options([...positional.slice(n), ...keywords])}`,
    ]);
  }
  const first = method ? 0 : Math.min(1, required);
  if (required > first)
    lists.push([
      ...positional.slice(0, first).map((p) => place(p, false)),
      `options: ${options([...positional.slice(first), ...keywords])}`,
    ]);
  if (variadic) {
    const name = identifier(positional[0].name);
    lists.push([`...${name}: number[]`]);
    if (keywords.length) lists.push([`...${name}: readonly [...${name}: number[], options: ${options(keywords)}]`]);
  }
  return lists.map((list) => list.join(', '));
}

/**
 * One shape as overloads, its documentation above the first.
 * @param {string} name @param {Shape} shape @param {boolean} method @param {string} link
 */
export function declareShape(name, shape, method, link) {
  const doc = [...shape.schemas.map((s) => `\`${s}\``), link].filter(Boolean);
  const lines =
    doc.length === 0
      ? []
      : [doc.length === 1 ? `  /** ${doc[0]} */` : ['  /**', ...doc.map((d) => `   * ${d}`), '   */'].join('\n')];
  for (const list of parameterLists(shape, method)) lines.push(`  ${name}(${list}): ${shape.result};`);
  return lines.join('\n');
}

/**
 * The overloads of one public name, as members of an interface.
 * @param {string} name public name @param {import('./bindings.mjs').Signature[]} signatures
 * @param {{ method: boolean, numbers: boolean, link: string }} how
 */
export function declare(name, signatures, { method, numbers, link }) {
  const shapes = merged(signatures.filter((s) => !s.deprecated).map((s) => shapeOf(s, method)));
  for (const shape of shapes) {
    if (numbers) for (const p of shape.parameters) if (p.types.has('Tensor') && !p.kwOnly) p.types.add('Num');
  }
  return shapes.map((shape) => declareShape(name, shape, method, link)).join('\n');
}
