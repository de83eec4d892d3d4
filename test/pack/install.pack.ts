/**
 * @file The tarballs of `npm run pack`, installed by npm from a local registry into an empty project that sees no compiler, no Python, no
 * other network and an empty home: the README's example runs as an ES module, as CommonJS and from TypeScript.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';
import { figure } from '../support/figure.js';
import { dependencies, Registry, tools } from './registry.js';

const tarballs = join(packageRoot, 'build', 'pack', 'tarballs');
const tarball = (start: string): string =>
  join(tarballs, readdirSync(tarballs).find((name) => name.startsWith(start))!);

/** The first program of the README, with a line that prints what its comments promise. */
const readme = (): string => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(packageRoot, 'README.md'), 'utf8'))!;
  return `${code}
const ones = torch.ones([100], { dtype: torch.float64 });
console.log(JSON.stringify([f(torch.zeros([10, 10])).item(), fast(torch.zeros([10, 10])).item(), x.sub(ones).abs().max().item() < 1e-4, fun < 1e-8, nit > 10]));
`;
};
const promised = '[100,100,true,true,true]\n';

describe('the packages', function () {
  this.timeout(600_000);
  const dir = mkdtempSync(join(tmpdir(), 'jorch-pack-'));
  const project = join(dir, 'project');
  const installed = join(project, 'node_modules');
  let registry: Registry | undefined;

  /** A PATH with Node, npm and a shell, and nothing else. */
  const bin = join(dir, 'bin');
  const environment = (): NodeJS.ProcessEnv =>
    ({
      PATH: bin,
      HOME: join(dir, 'home'),
      ...registry!.environment,
      npm_config_cache: join(dir, 'cold-cache'),
    }) as NodeJS.ProcessEnv;
  const run = (file: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(join(bin, file), args, { cwd: project, encoding: 'utf8', env: environment() });
  const node = (...args: string[]): string => {
    const { status, stdout, stderr } = run('node', ...args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const seconds: Record<string, number> = {};
  const timed = <T>(what: string, work: () => T): T => {
    const start = performance.now();
    const result = work();
    seconds[what] = Math.round(performance.now() - start) / 1000;
    return result;
  };

  before(async () => {
    for (const folder of [bin, project, join(dir, 'home')]) mkdirSync(folder, { recursive: true });
    symlinkSync(process.execPath, join(bin, 'node'));
    for (const command of ['npm', 'sh']) {
      const { stdout } = spawnSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' });
      symlinkSync(stdout.trim(), join(bin, command));
    }
    registry = await Registry.start(join(dir, 'registry'));
    for (const folder of dependencies()) registry.publish(folder);
    for (const name of readdirSync(tarballs)) registry.publish(join(tarballs, name));
    writeFileSync(join(project, 'package.json'), '{ "private": true }');
    // What TypeScript makes of the example, for both kinds of modules. The compiler is no part of the project.
    for (const [name, type] of [
      ['esm', 'module'],
      ['cjs', 'commonjs'],
    ] as const) {
      mkdirSync(join(project, name));
      writeFileSync(join(project, name, 'package.json'), JSON.stringify({ type }));
      writeFileSync(join(project, name, 'example.ts'), readme());
      writeFileSync(
        join(project, name, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: { module: 'nodenext', target: 'esnext', strict: true, skipLibCheck: true, types: [] },
          include: ['*.ts'],
        }),
      );
    }
  });
  after(() => {
    registry?.stop();
    console.log(`      seconds: ${JSON.stringify(seconds)}`);
    figure(
      28,
      `npm install ${seconds['npm install']} s, the example's first run ${seconds['esm, first']} s, later ones ${seconds['esm, later']} s (ES module) and ${seconds['cjs, later']} s (CommonJS)`,
    );
    rmSync(dir, { recursive: true, force: true });
  });

  it('npm installs them; nothing is compiled, fetched or run', () => {
    const { status, stderr } = timed('npm install', () => run('npm', 'install', 'jorch'));
    assert.equal(status, 0, stderr);
    for (const name of ['jorch', '@jorch/libtorch-linux-x64', '@jorch/xla-cpu-linux-x64']) {
      const { scripts } = JSON.parse(readFileSync(join(installed, name, 'package.json'), 'utf8')) as {
        scripts?: unknown;
      };
      assert.equal(scripts, undefined, `${name} has scripts`);
      assert.equal(readdirSync(join(installed, name)).includes('binding.gyp'), false);
    }
  });

  it('the README’s example compiles under strict TypeScript and runs as an ES module and as CommonJS', () => {
    const tsc = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    for (const kind of ['esm', 'cjs']) {
      const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', join(project, kind)], { encoding: 'utf8' });
      assert.equal(status, 0, stdout);
      assert.equal(
        timed(`${kind}, first`, () => node(join(kind, 'example.js'))),
        promised,
      );
      assert.equal(
        timed(`${kind}, later`, () => node(join(kind, 'example.js'))),
        promised,
      );
    }
    assert.match(readFileSync(join(project, 'cjs', 'example.js'), 'utf8'), /require\("jorch"\)/);
    assert.match(readFileSync(join(project, 'esm', 'example.js'), 'utf8'), /import \* as torch from 'jorch'/);
  });

  it('import and require give one instance, and every name is there both ways', () => {
    writeFileSync(
      join(project, 'same.mjs'),
      `import { createRequire } from 'node:module';
       import * as imported from 'jorch';
       import * as runtime from 'jorch/runtime';
       import plugin from 'jorch/eslint-plugin';
       const require = createRequire(import.meta.url);
       const required = require('jorch');
       const names = Object.keys(required);
       const differ = names.filter((name) => !Object.is(imported[name], required[name]));
       console.log(JSON.stringify({
         differ, missing: Object.keys(imported).length - names.length, some: names.length > 1000,
         runtime: runtime.loadCompiled === require('jorch/runtime').loadCompiled, plugin: plugin === require('jorch/eslint-plugin'),
         mixed: imported.ones(2) instanceof required.ones(1).constructor }));`,
    );
    assert.deepEqual(JSON.parse(node('same.mjs')), {
      differ: [],
      missing: 0,
      some: true,
      runtime: true,
      plugin: true,
      mixed: true,
    });
  });

  it('the parts come from the packages, and doctor finds everything without Python', () => {
    const said = node(join(installed, 'jorch', 'dist/lib/cli/index.js'), 'doctor');
    assert.match(said, /libtorch 2\.11\.0: .*@jorch\/libtorch-linux-x64\/torch \(packages\)/);
    assert.match(said, /everything is there/);
  });

  it('a missing package, one of another version and a damaged library are a paragraph with the command', () => {
    const libtorch = join(installed, '@jorch', 'libtorch-linux-x64');
    const use = (): string =>
      run('node', '-e', "try { require('jorch').ones(1) } catch (e) { console.log(e.code, e.message) }").stdout;
    renameSync(libtorch, `${libtorch}.away`);
    assert.match(
      use(),
      /RUNTIME_MISSING libtorch 2\.11\.0 not found .*npm install --include=optional jorch, or npx jorch install/,
    );
    mkdirSync(libtorch);
    writeFileSync(join(libtorch, 'package.json'), '{ "name": "@jorch/libtorch-linux-x64", "version": "2.10.0" }');
    assert.match(use(), /2\.10\.0 is installed .*npm install @jorch\/libtorch-linux-x64@2\.11\.0/);
    rmSync(libtorch, { recursive: true });
    cpSync(`${libtorch}.away`, libtorch, { recursive: true, filter: (file) => !file.endsWith('libtorch_cpu.so') });
    writeFileSync(join(libtorch, 'torch/lib/libtorch_cpu.so'), 'cut short');
    assert.match(
      use(),
      /RUNTIME_MISSING .*libtorch_cpu\.so could not be loaded: .*damaged; get it again with: npm install --force jorch/,
    );
    rmSync(libtorch, { recursive: true });
    renameSync(`${libtorch}.away`, libtorch);
    assert.equal(use(), '');
  });

  it('publint and attw have nothing to say', () => {
    for (const name of ['jorch-0', 'jorch-libtorch', 'jorch-xla']) {
      const lint = spawnSync(process.execPath, [join(tools, 'publint', 'src', 'cli.js'), tarball(name), '--strict'], {
        encoding: 'utf8',
      });
      assert.equal(lint.status, 0, lint.stdout + lint.stderr);
    }
    // node10 knows no exports; everything since Node 12 does.
    const attw = join(tools, '@arethetypeswrong', 'cli', 'dist', 'index.js');
    const types = spawnSync(process.execPath, [attw, tarball('jorch-0'), '--profile', 'node16', '--no-color'], {
      encoding: 'utf8',
    });
    assert.equal(types.status, 0, types.stdout + types.stderr);
  });
});
