/** @file Reads the signatures of functions that torch writes in Python (nn.functional, masked, signal.windows) and declares them like the others. */
import { splitTop } from './schema.mjs';
import { declareShape } from './types.mjs';

/**
 * @typedef {{ name: string, type: string | undefined, default: string | undefined, kwOnly: boolean }} PythonParameter
 * @typedef {{ name: string, parameters: PythonParameter[], result: string | undefined }} PythonFunction
 */

/** Every `def` at top level, `@_overload` twins included. @param {string} python @returns {PythonFunction[]} */
export function pythonFunctions(python) {
  const found = [];
  for (const m of python.matchAll(/^def (\w+)\(/gm)) {
    const open = m.index + m[0].length;
    const close = closing(python, open);
    const result = /^\s*->\s*([^:]+?):\s*(?:#.*)?$/m.exec(
      python.slice(close + 1, python.indexOf('\n', python.indexOf(':', close)) + 1),
    );
    const parts = splitTop(python.slice(open, close).replace(/#.*$/gm, ''));
    let kwOnly = false;
    const parameters = [];
    for (const part of parts) {
      if (part === '*') kwOnly = true;
      else if (part === '/' || part.startsWith('**')) continue;
      else {
        const p = /^(\*?\w+)\s*(?::\s*([\s\S]*?))?\s*(?:=\s*([\s\S]+))?$/.exec(part);
        if (p) parameters.push({ name: p[1], type: p[2]?.replace(/\s+/g, ' '), default: p[3], kwOnly });
      }
    }
    found.push({ name: m[1], parameters, result: result?.[1] });
  }
  return found;
}

/** Index of the parenthesis that closes the one before `from`. */
function closing(text, from) {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '(' || text[i] === '[') depth++;
    else if (text[i] === ')' || text[i] === ']') depth--;
    if (depth === 0) return i;
  }
  throw new Error('generate: unbalanced parentheses in a Python signature');
}

const NAMES = {
  Tensor: ['Tensor'],
  'torch.Tensor': ['Tensor'],
  MaskedTensor: [],
  int: ['number'],
  float: ['number'],
  bool: ['boolean'],
  str: ['string'],
  None: ['null'],
  DType: ['DType'],
  'torch.dtype': ['DType'],
  'torch.layout': ['Layout'],
  'torch.device': ['DeviceLike'],
  Iterable: ['readonly number[]'],
  ScalingType: ['number'],
  SwizzleType: ['number'],
};

/** Parameters that take more than torch's annotation says, which its functions pass on to an operator with an overload for it. */
const WIDER = {
  ctc_loss: { input_lengths: ['readonly number[]'], target_lengths: ['readonly number[]'] },
};

const array = (members) => `readonly ${members.length > 1 ? `(${members.join(' | ')})` : members[0]}[]`;

/** A Python annotation as members of a TypeScript union. @param {string} annotation @param {Map<string, string>} aliases @returns {string[]} */
function typeOf(annotation, aliases) {
  const text = annotation.replace(/^['"]|['"]$/g, '').trim();
  const alternatives = splitUnion(text);
  if (alternatives.length > 1) return [...new Set(alternatives.flatMap((a) => typeOf(a, aliases)))];
  if (NAMES[text]) return NAMES[text];
  if (aliases.has(text)) return typeOf(aliases.get(text), aliases);
  const generic = /^([\w.]+)\[([\s\S]*)\]$/.exec(text);
  if (!generic) return ['unknown'];
  const [, head, body] = generic;
  const inner = splitTop(body);
  const of = (i) => typeOf(inner[i], aliases);
  if (head === 'Optional') return [...new Set([...of(0), 'null'])];
  if (head === 'Union') return [...new Set(inner.flatMap((t) => typeOf(t, aliases)))];
  if (head.startsWith('BroadcastingList')) return [...of(0), array(of(0))];
  if (head === 'list' || head === 'Sequence' || inner[1] === '...') return [array(of(0))];
  if (head === 'tuple') return [`readonly [${inner.map((t) => typeOf(t, aliases).join(' | ')).join(', ')}]`];
  if (head === 'Callable') {
    const takes = splitTop(inner[0].slice(1, -1)).map((t, i) => `${'abcdef'[i]}: ${typeOf(t, aliases).join(' | ')}`);
    return [`((${takes.join(', ')}) => ${of(1).join(' | ')})`];
  }
  return ['unknown'];
}

function splitUnion(text) {
  const parts = [''];
  let depth = 0;
  for (const c of text) {
    if ('[('.includes(c)) depth++;
    else if ('])'.includes(c)) depth--;
    if (c === '|' && depth === 0) parts.push('');
    else parts[parts.length - 1] += c;
  }
  return parts.map((p) => p.trim());
}

function resultOf(annotation, aliases) {
  if (!annotation) return 'Tensor';
  const tuple = /^tuple\[([\s\S]*)\]$/.exec(annotation);
  if (tuple && !tuple[1].includes('...'))
    return `Results<[${splitTop(tuple[1])
      .map((t) => typeOf(t, aliases).join(' | '))
      .join(', ')}]>`;
  return typeOf(annotation, aliases)
    .join(' | ')
    .replace(/^readonly /, '');
}

/** A Python default as JSON: `None`, `1.0 / 8`, `torch.strided`, `"mean"`. @param {string} text */
function defaultOf(text) {
  const quotient = /^([\d.]+) \/ ([\d.]+)$/.exec(text);
  if (quotient) return Number(quotient[1]) / Number(quotient[2]);
  if (text === 'None') return null;
  if (text === 'True' || text === 'False') return text === 'True';
  if (/^['"]/.test(text)) return text.slice(1, -1);
  if (text.startsWith('torch.')) return text.slice('torch.'.length);
  if (text === '()') return [];
  const number = Number(text);
  if (Number.isNaN(number)) throw new Error(`generate: cannot read the Python default ${text}`);
  return number;
}

/**
 * The public functions of a Python module: parameters as the run time parses them, and the TypeScript declarations.
 * A function whose result depends on a flag (`boolean_dispatch`) has two shapes.
 * @param {string} python @param {(name: string) => string} link
 */
export function readPythonModule(python, link) {
  const aliases = new Map([...python.matchAll(/^ *(\w+): TypeAlias = (.+)$/gm)].map((m) => [m[1], m[2]]));
  const functions = pythonFunctions(python);
  const named = new Map();
  for (const f of functions) named.set(f.name, mergeTypes(named.get(f.name), f));
  const spread = usualTypes(functions);
  const dispatched = [
    ...python.matchAll(/^(\w+) = boolean_dispatch\(\s*arg_name="(\w+)",[\s\S]*?if_true=(\w+),\s*if_false=(\w+),/gm),
  ];
  for (const [, name, flag, yes, no] of dispatched)
    named.set(name, { ...named.get(no), name, flag, yes: named.get(yes)?.result });
  for (const [, name, own] of python.matchAll(/^(\w+) = (_\w+)$/gm))
    if (named.has(own)) named.set(name, { ...named.get(own), name });
  const found = [...named.values()].filter(
    (f) => !f.name.startsWith('_') && !f.parameters.some((p) => p.name.startsWith('*')),
  );
  return found.map((f) => {
    const types = (p) => [
      ...typeOf(p.type ?? spread.get(p.name) ?? 'unknown', aliases),
      ...(WIDER[f.name]?.[p.name] ?? []),
    ];
    const hidden = f.parameters.findIndex((p) => p.name.startsWith('_'));
    const parameters = f.parameters
      .map((p, i) => ({
        name: p.name,
        types: new Set([...types(p), ...(p.default === 'None' ? ['null'] : [])]),
        optional: p.default !== undefined,
        kwOnly: p.kwOnly || (hidden >= 0 && i >= hidden),
      }))
      .filter((p) => p.name !== '_stacklevel');
    const shape = { parameters, result: resultOf(f.result, aliases), schemas: [], variadic: false };
    const flagged = f.flag
      ? {
          ...shape,
          parameters: parameters.map((p) =>
            p.name === f.flag ? { ...p, types: new Set(['true']), optional: false, kwOnly: true } : p,
          ),
          result: resultOf(f.yes, aliases),
        }
      : undefined;
    if (f.flag) shape.parameters = parameters.map((p) => (p.name === f.flag ? { ...p, types: new Set(['false']) } : p));
    return {
      name: f.name,
      spec: f.parameters.flatMap((p, i) => [
        ...(p.kwOnly && !f.parameters[i - 1]?.kwOnly ? ['*'] : []),
        p.default === undefined ? [p.name] : [p.name, defaultOf(p.default)],
      ]),
      declaration: [
        declareShape(f.name, shape, false, link(f.name)),
        ...(flagged ? [declareShape(f.name, flagged, false, '')] : []),
      ].join('\n'),
      argumentTypes: parameters.map((p) => `readonly ${p.name}: ${[...p.types].join(' | ')}`).join('; '),
    };
  });
}

/** What a parameter's name usually means in the module, for the few that are not annotated. @param {PythonFunction[]} functions */
function usualTypes(functions) {
  const counts = new Map();
  for (const { name, type } of functions.flatMap((f) => f.parameters)) {
    if (!type) continue;
    if (!counts.has(name)) counts.set(name, new Map());
    counts.get(name).set(type, (counts.get(name).get(type) ?? 0) + 1);
  }
  return new Map([...counts].map(([name, types]) => [name, [...types].sort((a, b) => b[1] - a[1])[0][0]]));
}

/** `@_overload` twins differ in types alone: the union of them is the parameter's type. */
function mergeTypes(first, second) {
  if (!first) return second;
  const parameters = second.parameters.map((p) => {
    const other = first.parameters.find((q) => q.name === p.name)?.type;
    return { ...p, type: p.type && other && other !== p.type ? `${other} | ${p.type}` : (p.type ?? other) };
  });
  return { ...second, parameters, result: second.result ?? first.result };
}
