/** @file jorch/eslint-plugin: the rules find tensors by their types, in the code that this repository's own declarations are for. */
import assert from 'node:assert/strict';
import Module, { createRequire } from 'node:module';
import { join } from 'node:path';

import plugin = require('../../lib/eslint-plugin/index.js');

const root = join(__dirname, '..', '..', '..');
/** ESLint and TypeScript 6 live in a workspace of their own. */
const requireHere = createRequire(join(root, 'test', 'lint', 'package.json'));

/** npm puts typescript-eslint's helpers at the top, where they would find the compiler of this repository, which has no API. */
const resolver = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string };
const resolve = resolver._resolveFilename;
const useTypeScript6 = (): void => {
  const typescript6 = requireHere.resolve('typescript');
  resolver._resolveFilename = (request, ...rest) =>
    request === 'typescript' ? typescript6 : resolve.call(resolver, request, ...rest);
};

interface Message {
  readonly ruleId: string | null;
  readonly line: number;
  readonly message: string;
}

/** Lints a file that would stand in test/lint. */
const lint = (code: string): readonly Message[] => {
  const { Linter } = requireHere('eslint') as {
    Linter: new (o: unknown) => { verify(code: string, config: unknown, file: string): readonly Message[] };
  };
  const config = [
    {
      files: ['**/*.ts'],
      languageOptions: {
        parser: requireHere('@typescript-eslint/parser'),
        parserOptions: {
          projectService: { allowDefaultProject: ['*.ts'] },
          tsconfigRootDir: join(root, 'test', 'lint'),
        },
      },
    },
    plugin.configs.recommended,
  ];
  return new Linter({ cwd: join(root, 'test', 'lint') }).verify(
    `${DECLARED}${code}`,
    config,
    join(root, 'test', 'lint', 'case.ts'),
  );
};

const DECLARED =
  "import type { Tensor } from '../../dist/lib/index.js'; declare const t: Tensor, u: Tensor, maybe: Tensor | undefined, n: number, xs: number[]; declare function f(x: unknown): void;\n";

const CONDITIONS = [
  'if (t) f(1);',
  'while (t.gt(0)) f(1);',
  'do { f(1); } while (t);',
  'for (; t; ) f(1);',
  'f(t ? 1 : 2);',
  'f(t && 1);',
  'f(t.any() || 1);',
  'if (n > 0 && t) f(1);',
  'f(Boolean(t));',
  'f(!t);',
  'if (maybe) f(1);',
];
const COMPARISONS = [
  'f(t === u);',
  'f(t !== u);',
  'f(t < u);',
  'f(t + u);',
  'f(t * 2);',
  'f(n <= t);',
  'let s: any = 0; s += t;',
  'f(xs[t]);',
];
const FINE = [
  'if (n > 0) f(t);',
  'if (maybe === undefined) f(1);',
  'f(maybe ?? t);',
  'if (t.item()) f(1);',
  'f(t.lt(u).all().item() && n);',
  'f(t === null);',
  'f(t.shape[0] * 2);',
  'f([t, u].length && 1);',
];

describe('jorch/eslint-plugin', function () {
  this.timeout(120_000);
  before(useTypeScript6);
  after(() => {
    resolver._resolveFilename = resolve;
  });

  it('no-tensor-condition', () => {
    for (const code of CONDITIONS) {
      const found = lint(code);
      assert.deepEqual(
        found.map((m) => m.ruleId),
        ['jorch/no-tensor-condition'],
        `${code}: ${JSON.stringify(found)}`,
      );
      assert.equal(found[0]!.line, 2);
    }
  });

  it('no-tensor-compare', () => {
    for (const code of COMPARISONS) {
      const found = lint(code);
      assert.deepEqual(
        found.map((m) => m.ruleId),
        ['jorch/no-tensor-compare'],
        `${code}: ${JSON.stringify(found)}`,
      );
    }
    assert.match(lint('f(t === u);')[0]!.message, /a\.eq\(b\)/);
    assert.match(lint('f(t < u);')[0]!.message, /a\.lt\(b\)/);
  });

  it('what is fine is not reported', () => {
    for (const code of FINE) assert.deepEqual(lint(code), [], code);
  });

  it('without type information says what to configure', () => {
    const { Linter } = requireHere('eslint') as {
      Linter: new () => { verify(code: string, config: unknown): readonly Message[] };
    };
    assert.throws(() => new Linter().verify('if (t) f();', [plugin.configs.recommended]), /projectService/);
  });
});
