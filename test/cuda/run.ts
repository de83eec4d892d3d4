/**
 * @file `npm run test:cuda-aot -- [--card h100] [--jobs N] [--cover N] [--json FILE]`: compiles every lowering rule, every example and every
 * conformance program for a GPU that need not be here. `--cover N`: only N programs for each rule.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { ruleNames } from '../../lib/lowering/index.js';
import { cudaCompiler } from '../../lib/runtime/locate-cuda.js';
import { runProgram } from '../support/program.js';
import { collect } from './collect.js';
import { compileAll, type Failure } from './compile-all.js';
import { cover } from './cover.js';
import type { Program } from './programs.js';

/** Of the rules that must compile. */
const REQUIRED = 0.95;

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

const rulesIn = (programs: readonly Program[]): Set<string> => new Set(programs.flatMap(({ rules }) => rules));

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      card: { type: 'string', default: 'h100' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      cover: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const started = performance.now();
  const seconds = (): number => Math.round((performance.now() - started) / 1000);
  const tell = (text: string): void => console.log(`${String(seconds()).padStart(4)} s  ${text}`);
  cudaCompiler();
  const { programs, unreached } = await collect(Number(values.jobs), tell);
  const calls = programs.filter(({ calls }) => calls.length > 0);
  const able = programs.filter(({ calls }) => calls.length === 0);
  const chosen = values.cover ? cover(able, Number(values.cover)) : able;
  tell(`compiling ${chosen.length} programs for ${values.card}`);
  let told = 0;
  const failures: Failure[] = await compileAll(chosen, {
    card: values.card,
    jobs: Number(values.jobs),
    limit: 800,
    onGroup: (done, total) => {
      if (seconds() - told < 30) return;
      told = seconds();
      tell(`${done} of ${total}`);
    },
  });
  const failed = new Set(failures.map(({ program }) => program));
  const passed = chosen.filter((program) => !failed.has(program));
  const all = ruleNames();
  // A rule passes when it is in programs that compile and in none that does not for a reason of its own.
  const good = rulesIn(passed);
  const suspects = [...rulesIn([...failed])].filter((rule) => !good.has(rule));
  const compiled = all.filter((rule) => good.has(rule));
  const aten = [...new Set(calls.flatMap((program) => program.calls))].sort();
  const summary = {
    card: values.card,
    seconds: seconds(),
    programs: { compiled: passed.length, of: chosen.length },
    rules: { compiled: compiled.length, of: all.length, failing: suspects, unreached: [...unreached.keys()] },
    atenCalls: { operators: aten, programs: calls.length, of: programs.length },
    failures: failures.map(({ program, error }) => ({ source: program.source, rules: program.rules, error })),
  };
  if (values.json) writeFileSync(values.json, `${JSON.stringify(summary, null, 1)}\n`);
  for (const { source, error } of summary.failures)
    console.log(`\n${source}\n  ${error.split('\n').slice(0, 4).join('\n  ')}`);
  console.log(`
programs       ${passed.length} of ${chosen.length} compile (${percent(passed.length, chosen.length)})
rules          ${compiled.length} of ${all.length} compile (${percent(compiled.length, all.length)})
failing rules  ${suspects.join(' ') || 'none'}
no call of its own (libtorch takes it apart before): ${[...unreached.keys()].join(' ') || 'none'}
ATen calls     ${calls.length} of ${programs.length} programs need libtorch (${percent(calls.length, programs.length)}): ${aten.join(' ') || 'none'}
${seconds()} s`);
  return compiled.length / all.length >= REQUIRED ? 0 : 1;
};

runProgram(main);
