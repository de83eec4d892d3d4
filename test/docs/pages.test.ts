import { strict as assert } from 'node:assert';
import { execFile, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { hasNvidiaDevice } from '../../lib/runtime/locate-cuda.js';
import { pagesOf } from './pages.js';

const root = join(__dirname, '..', '..', '..');
const run = promisify(execFile);
const { scripts } = createRequire(__filename)(join(root, 'package.json')) as { scripts: Record<string, string> };

/** Inside the package, so that `jorch` means this one. */
const folder = join(root, 'build', 'docs');
const pages = pagesOf(root);

const moduleFile = (kind: 'src' | 'out', file: string, n: number): string =>
  join(folder, kind, file.replace(/\W/g, '-'), `${n}.${kind === 'src' ? 'mts' : 'mjs'}`);

/** All blocks in one compilation, as a user's strict project would check them. */
const compileBlocks = (): void => {
  rmSync(folder, { recursive: true, force: true });
  for (const { file, modules } of pages)
    for (const [n, text] of modules.entries()) {
      const path = moduleFile('src', file, n);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  const options = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { rootDir: 'src', outDir: 'out', declaration: false, types: ['node'] },
    include: ['src/**/*.mts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
  const { status, stdout } = spawnSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', folder], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
};

/** Pages whose programs need what not every machine has. */
const needs: Readonly<Record<string, () => boolean>> = {
  'docs/CUDA.md': hasNvidiaDevice,
};

describe('the code blocks of README and docs', function () {
  this.timeout(240_000);
  before(compileBlocks);

  for (const { file, modules, scripts: configurations } of pages.filter((p) => p.modules.length > 0)) {
    it(`${file} runs`, async function () {
      if (needs[file]?.() === false) this.skip();
      const cwd = mkdtempSync(join(tmpdir(), 'jorch-docs-'));
      // What the pages' Python blocks wrote (scripts/references/pages_torch.py).
      cpSync(join(root, 'test', 'data', 'pages'), cwd, { recursive: true });
      try {
        for (const n of modules.keys()) {
          await run(process.execPath, ['--enable-source-maps', moduleFile('out', file, n)], { cwd, timeout: 200_000 });
        }
        for (const [n, text] of configurations.entries()) {
          const js = join(folder, 'out', `${file.replace(/\W/g, '-')}-${n}.mjs`);
          writeFileSync(js, text);
          await run(process.execPath, [js], { cwd });
        }
      } finally {
        rmSync(cwd, { recursive: true, force: true });
      }
    });
  }

  it('docs/errors.md has a section for every code', () => {
    const source = readFileSync(join(root, 'lib', 'runtime', 'errors.ts'), 'utf8');
    const [type] = /type ErrorCode =[^;]+;/.exec(source)!;
    const codes = type.match(/'[A-Z_]+'/g)!.map((code) => code.slice(1, -1));
    const sections = readFileSync(join(root, 'docs', 'errors.md'), 'utf8')
      .match(/^## .+$/gm)!
      .map((s) => s.slice(3));
    assert.deepEqual(sections.sort(), codes.sort());
  });

  it('name commands that exist', () => {
    for (const { file, commands } of pages)
      for (const command of commands) {
        const [, script] = /^npm run ([\w:-]+)/.exec(command) ?? [];
        if (script) assert.ok(scripts[script], `${file}: ${command}`);
        const [, verb] = /^npx jorch (\w+)/.exec(command) ?? [];
        if (!verb) continue;
        const { status } = spawnSync(process.execPath, [join(root, 'dist', 'lib', 'cli', 'index.js'), verb, '--help']);
        assert.equal(status, 0, `${file}: ${command}`);
      }
  });
});
