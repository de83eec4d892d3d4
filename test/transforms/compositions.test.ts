/** @file A seeded slice of the compositions that test/stress runs all of. */
import { check, compositions } from '../support/compositions.js';

/** Numbers that look random and are the same everywhere: Numerical Recipes' generator. */
const sequence = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
};

describe('compositions of transforms', () => {
  const all = compositions(3);
  const next = sequence(6);
  for (let k = 0; k < 60; k++) {
    const composition = all[Math.floor(next() * all.length)]!;
    it(`${composition.names.join(' of ')} of ${composition.functionName}`, () => check(composition));
  }
});
