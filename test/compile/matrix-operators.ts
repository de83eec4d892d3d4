/** @file The operators of every family, as functions of tensors alone. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Entry } from '../support/five-ways.js';

const F = torch.nn.functional;
const { float64 } = torch;

interface Plain {
  // biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
  readonly f: (...args: any[]) => unknown;
  readonly args: () => unknown[];
}

const x34 = (): Tensor => torch.linspace(-2, 2, 12, { dtype: float64 }).reshape([3, 4]);
const sym = (): Tensor => {
  const a = torch.linspace(0.3, 2, 9, { dtype: float64 }).reshape([3, 3]).sin();
  return a.matmul(a.t()).add(torch.eye(3, { dtype: float64 }).mul(2));
};
const image = (): Tensor =>
  torch
    .linspace(-1, 1, 2 * 3 * 6 * 6, { dtype: float64 })
    .sin()
    .reshape([2, 3, 6, 6]);
const kernel = (): Tensor =>
  torch
    .linspace(-1, 1, 4 * 3 * 3 * 3, { dtype: float64 })
    .cos()
    .reshape([4, 3, 3, 3]);
const ints = (): Tensor => torch.tensor([3n, -1n, 4n, -1n, 5n, -9n]);
const one = (f: (x: Tensor) => unknown, args: () => unknown[] = () => [x34()]): Plain => ({ f, args });
const weight = torch.linspace(-1, 1, 8, { dtype: float64 }).reshape([4, 2]);

const gradientOf = (f: (x: Tensor) => Tensor) => (x: Tensor) => {
  const leaf = x.detach().requires_grad_();
  return torch.autograd.grad([f(leaf)], [leaf])[0];
};

const cases: Readonly<Record<string, Plain>> = {
  'sin and exp': one((x) => x.sin().add(x.exp())),
  'a chain of pointwise operators': one((x) => x.abs().add(1).log().mul(3).tanh().sigmoid().sqrt()),
  'gelu, silu, softplus, elu': one((x) => [F.gelu(x), F.silu(x), F.softplus(x), F.elu(x)]),
  'erf, lgamma, digamma': one((x) => [x.erf(), x.abs().add(1).lgamma(), x.abs().add(1).digamma()]),
  'comparison and where': one((x) => torch.where(x.gt(0), x, x.neg().mul(2))),
  'clamp and maximum': one((x) => [x.clamp(-1, 1), torch.maximum(x, x.neg())]),
  'logical operators': one((x) => [x.gt(0).logical_and(x.lt(1)), x.ne(0).any(), x.gt(-5).all()]),
  'type promotion': one((x) => [x.to(torch.float32).add(x), x.gt(0).add(1), x.gt(0).mul(0.5)]),
  'integer arithmetic': one(
    (i) => [i.mul(3).add(7), i.floor_divide(2), i.remainder(4), i.bitwise_and(6)],
    () => [ints()],
  ),
  bfloat16: one((x) => x.to(torch.bfloat16).mul(2).to(torch.float32)),
  'complex numbers': one((x) => [torch.complex(x, x).mul(torch.complex(x, x.neg())), torch.complex(x, x).abs()]),
  'sum, mean, prod': one((x) => [x.sum(), x.mean(0), x.prod(1)]),
  'var, std, logsumexp': one((x) => [x.var(1), x.std(), x.logsumexp(0)]),
  'max with indices': one((x) => x.max(1)),
  'argmin and amax': one((x) => [x.argmin(), x.amax([0, 1])]),
  'cumulative sums and products': one((x) => [x.cumsum(0), x.cumprod(1), x.cummax(0).values]),
  'sort and topk': one((x) => [x.sort(1, true).values, x.topk(2, 1)]),
  softmax: one((x) => [torch.softmax(x, 0), torch.log_softmax(x, -1)]),
  norms: one((x) => [x.norm(), torch.linalg.vector_norm(x, 3, 1)]),
  matmul: one((x) => x.matmul(x.t())),
  'batched matmul': one((x) => torch.bmm(x.expand([2, 3, 4]), x.t().expand([2, 4, 3]))),
  einsum: one((x) => torch.einsum('ij,kj->ik', [x, x])),
  linear: one((x) => F.linear(x, x, x.select(1, 0))),
  'a captured weight': one((x) => x.matmul(weight)),
  'outer and dot': one((x) => [x.select(0, 0).outer(x.select(0, 1)), x.select(0, 0).dot(x.select(0, 2))]),
  'cholesky and solve': one(
    (a) => [torch.linalg.cholesky(a), torch.linalg.solve(a, a.mul(2))],
    () => [sym()],
  ),
  'qr and det': one(
    (a) => [torch.linalg.qr(a).R.abs(), torch.linalg.det(a)],
    () => [sym()],
  ),
  eigvalsh: one(
    (a) => torch.linalg.eigvalsh(a),
    () => [sym()],
  ),
  inverse: one(
    (a) => torch.linalg.inv(a),
    () => [sym()],
  ),
  'views and transposes': one((x) => [x.t(), x.view([4, 3]), x.unsqueeze(1).expand([3, 2, 4])]),
  'slices and selects': one((x) => [x.at('1:', '::2'), x.at(-1), x.narrow(1, 1, 2)]),
  'flip, roll, rot90': one((x) => [x.flip([0]), x.roll(1, 1), x.rot90()]),
  'concatenation and stacking': one((x) => [torch.cat([x, x.neg()], 1), torch.stack([x, x], 1)]),
  'chunk and split': one((x) => [...x.chunk(2, 1), ...x.split(2, 0)]),
  'index_select and gather': {
    f: (x: Tensor, i: Tensor) => [x.index_select(1, i), x.gather(1, i.expand([3, 2]))],
    args: () => [x34(), torch.tensor([2n, 0n])],
  },
  'advanced indexing': {
    f: (x: Tensor, i: Tensor) => x.at(i, null, '1:'),
    args: () => [x34(), torch.tensor([2n, 0n])],
  },
  'scatter and index_add': {
    f: (x: Tensor, i: Tensor) => [x.scatter_add(1, i.expand([3, 2]), x), x.index_add(1, i, x.at(':', ':2'))],
    args: () => [x34(), torch.tensor([2n, 0n])],
  },
  masks: one((x) => [x.masked_fill(x.lt(0), 7), torch.where(x.isnan(), 0, x)]),
  'tril, triu, diagonal': one((x) => [x.tril(), x.triu(1), x.diagonal()]),
  padding: one((x) => [F.pad(x, [1, 2], 'constant', 3), F.pad(x.unsqueeze(0), [1, 1], 'reflect')]),
  'repeat and tile': one((x) => [x.repeat([2, 1]), x.tile([1, 2])]),
  'factories in the function': one((x) => [
    torch.arange(4, { dtype: float64 }).add(x),
    torch.eye(3),
    x.new_full([2], 5),
  ]),
  convolution: { f: (x: Tensor, k: Tensor) => F.conv2d(x, k, null, 1, 1), args: () => [image(), kernel()] },
  pooling: one(
    (x) => [F.max_pool2d(x, 2), F.avg_pool2d(x, 3), F.adaptive_avg_pool2d(x, 2)],
    () => [image()],
  ),
  'layer and batch norm': one(
    (x) => [F.layer_norm(x, [6, 6]), F.batch_norm(x, null, null, null, null, true)],
    () => [image()],
  ),
  interpolation: one(
    (x) => F.interpolate(x, { scale_factor: 2, mode: 'nearest' }),
    () => [image()],
  ),
  embedding: { f: (w: Tensor, i: Tensor) => F.embedding(i, w), args: () => [x34(), torch.tensor([2n, 0n, 1n])] },
  attention: one((x) => {
    const q = x.unsqueeze(0);
    return F.scaled_dot_product_attention(q, q.mul(2), q.neg());
  }),
  losses: {
    f: (x: Tensor, t: Tensor) => [F.cross_entropy(x, t), F.mse_loss(x, x.mul(2)), F.smooth_l1_loss(x, x.neg())],
    args: () => [x34(), torch.tensor([1n, 0n, 3n])],
  },
  fft: one((x) => [torch.fft.rfft(x).abs(), torch.fft.ifft(torch.fft.fft(x)).real]),
  'a gradient inside': one(gradientOf((x) => x.sin().mul(x).sum())),
  'a gradient of a gradient': one(
    gradientOf((x) => {
      const leaf = x;
      return torch.autograd
        .grad([leaf.pow(3).sum()], [leaf], { create_graph: true })[0]!
        .square()
        .sum();
    }),
  ),
  'backward through a softmax classifier': one(
    gradientOf((x) => F.cross_entropy(x.matmul(weight), torch.tensor([1n, 0n, 1n]))),
  ),
  'no_grad inside': one((x) => torch.no_grad(() => x.mul(2)).add(1)),
  'in-place operators on fresh tensors': one((x) => {
    const y = x.clone();
    y.at(0).mul_(5);
    y.setAt(['1:', 0], 9);
    return y.add_(1).relu_();
  }),
  'pytrees in and out': {
    f: (o: { a: Tensor; list: Tensor[]; k: number }, m: Map<string, Tensor>) => ({
      sum: o.a.add(o.list[0]!).mul(o.k),
      rest: new Map([['m', m.get('x')!.neg()]]),
      nothing: null,
    }),
    args: () => [{ a: x34(), list: [x34()], k: 3 }, new Map([['x', x34()]])],
  },
  'the argument itself': one((x) => [x, x.add(1)]),
};

export const operators: Readonly<Record<string, Entry>> = Object.fromEntries(
  Object.entries(cases).map(([name, { f, args }]) => [name, { make: () => ({ f, args: args() }) }]),
);
