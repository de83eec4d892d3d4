/** @file `jorch doctor`: every part that jorch needs, whether it is there, and how to get it. */
import '../index.js';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { programsDir } from '../compile/cache-folder.js';
import { entriesOf, persistentCache } from '../compile/persistent.js';
import { deviceNumber, withoutLibtorch } from '../cuda/devices.js';
import { binaryFile, located, native, runtimeAddon } from '../runtime/load.js';
import { cpuPluginFile, locate } from '../runtime/locate.js';
import { cudaCompiler, findCuda, findLibtorchCuda, hasNvidiaDevice } from '../runtime/locate-cuda.js';
import { packageFolder } from '../runtime/packages.js';
import { ownVersion, pins, runtimeDir } from '../runtime/parts.js';
import { systemProblem, thisSystem } from '../runtime/system.js';
import { type Print, sizeText } from './cache.js';

/** One thing that was looked at: what it is like, or an error that says how to get it. */
interface Check {
  readonly what: string;
  /** jorch works without it. */
  readonly optional?: true;
  look(): string;
}

const TINY = `module @m { func.func public @main(%x: tensor<f32>) -> (tensor<f32>) {
  %y = stablehlo.add %x, %x : tensor<f32>
  return %y : tensor<f32> } }`;

const checks: readonly Check[] = [
  {
    what: 'Node.js',
    look: () => {
      if (Number(process.versions.node.split('.')[0]) < 20)
        throw new Error(`${process.version} is too old; get 20 or newer with: npm install -g n && n 22`);
      return process.version;
    },
  },
  {
    what: 'system',
    look: () => {
      const system = thisSystem();
      const problem = systemProblem(system);
      if (problem !== undefined) throw new Error(problem);
      return `${system.platform} ${system.arch}, glibc ${system.glibc}, ${cpus()[0]?.model ?? 'unknown processor'}`;
    },
  },
  { what: 'jorch_rt.node', look: () => binaryFile('jorch_rt.node') },
  { what: 'jorch.node', look: () => binaryFile('jorch.node') },
  {
    what: 'XLA CPU plugin',
    look: () => cpuPluginFile(),
  },
  {
    what: `libtorch ${pins().torch}`,
    look: () => {
      const { torch, from } = locate();
      return `${torch} (${from})`;
    },
  },
  {
    what: 'compiling with XLA',
    look: () => {
      const addon = runtimeAddon();
      const plugin = cpuPluginFile();
      const program = addon.compileProgram(plugin, TINY, {});
      const [result] = addon.run(program, [{ data: new Float32Array([21]), dtype: 'float32', shape: [] }]);
      if (new Float32Array(result!)[0] !== 42) throw new Error('XLA computes 21 + 21 wrongly');
      return `works (${addon.compilerIdentity(plugin).split('\n')[0]})`;
    },
  },
  {
    what: 'computing with libtorch',
    look: () => {
      const t = native().fromData(new Float32Array([21]), 'float32', [1]);
      const doubled = native().packet('aten::add')(t, t) as typeof t;
      if (native().item(doubled) !== 42) throw new Error('libtorch computes 21 + 21 wrongly');
      return 'works';
    },
  },
  {
    what: 'compiled programs on disk',
    look: () => {
      const { folder, refused } = persistentCache();
      if (folder === undefined) return `not kept: ${refused}`;
      const entries = entriesOf(programsDir());
      return `${entries.length} in ${folder}, ${sizeText(entries.reduce((sum, e) => sum + e.bytes, 0))}`;
    },
  },
  {
    what: 'NVIDIA GPU',
    optional: true,
    look: () => {
      if (hasNvidiaDevice()) return 'its driver is loaded';
      throw new Error('none, or its driver is not loaded; compile.forTopology compiles for one elsewhere');
    },
  },
  {
    what: 'compiling for NVIDIA GPUs',
    optional: true,
    look: () => {
      const { plugin, toolkit } = cudaCompiler();
      return `${plugin}, ptxas and libdevice in ${toolkit}`;
    },
  },
  {
    what: 'CUDA’s libraries',
    optional: true,
    look: () => {
      const { libraries, missing } = findCuda();
      if (missing.length > 0)
        throw new Error(`${missing.join(', ')} not found; get them with: npx jorch install cuda (2 GB)`);
      return `${libraries.length}, ${libraries[0]} among them`;
    },
  },
  {
    what: 'operators outside compile() on NVIDIA GPUs',
    optional: true,
    look: () => {
      if (hasNvidiaDevice()) {
        const lacks = withoutLibtorch(deviceNumber('cuda'));
        return lacks === undefined ? 'libtorch’s own' : `programs of one operator (${lacks})`;
      }
      const found = findLibtorchCuda(located().torch);
      return 'lacks' in found ? `would be programs of one operator (${found.lacks})` : 'would be libtorch’s own';
    },
  },
  {
    what: 'Python with pip (to install)',
    look: () => {
      const { status, stdout } = spawnSync('python3', ['-m', 'pip', '--version'], { encoding: 'utf8' });
      if (status === 0) return stdout.trim();
      const why = 'not found; get it with: apt-get install python3 python3-pip';
      // Only the installer needs it.
      if (existsSync(runtimeDir()) || packageFolder('libtorch') !== undefined) return `${why} (not needed now)`;
      throw new Error(why);
    },
  },
];

/** Prints a line for each part; whether everything is there. */
export const doctor = (print: Print): boolean => {
  print(`jorch ${ownVersion()}`);
  let healthy = true;
  for (const { what, look, optional } of checks) {
    try {
      print(`  ok       ${what}: ${look()}`);
    } catch (error) {
      if (!optional) healthy = false;
      print(`  ${optional ? 'optional' : 'MISSING '} ${what}: ${(error as Error).message}`);
    }
  }
  print(healthy ? 'everything is there' : 'something is missing');
  return healthy;
};
