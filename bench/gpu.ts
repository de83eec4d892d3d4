/**
 * @file Times on one device, as JSON: a training step of an MLP and of a small convolution network, a transformer block forward and backward,
 * and the overhead of a small call. `node dist/bench/gpu.js --device cuda [--small]`; scripts/gpu-check-peers.py times the same with JAX and torch.
 */
import { parseArgs } from 'node:util';
import type { Tensor } from '../lib/index.js';
import * as torch from '../lib/index.js';

const F = torch.nn.functional;

/** Shapes, shared with the peers by way of the command line's JSON. */
export const shapes = (small: boolean) => ({
  mlp: small ? { batch: 8, width: 16, depth: 2 } : { batch: 1024, width: 2048, depth: 4 },
  conv: small ? { batch: 2, size: 8, channels: 4 } : { batch: 256, size: 32, channels: 64 },
  block: small ? { batch: 1, length: 8, width: 16, heads: 2 } : { batch: 8, length: 512, width: 1024, heads: 16 },
});

interface Task {
  readonly name: string;
  /** Runs once; the result is what must be read to know that it is done. */
  readonly run: () => Tensor;
}

const leaf = (shape: number[], device: string, scale = 0.02): Tensor =>
  torch.randn(shape).mul(scale).to(device).requires_grad_(true);

/** Gradients by all parameters and a plain step of gradient descent, in one program. */
const trainingStep = (parameters: Tensor[], loss: () => Tensor): (() => Tensor) =>
  torch.compile(
    () => {
      const value = loss();
      const gradients = torch.autograd.grad([value], parameters) as Tensor[];
      torch.no_grad(() => {
        parameters.forEach((p, i) => {
          p.sub_(gradients[i]!.mul(1e-3));
        });
      });
      return value.detach();
    },
    { donate: true },
  );

const tasks = (device: string, small: boolean): Task[] => {
  const { mlp, conv, block } = shapes(small);
  const layers = Array.from({ length: mlp.depth }, () => leaf([mlp.width, mlp.width], device));
  const x = torch.randn([mlp.batch, mlp.width]).to(device);
  const kernels = [
    leaf([conv.channels, 3, 3, 3], device),
    leaf([conv.channels, conv.channels, 3, 3], device),
    leaf([conv.channels, conv.channels, 3, 3], device),
  ];
  const images = torch.randn([conv.batch, 3, conv.size, conv.size]).to(device);
  const { width } = block;
  const [qkv, out, up, down] = [
    [width, 3 * width],
    [width, width],
    [width, 4 * width],
    [4 * width, width],
  ].map((s) => leaf(s, device)) as [Tensor, Tensor, Tensor, Tensor];
  const tokens = torch.randn([block.batch, block.length, width]).to(device);
  const attention = (t: Tensor): Tensor => {
    const parts = t.matmul(qkv).reshape([block.batch, block.length, 3, block.heads, width / block.heads]);
    const [q, k, v] = [0, 1, 2].map((i) => parts.select(2, i).transpose(1, 2)) as [Tensor, Tensor, Tensor];
    const weights = q
      .matmul(k.transpose(-1, -2))
      .mul((width / block.heads) ** -0.5)
      .softmax(-1);
    return weights.matmul(v).transpose(1, 2).reshape([block.batch, block.length, width]).matmul(out);
  };
  const small16 = torch.zeros([16]).to(device);
  const plus = torch.compile((t: Tensor) => t.add(1));
  return [
    {
      name: 'mlp training step',
      run: trainingStep(layers, () =>
        layers
          .reduce((h, w) => h.matmul(w).relu(), x)
          .square()
          .mean(),
      ),
    },
    {
      name: 'conv training step',
      run: trainingStep(kernels, () =>
        kernels
          .reduce((h, w) => F.conv2d(h, w, null, 1, 1).relu(), images)
          .square()
          .mean(),
      ),
    },
    {
      name: 'transformer block forward and backward',
      run: trainingStep([qkv, out, up, down], () => {
        const h = tokens.add(attention(F.layer_norm(tokens, [width])));
        return h
          .add(F.gelu(F.layer_norm(h, [width]).matmul(up)).matmul(down))
          .square()
          .mean();
      }),
    },
    { name: 'x + 1, 16 elements', run: () => plus(small16) },
  ];
};

/** The best of several rounds, in milliseconds a call. Calls are queued; the last one is waited for. */
const time = ({ run }: Task, calls: number): number => {
  run().sum().item();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const started = performance.now();
    let last = run();
    for (let i = 1; i < calls; i++) last = run();
    last.sum().item();
    best = Math.min(best, (performance.now() - started) / calls);
  }
  return best;
};

const main = (): void => {
  const { values } = parseArgs({
    options: { device: { type: 'string', default: 'cuda' }, small: { type: 'boolean', default: false } },
  });
  const results = Object.fromEntries(
    tasks(values.device, values.small).map((task) => [
      task.name,
      time(task, values.small ? 3 : task.name.startsWith('x') ? 1000 : 20),
    ]),
  );
  console.log(JSON.stringify({ device: values.device, ms: results }));
};

if (require.main === module) main();
