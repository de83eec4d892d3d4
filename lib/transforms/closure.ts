/** @file A callback and what it closes over, turned into a function of both. */
import { native } from '../runtime/load.js';
import { op } from '../torch/runtime-ops.js';
import type { Tensor } from '../torch/tensor.js';

/** A callback made explicit: all the tensors that it uses are arguments. */
export interface Closed<R> {
  /** What it used besides its arguments when it was watched. */
  readonly captured: Tensor[];
  /** What it returned then. */
  readonly result: R;
  /** Runs it with other tensors in the place of those it captured. */
  call<T>(captured: readonly Tensor[], run: () => T): T;
}

/**
 * Runs `run` once, watched. `given` are its arguments, which must be tensors of their own (fresh handles are not enough).
 * While a trace is open, what the run records is thrown away unless `keep`.
 */
export const close = <R>(run: () => R, given: readonly Tensor[], keep = false): Closed<R> => {
  const n = native();
  const { seen, result } = n.probe(run, given, !keep);
  return {
    captured: seen,
    result,
    call: (captured, again) => n.substitute(seen, captured, again),
  };
};

/**
 * Whether an operator that is met may be watched instead of recorded: somebody outside is being watched, and wants to know what is used and what the
 * results look like. Inside vmap the rules must run all the same: they alone know which results differ between examples.
 */
export const isWatched = (): boolean => native().isProbing() && !native().insideVmap();

const alias = op('aten::alias');
/** The same value as another tensor: an argument of a watched run, which may capture the original as well. */
export const standIn = (t: Tensor): Tensor => alias(t) as Tensor;
