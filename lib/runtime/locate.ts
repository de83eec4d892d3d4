/** @file Finds libtorch and the PJRT plugin: what the user names, what npm or `jorch install` brought, or a Python environment's. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { JorchError } from './errors.js';
import { packageFolder, packageSpec } from './packages.js';
import { pins, runtimeDir } from './parts.js';

export interface Located {
  /** The `torch` package folder: `lib/libtorch_cpu.so`, `include/`. */
  readonly torch: string;
  /** The CPU plugin's shared library; empty where only one for CUDA is (`JORCH_PJRT_PLUGIN=cuda=…`). */
  readonly cpuPlugin: string;
  /** Libraries that libtorch needs and that do not lie beside it. */
  readonly preload: readonly string[];
  readonly from: 'environment' | 'packages' | 'cache' | 'python';
}

const CPU_PLUGIN = join('lammps_jax_pjrt_cpu', 'pjrt_c_api_cpu_plugin.so');

/** The version in `torch/version.py`, without a `+cu130` suffix. */
const torchVersion = (dir: string): string | undefined => {
  try {
    return /__version__ = '([0-9.]+)/.exec(readFileSync(join(dir, 'version.py'), 'utf8'))?.[1];
  } catch {
    return undefined;
  }
};

const checkedTorch = (dir: string, named: string): string => {
  const wanted = pins().torch;
  if (!existsSync(join(dir, 'lib', 'libtorch_cpu.so'))) {
    throw new JorchError(
      'RUNTIME_MISSING',
      `${named} is ${dir}, which has no lib/libtorch_cpu.so; give the folder of the torch package (…/site-packages/torch) of torch ${wanted}`,
    );
  }
  const found = torchVersion(dir);
  if (found !== undefined && found !== wanted) {
    throw new JorchError(
      'RUNTIME_MISSING',
      `${named} is torch ${found}; jorch is built for torch ${wanted}: pip install torch==${wanted}, or unset ${named}`,
    );
  }
  return dir;
};

/** `cpu=/path;cuda=/path`, or one path for the CPU. */
export const pluginFromEnvironment = (platform: string): string | undefined => {
  const text = process.env['JORCH_PJRT_PLUGIN'];
  if (!text) return undefined;
  for (const entry of text.split(';')) {
    const [name, path] = entry.includes('=') ? (entry.split('=', 2) as [string, string]) : ['cpu', entry];
    if (name !== platform) continue;
    if (!existsSync(path))
      throw new JorchError('RUNTIME_MISSING', `JORCH_PJRT_PLUGIN names ${path}, which does not exist`);
    return path;
  }
  return undefined;
};

/** The folders that the `python3` of this environment imports packages from; none when there is no Python. */
export const pythonFolders = (): string[] => {
  try {
    const script =
      'import site,sys,json; print(json.dumps([*site.getsitepackages(), site.getusersitepackages(), *sys.path]))';
    return JSON.parse(
      execFileSync('python3', ['-c', script], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 10_000,
      }),
    ) as string[];
  } catch {
    return [];
  }
};

/** torch and the plugin of the Python environment that `python3` starts, when they are the pinned versions. */
export const findPython = (): { torch?: string; cpuPlugin?: string } => {
  const folders = pythonFolders();
  const torch = folders
    .map((f) => join(f, 'torch'))
    .find((d) => torchVersion(d) === pins().torch && existsSync(join(d, 'lib', 'libtorch_cpu.so')));
  const cpuPlugin = folders.map((f) => join(f, CPU_PLUGIN)).find((f) => existsSync(f));
  return { ...(torch ? { torch } : {}), ...(cpuPlugin ? { cpuPlugin } : {}) };
};

/** libtorch_cpu of the CUDA wheel needs two small CUDA libraries; they lie in the package or in the cache. */
const preloads = (folder: string): string[] =>
  ['libcudart.so.13', 'libcupti.so.13']
    .map((f) => join(folder, 'nvidia', 'cu13', 'lib', f))
    .filter((f) => existsSync(f));

const within = (folder: string | undefined, path: string): string | undefined =>
  folder !== undefined && existsSync(join(folder, path)) ? join(folder, path) : undefined;

const HOW_TO_GET =
  'npm leaves optional packages out with --omit=optional, and with a lock file that was made on another system; get it with: npm install --include=optional jorch, or';

/** The CPU plugin alone, for programs that need no libtorch. @throws JorchError RUNTIME_MISSING */
export const cpuPluginFile = (): string => {
  const file =
    pluginFromEnvironment('cpu') ??
    within(packageFolder('xla-cpu'), CPU_PLUGIN) ??
    within(runtimeDir(), CPU_PLUGIN) ??
    findPython().cpuPlugin;
  if (file !== undefined) return file;
  throw new JorchError(
    'RUNTIME_MISSING',
    `the XLA CPU plugin was not found (looked at JORCH_PJRT_PLUGIN, ${packageSpec('xla-cpu')}, ${runtimeDir()} and Python's packages); ${HOW_TO_GET} npx jorch install`,
  );
};

/**
 * Where the native parts are: the environment variables first, then npm's packages, the cache folder, Python's packages (`inPython`).
 * @throws JorchError RUNTIME_MISSING with the command that gets what is missing.
 */
export const locate = (inPython = findPython): Located => {
  const cache = runtimeDir();
  const namedTorch = process.env['JORCH_TORCH_DIR'];
  const namedPlugin = pluginFromEnvironment('cpu');
  const torchPackage = namedTorch ? undefined : packageFolder('libtorch');
  const packagedPlugin = namedPlugin ? undefined : within(packageFolder('xla-cpu'), CPU_PLUGIN);
  const packagedTorch = within(torchPackage, 'torch');
  let torch = namedTorch ? checkedTorch(namedTorch, 'JORCH_TORCH_DIR') : (packagedTorch ?? within(cache, 'torch'));
  let cpuPlugin = namedPlugin ?? packagedPlugin ?? within(cache, CPU_PLUGIN);
  let from: Located['from'] = 'cache';
  if (packagedTorch || packagedPlugin) from = 'packages';
  if (namedTorch || namedPlugin) from = 'environment';
  if (!torch || !cpuPlugin) {
    const python = inPython();
    if ((!torch && python.torch) || (!cpuPlugin && python.cpuPlugin)) from = 'python';
    torch ??= python.torch;
    cpuPlugin ??= python.cpuPlugin;
  }
  // On a GPU machine whose Python has no CPU plugin, programs for the GPU do without.
  if (!cpuPlugin && pluginFromEnvironment('cuda') !== undefined) cpuPlugin = '';
  const missing = [
    ...(torch ? [] : [`libtorch ${pins().torch}`]),
    ...(cpuPlugin !== undefined ? [] : ['the XLA CPU plugin']),
  ];
  if (!torch || cpuPlugin === undefined) {
    throw new JorchError(
      'RUNTIME_MISSING',
      `${missing.join(' and ')} not found (looked at JORCH_TORCH_DIR, JORCH_PJRT_PLUGIN, ${packageSpec('libtorch')}, ${packageSpec('xla-cpu')}, ${cache} and Python's packages); ${HOW_TO_GET} npx jorch install`,
    );
  }
  return { torch, cpuPlugin, preload: preloads(torch === packagedTorch ? torchPackage! : cache), from };
};
