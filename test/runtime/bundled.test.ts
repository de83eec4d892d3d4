/** @file The two files that jorch's modules are, and what V8 made of them in an earlier process: used when it is the same, never in the way. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isJorchError, JorchError } from '../../lib/runtime/errors.js';
import { cacheDir, packageRoot } from '../../lib/runtime/parts.js';
import { copyPackage } from '../support/copied-package.js';

const lib = join(packageRoot, 'dist', 'lib');
/** Says, on stderr, whether V8 was given code for the second file, and took it. */
const WATCH = `
const vm = require('node:vm');
const { Script } = vm;
vm.Script = class extends Script {
  constructor(text, options) {
    super(text, options);
    if (options?.filename?.endsWith('rest.js'))
      process.stderr.write(options.cachedData === undefined ? 'none ' : this.cachedDataRejected ? 'refused ' : 'taken ');
  }
};`;
const USE = (root: string): string => `
const torch = require(${JSON.stringify(join(root, 'index.js'))});
console.log(torch.compile((x) => x.sin().sum())(torch.zeros(3)).item(), new torch.JorchError('BAD_ARGUMENT', 'x') instanceof Error);`;

describe('runtime: jorch’s modules in two files', function () {
  this.timeout(60_000);
  let dir = '';
  before(function () {
    if (!existsSync(join(lib, 'bundle'))) this.skip(); // what tsc alone has written
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-bundled-'));
    symlinkSync(join(cacheDir(), 'runtime'), join(dir, 'runtime'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const node = (args: string[], env: Record<string, string> = {}): { said: string; stderr: string } => {
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      env: { ...process.env, NODE_V8_COVERAGE: undefined, JORCH_CACHE_DIR: dir, ...env },
    });
    assert.equal(status, 0, stderr);
    return { said: stdout, stderr };
  };
  const seen = (root = lib, flags: string[] = [], env: Record<string, string> = {}): string => {
    const { said, stderr } = node([...flags, '-e', WATCH + USE(root)], env);
    assert.equal(said, '0 true\n');
    return stderr;
  };

  it('what V8 made is kept for the next process, for the same flags and the same text', () => {
    assert.deepEqual([seen(), seen(), seen()], ['none ', 'taken ', 'taken ']);
    assert.deepEqual([seen(lib, ['--no-opt']), seen(lib, ['--no-opt']), seen()], ['none ', 'taken ', 'taken ']);
    assert.deepEqual([seen(lib, ['--expose-gc']), seen(lib, ['--expose-gc'])], ['none ', 'taken ']);

    const copy = join(dir, 'package');
    copyPackage(copy);
    assert.deepEqual([seen(join(copy, 'dist', 'lib')), seen(join(copy, 'dist', 'lib'))], ['none ', 'taken ']);
    appendFileSync(join(copy, 'dist', 'lib', 'bundle', 'rest.js'), '\n');
    assert.equal(seen(join(copy, 'dist', 'lib')), 'none ');
  });

  it('a damaged one is made anew, and without a cache folder everything works', () => {
    seen();
    const notes = spawnSync('find', [join(dir, 'programs'), '-name', '*.note', '-size', '+100k'], { encoding: 'utf8' });
    const [file] = notes.stdout.trim().split('\n') as [string];
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes, { mode: 0o600 });
    assert.deepEqual([seen(), seen()], ['none ', 'taken ']);
    assert.equal(seen(lib, [], { JORCH_CACHE_DIR: 'off' }), '');
    assert.equal(seen(lib, ['--enable-source-maps']), '');
  });

  it('kept code imports packages that are ES modules', () => {
    const draw = `const torch = require(${JSON.stringify(join(lib, 'index.js'))});
      torch.compile((x) => x.sin())
        .lower(torch.ones(2))
        .svg()
        .then((text) => console.log(text.includes('<svg')));`;
    for (let i = 0; i < 2; i++) assert.equal(node(['-e', draw]).said, 'true\n');
  });

  it('one instance of every module, whatever it is asked for by', () => {
    assert.equal(require('../../lib/index.js').JorchError, JorchError);
    assert.equal(require('../../lib/export/index.js').JorchError, JorchError);
    assert.ok(isJorchError(new (require('../../lib/index.js').JorchError)('BAD_ARGUMENT', 'x')));
  });

  it('ES modules import the names of a checkout, and stacks name jorch’s functions and files', () => {
    const file = join(dir, 'names.mjs');
    writeFileSync(
      file,
      `import { ones, compile, nn } from ${JSON.stringify(pathToFileURL(join(lib, 'index.js')).href)};
       import { loadCompiled } from ${JSON.stringify(pathToFileURL(join(lib, 'export', 'index.js')).href)};
       const { stack } = (() => { try { compile(3); } catch (error) { return error; } })();
       console.log(ones(2).sum().item(), typeof nn.Linear, typeof loadCompiled, stack.includes('compile') && stack.includes('${basename(file)}:3'));`,
    );
    assert.equal(node([file]).said, '2 function function true\n');
  });
});
