/**
 * @file Three Gaussians on the bills of the Palmer penguins (Horst, Hill & Gorman, palmerpenguins, CC0), as the npm package
 * vega-datasets carries them: the data, the likelihood of a mixture, starting points.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

export interface Penguins {
  /** Bill length and depth, each less its mean and over its standard deviation, [n]. */
  readonly length: Float64Array;
  readonly depth: Float64Array;
  readonly species: readonly string[];
}

export function loadPenguins(): Penguins {
  const file = join(dirname(require.resolve('vega-datasets')), '../data/penguins.json');
  const all = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string | number | null>[];
  const rows = all.filter((row) => row['Beak Length (mm)'] !== null);
  const standard = (column: string) => {
    const values = Float64Array.from(rows, (row) => Number(row[column]));
    const mean = values.reduce((a, b) => a + b) / values.length;
    const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    return values.map((v) => (v - mean) / deviation);
  };
  return {
    length: standard('Beak Length (mm)'),
    depth: standard('Beak Depth (mm)'),
    species: rows.map((row) => String(row.Species)),
  };
}

/** The numbers of a mixture of three: a row each of log-weights, means, and the covariances' Cholesky factors, float64 [6, 3]. */
export type Mixture = Tensor;

/** log(weight · density) of every penguin under every component, [n, 3]. Diagonals of the factors are held as logarithms. */
export function logDensities({ length, depth }: Penguins): (p: Mixture) => Tensor {
  const x = torch.tensor(length).unsqueeze(1);
  const y = torch.tensor(depth).unsqueeze(1);
  return (p) => {
    const [weight, meanX, meanY, log11, l21, log22] = p.unbind(0) as unknown as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    // z = L⁻¹ (v - mean), forward substitution
    const z1 = x.sub(meanX).mul(log11.neg().exp());
    const z2 = y.sub(meanY).sub(z1.mul(l21)).mul(log22.neg().exp());
    const scale = torch
      .log_softmax(weight, 0)
      .sub(log11)
      .sub(log22)
      .sub(Math.log(2 * Math.PI));
    return scale.sub(z1.square().add(z2.square()).mul(0.5));
  };
}

/** The negative log-likelihood, [6, 3] → []. */
export function negativeLogLikelihood(data: Penguins): (p: Mixture) => Tensor {
  const densities = logDensities(data);
  return (p) => torch.logsumexp(densities(p), 1).sum().neg();
}

/** Equal weights, round covariances, and three penguins drawn at random as means. `random` gives numbers in [0, 1). */
export function randomStart({ length, depth }: Penguins, random: () => number): Mixture {
  const drawn = new Set<number>();
  while (drawn.size < 3) drawn.add(Math.floor(random() * length.length));
  const at = [...drawn];
  const spread = Math.log(0.5);
  const rows = [
    [0, 0, 0],
    at.map((i) => length[i]!),
    at.map((i) => depth[i]!),
    Array(3).fill(spread),
    [0, 0, 0],
    Array(3).fill(spread),
  ];
  return torch.tensor(rows, { dtype: torch.float64 });
}

/** Marsaglia's xorshift: the same starts in every run. */
export function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
