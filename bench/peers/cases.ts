/** @file The benched functions in jorch. Each case also gives numbers to compare with the peers': values, norms of results, losses. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Group } from './data.js';

const F = torch.nn.functional;

/** What is timed, and what is compared. */
export interface Job {
  readonly call: () => unknown;
  readonly answers: () => number[];
}
/** `wrap` is torch.compile or the identity; the data may have been cast to float64. */
type Wrap = <A extends unknown[], R>(f: (...args: A) => R) => (...args: A) => R;
export type Case = (data: Readonly<Record<string, Group>>, wrap: Wrap) => Job;

const norm = (...tensors: readonly Tensor[]): number =>
  Math.sqrt(tensors.reduce((s, t) => s + Number(t.detach().double().square().sum().item()), 0));

type Loss = (parameters: Tensor[], ...rest: Tensor[]) => Tensor;
/** Value and gradients, as users write it. */
const valueAndGrad =
  (f: Loss) =>
  (parameters: Tensor[], ...rest: Tensor[]): [Tensor, ...Tensor[]] => {
    const leaves = parameters.map((p) => p.detach().requires_grad_());
    const value = f(leaves, ...rest);
    return [value.detach(), ...torch.autograd.grad([value], leaves)] as [Tensor, ...Tensor[]];
  };

const plain = (f: (...xs: Tensor[]) => Tensor, xs: readonly Tensor[], wrap: Wrap): Job => {
  const g = wrap(f);
  return { call: () => g(...xs), answers: () => [norm(g(...xs))] };
};
const derivative = (f: Loss, parameters: Tensor[], rest: Tensor[], wrap: Wrap): Job => {
  const both = valueAndGrad(f);
  const n = parameters.length;
  const g = wrap((...xs: Tensor[]) => both(xs.slice(0, n), ...xs.slice(n)));
  const given = [...parameters, ...rest];
  return {
    call: () => g(...given),
    answers: () => {
      const [value, ...gradients] = g(...given) as [Tensor, ...Tensor[]];
      return [Number(value.item()), norm(...gradients)];
    },
  };
};

/** What a training step needs of an optimizer. */
interface Stepper {
  zero_grad(): void;
  step(): unknown;
}
/** A training step with torch.optim, its losses and the parameters after five. */
const training = (
  loss: Loss,
  given: readonly Tensor[],
  rest: Tensor[],
  optimizer: (parameters: Tensor[]) => Stepper,
  wrap: Wrap,
): Job => {
  const parameters = given.map((p) => p.detach().clone().requires_grad_());
  const optim = optimizer(parameters);
  const step = wrap((...xs: Tensor[]) => {
    optim.zero_grad();
    const value = loss(parameters, ...xs);
    value.backward();
    optim.step();
    return value.detach();
  });
  return {
    call: () => step(...rest),
    answers: () => {
      const losses = [1, 2, 3, 4, 5].map(() => Number(step(...rest).item()));
      return [...losses, norm(...parameters)];
    },
  };
};

const seed = (x: Tensor): Tensor => x.sin().add(x.mul(2).exp()).sum();
export const rosenbrock = (x: Tensor): Tensor => {
  const here = x.at(':-1');
  return x.at('1:').sub(here.square()).square().mul(100).add(here.neg().add(1).square()).sum();
};
const logreg = (w: Tensor, X: Tensor, y: Tensor): Tensor => {
  const z = X.matmul(w);
  return F.softplus(z).sub(y.mul(z)).sum().add(w.mul(w).sum().mul(0.5));
};
const gp = (theta: Tensor, X: Tensor, y: Tensor): Tensor => {
  const [l2, s2, n2] = theta.mul(2).exp().unbind(0) as [Tensor, Tensor, Tensor];
  const d2 = X.unsqueeze(1).sub(X.unsqueeze(0)).square().sum(-1);
  const K = s2.mul(d2.mul(-0.5).div(l2).exp()).add(n2.mul(torch.eye(X.shape[0]!, { dtype: X.dtype })));
  const L = torch.linalg.cholesky(K);
  const a = torch.linalg.solve_triangular(L, y.unsqueeze(1), { upper: false });
  return a.square().sum().mul(0.5).add(L.diagonal().log().sum());
};
const chain = (given: Tensor): Tensor => {
  let x = given;
  for (let i = 0; i < 20; i++) x = x.mul(1.01).add(0.05).sin().square().neg().add(1);
  return x;
};

