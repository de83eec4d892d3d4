/** @file Calls of functions written in TypeScript with Python's argument rules: positions, then a last plain object of keywords. */
import { JorchError } from '../runtime/errors.js';
import { fromOneLine } from '../runtime/lines.js';

/** Parameters in order: `[name]` is required, `[name, default]` optional; `'*'` begins the keyword-only ones. */
export type PythonParameters = readonly (readonly [name: string] | readonly [name: string, byDefault: unknown] | '*')[];

/** Whether a value stands for keywords: an object literal, not a tensor, a list or an instance of a class. */
export function isKeywords(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** numpy's names, which torch's parser takes for its own wherever the function has torch's. */
const ALIASES: Readonly<Record<string, string>> = {
  axis: 'dim',
  keepdims: 'keepdim',
  x: 'input',
  a: 'input',
  x1: 'input',
  x2: 'other',
};

/**
 * Arguments by name, defaults filled in. `undefined` is an omitted argument.
 * Errors: BAD_ARGUMENT for too many, missing, doubled and unknown arguments; an unknown keyword's message names the nearest.
 */
export function bindArguments(
  name: string,
  parameters: PythonParameters,
  args: readonly unknown[],
): Record<string, unknown> {
  const positional: string[] = [];
  const defaults = new Map<string, unknown>();
  const required: string[] = [];
  let kwOnly = false;
  for (const p of parameters) {
    if (p === '*') kwOnly = true;
    else {
      if (!kwOnly) positional.push(p[0]);
      defaults.set(p[0], p[1]);
      if (p.length === 1) required.push(p[0]);
    }
  }
  const last = args.at(-1);
  const keywords = isKeywords(last) ? last : undefined;
  const given = keywords === undefined ? args : args.slice(0, -1);
  const bound: Record<string, unknown> = {};
  given.forEach((value, i) => {
    const parameter = positional[i];
    if (parameter === undefined) {
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: takes ${positional.length} positional arguments (${positional.join(', ')}), got ${given.length}`,
      );
    }
    if (value !== undefined) bound[parameter] = value;
  });
  for (const [key, value] of Object.entries(keywords ?? {})) {
    const alias = ALIASES[key];
    const parameter = defaults.has(key) ? key : alias !== undefined && defaults.has(alias) ? alias : undefined;
    if (parameter === undefined) throw new JorchError('BAD_ARGUMENT', unknownKeyword(name, key, [...defaults.keys()]));
    if (value === undefined) continue;
    if (parameter in bound)
      throw new JorchError('BAD_ARGUMENT', `${name}: '${parameter}' is given twice, by position and by keyword`);
    bound[parameter] = value;
  }
  for (const parameter of required) {
    if (!(parameter in bound)) throw new JorchError('BAD_ARGUMENT', `${name}: missing argument '${parameter}'`);
  }
  for (const [parameter, value] of defaults) if (!(parameter in bound)) bound[parameter] = value;
  return bound;
}

/** `sum: unknown keyword 'dims'; did you mean 'dim'? It takes input, dim, keepdim, dtype.` */
export function unknownKeyword(name: string, key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `${name}: unknown keyword '${key}'${near === undefined ? '.' : `; did you mean '${near}'?`} It takes ${known.join(', ')}.`;
}

/** @throws JorchError BAD_ARGUMENT for keywords that are none of these */
export function checkKeywords(name: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options))
    if (!known.includes(key)) throw new JorchError('BAD_ARGUMENT', unknownKeyword(name, key, known));
}

/** The candidate with the fewest edits to `word`, if they are few enough to be a slip. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const n = edits(word.toLowerCase(), candidate.toLowerCase());
    if (n < fewest) {
      fewest = n;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** A function with Python's argument rules from an implementation that takes its arguments by name. */
export function pyfn<A>(
  name: string,
  parameters: PythonParameters,
  implementation: (args: A) => unknown,
): (...args: unknown[]) => unknown {
  return function run(...args) {
    const bound = bindArguments(name, parameters, args) as A;
    try {
      return fromOneLine(() => implementation(bound), run);
    } catch (error) {
      // What JavaScript says of a value that lacks what was asked of it: `input.sigmoid is not a function`.
      if (!(error instanceof TypeError)) throw error;
      const given = args.map((value) => (Array.isArray(value) ? 'an array' : value === null ? 'null' : typeof value));
      throw new JorchError(
        'BAD_ARGUMENT',
        `${name}: an argument is not what it should be (given: ${given.join(', ') || 'nothing'}): ${error.message}`,
        { cause: error },
      );
    }
  };
}

/**
 * The same for a whole Python module, whose signatures are generated: `define('relu', ({ input, inplace }) => …)` has the declared type.
 * @param prefix the module's name in messages: `nn.functional`
 */
export function pythonModule<Declared, Arguments extends { [K in keyof Declared]: unknown }>(
  prefix: string,
  signatures: { readonly [K in keyof Declared]: PythonParameters },
): <K extends keyof Declared & string>(name: K, implementation: (args: Arguments[K]) => unknown) => Declared[K] {
  return (name, implementation) => pyfn(`${prefix}.${name}`, signatures[name], implementation) as Declared[typeof name];
}
