/** @file Random numbers drawn once more in eager. */
import { native } from '../runtime/load.js';

/** Notes where the default generator stands: what the answer runs draws the numbers that come now. */
export const rememberDraws = (): (<T>(run: () => T) => T) => {
  const n = native();
  const state = n.generatorState();
  return (run) => {
    const now = n.generatorState();
    n.generatorState(state);
    try {
      return run();
    } finally {
      n.generatorState(now);
    }
  };
};
