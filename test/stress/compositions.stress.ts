/** @file Every composition of up to three transforms on every function. */
import { check, compositions } from '../support/compositions.js';

describe('compositions of transforms', () => {
  const all = compositions(3);
  for (const name of new Set(all.map((c) => c.functionName)))
    it(`on ${name}`, function () {
      this.timeout(0);
      const failures: string[] = [];
      const mine = all.filter((c) => c.functionName === name);
      for (const composition of mine) {
        try {
          check(composition);
        } catch (error) {
          failures.push(`${composition.names.join(' of ')}: ${(error as Error).message.split('\n')[0]}`);
        }
      }
      if (failures.length > 0) throw new Error(`${failures.length} of ${mine.length} fail:\n${failures.join('\n')}`);
    });
});
