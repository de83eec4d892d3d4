/** @file Random number generators of libtorch. */
import type { GeneratorHandle } from '../native.js';
import { native } from '../runtime/load.js';

/** A generator of its own for random operators: `torch.randn([3], { generator })`. */
export interface Generator extends GeneratorHandle {
  /** Seeds this generator and returns it. */
  manual_seed(seed: number | bigint): this;
  initial_seed(): bigint;
}

/** A new generator on the CPU, with torch's default seed. */
export const Generator = function Generator(): Generator {
  const handle = native().generator() as Generator;
  return Object.defineProperties(handle, {
    manual_seed: {
      value(seed: number | bigint) {
        native().manualSeed(seed, handle);
        return handle;
      },
    },
    initial_seed: { value: () => native().initialSeed(handle) },
  });
} as unknown as new () => Generator;

/** Seeds the default generator of every device. */
export const manual_seed = (seed: number | bigint): void => native().manualSeed(seed);
/** The seed of the default generator. */
export const initial_seed = (): bigint => native().initialSeed();
