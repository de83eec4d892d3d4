/** @file Every float32 through the elementary functions. */
import type { Tensor } from '../../lib/index.js';
import { bitPatterns, checkElementary, ELEMENTARY } from '../support/elementary.js';

const CHUNK = 2 ** 22;
function* everyFloat(): Generator<Tensor> {
  for (let first = 0; first < 2 ** 32; first += CHUNK) yield bitPatterns(first, CHUNK, 1);
}

describe('elementary functions of every float32', () => {
  for (const name of Object.keys(ELEMENTARY)) {
    it(name, function () {
      this.timeout(0);
      checkElementary(name, everyFloat());
    });
  }
});
