/** @file Deterministic numbers that Python makes in the same way: scripts/references/*.py. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

/** sin(1.7 i) in this shape. */
export const waves = (...shape: number[]): Tensor =>
  torch
    .arange(shape.reduce((a, b) => a * b, 1))
    .mul(1.7)
    .sin()
    .reshape(shape);

/** The elements weighed by cos(i): no gradient is the same as another. */
export const loss = (out: Tensor): Tensor =>
  out.mul(torch.arange(out.numel(), { dtype: out.dtype }).cos().reshape(out.shape)).sum();
