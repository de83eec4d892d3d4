/** @file The inputs of the benches, from one seed; written as safetensors so that every peer computes with the same numbers. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { save_file } from '../../lib/io/safetensors.js';

export type Group = Readonly<Record<string, Tensor>>;

/** Weights of `shape` with the variance that its fan-in asks for. */
const weights = (shape: number[], gain = 1): Tensor =>
  torch.randn(shape).mul(Math.sqrt(gain / shape.slice(1).reduce((a, b) => a * b, 1)));
const uniform = (low: number, high: number, shape: number[], dtype: 'float32' | 'float64' = 'float32'): Tensor =>
  torch
    .rand(shape, { dtype })
    .mul(high - low)
    .add(low);

const network = (sizes: readonly number[]): Record<string, Tensor> =>
  Object.fromEntries(
    sizes.slice(1).flatMap((n, k) => [
      [`W${k}`, weights([n, sizes[k]!], 2)],
      [`b${k}`, torch.zeros([n])],
    ]),
  );

const block = (width: number, hidden: number): Record<string, Tensor> => ({
  ln1_w: torch.ones([width]),
  ln1_b: torch.zeros([width]),
  qkv_w: weights([3 * width, width]),
  qkv_b: torch.randn([3 * width]).mul(0.02),
  out_w: weights([width, width]),
  out_b: torch.zeros([width]),
  ln2_w: torch.ones([width]),
  ln2_b: torch.zeros([width]),
  fc1_w: weights([hidden, width]),
  fc1_b: torch.zeros([hidden]),
  fc2_w: weights([width, hidden]),
  fc2_b: torch.zeros([width]),
});

const convolutions = (channels: readonly number[]): Record<string, Tensor> =>
  Object.fromEntries(
    channels.slice(1).flatMap((n, k) => [
      [`c${k}`, weights([n, channels[k]!, 3, 3], 2)],
      [`g${k}`, torch.ones([n])],
      [`be${k}`, torch.zeros([n])],
      [`rm${k}`, torch.zeros([n])],
      [`rv${k}`, torch.ones([n])],
    ]),
  );

/** All inputs, by group. */
export const makeData = (): Readonly<Record<string, Group>> => {
  torch.manual_seed(20240);
  const X = torch.randn([500, 30]);
  const labels = torch
    .rand([500])
    .lt(torch.sigmoid(X.matmul(torch.randn([30]))))
    .float();
  const places = uniform(-3, 3, [100, 2], 'float64');
  const wave = places.select(1, 0).sin().mul(places.select(1, 1).cos());
  return {
    seed: { x10: torch.zeros([10, 10]), x1000: uniform(-1, 1, [1000, 1000]) },
    rosen: {
      x100: uniform(0, 2, [100], 'float64'),
      x1000: uniform(0, 2, [1000], 'float64'),
      x10000: uniform(0, 2, [10000], 'float64'),
      z100: torch.full([100], 2, { dtype: 'float64' }),
    },
    logreg: { X, y: labels, w: torch.randn([30]).mul(0.1) },
    gp: {
      X: places,
      y: wave.add(torch.randn([100], { dtype: 'float64' }).mul(0.1)),
      theta: torch.tensor([0.1, -0.2, -1.5], { dtype: 'float64' }),
    },
    chain: { x1e6: uniform(-1, 1, [1_000_000]), x16: uniform(-1, 1, [16]) },
    mlp: { x: torch.randn([128, 784]), y: torch.randint(0, 10, [128]), ...network([784, 512, 256, 10]) },
    tblock: { x: torch.randn([8, 128, 256]), ...block(256, 1024) },
    conv: {
      x: torch.randn([32, 3, 32, 32]),
      y: torch.randint(0, 10, [32]),
      fw: weights([10, 64]),
      fb: torch.zeros([10]),
      ...convolutions([3, 32, 32, 64]),
    },
    dispatch: { x: torch.randn([16]), xs: torch.randn([100, 16]) },
    loop: {
      xs: torch.randn([1000, 32]),
      h0: torch.zeros([64]),
      W: weights([64, 64]).mul(0.9),
      U: weights([64, 32]),
      b: torch.zeros([64]),
      a: uniform(1, 9, [16]),
    },
  };
};

/** Writes one file per group. */
export const writeData = (folder: string, data: Readonly<Record<string, Group>>): void => {
  mkdirSync(folder, { recursive: true });
  for (const [name, group] of Object.entries(data))
    save_file(
      Object.fromEntries(Object.entries(group).map(([k, t]) => [k, t.contiguous()])),
      join(folder, `${name}.safetensors`),
    );
};
