/** @file Every program that there is: the conformance corpus, what tests and examples lower, and a direct call of each rule left over. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ruleNames } from '../../lib/lowering/index.js';
import { defaultFolder, hasCases, repositoryRoot } from '../opinfo/cases.js';
import { opinfoPrograms } from './opinfo-programs.js';
import { distinct, type Program } from './programs.js';
import { rulePrograms } from './rule-programs.js';

export interface Collected {
  /** Each text once. */
  readonly programs: readonly Program[];
  /** Rules that no program has, and why. */
  readonly unreached: ReadonlyMap<string, string>;
}

/** Programs that these commands lower, `jobs` at a time; a command that fails is told, its programs count all the same. */
const harvested = async (
  commands: readonly (readonly string[])[],
  jobs: number,
  tell: (text: string) => void,
): Promise<Program[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'jorch-harvest-'));
  const hook = join(__dirname, 'harvest.js');
  const queue = [...commands];
  const work = async (): Promise<void> => {
    for (let args = queue.shift(); args; args = queue.shift()) {
      const child = spawn(process.execPath, ['--require', hook, ...args], {
        cwd: repositoryRoot(),
        env: { ...process.env, JORCH_HARVEST: folder },
        stdio: 'ignore',
      });
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      if (code !== 0) tell(`node ${args.join(' ')} ended with ${code ?? signal}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const programs = readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Program),
  );
  rmSync(folder, { recursive: true });
  return programs;
};

const TESTS = ['lowering', 'nn', 'optim', 'control', 'transforms', 'examples'];
// The larger ones fetch what they read: their tests stand for them.
const EXAMPLES = ['seed', 'fit', 'mixture', 'state-space', 'train-digits'];

/** Collects with so many processes; takes some minutes. */
export const collect = async (jobs: number, tell: (text: string) => void): Promise<Collected> => {
  const folder = defaultFolder();
  const corpus = hasCases(folder) ? opinfoPrograms(folder) : [];
  tell(corpus.length > 0 ? `${corpus.length} conformance programs` : `no conformance corpus at ${folder}`);
  const mocha = join(repositoryRoot(), 'node_modules', 'mocha', 'bin', 'mocha.js');
  const tests = TESTS.map((name) => [mocha, '--no-config', '--timeout', '0', `dist/test/${name}/*.test.js`]);
  const examples = EXAMPLES.map((name) => join('dist', 'examples', `${name}.js`)).filter((file) =>
    existsSync(join(repositoryRoot(), file)),
  );
  const ours = await harvested([...tests, ...examples.map((file) => [file])], jobs, tell);
  tell(`${ours.length} programs of tests and ${examples.length} examples`);
  const reached = new Set([...corpus, ...ours].flatMap(({ rules }) => rules));
  const unreached = new Map<string, string>();
  const direct = rulePrograms(
    ruleNames().filter((rule) => !reached.has(rule)),
    (rule, why) => unreached.set(rule, why),
  );
  tell(`${direct.length} rules called directly`);
  return { programs: distinct([...corpus, ...ours, ...direct]), unreached };
};
