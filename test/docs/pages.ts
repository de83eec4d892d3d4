/**
 * @file The code blocks of the pages as programs. The `ts` blocks of a page follow one another as one module; a block that begins with an
 * import begins a new one, run after it in the same folder. Comments say what a line shows, behind it or below it: `expr; // → text` (as
 * console.log prints it), and `expr; // ✗ CODE: words` for what throws a JorchError.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Page {
  /** Its path from the package's root. */
  readonly file: string;
  /** TypeScript modules, in order. */
  readonly modules: readonly string[];
  /** JavaScript blocks (configuration files). */
  readonly scripts: readonly string[];
  /** Lines of shell blocks, without comments. */
  readonly commands: readonly string[];
}

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

const blocksOf = (markdown: string): Block[] => {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [i, line] of markdown.split('\n').entries()) {
    const fence = /^```(\w*)/.exec(line);
    if (fence && open) {
      blocks.push({ language: open.language, text: open.lines.join('\n'), line: open.line });
      open = undefined;
    } else if (fence) open = { language: fence[1]!, line: i + 1, lines: [] };
    else open?.lines.push(line);
  }
  return blocks;
};

const SHOWS = /^(?:const (\w+|[[{][^=]+[\]}])(?:: [\w.]+)? = )?(.+?);\s*\/\/ (→|✗) (.+)$/;

/** Comments that say what a line shows become checks of it; a comment below a line is taken up to it. */
const checked = (text: string, at: string, first: number): string => {
  const lines = text.split('\n');
  const isBelow = (i: number): boolean => /^\s*\/\/ [→✗]/.test(lines[i] ?? '');
  return lines
    .map((line, i) => {
      if (isBelow(i)) return '';
      const found = SHOWS.exec(isBelow(i + 1) ? `${line} ${lines[i + 1]!.trim()}` : line);
      if (!found) return line;
      const [, name, expression, sign, expected] = found;
      const rest = `${JSON.stringify(expected)}, ${JSON.stringify(`${at}:${first + i + 1}`)}`;
      if (sign === '✗') return `await __refuses(async () => (${expression}), ${rest});`;
      return name === undefined
        ? `__shows(${expression}, ${rest});`
        : `const ${name} = ${expression}; __shows(${name}, ${rest});`;
    })
    .join('\n');
};

/** As seen from build/docs/FOLDER/PAGE. */
const PRELUDE = "import { refuses as __refuses, shows as __shows } from '../../../../dist/test/docs/checks.js';\n";

const pageOf = (file: string, markdown: string): Page => {
  const modules: string[] = [];
  const scripts: string[] = [];
  const commands: string[] = [];
  for (const { language, text, line } of blocksOf(markdown)) {
    if (language === 'ts') {
      const code = checked(text, file, line);
      if (modules.length === 0 || /^import /.test(text)) modules.push(PRELUDE + code);
      else modules[modules.length - 1] += `\n${code}`;
    } else if (language === 'js') scripts.push(text);
    else if (language === 'sh')
      commands.push(
        ...text
          .split('\n')
          .map((c) => c.replace(/\s#.*$/, '').trim())
          .filter(Boolean),
      );
  }
  return { file, modules, scripts, commands };
};

/** README and the pages of docs/, read from the package at `root`. */
export const pagesOf = (root: string): Page[] =>
  ['README.md', ...readdirSync(join(root, 'docs')).map((name) => join('docs', name))]
    .filter((file) => file.endsWith('.md'))
    .map((file) => pageOf(file, readFileSync(join(root, file), 'utf8')));
