/** @file Row 21, the long form: 100 000 damaged files of each format; what is wrong belongs into test/io/hostile-files.test.ts. */
import assert from 'node:assert/strict';
import { figure } from '../support/figure.js';
import { KINDS, mutantsInProcess } from '../support/hostile-files.js';

/** JORCH_FILES asks for fewer. */
const FILES = Number(process.env['JORCH_FILES'] ?? 100_000);

describe('stress: damaged files', () => {
  const seed = Number(process.env['JORCH_SEED'] ?? Math.floor(Date.now() / 86_400_000));
  for (const kind of KINDS)
    it(`row 21: ${FILES} mutants of ${kind}: tensors that the bytes account for, or an error in words`, () => {
      const { refused, loaded, wrong, grownMiB } = mutantsInProcess(kind, seed, FILES);
      figure(
        21,
        `${kind}: ${refused} of ${FILES} mutants refused, ${loaded} loaded, ${wrong.length} wrong, memory grew by ${grownMiB.toFixed(0)} MiB`,
      );
      assert.deepEqual(wrong.slice(0, 20), []);
      assert.equal(refused + loaded, FILES);
      // Files of a kilobyte: what is asked for beyond them would be seen.
      assert.ok(grownMiB < 100, `${grownMiB} MiB`);
    });
});
