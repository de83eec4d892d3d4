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

const median = async (call: () => unknown, seconds: number): Promise<number> => {
  const bench = new Bench({ time: seconds * 1000, warmup: false });
  bench.add('call', () => void call());
  await bench.run();
  const result = bench.getTask('call')?.result;
  if (result === undefined || !('latency' in result)) throw new Error('no result');
  return result.latency.p50 * 1000;
};

const answer = async (request: Request): Promise<Reply> => {
  if (request.do === 'memory')
    return { mib: Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024 };
  if (request.do === 'time') return { us: await median(jobs.get(request.case!)!.call, request.seconds!) };
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