const mlpParameters = (d: Group): Tensor[] => [0, 1, 2].flatMap((k) => [d[`W${k}`]!, d[`b${k}`]!]);
const mlp = (p: readonly Tensor[], x: Tensor): Tensor =>
  F.linear(F.relu(F.linear(F.relu(F.linear(x, p[0]!, p[1]!)), p[2]!, p[3]!)), p[4]!, p[5]!);

const BLOCK = 'ln1_w ln1_b qkv_w qkv_b out_w out_b ln2_w ln2_b fc1_w fc1_b fc2_w fc2_b'.split(' ');
/** Normalisation first, four heads, exact GELU. */
const transformerBlock = (p: readonly Tensor[], x: Tensor): Tensor => {
  const [l1w, l1b, qw, qb, ow, ob, l2w, l2b, f1w, f1b, f2w, f2b] = p as Tensor[];
  const [B, S, D] = x.shape as unknown as [number, number, number];
  const h = F.layer_norm(x, [D], l1w!, l1b!);
  const heads = F.linear(h, qw!, qb!)
    .view(B, S, 3, 4, D / 4)
    .permute(2, 0, 3, 1, 4)
    .unbind(0) as Tensor[];
  const o = F.scaled_dot_product_attention(heads[0]!, heads[1]!, heads[2]!).transpose(1, 2).reshape([B, S, D]);
  const y = x.add(F.linear(o, ow!, ob!));
  const g = F.gelu(F.linear(F.layer_norm(y, [D], l2w!, l2b!), f1w!, f1b!));
  return y.add(F.linear(g, f2w!, f2b!));
};

const convolutionParameters = (d: Group): Tensor[] => [
  ...[0, 1, 2].flatMap((k) => [d[`c${k}`]!, d[`g${k}`]!, d[`be${k}`]!]),
  d.fw!,
  d.fb!,
];
const statistics = (d: Group): Tensor[] => [0, 1, 2].flatMap((k) => [d[`rm${k}`]!, d[`rv${k}`]!]);
/** Three 3×3 convolutions with batch norm, the second residual, the third strided; mean, linear. */
const convolutionNet = (p: readonly Tensor[], s: readonly Tensor[], x: Tensor, train: boolean): Tensor => {
  const layer = (h: Tensor, k: number, stride = 1): Tensor =>
    F.relu(
      F.batch_norm(
        F.conv2d(h, p[3 * k]!, { stride, padding: 1 }),
        s[2 * k]!,
        s[2 * k + 1]!,
        p[3 * k + 1]!,
        p[3 * k + 2]!,
        train,
      ),
    );
  let h = layer(x, 0);
  h = h.add(layer(h, 1));
  return F.linear(layer(h, 2, 2).mean([2, 3]), p[9]!, p[10]!);
};

const recurrent = (W: Tensor, U: Tensor, b: Tensor, h0: Tensor, xs: Tensor): Tensor =>
  torch.scan((h: Tensor, x: Tensor) => [W.matmul(h).add(U.matmul(x)).add(b).tanh(), []] as const, h0, xs)[0];
const newton = (a: Tensor): Tensor =>
  torch.fori(0, 1000, (_, x: Tensor) => x.add(a.div(x)).mul(0.5), torch.ones_like(a));

const adam = (p: Tensor[]): Stepper => new torch.optim.Adam(p, { lr: 1e-3 });
const sgd = (p: Tensor[]): Stepper => new torch.optim.SGD(p, { lr: 0.1, momentum: 0.9 });

