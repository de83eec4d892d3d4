#!/usr/bin/env node
/**
 * @file Writes THIRD_PARTY_NOTICES: whose work the packages contain, and under which licences, in the words of the wheels that it comes from.
 *
 *   python3 -m pip install --no-deps --target FOLDER torch==… lammps-jax-pjrt-cpu==… nvidia-cuda-runtime==… nvidia-cuda-cupti==… mkl-include==2024.2.2
 *   node scripts/pack/notices.mjs FOLDER [COPYRIGHT]
 *
 * FOLDER holds the pinned wheels (runtime.json) and mkl-include, whose licence is that of the MKL linked into libtorch. COPYRIGHT is Debian's
 * copyright file of gcc, whence the exception that libgomp is under (default /usr/share/doc/gcc-12-base/copyright).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const [folder, copyright = '/usr/share/doc/gcc-12-base/copyright'] = process.argv.slice(2);
if (!folder) throw new Error('give the folder of the installed wheels (see the head of this file)');
const { parts } = JSON.parse(readFileSync(join(root, 'runtime.json'), 'utf8'));
const rule = '='.repeat(100);

const licencesOf = (name, version) => {
  const info = join(folder, `${name.replaceAll('-', '_')}-${version}.dist-info`);
  const places = [join(info, 'licenses'), info].filter((place) => existsSync(place));
  const files = places.flatMap((place) =>
    readdirSync(place, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .filter((file) => /^(licen[cs]e|notice|third_party)/i.test(file))
      .map((file) => join(place, file)),
  );
  if (files.length === 0) throw new Error(`no licence of ${name} ${version} in ${info}`);
  return files.sort().map((file) => readFileSync(file, 'utf8').trim());
};

const section = (title, texts) => `${rule}\n${title}\n${rule}\n\n${texts.join('\n\n')}\n`;

const gccException = () => {
  const text = readFileSync(copyright, 'utf8');
  const from = text.indexOf('GCC RUNTIME LIBRARY EXCEPTION');
  const last = 'consistent with the licensing of the Independent Modules.';
  const to = text.replaceAll('\n', ' ').indexOf(last, from);
  if (from < 0 || to < 0) throw new Error(`${copyright} has no GCC Runtime Library Exception`);
  return text.slice(from, to + last.length);
};

/** What lies in which package. */
const CONTENT = {
  torch: '@jorch/libtorch-linux-x64: libtorch_cpu.so, libc10.so (PyTorch %), with the libraries linked into them',
  'nvidia-cuda-runtime': '@jorch/libtorch-linux-x64: libcudart.so.13, libcupti.so.13 (NVIDIA CUDA runtime and CUPTI %)',
  'lammps-jax-pjrt-cpu':
    '@jorch/xla-cpu-linux-x64: pjrt_c_api_cpu_plugin.so (OpenXLA, as built for lammps-jax-pjrt-cpu %), with the libraries linked into it',
};

const sections = parts
  .filter(({ name }) => name in CONTENT)
  .map(({ name, version }) => section(CONTENT[name].replace('%', version), licencesOf(name, version)));
sections.push(
  section(
    '@jorch/libtorch-linux-x64: Intel oneAPI Math Kernel Library 2024.2, linked into libtorch_cpu.so',
    licencesOf('mkl-include', '2024.2.2'),
  ),
  section('@jorch/libtorch-linux-x64: libgomp.so.1 (the OpenMP library of GCC, as in PyTorch’s wheel)', [
    'libgomp is under the GNU General Public License, version 3 or later (its text stands in PyTorch’s licences above), with this exception:',
    gccException(),
  ]),
);
const head = `What the npm packages jorch, @jorch/libtorch-linux-x64 and @jorch/xla-cpu-linux-x64 contain of others.
The package jorch itself is under the MIT licence (LICENSE) and contains nobody else's code; its npm dependencies bring their own licences.
The libraries below are those of the wheels that runtime.json pins, without their symbol tables.
Made by scripts/pack/notices.mjs from the licence files in those wheels.
`;
writeFileSync(join(root, 'THIRD_PARTY_NOTICES'), `${head}\n${sections.join('\n')}`);
console.log(`${sections.length} sections`);
