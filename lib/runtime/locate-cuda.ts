/** @file Finds what compiling for and running on NVIDIA GPUs needs: jorch's own copy, a Python environment's, the system's. */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { JorchError } from './errors.js';
import { pluginFromEnvironment, pythonFolders } from './locate.js';
import { cudaDir, cudaMark, type Part, pins } from './parts.js';

const PLUGIN = join('jax_plugins', 'xla_cuda13', 'xla_cuda_plugin.so');
const LIBDEVICE = join('nvvm', 'libdevice', 'libdevice.10.bc');
const PTXAS = join('bin', 'ptxas');

/** What a program on the GPU calls, by the part that has it. NVIDIA's wheels keep them in these folders. */
const LIBRARIES: readonly (readonly [name: string, folder: string])[] = [
  ['libcudart.so.13', 'cu13'],
  ['libnvJitLink.so.13', 'cu13'],
  ['libcublasLt.so.13', 'cu13'],
  ['libcublas.so.13', 'cu13'],
  ['libcusparse.so.12', 'cu13'],
  ['libcusolver.so.12', 'cu13'],
  ['libcufft.so.12', 'cu13'],
  ['libnvrtc.so.13', 'cu13'],
  ['libcupti.so.13', 'cu13'],
  ['libcudnn.so.9', 'cudnn'],
  ['libnccl.so.2', 'nccl'],
  ['libnvshmem_host.so.3', 'nvshmem'],
];

/** What libtorch's CUDA library calls besides those. */
const LIBTORCH_LIBRARIES: typeof LIBRARIES = [
  ['libcurand.so.10', 'cu13'],
  ['libcufile.so.0', 'cu13'],
  ['libcusparseLt.so.0', 'cusparselt'],
];
/** Itself, in the order in which it may be loaded. */
const LIBTORCH_FILES = ['libc10_cuda.so', 'libtorch_cuda.so', 'libtorch_cuda_linalg.so'];
/** What it finds beside it, and what cannot be loaded before it. */
const LIBTORCH_BESIDE = 'libtorch_nvshmem.so';

export interface CudaParts {
  /** The XLA plugin for CUDA. */
  readonly plugin?: string;
  /** The folder with `bin/ptxas` and `nvvm/libdevice`. */
  readonly toolkit?: string;
  /** CUDA's libraries that were found, in the order in which they may be loaded. */
  readonly libraries: readonly string[];
  /** Names of those that were not. */
  readonly missing: readonly string[];
}

/** Whether jorch's own copy has all parts of a role. */
const hasPart = (wanted: (part: Part) => boolean): boolean => {
  const parts = pins().cuda.parts.filter(wanted);
  return parts.length > 0 && parts.every((part) => existsSync(cudaMark(part)));
};

/** The wheel's version is in the name of the folder beside the package. */
const pythonPlugin = (folders: readonly string[]): string | undefined => {
  const { name, version } = pins().cuda.parts.find(({ role }) => role === 'xla-cuda')!;
  const info = `${name.replaceAll('-', '_')}-${version}.dist-info`;
  const folder = folders.find((f) => existsSync(join(f, info)) && existsSync(join(f, PLUGIN)));
  return folder && join(folder, PLUGIN);
};

/** Where NVIDIA's own installer and the usual variables put a CUDA toolkit. */
const systemToolkits = (): string[] => [
  ...['CUDA_HOME', 'CUDA_PATH', 'CUDA_ROOT'].flatMap((name) => process.env[name] ?? []),
  '/usr/local/cuda',
];

const systemLibraries = (): string[] => [
  ...(process.env['LD_LIBRARY_PATH'] ?? '').split(delimiter).filter((d) => d !== ''),
  ...systemToolkits().map((d) => join(d, 'lib64')),
  '/usr/lib/x86_64-linux-gnu',
];

/** The commit that a torch package was built from. */
const builtFrom = (torch: string): string | undefined => {
  try {
    return /git_version = '(\w+)'/.exec(readFileSync(join(torch, 'version.py'), 'utf8'))?.[1];
  } catch {
    return undefined;
  }
};

/**
 * libtorch's CUDA library with what it calls, in the order in which they may be loaded, or why not. It must be of the very build that `torch`, the package whose
 * libtorch_cpu runs, is of: beside it, or in Python's torch.
 */
