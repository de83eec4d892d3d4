#!/usr/bin/env node
/**
 * @file Writes lib/torch/generated from the torch wheel: `node scripts/generate/index.mjs [TORCH_DIR] [--schemas registered.json] [--out DIR]`.
 * TORCH_DIR (or JORCH_TORCH_DIR) is the torch package's folder, with `torchgen` beside it, or the folder that holds both; registered.json is what libtorch registers, a list of schema texts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bind } from './bindings.mjs';
import { render, writeChanged } from './render.mjs';
import { intersect, readSources } from './sources.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { schemas: { type: 'string' }, out: { type: 'string' } },
});
const root = positionals[0] ?? process.env.JORCH_TORCH_DIR;
if (!root) {
  console.error('generate: name the folder of the torch package, as an argument or in JORCH_TORCH_DIR');
  process.exit(2);
}
const folder = resolve(root);
const sources = readSources(existsSync(join(folder, 'torchgen')) ? folder : dirname(folder));
if (values.schemas) sources.functions = intersect(sources.functions, JSON.parse(readFileSync(values.schemas, 'utf8')));
const out = resolve(values.out ?? join(here, '../../lib/torch/generated'));
writeChanged(out, render(bind(sources), sources));
