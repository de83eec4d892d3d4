/** @file Derivatives of order two and three through operators whose formulas libtorch lacks or has for the first order only. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, func } = torch;
const x = torch.tensor(
  [
    [0.1, 0.5, -0.3],
    [1, 2, 0],
  ],
  { dtype: 'float64' },
);
const classes = torch.tensor([1, -100], { dtype: 'int64' });
const weight = torch.tensor([1, 2, 3], { dtype: 'float64' });
const { cross_entropy } = torch.nn.functional;

describe('forward over reverse mode', () => {
  const LOSSES: Record<string, (t: Tensor) => Tensor> = {
    softmax: (t) => t.softmax(1).square().sum(),
    log_softmax: (t) => t.log_softmax(1).sin().sum(),
    'cross_entropy with an ignored class': (t) => cross_entropy(t, classes),
    'weighted cross_entropy, summed': (t) => cross_entropy(t, classes, { reduction: 'sum', weight }),
  };
  for (const [name, f] of Object.entries(LOSSES))
    it(`${name}: equals reverse over reverse mode, eager and compiled`, () => {
      const expected = func.jacrev(func.jacrev(f))(x);
      for (const hessian of [func.hessian(f), compile(func.hessian(f))])
        close(hessian(x), expected, { rtol: 1e-12, atol: 1e-12 });
    });
});

describe('normalisations and attention: derivatives of higher order', () => {
  const O = { dtype: 'float64' } as const;
  torch.manual_seed(3);
  const [weight4, bias4, mean4] = [torch.randn([4], O), torch.randn([4], O), torch.randn([4], O)];
  const variance4 = torch.rand([4], O).add(0.5);
  const { layer_norm, batch_norm, instance_norm, group_norm, rms_norm, scaled_dot_product_attention } =
    torch.nn.functional;
  const LAYERS: Record<string, readonly [f: (t: Tensor) => Tensor, shape: readonly number[]]> = {
    layer_norm: [(t) => layer_norm(t, [4], weight4, bias4), [2, 4]],
    'layer_norm over two dimensions, plain': [(t) => layer_norm(t, [2, 2]), [2, 2, 2]],
    'batch_norm in training': [(t) => batch_norm(t, null, null, weight4, bias4, true), [3, 4]],
    'batch_norm of sequences, with statistics': [
      (t) => batch_norm(t, mean4.clone(), variance4.clone(), null, null, true),
      [1, 4, 3],
    ],
    'batch_norm in evaluation': [(t) => batch_norm(t, mean4, variance4, weight4, bias4, false), [2, 4]],
    instance_norm: [(t) => instance_norm(t), [1, 2, 4]],
    group_norm: [(t) => group_norm(t, 2, weight4, bias4), [1, 4, 3]],
    rms_norm: [(t) => rms_norm(t, [4], weight4), [2, 4]],
    attention: [(t) => scaled_dot_product_attention(t, t.mul(2), t.sin()), [1, 1, 3, 2]],
    'causal attention': [(t) => scaled_dot_product_attention(t, t, t, { is_causal: true }), [1, 1, 3, 2]],
  };
  const COMPILED = ['layer_norm', 'batch_norm in training', 'attention'];
  /** The derivative of `g` along `v`, by central differences. */
  const along = (g: (t: Tensor) => Tensor, at: Tensor, v: Tensor): Tensor =>
    g(at.add(v.mul(1e-5)))
      .sub(g(at.sub(v.mul(1e-5))))
      .div(2e-5);
  const grad = func.grad;

  for (const [name, [layer, shape]] of Object.entries(LAYERS)) {
    const f = (t: Tensor): Tensor => layer(t).pow(3).sum();
    const [at, v] = [torch.randn([...shape], O), torch.randn([...shape], O)];
    const agrees = (got: Tensor, expected: Tensor): void =>
      close(got, expected, { rtol: 1e-6, atol: 1e-6 * Math.max(1, expected.abs().max().item()) });

    it(`${name}: the second derivative by either mode over either, eager and compiled, equals finite differences`, () => {
      const product = (h: Tensor): Tensor => h.reshape([at.numel(), at.numel()]).matmul(v.reshape([-1]));
      const expected = along(grad(f), at, v).reshape([-1]);
      const { hessian, jacfwd, jacrev } = func;
      for (const second of [hessian(f), jacrev(grad(f)), jacrev(jacrev(f)), jacrev(jacfwd(f)), jacfwd(jacfwd(f))])
        agrees(product(second(at)), expected);
      for (const second of COMPILED.includes(name)
        ? [compile(hessian(f)), compile(jacrev(jacfwd(f)))]
        : [hessian(compile(f))])
        agrees(product(second(at)), expected);
      const leaf = at.clone().requires_grad_();
      const [g] = torch.autograd.grad(f(leaf), leaf, { create_graph: true });
      agrees(torch.autograd.grad(g!, leaf, v)[0]!.reshape([-1]), expected);
    });

    it(`${name}: so does the third, in reverse and in forward mode`, () => {
      const { jvp } = func;
      const curvature = (t: Tensor): Tensor => jvp(grad(f), [t], [v])[1] as Tensor;
      const expected = along(curvature, at, v);
      agrees(jvp(curvature, [at], [v])[1] as Tensor, expected);
      const backwards = (t: Tensor): Tensor => grad((s: Tensor) => grad(f)(s).mul(v).sum())(t);
      agrees(grad((t: Tensor) => backwards(t).mul(v).sum())(at), expected);
      if (COMPILED.includes(name)) agrees(compile(grad((t: Tensor) => backwards(t).mul(v).sum()))(at), expected);
      const leaf = at.clone().requires_grad_();
      const create_graph = true;
      const [g] = torch.autograd.grad(f(leaf), leaf, { create_graph });
      const [h] = torch.autograd.grad(g!.mul(v).sum(), leaf, { create_graph });
      agrees(torch.autograd.grad(h!, leaf, v)[0]!, expected);
      // autograd.grad three times, the first two of which a level around them records.
      const inside = (t: Tensor): Tensor => {
        const [first] = torch.autograd.grad(f(t), t, { create_graph });
        const [second] = torch.autograd.grad(first!.mul(v).sum(), t, { create_graph });
        return second!.mul(v).sum();
      };
      agrees(grad(inside)(at), expected);
      agrees(func.vjp((t: Tensor) => grad((u: Tensor) => grad(f)(u).mul(v).sum())(t), at)[1](v)[0], expected);
    });
  }

  it('running statistics are updated as without tangents', () => {
    const run = (t: (f: (x: Tensor) => Tensor, x: Tensor) => unknown): unknown => {
      const [mean, variance] = [mean4.clone(), variance4.clone()];
      t((x) => batch_norm(x, mean, variance, weight4, bias4, true), torch.arange(12, O).reshape([3, 4]).square());
      return [mean.tolist(), variance.tolist()];
    };
    const expected = run((f, t) => f(t));
    assert.deepEqual(
      run((f, t) => func.jvp(f, [t], [torch.ones_like(t)])),
      expected,
    );
  });

  it('a mean of a half-precision input keeps its dtypes under tangents', () => {
    const t = torch.randn([2, 4]).bfloat16();
    const [value, tangent] = func.jvp((u: Tensor) => layer_norm(u, [4]), [t], [torch.ones_like(t)]) as [Tensor, Tensor];
    assert.deepEqual([value.dtype, tangent.dtype], ['bfloat16', 'bfloat16']);
    close(value.float(), layer_norm(t, [4]).float(), { rtol: 1e-2, atol: 1e-2 });
  });
});
