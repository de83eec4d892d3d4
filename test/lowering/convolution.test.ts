/** @file Convolutions as XLA's operation and as a call of libtorch's kernel on images with their channels last. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { compile } from '../../lib/index.js';
import { close } from '../support/close.js';

interface Shape {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
}
const shapes: readonly Shape[] = [
  { x: [2, 3, 8, 7], w: [4, 3, 3, 3], padding: 1 },
  { x: [2, 4, 9, 6], w: [6, 2, 3, 2], stride: 2, groups: 2 },
  { x: [3, 1, 5, 5], w: [1, 1, 5, 5] },
  { x: [2, 5, 1, 1], w: [3, 5, 1, 1] },
  { x: [3, 8, 6], w: [2, 3, 3, 3] },
];

describe('lowering: convolutions', () => {
  before(() => torch.manual_seed(11));

  for (const optimize of ['xla', 'aten'] as const)
    for (const dtype of ['float32', 'float64'] as const)
      it(`${optimize}, ${dtype}: values, gradients and strides are eager's`, () => {
        for (const { x: xs, w: ws, stride = 1, padding = 0, groups = 1 } of shapes) {
          const [x, w, bias] = [xs, ws, [ws[0]!]].map((s) => torch.randn(s, { dtype }).requires_grad_());
          const inputs = [x!, w!, bias!];
          const f = (...[a, b, c]: Tensor[]): Tensor[] => {
            const input = a!.ndim === 4 ? a! : a!.unsqueeze(0).expand([2, -1, -1, -1]);
            const y = torch.nn.functional.conv2d(input.tanh(), b!.narrow(1, 0, input.shape[1]! / groups), c, stride, padding, 1, groups); // biome-ignore format: one call
            return [y.detach(), ...torch.autograd.grad(y.relu().square().sum(), [a!, b!, c!])];
          };
          const [eager, compiled] = [f(...inputs), compile(f, { optimize })(...inputs)];
          eager.forEach((e, i) => {
            close(compiled[i]!, e, { rtol: 1e-4, atol: dtype === 'float32' ? 1e-4 : 1e-10, what: `${xs} ${ws} ${i}` });
            assert.deepEqual(compiled[i]!.strides, e.strides);
          });
        }
      });

  it('between two calls of libtorch nothing is laid out anew', () => {
    const [x, u, v] = [torch.randn([2, 3, 8, 8]), torch.randn([4, 3, 3, 3]), torch.randn([4, 4, 3, 3])];
    const f = (a: Tensor): Tensor =>
      torch.nn.functional.conv2d(torch.nn.functional.conv2d(a, u, null, 1, 1).relu(), v, null, 1, 1);
    const program = compile(f, { optimize: 'aten' }).lower(x);
    const { text } = program.hlo;
    const images = text.slice(text.indexOf('ENTRY')).match(/= f32\[2,4,8,8\]\{[\d,]*\}/g)!;
    // Two convolutions, relu between them, and the result as its reader wants it.
    const order = images.map((type) => type.slice(type.indexOf('{')));
    assert.deepEqual(order, ['{1,3,2,0}', '{1,3,2,0}', '{1,3,2,0}', '{3,2,1,0}']);
  });

  it('batch norm sums up what its three gradients share once', () => {
    const shape = [4, 3, 5, 5];
    const f = (x: Tensor, w: Tensor, b: Tensor): readonly (Tensor | null)[] =>
      torch.autograd.grad(torch.nn.functional.batch_norm(x, null, null, w, b, true).square().sum(), [x, w, b]);
    const inputs = [torch.randn(shape), torch.randn([3]), torch.randn([3])].map((t) => t.requires_grad_());
    const fast = compile(f, { optimize: 'xla' });
    f(inputs[0]!, inputs[1]!, inputs[2]!).forEach((e, i) => {
      close(fast(inputs[0]!, inputs[1]!, inputs[2]!)[i]!, e!, { rtol: 1e-4, atol: 1e-4, what: `gradient ${i}` });
    });
    const { stablehlo } = fast.lower(inputs[0]!, inputs[1]!, inputs[2]!);
    // Mean, variance, the value itself, and two sums of its gradient.
    assert.equal(stablehlo.match(/stablehlo\.reduce\b/g)!.length, 5);
  });

  it('a training step on images calls libtorch and lays nothing out anew between its calls', () => {
    const F = torch.nn.functional;
    const [x, u, v] = [torch.randn([8, 32, 32, 32]), torch.randn([32, 32, 3, 3]), torch.randn([32, 32, 3, 3])];
    const [w, b, mean] = [torch.rand([32]), torch.randn([32]), torch.randn([32])];
    const f = (...[a, p, q, weight, bias]: Tensor[]): Tensor[] => {
      const [m, s] = [mean.clone(), torch.ones([32])];
      const h = F.relu(F.batch_norm(F.conv2d(a!, p!, null, 1, 1), m, s, weight, bias, true));
      const y = F.batch_norm(F.conv2d(h, q!, null, 1, 1), null, null, null, null, true)
        .relu()
        .add(h);
      return [y.detach(), m, s, ...torch.autograd.grad(y.pow(3).sum(), [a!, p!, q!, weight!, bias!])];
    };
    const inputs = [x, u, v, w, b].map((t) => t.requires_grad_());
    const program = compile(f);
    const [eager, compiled] = [f(...inputs), program(...inputs)];
    eager.forEach((e, i) => {
      const size = Number(e.abs().max().item());
      close(compiled[i]!, e, { rtol: 1e-4, atol: 1e-5 * size, what: `result ${i}` });
    });
    const calls = program.explain().calls.map(({ op }) => op.slice(6)).sort(); // biome-ignore format: one chain
    assert.deepEqual(calls, ['batch_norm_update_stats', 'batch_norm_update_stats', 'convolution', 'convolution', 'convolution_backward', 'convolution_backward', 'native_batch_norm_backward', 'native_batch_norm_backward']); // biome-ignore format: a list
    const { text } = program.lower(...inputs).hlo;
    const images = text.slice(text.indexOf('ENTRY')).match(/= f32\[8,32,32,32\]\{3,2,1,0\} (?!parameter|get)/g)!;
    assert.equal(images.length, 2); // y and the gradient of x, as their readers want them
  });

  it('a training step on small images is XLA’s alone: libtorch’s threads and its own would wait for one another', () => {
    const F = torch.nn.functional;
    const f = (x: Tensor, w: Tensor): Tensor[] => {
      const y = F.relu(F.batch_norm(F.conv2d(x, w, null, 1, 1), null, null, null, null, true));
      return [y.detach(), ...torch.autograd.grad(y.square().sum(), [x, w])];
    };
    const inputs = [torch.randn([32, 32, 8, 8]), torch.randn([32, 32, 3, 3])].map((t) => t.requires_grad_());
    const program = compile(f);
    const compiled = program(inputs[0]!, inputs[1]!);
    f(inputs[0]!, inputs[1]!).forEach((e, i) => {
      close(compiled[i]!, e, { rtol: 1e-3, atol: 1e-4 * Number(e.abs().max().item()), what: `result ${i}` });
    });
    assert.deepEqual(program.explain().calls, []);
  });

  it('libtorch’s results of one size lie where each belongs, and stay as they are', () => {
    const [shape, kernels] = [
      [4, 16, 32, 32],
      [256, 16, 4, 4],
    ]; // 65,536 numbers each
    const f = (a: Tensor, c: Tensor): Tensor[] =>
      torch.autograd.grad(torch.nn.functional.conv2d(a.sin(), c.cos()).square().sum(), [a, c]) as Tensor[];
    const program = compile(f);
    const given = [1, 2, 3].map(() => [torch.randn(shape!), torch.randn(kernels!)].map((t) => t.requires_grad_()));
    const results = given.map(([a, c]) => program(a!, c!));
    assert.ok(program.explain().calls.some(({ op }) => op === 'aten::convolution_backward'));
    given.forEach(([a, c], k) => {
      f(a!, c!).forEach((e, i) => {
        close(results[k]![i]!, e, {
          rtol: 1e-4,
          atol: 2e-5 * Number(e.abs().max().item()),
          what: `run ${k}, gradient ${i}`,
        });
      });
    });
  });
});
