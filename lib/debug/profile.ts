/** @file debug.profile: what compiled functions spend their time with, as a file for Chrome's trace viewer and Perfetto. */
import { writeFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { type Span, spans } from '../inspect/spans.js';
import { JorchError } from '../runtime/errors.js';
import { recordPlugin } from './xspace.js';

/** The JSON object format of Chrome's traces; times in microseconds. */
const chromeTrace = (found: readonly Span[], ofPlugin: readonly object[]): string => {
  const [pid, tid] = [process.pid, threadId];
  const micro = (ms: number): number => Math.round(ms * 1000);
  return JSON.stringify({
    displayTimeUnit: 'ms',
    traceEvents: [
      { name: 'process_name', ph: 'M', pid, tid, args: { name: 'jorch' } },
      { name: 'thread_name', ph: 'M', pid, tid, args: { name: threadId === 0 ? 'main' : `worker ${threadId}` } },
      ...found.map(({ name, category, start, duration, args }) => ({
        name,
        cat: category,
        ph: 'X',
        pid,
        tid,
        ts: micro(start),
        dur: micro(duration),
        ...(args ? { args } : {}),
      })),
      ...ofPlugin,
    ],
  });
};

/**
 * Runs `f` and writes what jorch did meanwhile to `path`, a JSON file that chrome://tracing and ui.perfetto.dev show: spans of category `js`
 * (the whole of `f`), `trace` (a function recorded), `lower` (its program's text made), `compile` (by XLA, or loaded from the cache: see
 * `args.cached`), and `execute` (a call of a compiled function that had its program). Compilations of `fast.async(…)` are there too when
 * they end within `f`. Beside them stand XLA's own spans where its plugin notes them: the one for CUDA does, passes of its compiler on the host
 * as kernels and copies on the card; the one for the CPU does not. Returns what `f` returns; a promise is waited for. The file is written even when `f` throws.
 * @throws JorchError BAD_ARGUMENT when a profile is open already.
 * @example debug.profile(() => fit(data), 'trace.json');
 */
export const profile = <T>(f: () => T, path: string): T => {
  if (typeof f !== 'function')
    throw new JorchError('BAD_ARGUMENT', `debug.profile: expected a function, got ${typeof f}`);
  if (typeof path !== 'string' || path === '')
    throw new JorchError('BAD_ARGUMENT', 'debug.profile: expected the path of the file to write, such as trace.json');
  if (spans.open)
    throw new JorchError('BAD_ARGUMENT', 'debug.profile: a profile is running; profiles do not lie in one another');
  const start = performance.now();
  const close = (): void => {
    spans.add(f.name || 'f', 'js', start);
    writeFileSync(path, chromeTrace(spans.end(), ended()));
  };
  let waits = false;
  const ended = recordPlugin();
  spans.begin();
  try {
    const result = f();
    if (result instanceof Promise) {
      waits = true;
      return result.finally(close) as T;
    }
    return result;
  } finally {
    if (!waits) close();
  }
};
