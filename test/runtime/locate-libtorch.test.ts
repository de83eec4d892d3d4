/** @file Which libtorch_cuda is taken: of the very build of the libtorch that runs, with all it calls, or none, and why. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findLibtorchCuda } from '../../lib/runtime/locate-cuda.js';

const LIBRARIES = ['libc10_cuda.so', 'libtorch_cuda.so', 'libtorch_cuda_linalg.so'];
const NVIDIA = ['cu13/lib/libcurand.so.10', 'cu13/lib/libcufile.so.0', 'cusparselt/lib/libcusparseLt.so.0'];

describe('locate: libtorch for NVIDIA GPUs', () => {
  let dir = '';
  const python = process.env['PYTHONPATH'];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-libtorch-'));
    process.env['PYTHONPATH'] = join(dir, 'python');
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
    if (python === undefined) delete process.env['PYTHONPATH'];
    else process.env['PYTHONPATH'] = python;
  });
  const put = (path: string, text = ''): void => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  const torch = (place: string, build: string, cuda: boolean): string => {
    put(`${place}/torch/version.py`, `__version__ = '2.11.0+cu130'\ngit_version = '${build}'\n`);
    if (cuda) for (const name of [...LIBRARIES, 'libtorch_nvshmem.so']) put(`${place}/torch/lib/${name}`);
    return join(dir, place, 'torch');
  };

  it('beside libtorch_cpu', () => {
    const own = torch('own', 'abc', true);
    for (const name of NVIDIA) put(`own/nvidia/${name}`);
    assert.deepEqual(findLibtorchCuda(own), {
      files: [...NVIDIA.map((n) => join(own, '..', 'nvidia', n)), ...LIBRARIES.map((n) => join(own, 'lib', n))],
    });
  });

  it('in Python’s torch, when it is the same build', () => {
    const own = torch('own', 'abc', false);
    const found = findLibtorchCuda(own);
    assert.ok('lacks' in found && /neither in .*own\/torch nor in Python's torch|another build/.test(found.lacks));
    const theirs = torch('python', 'abc', true);
    for (const name of NVIDIA) put(`python/nvidia/${name}`);
    assert.deepEqual((findLibtorchCuda(own) as { files: string[] }).files.at(-1), join(theirs, 'lib', LIBRARIES[2]!));
  });

  it('not one of another build', () => {
    const own = torch('own', 'abc', false);
    torch('python', 'def', true);
    const found = findLibtorchCuda(own);
    assert.ok('lacks' in found);
    assert.match(found.lacks, /python\/torch is another build of torch than .*own\/torch/);
  });
});
