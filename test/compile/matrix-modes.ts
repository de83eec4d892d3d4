/** @file Modes, randomness, gradients inside and through, torch.func, control flow, checks. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Entry, Way } from '../support/five-ways.js';

const { autocast, autograd, compile, cond, enable_grad, func, linspace, nn, no_grad, ones, scan, tensor, zeros } =
  torch;
const F = nn.functional;

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => unknown;

const x34 = (): Tensor => linspace(-2, 2, 12).reshape([3, 4]);
const leaf = (t: Tensor): Tensor => t.requires_grad_(true);
const on = (f: AnyFunction, args: () => unknown[] = () => [x34()], rest: Omit<Entry, 'make'> = {}): Entry => ({
  make: (): Way => ({ f, args: args() }),
  ...rest,
});
const half = { rtol: 0.03, atol: 0.03 } as const;

const modesOf: Readonly<Record<string, Entry>> = {
  'no_grad and enable_grad inside': on(
    (x: Tensor) => [no_grad(() => x.mul(2)), no_grad(() => enable_grad(() => x.exp())), x.mul(no_grad(() => x.sin()))],
    () => [leaf(x34())],
  ),
  'no_grad around': {
    make: () => {
      const w = leaf(x34());
      return { f: (x: Tensor) => w.mul(x), args: [x34()], captured: [w], between: () => {} };
    },
  },
  'detach and requires_grad_ inside': on(
    (x: Tensor) => {
      const y = x.detach().requires_grad_(true);
      const [g] = autograd.grad(y.pow(3).sum(), y);
      return [x.mul(g!), g!];
    },
    () => [leaf(x34())],
  ),
  'autocast to bfloat16': on(
    (x: Tensor, w: Tensor) =>
      autocast({ dtype: 'bfloat16' }, () => [x.matmul(w), F.linear(x, w.t()).float(), x.mul(2)]),
    () => [leaf(x34()), leaf(linspace(-1, 1, 8).reshape([4, 2]))],
    half,
  ),
  'autocast to float16, switched off inside': on(
    (x: Tensor) =>
      autocast({ dtype: 'float16' }, () => [x.matmul(x.t()), autocast({ enabled: false }, () => x.matmul(x.t()))]),
    undefined,
    half,
  ),
  'a default dtype of its own for factories': on((x: Tensor) => [
    zeros([2], { dtype: 'float64' }).add(x.amax()),
    torch.arange(3).add(1),
    torch.full([2], true),
    x.new_zeros([2]),
  ]),
  'a compiled function inside': {
    make: () => {
      const inner = compile((x: Tensor) => x.sin().mul(x));
      return { f: (x: Tensor) => inner(inner(x)), args: [leaf(x34())] };
    },
  },
};

const random: Readonly<Record<string, Entry>> = {
  'dropout in training': on((x: Tensor) => [F.dropout(x, 0.5, true), F.dropout(x, 0.5, false)], undefined, {
    random: true,
  }),
  distributions: on(
    (x: Tensor) => [torch.rand([3, 2]), torch.randn_like(x), torch.randint(0, 10, [4]), torch.bernoulli(x.sigmoid())],
    undefined,
    { random: true },
  ),
  'random orders': on((x: Tensor) => [torch.randperm(6), x.exp().multinomial(2)], undefined, {
    random: true,
  }),
  'noise in place': on((x: Tensor) => void x.normal_().clamp_(-1, 1), undefined, {
    random: true,
    refused: { code: 'BAD_ARGUMENT', words: /changes tensors in place/ },
  }),
};

const gradients: Readonly<Record<string, Entry>> = {
  'through the call, a partly eager graph': {
    make: () => {
      const w = leaf(linspace(-1, 1, 8).reshape([4, 2]));
      return {
        f: (x: Tensor) => ({ y: x.matmul(w).sigmoid(), z: x.exp() }),
        args: [x34().requires_grad_()],
        captured: [w],
      };
    },
  },
  'double backward inside': on(
    (x: Tensor) => {
      const y = x.detach().requires_grad_(true);
      const [g] = autograd.grad(y.pow(3).sum(), y, { create_graph: true });
      return autograd.grad(g!.square().sum(), y)[0];
    },
    undefined,
    { rtol: 1e-5 },
  ),
  'a gradient penalty, trained through': on(
    (x: Tensor, w: Tensor) => {
      const [g] = autograd.grad(x.matmul(w).tanh().sum(), x, { create_graph: true });
      return g!.square().sum();
    },
    () => [leaf(x34()), leaf(linspace(-1, 1, 8).reshape([4, 2]))],
    { rtol: 1e-5, atol: 1e-6 },
  ),
  'func.grad of a compiled function': {
    make: () => ({ f: func.grad(compile((x: Tensor) => x.sin().sum())), args: [x34()] }),
  },
  'vmap of a compiled function': {
    make: () => ({ f: func.vmap(compile((r: Tensor) => r.dot(r.exp()))), args: [x34()] }),
  },
  'jacobian and hessian': on(
    (x: Tensor) => [func.jacrev((t: Tensor) => t.sin())(x), func.hessian((t: Tensor) => t.pow(3).sum())(x)],
    () => [linspace(-1, 1, 3)],
    { rtol: 1e-5 },
  ),
  'jvp and vjp': on((x: Tensor) => {
    const [y, t] = func.jvp((a: Tensor) => a.tanh(), [x], [ones(3, 4)]) as [Tensor, Tensor];
    const [z, pull] = func.vjp((a: Tensor) => a.exp(), x) as [Tensor, (v: Tensor) => Tensor[]];
    return [y, t, z, pull(x)];
  }),
  'gradients per example': on(
    (w: Tensor, xs: Tensor) =>
      func.vmap(
        func.grad((v: Tensor, x: Tensor) => v.dot(x).tanh()),
        { in_dims: [null, 0] },
      )(w, xs),
    () => [linspace(0, 1, 4), x34()],
  ),
};

const control: Readonly<Record<string, Entry>> = {
  'cond on a value': on(
    (x: Tensor) =>
      cond(
        x.sum().gt(1),
        (t: Tensor) => t.sin(),
        (t: Tensor) => t.mul(3),
        [x],
      ),
    () => [leaf(x34().add(1).detach())],
  ),
  'cond on a mode and on a static flag': on(
    (x: Tensor, flag: boolean) => [
      cond(
        flag,
        (t: Tensor) => t.exp(),
        (t: Tensor) => t.neg(),
        [x],
      ),
      cond(
        torch.is_grad_enabled(),
        (t: Tensor) => t.mul(2),
        (t: Tensor) => t,
        [x],
      ),
    ],
    () => [x34(), true],
  ),
  'scan, carrying a pytree, with gradients': on(
    (xs: Tensor, w: Tensor) =>
      scan(
        ({ h }: { h: Tensor }, x: Tensor) => {
          const next = h.mul(w).add(x).tanh();
          return [{ h: next }, next.mul(2)] as const;
        },
        { h: zeros(4) },
        xs,
      ),
    () => [leaf(x34()), leaf(ones(4))],
  ),
  while_loop: on(
    (x: Tensor) =>
      torch.while_loop(
        (i: Tensor, y: Tensor) => i.lt(10).logical_and(y.abs().max().lt(100)),
        (i: Tensor, y: Tensor) => [i.add(1), y.mul(2)] as [Tensor, Tensor],
        [tensor(0), x],
      ),
    undefined,
  ),
  'fori, map and associative_scan': on((x: Tensor) => [
    torch.fori(0, 4, (i: Tensor, v: Tensor) => v.add(i), x),
    torch.map((r: Tensor) => r.mul(2), x),
    torch.associative_scan((a: Tensor, b: Tensor) => a.add(b), x),
  ]),
  'a loop with a gradient step inside': on((x: Tensor) =>
    torch.fori(
      0,
      5,
      (_: Tensor, w: Tensor) =>
        w.sub(
          func
            .grad((v: Tensor) => v.sub(x).square().sum())(w)
            .mul(0.1),
        ),
      torch.zeros_like(x),
    ),
  ),
};

const checks: Readonly<Record<string, Entry>> = {
  'checks that hold': on(
    (x: Tensor, i: Tensor) => [
      x.index_select(1, i),
      i.floor_divide(i.add(1)),
      torch.linalg.cholesky(x.t().matmul(x).add(torch.eye(4))),
    ],
    () => [x34(), tensor([2n, 0n])],
    { compile: { checks: true }, rtol: 1e-4, atol: 1e-5 },
  ),
  'checks that hold in loops and branches': on(
    (x: Tensor, i: Tensor) => [
      torch.map((k: Tensor) => x.index_select(1, k.reshape([1])).sum(), i),
      scan((c: Tensor, k: Tensor) => [c.add(x.at(k.reshape([1])).sum()), c] as const, zeros([]), i)[0],
      cond(
        x.sum().lt(100),
        (t: Tensor) => t.index_select(0, i.floor_divide(i.add(1))),
        (t: Tensor) => t.index_select(0, i),
        [x],
      ),
    ],
    () => [leaf(x34()), tensor([2n, 0n])],
    { compile: { checks: true }, rtol: 1e-5, atol: 1e-6 },
  ),
  'checks while training': {
    make: () => {
      const table = leaf(linspace(-1, 1, 12).reshape([4, 3]));
      return {
        f: (i: Tensor) => {
          const loss = F.cross_entropy(F.embedding(i, table), i);
          loss.backward();
          return loss.detach();
        },
        args: [tensor([0n, 2n])],
        captured: [table],
      };
    },
    compile: { checks: true },
    compiles: 2,
    refused: { code: 'BAD_ARGUMENT', words: /changes tensors in place/ },
  },
  'operators of libtorch inside the program': on(
    (x: Tensor) => [torch.linalg.eigvals(x.matmul(x.t())).abs(), x.sin()],
    undefined,
    {
      rtol: 1e-4,
      atol: 1e-4,
      compile: { optimize: 'aten' },
      refused: { code: 'NO_RULE', words: /eigvals|linalg/ },
    },
  ),
  'no operator but XLA’s': on(
    (x: Tensor) => x.matmul(x.t()).softmax(1),
    () => [leaf(x34())],
    { compile: { optimize: 'xla', fallback: 'error' } },
  ),
};

export const modes: Readonly<Record<string, Entry>> = { ...modesOf, ...random, ...gradients, ...control, ...checks };
