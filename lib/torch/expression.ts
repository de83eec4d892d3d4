/** @file expr`…`, over torch's own namespace. */
import { native } from '../runtime/load.js';
import { makeExpr } from './expr.js';
import * as names from './functions.js';
import { at, type Index, setAt, slice } from './indexing.js';

/**
 * A formula in Python's notation, parsed once per place in the source.
 * @example expr`sin(${x}) + exp(2 * ${x}) @ ${w}`
 * @throws JorchError BAD_ARGUMENT for what the grammar leaves out and for names that torch lacks.
 */
export const expr = makeExpr({
  names: names as unknown as Readonly<Record<string, unknown>>,
  isTensor: (value) => native().isTensor(value),
  at: (tensor, indices) => at(tensor, indices as readonly Index[]),
  setAt: (tensor, indices, value) => setAt(tensor, indices as readonly Index[], value as never),
  slice,
});
