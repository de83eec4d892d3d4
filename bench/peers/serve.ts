/** @file jorch as a peer, with the protocol of python/serve.py: serve.js 'jorch'|'jorch eager' DATA_FOLDER. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Bench } from 'tinybench';
import * as torch from '../../lib/index.js';
import { load_file } from '../../lib/io/safetensors.js';
import { cases, type Job } from './cases.js';
import type { Group } from './data.js';
import type { Reply, Request } from './peer.js';

const [runner, folder] = process.argv.slice(2) as [string, string];

/** Groups of inputs, read when a case asks for them. */
const data = new Proxy({} as Record<string, Group>, {
  get: (read, name: string) => {
    read[name] ??= load_file(join(folder, `${name}.safetensors`));
    return read[name];
  },
});
const jobs = new Map<string, Job>();

/**
 * Microseconds of one call, measured as python/serve.py and node-peers.mjs do: called for half of the time without looking (V8 compiles what is called
 * often), then in batches of 10 ms, which are long enough to have their share of what collecting garbage takes; the median of their means.
 */
const timed = async (call: () => unknown, seconds: number): Promise<number> => {
  const began = performance.now();
  let calls = 0;
  for (; performance.now() - began < seconds * 500; calls++) call();
  const batch = Math.max(1, Math.round((10 * calls) / (performance.now() - began)));
  const bench = new Bench({ time: seconds * 1000, iterations: 3, warmup: false });
  bench.add('batch', () => {
    for (let i = 0; i < batch; i++) call();
  });
  await bench.run();
  const result = bench.getTask('batch')?.result;
  if (result === undefined || !('latency' in result)) throw new Error('no result');
  return (result.latency.p50 / batch) * 1000;
};

const answer = async (request: Request): Promise<Reply> => {
  if (request.do === 'memory')
    return { mib: Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024 };
  if (request.do === 'time') return { us: await timed(jobs.get(request.case!)!.call, request.seconds!) };
  const make = cases[request.case!];
  if (make === undefined) throw new Error('left out');
  const job = make(data, runner === 'jorch' ? (torch.compile as never) : (f) => f);
  jobs.set(request.case!, job);
  const began = performance.now();
  const answers = job.answers();
  return { first: (performance.now() - began) / 1000, answers };
};

const main = async (): Promise<void> => {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line) as Request).catch((error: Error) => ({
      error: error.message.slice(0, 200),
    }));
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
  process.exit(0);
};

void main();
