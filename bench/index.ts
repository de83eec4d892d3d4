/**
 * @file `npm run bench [-- --only TEXT] [--parts calls,minimisers,processes] [--peers FOLDER] [--torch PYTHON] [--jax PYTHON] [--runners NAME,…]
 * [--threads N] [--rounds N] [--seconds S] [--json FILE] [--svg FILE]`: jorch compiled, jorch eagerly, and what `bench/peers/setup FOLDER` installed, on the same
 * inputs and in turns, their answers compared: what a call takes, what minimising takes, and what a process takes until its first result.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compareMinimisers } from './optimize.js';
import { compareCalls } from './peers/calls.js';
import { makeData, writeData } from './peers/data.js';
import { picture } from './peers/picture.js';
import { compareProcesses } from './peers/processes.js';
import type { Row } from './peers/table.js';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    only: text,
    parts: { ...text, default: 'calls,minimisers,processes' },
    json: text,
    svg: text,
    peers: text,
    torch: text,
    jax: text,
    runners: text,
    threads: text,
    rounds: { ...text, default: '3' },
    seconds: { ...text, default: '0.2' },
  },
});

const main = async (): Promise<void> => {
  const { only, parts, peers, json, svg } = values;
  const threads = values.threads === undefined ? undefined : Number(values.threads);
  const options = { ...values, threads, rounds: Number(values.rounds), seconds: Number(values.seconds) };
  const wanted = parts.split(',');
  const folder = mkdtempSync(join(tmpdir(), 'jorch-bench-'));
  const rows: Row[] = [];
  try {
    writeData(folder, makeData());
    if (wanted.includes('calls')) rows.push(...(await compareCalls(options, folder)));
    // These have no single cases to choose from.
    if (wanted.includes('minimisers') && only === undefined && threads === undefined)
      rows.push(...compareMinimisers(peers === undefined ? [] : [join(peers, 'venv/bin/python')], true));
    if (wanted.includes('processes') && only === undefined) rows.push(...(await compareProcesses(options, folder)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (svg !== undefined) writeFileSync(svg, picture(rows));
  if (json !== undefined)
    writeFileSync(
      json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), threads: threads ?? 'all', rows }, null, 2)}\n`,
    );
};

void main();
