/** @file Loaded before other tests (`mocha --require`): writes every program that they lower to a file, one JSON line each. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lowered, LowerOptions } from '../../lib/lowering/lower.js';
import type { Program } from './programs.js';

type Lower = (graph: never, options: LowerOptions) => Lowered;

const folder = process.env['JORCH_HARVEST'];
if (folder) {
  // In the order that the tests would load it in: its modules refer to one another.
  require('../../lib/index.js');
  const module = require('../../lib/lowering/lower.js') as { lower: Lower };
  const original = module.lower;
  const file = join(folder, `${process.pid}.jsonl`);
  module.lower = (graph, options) => {
    const asked = original(graph, options);
    // As a GPU would run it: libtorch's kernels only where there is no lowering.
    const { text, lowered, calls } = original(graph, {
      ...options,
      fallback: 'aten',
      optimize: 'xla',
      target: 'gpu',
    });
    const program: Program = {
      source: process.argv.slice(1).join(' ').replace(process.cwd(), '.'),
      text,
      rules: lowered,
      calls: calls.map(({ op }) => op),
    };
    appendFileSync(file, `${JSON.stringify(program)}\n`);
    return asked;
  };
}
