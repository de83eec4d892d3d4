/** @file How near is near enough: torch's own defaults, and the few operators with a wider bound and why. */
import type { DType } from '../../lib/torch/dtype.js';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

const EXACT: Tolerance = { rtol: 0, atol: 0 };

/** torch.testing's defaults. */
const DEFAULTS: Partial<Record<DType, Tolerance>> = {
  float16: { rtol: 1e-3, atol: 1e-5 },
  bfloat16: { rtol: 1.6e-2, atol: 1e-5 },
  float32: { rtol: 1.3e-6, atol: 1e-5 },
  complex64: { rtol: 1.3e-6, atol: 1e-5 },
  float64: { rtol: 1e-7, atol: 1e-7 },
  complex128: { rtol: 1e-7, atol: 1e-7 },
};

interface Wider extends Partial<Tolerance> {
  readonly reason: string;
}

/** Operator (as the case file names it) → wider bounds. Every row needs a reason that a reader can check. */
export const WIDER: Readonly<Record<string, Wider>> = {};

/** The bounds for one comparison. */
export const toleranceFor = (op: string, dtype: DType): Tolerance => {
  const base = DEFAULTS[dtype];
  if (!base) return EXACT;
  const { rtol = 0, atol = 0 } = WIDER[op] ?? {};
  return { rtol: Math.max(base.rtol, rtol), atol: Math.max(base.atol, atol) };
};
