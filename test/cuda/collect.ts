/** @file Every program that there is: the conformance corpus, what tests and examples lower, and a direct call of each rule left over. */
import { spawnSync } from 'node:child_process';
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

/** Programs that these commands lower; a command that fails is told, its programs count all the same. */
const harvested = (commands: readonly (readonly string[])[], tell: (text: string) => void): Program[] => {
  const folder = mkdtempSync(join(tmpdir(), 'jorch-harvest-'));
  const hook = join(__dirname, 'harvest.js');
  for (const args of commands) {
    const { status } = spawnSync(process.execPath, ['--require', hook, ...args], {
      cwd: repositoryRoot(),
      env: { ...process.env, JORCH_HARVEST: folder },
      stdio: 'ignore',
    });
    if (status !== 0) tell(`node ${args.join(' ')} ended with ${status}`);
  }
  const programs = readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Program),
  );
  rmSync(folder, { recursive: true });
  return programs;
};

const TESTS = ['lowering', 'nn', 'optim', 'control', 'transforms'];
const EXAMPLES = ['seed', 'fit', 'mixture', 'state-space', 'train-digits'];

/** Collects; takes a minute or two. */
export const collect = (tell: (text: string) => void): Collected => {
  const folder = defaultFolder();
  const corpus = hasCases(folder) ? opinfoPrograms(folder) : [];
  tell(corpus.length > 0 ? `${corpus.length} conformance programs` : `no conformance corpus at ${folder}`);
  const mocha = join(repositoryRoot(), 'node_modules', 'mocha', 'bin', 'mocha.js');
  const tests = [mocha, '--no-config', '--timeout', '0', ...TESTS.map((name) => `dist/test/${name}/*.test.js`)];
  const examples = EXAMPLES.map((name) => join('dist', 'examples', `${name}.js`)).filter((file) =>
    existsSync(join(repositoryRoot(), file)),
  );
  const ours = harvested([tests, ...examples.map((file) => [file])], tell);
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
