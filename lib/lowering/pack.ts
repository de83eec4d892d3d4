/**
 * @file Small results in one vector per dtype. XLA takes memory for every result and PJRT makes a buffer of it, together 0.7 µs; in a vector they cost what copying
 * them does. The caller takes them apart (native/program/program.cc).
 */
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op } from '../stablehlo/types.js';
import { type DType, ITEM_BYTES } from '../torch/dtype.js';

/** Where a result is: the number of the vector, and the byte at which it begins there. */
export interface PackPlace {
  readonly pack: number;
  readonly offset: number;
}

/** Larger results are worth memory of their own. */
const LARGEST_BYTES = 2048;
/** Whoever keeps one result keeps its vector. */
const PACK_BYTES = 16 * 1024;
/** Programs read their arguments from whole cache lines on, and results come back as arguments. */
const LINE_BYTES = 64;
/** Fewer are not worth it. */
const FEWEST = 4;

/** Replaces small ones of `results` by vectors behind the others; `places` says where each of them is now. */
export const packResults = (
  b: Builder,
  results: readonly Op[],
  keep: ReadonlySet<number>,
): { readonly returned: readonly Op[]; readonly places: readonly (PackPlace | undefined)[] } => {
  const small = new Map<DType, number[]>();
  results.forEach(({ shape, dtype }, i) => {
    const bytes = numel(shape) * ITEM_BYTES[dtype];
    if (bytes === 0 || bytes > LARGEST_BYTES || keep.has(i)) return;
    small.set(dtype, [...(small.get(dtype) ?? []), i]);
  });
  const places: (PackPlace | undefined)[] = results.map(() => undefined);
  const packs: Op[] = [];
  for (const [dtype, members] of small) {
    if (members.length < FEWEST) continue;
    const item = ITEM_BYTES[dtype];
    let parts: Op[] = [];
    let offset = 0;
    const close = (): void => {
      packs.push(b.concatenate(parts, 0));
      [parts, offset] = [[], 0];
    };
    for (const i of members) {
      const n = numel(results[i]!.shape);
      const padded = Math.ceil((n * item) / LINE_BYTES) * LINE_BYTES;
      if (offset + padded > PACK_BYTES) close();
      places[i] = { pack: packs.length, offset };
      parts.push(b.reshape(results[i]!, [n]));
      if (padded > n * item) parts.push(b.constant(dtype === 'bool' ? false : 0, [padded / item - n], dtype));
      offset += padded;
    }
    close();
  }
  return { returned: [...results.filter((_, i) => places[i] === undefined), ...packs], places };
};
