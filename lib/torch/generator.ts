/** @file Random number generators of libtorch. */
import { inspect } from 'node:util';
import type { GeneratorHandle } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import type { Tensor } from './tensor.js';

/** A generator of its own for random operators: `torch.randn([3], { generator })`. */
export interface Generator extends GeneratorHandle {
  /** Seeds this generator and returns it. */
  manual_seed(seed: number | bigint): this;
  initial_seed(): bigint;
  /** Seeds this generator with random bits of the system's, and returns them. */
  seed(): bigint;
  /** What it draws next, as a uint8 tensor. */
  get_state(): Tensor;
  /** Draws from here on what it drew behind `get_state()`. @throws JorchError for what is no state */
  set_state(state: Tensor): void;
}

/** Those that are alive, for what runs a function again that may draw from any of them. */
const alive = new Set<WeakRef<Generator>>();
const gone = new FinalizationRegistry<WeakRef<Generator>>((ref) => alive.delete(ref));

/** All generators but the default one. */
export const generators = (): Generator[] =>
  [...alive].flatMap((ref) => {
    const generator = ref.deref();
    return generator === undefined ? [] : [generator];
  });

const checkedSeed = (seed: number | bigint): number | bigint => {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed))
    throw new JorchError(
      'BAD_ARGUMENT',
      `manual_seed: the seed must be a whole number up to 2^53, or a bigint, not ${seed}`,
    );
  return seed;
};

const setState = (name: string, state: Tensor, generator?: GeneratorHandle): void => {
  if (!native().isTensor(state))
    throw new JorchError(
      'BAD_ARGUMENT',
      `${name}: expected the uint8 tensor that get_state() gave, got ${state === null ? 'null' : typeof state}`,
    );
  native().generatorState(generator, state);
};

const reseed = (generator?: GeneratorHandle): bigint => {
  const [bits] = crypto.getRandomValues(new BigUint64Array(1));
  native().manualSeed(bits!, generator);
  return bits!;
};

/** A new generator on the CPU, with torch's default seed. */
export const Generator = function Generator(): Generator {
  const handle = native().generator() as Generator;
  const ref = new WeakRef(handle);
  alive.add(ref);
  gone.register(handle, ref);
  return Object.defineProperties(handle, {
    manual_seed: {
      value(seed: number | bigint) {
        native().manualSeed(checkedSeed(seed), handle);
        return handle;
      },
    },
    initial_seed: { value: () => native().initialSeed(handle) },
    get_state: { value: () => native().generatorState(handle) },
    set_state: { value: (state: Tensor) => setState('set_state', state, handle) },
    seed: { value: () => reseed(handle) },
    [inspect.custom]: { value: () => `Generator(initial_seed=${native().initialSeed(handle)})` },
  });
} as unknown as new () => Generator;

/** Seeds the default generator of every device. */
export const manual_seed = (seed: number | bigint): void => native().manualSeed(checkedSeed(seed));
/** The seed of the default generator. */
export const initial_seed = (): bigint => native().initialSeed();
/** Seeds the default generator with random bits of the system's, and returns them. @see https://docs.pytorch.org/docs/stable/generated/torch.seed.html */
export const seed = (): bigint => reseed();
/** What the default generator draws next, as a uint8 tensor. @see https://docs.pytorch.org/docs/stable/generated/torch.get_rng_state.html */
export const get_rng_state = (): Tensor => native().generatorState();
/** The default generator draws from here on what it drew behind `get_rng_state()`. @throws JorchError for what is no state @see https://docs.pytorch.org/docs/stable/generated/torch.set_rng_state.html */
export const set_rng_state = (new_state: Tensor): void => setState('set_rng_state', new_state);
