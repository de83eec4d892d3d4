#!/usr/bin/env node
/**
 * @file Runs a slice of the tests with the addon as it is built on every Node that jorch claims: 20, 22, 24 and 26, which test/pack brings.
 * The slice: loading, values, autograd, compiling, the memory of synchronous loops (finalizers are experimental Node-API), exits, workers.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodes } from './nodes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SLICE = [
  'torch/data',
  'torch/autograd',
  'torch/memory',
  'compile/pytrees',
  'compile/async',
  'compile/persistent',
  'lifetime/exit',
  'lifetime/memory',
].map((name) => join(root, 'dist', 'test', `${name}.test.js`));
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const figures = [];
for (const { node, version } of nodes()) {
  const { status, signal, stdout, error } = spawnSync(
    node,
    [mocha, '--no-config', '--timeout', '300000', '--reporter', 'dot', ...SLICE],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  const passing = /\d+ passing/.exec(stdout ?? '')?.[0] ?? 'did not finish';
  console.log(`${version}: ${passing}`);
  figures.push(`${version} ${passing}`);
  if (error || status !== 0) {
    console.log(error ?? `${stdout}\nexit code ${status}, signal ${signal}`);
    process.exitCode = 1;
  }
}
if (process.env.JORCH_FIGURES)
  appendFileSync(process.env.JORCH_FIGURES, `${JSON.stringify({ row: 27, text: figures.join(', ') })}\n`);
