#!/usr/bin/env node
/** @file Draws docs/how.svg, what jorch does with a function: `node scripts/picture.mjs`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { instance } from '@viz-js/viz';

const file = join(fileURLToPath(import.meta.url), '..', '..', 'docs', 'how.svg');

const dot = `digraph jorch {
  rankdir=TB; bgcolor="white"; pad=0.2; nodesep=0.55; ranksep=0.5;
  node [shape=box, style="rounded,filled", fontname="Arial", fontsize=13, margin="0.34,0.14", color="#8a94a6", fillcolor="#f4f6f9"];
  edge [fontname="Arial", fontsize=12, color="#5c6675", fontcolor="#3a4250"];

  f [label="your function\\ntorch’s API, in TypeScript", fillcolor="#fff4d6"];
  dispatcher [label="libtorch’s dispatcher\\nautograd, views, in-place,\\nautocast, vmap", fillcolor="#e3eefb"];
  kernels [label="libtorch’s kernels\\neager results"];
  recorded [label="graph\\noperators as libtorch\\nresolved them, with\\nyour source lines"];
  hlo [label="StableHLO\\nby a rule for each operator;\\nothers call libtorch’s kernel"];
  xla [label="XLA\\ncompiled once,\\nkept on disk", fillcolor="#e2f3e4"];
  run [label="one native call\\nCPU, CUDA,\\nseveral devices", fillcolor="#e2f3e4"];

  f -> dispatcher [label="  f(x)   or   compile(f)(x)"];
  dispatcher -> kernels [label="  f(x)"];
  dispatcher -> recorded [label="  compile(f)(x), the first time:\\n  jorch listens below"];
  { rank=same; recorded; hlo; xla; run; kernels; }
  recorded -> hlo -> xla -> run;
  kernels -> recorded [style=invis];
  f -> run [label="  compile(f)(x), from then on", style=dashed];
}`;

const drawn = (await instance()).renderString(dot, { format: 'svg', engine: 'dot' });
// The first line of a box is its name. Who cannot see the picture hears its title.
const bold = drawn.replaceAll(/(<g id="[^"]*" class="node">[\s\S]*?<text )/g, '$1font-weight="bold" ');
writeFileSync(file, bold.replace(/<svg[^>]*>/, '$&\n<title>What jorch does with a function</title>'));
