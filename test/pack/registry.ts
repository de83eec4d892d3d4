/** @file A registry on the loopback address that knows only what is published to it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { packageRoot } from '../../lib/runtime/parts.js';

export const tools = join(packageRoot, 'test', 'pack', 'node_modules');

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

export class Registry {
  private constructor(
    readonly url: string,
    private readonly server: ChildProcess,
    private readonly dir: string,
  ) {}

  /** Starts verdaccio without any registry behind it. */
  static async start(dir: string): Promise<Registry> {
    mkdirSync(dir, { recursive: true });
    const port = await freePort();
    const config = join(dir, 'config.yaml');
    writeFileSync(
      config,
      [
        `storage: ${join(dir, 'storage')}`,
        'uplinks: {}',
        "packages: { '**': { access: $all, publish: $anonymous } }",
        'max_body_size: 400mb',
        'log: { type: stdout, format: json, level: fatal }',
      ].join('\n'),
    );
    const verdaccio = join(tools, 'verdaccio', 'bin', 'verdaccio');
    // It wants a newer Node than jorch does.
    const server = spawn(
      join(tools, 'node24', 'bin', 'node'),
      [verdaccio, '--config', config, '--listen', `127.0.0.1:${port}`],
      {
        stdio: 'ignore',
      },
    );
    const url = `http://127.0.0.1:${port}/`;
    for (let left = 600; ; left--) {
      try {
        await fetch(url);
        break;
      } catch (error) {
        if (left === 0 || server.exitCode !== null) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    return new Registry(url, server, dir);
  }

  /** npm's settings that make it know nothing but this registry. */
  get environment(): NodeJS.ProcessEnv {
    const userconfig = join(this.dir, 'npmrc');
    if (!existsSync(userconfig)) {
      const lines = [`registry=${this.url}`, `${this.url.slice(5)}:_authToken=nobody`, 'audit=false', 'fund=false'];
      writeFileSync(userconfig, lines.join('\n'));
    }
    return {
      npm_config_userconfig: userconfig,
      npm_config_cache: join(this.dir, 'npm-cache'),
      npm_config_update_notifier: 'false',
      // Anything that asks another host fails at once.
      http_proxy: 'http://127.0.0.1:9/',
      https_proxy: 'http://127.0.0.1:9/',
      no_proxy: '127.0.0.1',
    };
  }

  publish(folderOrTarball: string): void {
    const { status, stderr } = spawnSync('npm', ['publish', folderOrTarball, '--ignore-scripts', '--tag', 'latest'], {
      cwd: this.dir,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: this.dir, ...this.environment } as NodeJS.ProcessEnv,
    });
    if (status !== 0) throw new Error(`npm publish ${folderOrTarball}: ${stderr}`);
  }

  stop(): void {
    this.server.kill();
  }
}

/** The folders of everything that jorch's own package depends on, taken from the lock file. */
export const dependencies = (): string[] => {
  const { packages } = JSON.parse(readFileSync(join(packageRoot, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dependencies?: Record<string, string>; optional?: boolean }>;
  };
  const found = new Set<string>();
  const visit = (from: string, names: Iterable<string>): void => {
    for (const name of names) {
      let folder = from;
      while (!(`${folder ? `${folder}/` : ''}node_modules/${name}` in packages) && folder !== '')
        folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')));
      const path = `${folder ? `${folder}/` : ''}node_modules/${name}`;
      if (found.has(path) || !(path in packages)) continue;
      found.add(path);
      visit(path, Object.keys(packages[path]!.dependencies ?? {}));
    }
  };
  visit('', Object.keys(packages['']!.dependencies ?? {}));
  return [...found].map((path) => join(packageRoot, path));
};
