/** @file Every float32 through the elementary functions: `npm run test:stress -- --grep float32`, some minutes each. Prints their errors. */
import type { Tensor } from '../../lib/index.js';
import { bitPatterns, checkElementary, checkPairs, ELEMENTARY, OF_PAIRS } from '../support/elementary.js';

const CHUNK = 2 ** 18;
function* everyFloat(): Generator<Tensor> {
  for (let first = 0; first < 2 ** 32; first += CHUNK) yield bitPatterns(first, CHUNK, 1);
}
/** Arguments up to 2²² have a reduction of their own, where no number is larger. */
const PERIODIC = ['sin', 'cos', 'tan'];

describe('elementary functions of every float32', () => {
  const test = (name: string, title: string, long: boolean): void => {
    it(title, function () {
      this.timeout(0);
      console.log(`      ${title}: ${checkElementary(name, everyFloat(), long).toFixed(3)} ulp at most`);
    });
  };
  for (const name of Object.keys(ELEMENTARY)) test(name, name, false);
  for (const name of PERIODIC) test(name, `${name}, large and small numbers together`, true);
});

describe('elementary functions of 10⁸ pairs of float32', () => {
  for (const name of Object.keys(OF_PAIRS))
    it(name, function () {
      this.timeout(0);
      console.log(`      ${name}: ${checkPairs(name, 1e8, CHUNK).toFixed(3)} ulp at most`);
    });
});