export const findLibtorchCuda = (torch: string): { readonly files: readonly string[] } | { readonly lacks: string } => {
  const isWhole = (dir: string): boolean =>
    [...LIBTORCH_FILES, LIBTORCH_BESIDE].every((name) => existsSync(join(dir, 'lib', name)));
  let dir = torch;
  if (!isWhole(torch)) {
    const others = pythonFolders()
      .map((f) => join(f, 'torch'))
      .filter(isWhole);
    if (others.length === 0)
      return {
        lacks: `libtorch_cuda.so is neither in ${torch} nor in Python's torch; pip install torch==${pins().torch} brings it`,
      };
    const build = builtFrom(torch);
    const same = others.find((d) => build !== undefined && builtFrom(d) === build);
    if (same === undefined) return { lacks: `${others[0]} is another build of torch than ${torch}` };
    dir = same;
  }
  const places = [join(dir, '..', 'nvidia'), join(cudaDir(), 'nvidia')];
  const files: string[] = [];
  for (const [name, folder] of LIBTORCH_LIBRARIES) {
    const file = [...places.map((place) => join(place, folder, 'lib')), ...systemLibraries()]
      .map((place) => join(place, name))
      .find((path) => existsSync(path));
    if (file === undefined) return { lacks: `${name}, which libtorch_cuda.so needs, was not found` };
    files.push(file);
  }
  return { files: [...files, ...LIBTORCH_FILES.map((name) => join(dir, 'lib', name))] };
};

/** Everything that is there of what CUDA needs. Looks at files only, and into Python's folders only for what jorch's own lack. */
export const findCuda = (): CudaParts => {
  const own = cudaDir();
  let folders: readonly string[] | undefined;
  const python = (): readonly string[] => {
    folders ??= pythonFolders();
    return folders;
  };
  const plugin =
    pluginFromEnvironment('cuda') ??
    (hasPart(({ role }) => role === 'xla-cuda') ? join(own, PLUGIN) : pythonPlugin(python()));
  const isToolkit = (dir: string): boolean => existsSync(join(dir, PTXAS)) && existsSync(join(dir, LIBDEVICE));
  const toolkit = hasPart(({ role }) => role === 'cuda-compiler')
    ? join(own, 'nvidia', 'cu13')
    : [...python().map((f) => join(f, 'nvidia', 'cu13')), ...systemToolkits()].find(isToolkit);
  const libraries: string[] = [];
  const missing: string[] = [];
  // One set of libraries per process, never some of this and some of that: the first place that has cuBLAS is asked first for all.
  const ownLibraries = hasPart(({ role }) => role === 'cuda-library');
  const system = systemLibraries();
  for (const [name, folder] of LIBRARIES) {
    const places = ownLibraries
      ? [join(own, 'nvidia', folder, 'lib')]
      : [...python().map((f) => join(f, 'nvidia', folder, 'lib')), ...system];
    const found = places.map((place) => join(place, name)).find((file) => existsSync(file));
    if (found) libraries.push(found);
    else missing.push(name);
  }
  return { ...(plugin ? { plugin } : {}), ...(toolkit ? { toolkit } : {}), libraries, missing };
};

const GET_COMPILER =
  'get it with: npx jorch install cuda --compiler (233 MB; all that running needs: npx jorch install cuda, 2 GB)';

/** What compiling for a GPU needs, on any machine. @throws JorchError RUNTIME_MISSING with the command that gets what is missing. */
export const cudaCompiler = (): { plugin: string; toolkit: string } => {
  const { plugin, toolkit } = findCuda();
  if (plugin && toolkit) return { plugin, toolkit };
  const missing = [
    ...(plugin ? [] : ['the XLA plugin for CUDA']),
    ...(toolkit ? [] : ['NVIDIA’s ptxas and libdevice']),
  ];
  throw new JorchError(
    'RUNTIME_MISSING',
    `${missing.join(' and ')} not found (looked at JORCH_PJRT_PLUGIN, ${cudaDir()}, Python's packages and the system's CUDA); ${GET_COMPILER}`,
  );
};

/** Whether the driver's device files are there. */
export const hasNvidiaDevice = (): boolean => existsSync('/dev/nvidiactl') || existsSync('/proc/driver/nvidia/version');

/** What running on a GPU needs. @throws JorchError RUNTIME_MISSING naming the driver or what is missing, with the command that gets it. */
export const cudaRuntime = (): { plugin: string; toolkit: string; libraries: readonly string[] } => {
  if (!hasNvidiaDevice())
    throw new JorchError(
      'RUNTIME_MISSING',
      'there is no NVIDIA GPU on this machine, or its driver is not loaded (/dev/nvidiactl is not there); compile.forTopology compiles for one that is elsewhere',
    );
  const compiler = cudaCompiler();
  const { libraries, missing } = findCuda();
  if (missing.length > 0)
    throw new JorchError(
      'RUNTIME_MISSING',
      `CUDA's ${missing.join(', ')} not found; get them with: npx jorch install cuda (2 GB)`,
    );
  return { ...compiler, libraries };
};
