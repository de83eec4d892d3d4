/** @file Programs to compile for a GPU: what a module's text says of itself, and many programs merged into one module. */

/** One program, lowered without preference for libtorch's kernels. */
export interface Program {
  /** Where it comes from: `opinfo acos/float32.0`, `npm test …`. */
  readonly source: string;
  readonly text: string;
  /** The rules that made it. */
  readonly rules: readonly string[];
  /** Operators in it that only libtorch can run. */
  readonly calls: readonly string[];
}

const HEADER = /^module @jorch \{\nfunc\.func public @main\((.*)\) -> \((.*)\) \{\n([\s\S]*)\n\}\n\}\n$/;

/** Takes a comma-separated list of `%name: type {attributes}` or of types apart, minding brackets. */
const splitList = (text: string): string[] => {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if ('<{('.includes(c)) depth++;
    else if ('>})'.includes(c)) depth--;
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  if (text.trim() !== '') parts.push(text.slice(from).trim());
  return parts;
};

/**
 * One module that runs all of them: each is a function of its own that `main` calls, with its parameters and results among main's.
 * @throws Error for a text that lib/lowering did not write
 */
export const merge = (texts: readonly string[]): string => {
  const functions: string[] = [];
  const parameters: string[] = [];
  const calls: string[] = [];
  const results: string[] = [];
  const resultTypes: string[] = [];
  texts.forEach((text, k) => {
    const match = HEADER.exec(text);
    if (!match) throw new Error(`not a module of jorch's:\n${text.slice(0, 200)}`);
    const [, declared, returned, body] = match as unknown as [string, string, string, string];
    // Donations name results of their own program.
    const types = splitList(declared).map((p) => p.replace(/^%\w+: /, '').replace(/ \{tf\.aliasing_output.*\}$/, ''));
    const names = splitList(declared).map((p) => p.slice(0, p.indexOf(':')));
    const outs = splitList(returned);
    functions.push(
      `func.func private @f${k}(${names.map((n, i) => `${n}: ${types[i]}`).join(', ')}) -> (${outs.join(', ')}) {\n${body}\n}`,
    );
    const given = types.map((_, i) => `%p${k}_${i}`);
    parameters.push(...types.map((type, i) => `${given[i]}: ${type}`));
    const left = outs.length === 0 ? '' : `%r${k}:${outs.length} = `;
    calls.push(`${left}func.call @f${k}(${given.join(', ')}) : (${types.join(', ')}) -> (${outs.join(', ')})`);
    results.push(...outs.map((_, i) => `%r${k}#${i}`));
    resultTypes.push(...outs);
  });
  const end = results.length === 0 ? 'return' : `return ${results.join(', ')} : ${resultTypes.join(', ')}`;
  return [
    'module @jorch {',
    ...functions,
    `func.func public @main(${parameters.join(', ')}) -> (${resultTypes.join(', ')}) {`,
    ...calls,
    end,
    '}',
    '}',
    '',
  ].join('\n');
};

/** How much XLA has to do for a program, roughly: its operations, those inside loops and branches too. */
export const weight = (text: string): number => text.split('\n').length;

/** Groups of about equal weight. One program heavier than `limit` is a group of its own. */
export const groups = (programs: readonly Program[], limit: number): Program[][] => {
  const result: Program[][] = [];
  let sum = Number.POSITIVE_INFINITY;
  for (const program of programs) {
    const w = weight(program.text);
    if (sum + w > limit) {
      result.push([]);
      sum = 0;
    }
    result.at(-1)!.push(program);
    sum += w;
  }
  return result;
};

/** Each text once; the rules and sources of all that have it. */
export const distinct = (programs: readonly Program[]): Program[] => {
  const byText = new Map<string, Program>();
  for (const program of programs) {
    // Places in a graph differ between programs that are otherwise equal.
    const key = program.text.replace(/ loc\("[^"]*"\)/g, '');
    const known = byText.get(key);
    byText.set(key, known ? { ...known, rules: [...new Set([...known.rules, ...program.rules])] } : program);
  }
  return [...byText.values()];
};
