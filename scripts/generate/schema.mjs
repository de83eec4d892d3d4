/** @file Parses ATen's schema language: `add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`. */

/**
 * @typedef {{ name: string, type: string, default: string | undefined, kwOnly: boolean, writes: boolean }} Argument
 *   `type` has no alias annotation: `Tensor`, `int[2]?`, `Tensor?[]`. `writes`: the operator writes to it (`Tensor(a!)`).
 * @typedef {{ name: string, overload: string, args: Argument[], returns: { type: string, name: string | undefined }[], text: string }} Schema
 *   `overload` is '' for the default overload; `text` is the schema as given, without a namespace.
 */

/** Splits at commas outside brackets and quotes. @param {string} text @returns {string[]} */
export function splitTop(text) {
  const parts = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) {
      if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if ('([{'.includes(c)) depth++;
    else if (')]}'.includes(c)) depth--;
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = text.slice(start).trim();
  if (last) parts.push(last);
  return parts;
}

/** @param {string} text `Tensor(a!) self`, `int[1]? dim=None`, `Tensor(a -> *)[]` */
function parseTyped(text) {
  const writes = /\([^)]*!/.test(text.split('=')[0] ?? '');
  const bare = text.replace(/^(\w+)\([^)]*\)/, '$1');
  const m = /^([\w.]+(?:\?|\[\d*\])*)(?:\s+(\w+))?(?:=(.*))?$/.exec(bare);
  if (!m) throw new Error(`schema: cannot read argument '${text}'`);
  return { type: m[1], name: m[2], default: m[3], writes };
}

/** @param {string} source a schema, with or without `aten::` @returns {Schema} */
export function parseSchema(source) {
  const text = source.replace(/^\w+::/, '').trim();
  const open = text.indexOf('(');
  const arrow = text.lastIndexOf('->');
  const close = text.lastIndexOf(')', arrow);
  if (open < 0 || arrow < 0 || close < open) throw new Error(`schema: cannot read '${source}'`);
  const [name, overload = ''] = text.slice(0, open).split('.');
  let kwOnly = false;
  const args = [];
  for (const part of splitTop(text.slice(open + 1, close))) {
    if (part === '*') kwOnly = true;
    else args.push({ ...parseTyped(part), kwOnly });
  }
  const result = text.slice(arrow + 2).trim();
  const parts = result.startsWith('(') ? splitTop(result.slice(1, -1)) : [result];
  const returns = parts.map((part) => {
    const { type, name } = parseTyped(part);
    return { type, name };
  });
  return { name, overload, args, returns, text };
}

/** The name with its overload, as the registry spells it. @param {Schema} s */
export const fullName = (s) => (s.overload ? `${s.name}.${s.overload}` : s.name);
/** Whether the schema is the `out=` form of another: it writes to keyword-only tensors. @param {Schema} s */
export const isOut = (s) => s.args.some((a) => a.kwOnly && a.writes);
