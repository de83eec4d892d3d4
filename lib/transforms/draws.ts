/** @file Random numbers drawn once more in eager. */
import { native } from '../runtime/load.js';
import { generators } from '../torch/generator.js';

/** Notes where all generators stand: what the answer runs draws the numbers that come now. */
export const rememberDraws = (): (<T>(run: () => T) => T) => {
  const n = native();
  const states = [undefined, ...generators()].map((generator) => [generator, n.generatorState(generator)] as const);
  return (run) => {
    const now = states.map(([generator, then]) => [generator, n.generatorState(generator, then)] as const);
    try {
      return run();
    } finally {
      for (const [generator, state] of now) n.generatorState(generator, state);
    }
  };
};
