/**
 * @file Every composition of up to three transforms on every function. known-failures.json lists those in which libtorch itself refuses or is wrong, and
 * how they fail; one that begins to pass has to leave the list.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Composition, check, compositions } from '../support/compositions.js';

interface Known {
  readonly function: string;
  /** The error's code. */
  readonly code: string;
  readonly reason: string;
  /** The outermost first: `grad of jvp`. */
  readonly compositions: readonly string[];
}

const file = join(__dirname, '../../../test/stress/known-failures.json');
const known = new Map<string, string>(
  (JSON.parse(readFileSync(file, 'utf8')) as Known[]).flatMap((entry) =>
    entry.compositions.map((name) => [`${name} of ${entry.function}`, entry.code] as const),
  ),
);

const nameOf = ({ names, functionName }: Composition): string => `${names.join(' of ')} of ${functionName}`;

/** What is not as expected; undefined when all is. */
const complaint = (composition: Composition): string | undefined => {
  const name = nameOf(composition);
  const expected = known.get(name);
  try {
    check(composition);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return code === expected ? undefined : `${name}: ${message.split('\n')[0]}`;
  }
  return expected === undefined ? undefined : `${name} passes now: take it from known-failures.json`;
};

describe('compositions of transforms', () => {
  const all = compositions(3);
  it('the known failures are compositions', () => {
    const names = new Set(all.map(nameOf));
    const strangers = [...known.keys()].filter((name) => !names.has(name));
    if (strangers.length > 0) throw new Error(`no compositions: ${strangers.join(', ')}`);
  });
  for (const name of new Set(all.map((c) => c.functionName)))
    it(`on ${name}`, function () {
      this.timeout(0);
      const mine = all.filter((c) => c.functionName === name);
      const complaints = mine.map(complaint).filter((c) => c !== undefined);
      if (complaints.length > 0) throw new Error(`${complaints.length} of ${mine.length}:\n${complaints.join('\n')}`);
    });
});
