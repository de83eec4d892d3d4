/**
 * @file An HTTP service that turns sentences into vectors with all-MiniLM-L6-v2, compiled; requests are batched and run off the event
 * loop. Ends gracefully on SIGTERM and Ctrl-C: what was accepted is answered.
 *
 *     npm run example:serve                     then: POST /embed {"sentences": ["…"]}, POST /search {"query": "…", "k": 5}
 *                                               GET /healthz, GET /metrics (Prometheus)
 *     npm run example:serve -- --load           measures it instead: eager and compiled, batch 1 and dynamic batching [--seconds 8]
 */
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import fastify, { type FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';
import { Batcher, LENGTHS, pad, SIZES } from './lib/batcher.js';
import { loadMiniLM, type MiniLM } from './lib/minilm.js';
import { declaration } from './lib/udhr.js';

interface Settings {
  readonly compiled: boolean;
  /** Sentences that run together at most. */
  readonly most: number;
  /** What /search looks through. */
  readonly corpus: readonly string[];
}
interface Service {
  readonly app: FastifyInstance;
  /** What was done so far. */
  readonly total: { readonly sentences: number; readonly batches: number };
  close(): Promise<void>;
}

const sentenceList = {
  type: 'object',
  required: ['sentences'],
  properties: {
    sentences: { type: 'array', minItems: 1, maxItems: 256, items: { type: 'string', maxLength: 10_000 } },
  },
} as const;
const searchQuery = {
  type: 'object',
  required: ['query'],
  properties: { query: { type: 'string', maxLength: 10_000 }, k: { type: 'integer', minimum: 1, maximum: 50 } },
} as const;

/** Numbers of an embedding. */
const WIDTH = 384;
/** Of the load generator. */
const CONNECTIONS = 32;
/** How long a stop waits for what is under way. */
const PATIENCE_MS = 30_000;

/** The model as a function of a batch; compiled for every shape that the batcher makes, before the first request. */
async function runner(
  model: MiniLM,
  { compiled, most }: Settings,
): Promise<(ids: Tensor, mask: Tensor) => Tensor | Promise<Tensor>> {
  if (!compiled) return (ids, mask) => model.forward(ids, mask);
  const began = performance.now();
  const bySize = new Map(SIZES.filter((size) => size <= most).map((size) => [size, torch.compile(model)]));
  for (const [size, fast] of bySize) for (const length of LENGTHS) await fast.warmup(...pad([], size, length));
  const shapes = bySize.size * LENGTHS.length;
  console.log(`compiled for ${shapes} shapes in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return (ids, mask) => bySize.get(ids.shape[0])!.async(ids, mask);
}

export async function startService(
  settings: Settings,
  { model, tokenize }: ReturnType<typeof loadMiniLM>,
): Promise<Service> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const sentencesTotal = new Counter({ name: 'sentences_total', help: 'Sentences embedded', registers: [registry] });
  const batchSize = new Histogram({
    name: 'batch_size',
    help: 'Sentences per batch',
    buckets: SIZES,
    registers: [registry],
  });
  const batchSeconds = new Histogram({
    name: 'batch_seconds',
    help: 'Seconds per batch',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
    registers: [registry],
  });
  const requestsTotal = new Counter({
    name: 'requests_total',
    help: 'Requests answered',
    labelNames: ['route', 'status'],
    registers: [registry],
  });

  const total = { sentences: 0, batches: 0 };
  const batcher = new Batcher(await runner(model, settings), {
    most: settings.most,
    onBatch: (sentences, seconds) => {
      total.sentences += sentences;
      total.batches++;
      sentencesTotal.inc(sentences);
      batchSize.observe(sentences);
      batchSeconds.observe(seconds);
    },
  });
  const embed = (sentences: readonly string[]): Promise<Float32Array[]> =>
    Promise.all(sentences.map((sentence) => batcher.embed(tokenize(sentence))));

  const { corpus } = settings;
  const index = torch
    .tensor(Float32Array.from((await embed(corpus)).flatMap((e) => [...e])))
    .reshape([corpus.length, WIDTH]);

  const app = fastify({ logger: false, bodyLimit: 4 << 20 });
  app.addHook('onResponse', async (request, reply) => {
    requestsTotal.inc({ route: request.routeOptions.url ?? 'none', status: reply.statusCode });
  });
  app.get('/healthz', async () => ({ status: 'ok', ...torch.memory() }));
  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', registry.contentType);
    return registry.metrics();
  });
  app.post<{ Body: { sentences: string[] } }>('/embed', { schema: { body: sentenceList } }, async ({ body }) => ({
    embeddings: (await embed(body.sentences)).map((e) => [...e]),
  }));
  app.post<{ Body: { query: string; k?: number } }>('/search', { schema: { body: searchQuery } }, async ({ body }) => {
    const [query] = await embed([body.query]);
    const [scores, places] = index.matmul(torch.tensor(query!)).topk(Math.min(body.k ?? 5, corpus.length));
    const found = places.tolist() as number[];
    return { results: (scores.tolist() as number[]).map((score, i) => ({ score, sentence: corpus[found[i]!]! })) };
  });
  return {
    app,
    total,
    close: async () => {
      // Takes no new connection, answers what is under way.
      await app.close();
      await batcher.drain();
    },
  };
}

/** Requests per second and latencies of one sentence per request. */
async function measure(settings: Settings, loaded: ReturnType<typeof loadMiniLM>, seconds: number): Promise<string> {
  const name = `${settings.compiled ? 'compiled' : 'eager'}, ${settings.most === 1 ? 'batch 1' : `batches up to ${settings.most}`}`;
  console.error(`${name} …`);
  const service = await startService(settings, loaded);
  await service.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = service.app.server.address() as AddressInfo;
  const load = (duration: number) =>
    autocannon({
      url: `http://127.0.0.1:${port}/embed`,
      connections: CONNECTIONS,
      duration,
      timeout: 60,
      workers: 1, // on a thread of its own
      requests: declaration()
        .slice(0, 64)
        .map((sentence) => ({
          method: 'POST' as const,
          path: '/embed',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ sentences: [sentence] }),
        })),
    });
  try {
    await load(1);
    const before = { ...service.total };
    const began = process.cpuUsage();
    const { requests, latency, non2xx, errors } = await load(seconds);
    if (non2xx > 0 || errors > 0) throw new Error(`${name}: ${non2xx} refused, ${errors} errors`);
    const rate = (requests.total / seconds).toFixed(1).padStart(10);
    // A service that answered nothing has no latency: give it more seconds.
    const latencies = [latency.p50, latency.p99].map((x) => (requests.total > 0 ? x.toFixed(0) : '-').padStart(8));
    const { user, system } = process.cpuUsage(began);
    const sentences = service.total.sentences - before.sentences;
    const perBatch = (sentences / (service.total.batches - before.batches)).toFixed(1);
    const cpu = ((user + system) / 1000 / sentences).toFixed(1);
    return `${name.padEnd(26)}${rate}${latencies.join('')}${perBatch.padStart(17)}${cpu.padStart(17)}`;
  } finally {
    await service.close();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      load: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '8' },
      eager: { type: 'boolean', default: false },
    },
  });
  const loaded = loadMiniLM();
  if (values.load) {
    const seconds = Number(values.seconds);
    if (!(seconds > 0)) throw new Error(`--seconds: expected a number above 0, got '${values.seconds}'`);
    const rows: string[] = [];
    for (const compiled of [false, true])
      for (const most of [1, 32]) rows.push(await measure({ compiled, most, corpus: [] }, loaded, seconds));
    const header = `${`${CONNECTIONS} connections, ${seconds} s each`.padEnd(26)}requests/s  p50 ms  p99 ms  sentences/batch  CPU ms/sentence`;
    console.log(`\n${header}\n${rows.join('\n')}`);
    return;
  }
  const service = await startService({ compiled: !values.eager, most: 32, corpus: declaration() }, loaded);
  const address = await service.app.listen({
    port: Number(process.env['PORT'] ?? 8080),
    host: process.env['HOST'] ?? '127.0.0.1',
  });
  console.log(`listening on ${address}`);
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(1); // asked twice
    stopping = true;
    console.log('answering what is under way …');
    setTimeout(() => {
      console.error(`not done after ${PATIENCE_MS / 1000} s`);
      process.exit(1);
    }, PATIENCE_MS).unref();
    service.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
if (require.main === module)
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