export const cases: Readonly<Record<string, Case>> = {
  'dispatch.1': ({ dispatch }, wrap) => plain((x) => x.add(1), [dispatch!.x!], wrap),
  'dispatch.10': ({ dispatch }, wrap) => {
    const xs = dispatch!.xs!.unbind(0).slice(0, 10);
    const g = wrap((...all: Tensor[]) => all.map((x) => x.add(1)));
    return { call: () => g(...xs), answers: () => [norm(...g(...xs))] };
  },
  'dispatch.nested': ({ dispatch }, wrap) => {
    const layers = dispatch!.xs!.unbind(0).slice(0, 10);
    const tree = { layers: layers.map((w) => ({ w: w.clone(), rest: [w.clone(), { b: w.clone() }] as const })) };
    const g = wrap((t: typeof tree) =>
      t.layers.map(({ w, rest: [a, { b }] }) => [w.add(1), { sum: a.add(b) }] as const),
    );
    return { call: () => g(tree), answers: () => [norm(...g(tree).flatMap(([w, { sum }]) => [w, sum]))] };
  },
  'dispatch.100': ({ dispatch }, wrap) => {
    const tree = Object.fromEntries(dispatch!.xs!.unbind(0).map((x, i) => [`p${i}`, x.clone()]));
    const g = wrap((t: Record<string, Tensor>) => Object.fromEntries(Object.entries(t).map(([k, x]) => [k, x.add(1)])));
    return { call: () => g(tree), answers: () => [norm(...Object.values(g(tree)))] };
  },
  'seed.value.10': ({ seed: d }, wrap) => plain(seed, [d!.x10!], wrap),
  'seed.vg.10': ({ seed: d }, wrap) => derivative(([x]) => seed(x!), [d!.x10!], [], wrap),
  'seed.value.1000': ({ seed: d }, wrap) => plain(seed, [d!.x1000!], wrap),
  'seed.vg.1000': ({ seed: d }, wrap) => derivative(([x]) => seed(x!), [d!.x1000!], [], wrap),
  'rosen.vg.100': ({ rosen }, wrap) => derivative(([x]) => rosenbrock(x!), [rosen!.x100!], [], wrap),
  'rosen.vg.1000': ({ rosen }, wrap) => derivative(([x]) => rosenbrock(x!), [rosen!.x1000!], [], wrap),
  'rosen.vg.10000': ({ rosen }, wrap) => derivative(([x]) => rosenbrock(x!), [rosen!.x10000!], [], wrap),
  'logreg.vg': ({ logreg: d }, wrap) => derivative(([w], X, y) => logreg(w!, X!, y!), [d!.w!], [d!.X!, d!.y!], wrap),
  'logreg.hess': ({ logreg: d }, wrap) =>
    plain((w, X, y) => torch.func.hessian((v: Tensor) => logreg(v, X!, y!))(w!) as Tensor, [d!.w!, d!.X!, d!.y!], wrap),
  'gp.vg': ({ gp: d }, wrap) => derivative(([theta], X, y) => gp(theta!, X!, y!), [d!.theta!], [d!.X!, d!.y!], wrap),
  'chain.16': ({ chain: d }, wrap) => plain(chain, [d!.x16!], wrap),
  'chain.1e6': ({ chain: d }, wrap) => plain(chain, [d!.x1e6!], wrap),
  'mlp.fwd': ({ mlp: d }, wrap) => plain((x, ...p) => mlp(p, x!), [d!.x!, ...mlpParameters(d!)], wrap),
  'mlp.step': ({ mlp: d }, wrap) =>
    training((p, x, y) => F.cross_entropy(mlp(p, x!), y!), mlpParameters(d!), [d!.x!, d!.y!], adam, wrap),
  'tblock.fwd': ({ tblock: d }, wrap) =>
    plain((x, ...p) => transformerBlock(p, x!), [d!.x!, ...BLOCK.map((k) => d![k]!)], wrap),
  'tblock.fwdbwd': ({ tblock: d }, wrap) =>
    derivative(
      (p, x) => transformerBlock(p, x!).square().mean(),
      BLOCK.map((k) => d![k]!),
      [d!.x!],
      wrap,
    ),
  'conv.fwd': ({ conv: d }, wrap) => {
    const [p, s] = [convolutionParameters(d!), statistics(d!)];
    return plain((x, ...all) => convolutionNet(all, all.slice(p.length), x!, false), [d!.x!, ...p, ...s], wrap);
  },
  'conv.step': ({ conv: d }, wrap) => {
    const s = statistics(d!).map((t) => t.clone());
    const loss: Loss = (p, x, y) => F.cross_entropy(convolutionNet(p, s, x!, true), y!);
    return training(loss, convolutionParameters(d!), [d!.x!, d!.y!], sgd, wrap);
  },
  'loop.rnn.fwd': ({ loop: d }, wrap) => plain(recurrent as never, [d!.W!, d!.U!, d!.b!, d!.h0!, d!.xs!], wrap),
  'loop.rnn.grad': ({ loop: d }, wrap) =>
    derivative(
      ([W, U, b], h0, xs) => recurrent(W!, U!, b!, h0!, xs!).square().sum(),
      [d!.W!, d!.U!, d!.b!],
      [d!.h0!, d!.xs!],
      wrap,
    ),
  'loop.newton': ({ loop: d }, wrap) => plain(newton, [d!.a!], wrap),
};
