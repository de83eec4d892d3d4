/**
 * @file Peers that run in Node, as a process with the protocol of python/serve.py: node-peers.mjs RUNNER DATA_FOLDER PACKAGES_FOLDER. onnxruntime-node
 * runs graphs exported from torch (DATA_FOLDER/onnx), @jax-js/jax (WebAssembly) functions written here.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [runner, folder, packages] = process.argv.slice(2);
const THREADS = Number(process.env.BENCH_THREADS ?? availableParallelism());
const require = createRequire(join(packages, 'x.cjs'));

const ARRAYS = { F32: Float32Array, F64: Float64Array, I64: BigInt64Array };
const load = (group) => {
  const file = readFileSync(join(folder, `${group}.safetensors`));
  const length = Number(file.readBigUInt64LE(0));
  const head = JSON.parse(file.subarray(8, 8 + length));
  const start = file.byteOffset + 8 + length;
  const cut = ([a, b]) => file.buffer.slice(start + a, start + b);
  delete head.__metadata__;
  return Object.fromEntries(
    Object.entries(head).map(([k, { dtype, shape, data_offsets }]) => [
      k,
      { shape, data: new ARRAYS[dtype](cut(data_offsets)) },
    ]),
  );
};
const norm = (...lists) => Math.sqrt(lists.reduce((s, list) => list.reduce((t, v) => t + v * v, s), 0));

async function onnxruntime() {
  const ort = require('onnxruntime-node');
  return async (name) => {
    const path = join(folder, 'onnx', `${name}.onnx`);
    if (!existsSync(path)) throw new Error('no graph: derivatives and training are outside onnxruntime-node');
    const session = await ort.InferenceSession.create(path, { intraOpNumThreads: THREADS });
    const [group, ...rest] = name.split('.');
    const data = load(group);
    const x = data[`x${rest.at(-1)}`] ?? data.x;
    const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', x.data, x.shape) };
    const call = () => session.run(feeds);
    return { call, answers: async () => [norm((await call())[session.outputNames[0]].data)] };
  };
}

async function jaxjs() {
  globalThis.Float16Array ??= class {}; // it asks what is one, which only Node 24 has
  const jax = require('@jax-js/jax');
  const { numpy: np, nn, tree } = jax;
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const array = ({ shape, data }) =>
    np.array(data, { shape, dtype: data instanceof Float64Array ? np.float64 : np.float32 });
  const seed = (x) =>
    np
      .sin(x.ref)
      .add(np.exp(x.mul(2)))
      .sum();
  const rosenbrock = (x) => {
    const n = x.shape[0];
    const next = x.ref.slice([1, n]);
    const here = x.slice([0, n - 1]);
    const gap = next.sub(np.square(here.ref));
    return np
      .square(gap)
      .mul(100)
      .add(np.square(here.mul(-1).add(1)))
      .sum();
  };
  const logreg = (w, X, y) => {
    const z = np.matmul(X, w.ref);
    return nn.softplus(z.ref).sub(y.mul(z)).sum().add(np.square(w).sum().mul(0.5));
  };
  const chain = (given) => {
    let x = given;
    for (let i = 0; i < 20; i++)
      x = np
        .square(np.sin(x.mul(1.01).add(0.05)))
        .mul(-1)
        .add(1);
    return x;
  };
  const mlp = (x, ...p) => {
    let h = x;
    for (let k = 0; k < 3; k++) {
      h = np.matmul(h, p[2 * k].transpose()).add(p[2 * k + 1]);
      if (k < 2) h = nn.relu(h);
    }
    return h;
  };
  const table = {
    'dispatch.1': [(x) => x.add(1), 'x'],
    'seed.value.10': [seed, 'x10'],
    'seed.value.1000': [seed, 'x1000'],
    'seed.vg.10': [seed, 'x10'],
    'seed.vg.1000': [seed, 'x1000'],
    'rosen.vg.100': [rosenbrock, 'x100'],
    'rosen.vg.1000': [rosenbrock, 'x1000'],
    'rosen.vg.10000': [rosenbrock, 'x10000'],
    'logreg.vg': [logreg, 'w', 'X', 'y'],
    'chain.16': [chain, 'x16'],
    'chain.1e6': [chain, 'x1e6'],
    'mlp.fwd': [mlp, 'x', 'W0', 'b0', 'W1', 'b1', 'W2', 'b2'],
  };
  return async (name) => {
    if (!table[name]) throw new Error('left out');
    const [f, ...keys] = table[name];
    const data = load(name.split('.')[0]);
    const xs = keys.map((k) => array(data[k]));
    const derivative = name.includes('.vg');
    const g = jax.jit(derivative ? jax.valueAndGrad(f) : f);
    // Arguments are used up by a call.
    const run = async () => {
      const out = g(...xs.map((x) => x.ref));
      await jax.blockUntilReady(out);
      return out;
    };
    return {
      call: async () => tree.dispose(await run()),
      answers: async () => {
        const out = await run();
        const lists = [];
        for (const leaf of tree.leaves(out)) lists.push(await leaf.data());
        return derivative ? [lists[0][0], norm(...lists.slice(1))] : [norm(...lists)];
      },
    };
  };
}

/** Microseconds of one call, measured as in serve.ts. */
const timed = async (call, seconds) => {
  let [began, calls] = [performance.now(), 0];
  for (; performance.now() - began < seconds * 500; calls++) await call();
  const batch = Math.max(1, Math.round((10 * calls) / (performance.now() - began)));
  const means = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end || means.length < 3; ) {
    began = performance.now();
    for (let i = 0; i < batch; i++) await call();
    means.push((performance.now() - began) / batch);
  }
  return means.sort((a, b) => a - b)[means.length >> 1] * 1000;
};

const print = process.stdout.write.bind(process.stdout);
console.log = console.error; // what libraries print is no answer
const make = await (runner === 'onnxruntime-node' ? onnxruntime() : jaxjs());
const jobs = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, case: name, seconds } = JSON.parse(line);
  let reply;
  try {
    if (what === 'prepare') {
      const job = await make(name);
      jobs.set(name, job);
      const began = performance.now();
      const answers = await job.answers();
      reply = { first: (performance.now() - began) / 1000, answers };
    } else if (what === 'memory')
      reply = { mib: Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024 };
    else reply = { us: await timed(jobs.get(name).call, seconds) };
  } catch (error) {
    reply = { error: String(error?.message ?? error).slice(0, 200) };
  }
  print(`${JSON.stringify(reply)}\n`);
}
process.exit(0);
