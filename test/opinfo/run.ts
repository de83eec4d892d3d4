/** @file `npm run test:opinfo -- [FOLDER] [--ops a,b] [--json FILE] [--jobs N] [--modes eager,compiled] [--optimize xla|auto|aten] [--device cuda] [--limit SECONDS] [--budget SECONDS]`. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { figure } from '../support/figure.js';
import { runProgram } from '../support/program.js';
import { defaultFolder, hasCases } from './cases.js';
import { runFolder } from './folder.js';
import { failures, summarize, summaryLine, table } from './report.js';
import type { Unit } from './worker.js';

const split = (text: string | undefined): string[] | undefined => text?.split(',').filter((part) => part !== '');

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ops: { type: 'string' },
      json: { type: 'string' },
      jobs: { type: 'string' },
      modes: { type: 'string' },
      optimize: { type: 'string' },
      limit: { type: 'string' },
      device: { type: 'string' },
      budget: { type: 'string' },
    },
  });
  const folder = positionals[0] ?? defaultFolder();
  if (!hasCases(folder)) {
    console.log(`opinfo: skipped, ${folder} has no cases`);
    return 0;
  }
  const started = performance.now();
  const results = await runFolder({
    folder,
    ops: split(values.ops),
    modes: (split(values.modes) as Unit['mode'][] | undefined) ?? ['eager', 'compiled'],
    optimize: (values.optimize as Unit['optimize'] | undefined) ?? 'xla',
    jobs: Number(values.jobs ?? 2),
    ...(values.device === undefined ? {} : { device: values.device }),
    limitSeconds: Number(values.limit ?? 30),
    ...(values.budget === undefined ? {} : { budgetSeconds: Number(values.budget) }),
    onProgress: (done, total, file) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${done}/${total} ${file.padEnd(50)}`);
    },
  });
  const seconds = Math.round((performance.now() - started) / 1000);
  const summary = summarize(results);
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify({ folder, seconds, summary, samples: results }, null, 1)}\n`);
  console.log(`${process.stderr.isTTY ? '\n' : ''}${table(results)}\n`);
  const failed = failures(results);
  if (failed) console.log(`Failures:\n${failed}\n`);
  console.log(`${summaryLine(summary)}; ${seconds} s`);
  const { eager_pass, eager_total, compiled_pass, compiled_total, grad_pass, grad_total } = summary;
  figure(13, `eager ${eager_pass} of ${eager_total} samples, compiled ${compiled_pass} of ${compiled_total}`);
  figure(14, `gradients ${grad_pass} of ${grad_total} samples`);
  return failed ? 1 : 0;
};

runProgram(main);
