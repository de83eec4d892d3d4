/**
 * @file `npm run bench [-- OPTIONS]`, which `--help` lists: jorch compiled, jorch eagerly, and what `bench/peers/setup FOLDER` installed, on the same
 * inputs and in turns, their answers compared: what a call takes, what minimising takes, and what a process takes until its first result.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { compareMinimisers } from './optimize.js';
import { among, count, existing, optionsOf, positive } from './options.js';
import { type CallOptions, compareCalls } from './peers/calls.js';
import { makeData, writeData } from './peers/data.js';
import { picture } from './peers/picture.js';
import { compareProcesses } from './peers/processes.js';
import { RUNNERS } from './peers/runners.js';
import type { Row } from './peers/table.js';

const PARTS = ['calls', 'minimisers', 'processes'];

interface Options extends CallOptions {
  readonly parts: string;
  readonly json?: string;
  readonly svg?: string;
}

const options = optionsOf<Options>(
  new Command('npm run bench --')
    .description('Times the same functions in jorch, compiled and eagerly, and in its peers, in turns.')
    .option('--only <text>', 'calls whose name has this text, and nothing else')
    .option('--parts <names>', `between commas: ${PARTS.join(', ')}`, among(PARTS), PARTS.join(','))
    .option('--peers <folder>', 'what bench/peers/setup installed there', existing)
    .option('--torch <python>', 'a Python that has torch', existing)
    .option('--jax <python>', 'a Python that has jax', existing)
    .option(
      '--runners <names>',
      `between commas: ${RUNNERS.join(', ')} (default: all that are installed)`,
      among(RUNNERS),
    )
    .option('--threads <n>', 'cores and threads of each runner (default: all)', count)
    .option('--rounds <n>', 'turns of each runner', count, 3)
    .option('--seconds <s>', 'of one turn', positive, 0.2)
    .option('--json <file>', 'write all figures')
    .option('--svg <file>', 'write a picture'),
);

const main = async (): Promise<void> => {
  const { only, parts, peers, json, svg, threads } = options;
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
