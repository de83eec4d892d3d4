/** @file The pinned runtime parts (runtime.json) and the folder they are unpacked into. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** One wheel that jorch takes files from. */
export interface Part {
  readonly name: string;
  readonly version: string;
  /**
   * What it is for: `libtorch`, `xla-cpu`, `headers` (needed only to build from source); `xla-cuda` and `cuda-compiler` (compiling for
   * NVIDIA GPUs), `cuda-library` (running on one).
   */
  readonly role: 'libtorch' | 'xla-cpu' | 'headers' | 'xla-cuda' | 'cuda-compiler' | 'cuda-library';
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** The wheel's tags, whatever Python is there. */
  readonly python: { readonly version: string; readonly abi: string; readonly platform: string };
  /** Files, or folders ending in `/`, to take from the wheel. */
  readonly unpack: readonly string[];
}

export interface Pins {
  /** The only libtorch version that this jorch works with. */
  readonly torch: string;
  readonly parts: readonly Part[];
  /** Fetched only by `jorch install cuda`. */
  readonly cuda: { readonly parts: readonly Part[] };
}

/** The folder of the package: two above dist/lib/runtime… or lib/runtime. */
export const packageRoot = ((): string => {
  for (let dir = __dirname; ; dir = join(dir, '..')) {
    try {
      if ((JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { name?: string }).name === 'jorch')
        return dir;
    } catch {
      if (dir === '/') throw new Error(`jorch: package.json not found above ${__dirname}`);
    }
  }
})();

/** The version of this package. */
export const ownVersion = (): string =>
  (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;

let pinned: Pins | undefined;
export const pins = (): Pins => {
  pinned ??= JSON.parse(readFileSync(join(packageRoot, 'runtime.json'), 'utf8')) as Pins;
  return pinned;
};

/** Whether `JORCH_CACHE_DIR` says that compiled programs are not to be kept. */
export const cacheIsOff = (): boolean => process.env['JORCH_CACHE_DIR'] === 'off';

/** `JORCH_CACHE_DIR`, or `jorch` in the user's cache folder. */
export const cacheDir = (): string => {
  const named = cacheIsOff() ? undefined : process.env['JORCH_CACHE_DIR'];
  return named || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'jorch');
};

const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);

/** Where this set of parts is unpacked: named by its content, so that versions lie side by side. */
export const runtimeDir = (): string => {
  const { torch, parts } = pins();
  return join(cacheDir(), 'runtime', digestOf({ torch, parts }));
};

/** The same for the CUDA parts. They come one by one: `cudaMark` says which are there. */
export const cudaDir = (): string => join(cacheDir(), 'cuda', digestOf(pins().cuda.parts));

/** Written when a part is whole. */
export const cudaMark = (part: Part): string => join(cudaDir(), '.parts', `${part.name}-${part.version}`);
