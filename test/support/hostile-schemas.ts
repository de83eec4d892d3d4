/** @file Which operators hostile calls are made of, and the call of a number. */
import fc from 'fast-check';
import { native } from '../../lib/runtime/load.js';
import { parseSchema, type Recipe, recipesFor, type Schema } from './recipes.js';

/** What may not be called at random: it reads files, writes to the process's output, waits, or changes what all later calls do. */
const LEFT_OUT =
  /^(from_file|_print|warn|set_num_threads|_cuda\w*|record_stream|manual_seed|seed|is_pinned|pin_memory|_pin_memory|set_grad_enabled|get_device|save|wait|sleep|_copy_from|_foobar|_test\w*)\./;

let all: readonly Schema[] | undefined;
const schemas = (): readonly Schema[] => {
  all ??= native()
    .schemas()
    .map(parseSchema)
    .filter((schema): schema is Schema => schema !== undefined && !LEFT_OUT.test(schema.operator))
    .sort((a, b) => (a.operator < b.operator ? -1 : 1));
  return all;
};

/** @throws Error for an operator that libtorch no longer has */
export const schemaOf = (operator: string): Schema => {
  const found = schemas().find((schema) => schema.operator === operator);
  if (!found) throw new Error(`no operator ${operator}`);
  return found;
};

/** fast-check's seed for a call. */
export const seedOf = (seed: number, i: number): number => seed * 1_000_003 + i;

/** Every operator has its turn before the first comes again. */
export const callNumber = (seed: number, i: number): Recipe => {
  const list = schemas();
  return fc.sample(recipesFor(list[i % list.length]!), { seed: seedOf(seed, i), numRuns: 1 })[0]!;
};
export const recipesOf = (operator: string): fc.Arbitrary<Recipe> => recipesFor(schemaOf(operator));
