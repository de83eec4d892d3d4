/** @file Compositions of transforms on functions of three numbers, and what each must equal: the eager loops, and finite differences. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

type F = (x: Tensor) => Tensor;

const vector = (...values: number[]): Tensor => torch.tensor(values, { dtype: 'float64' });
const matrix = [
  [0.5, -0.2, 0.1],
  [0.3, 0.4, -0.6],
  [-0.1, 0.2, 0.7],
];
const A = (): Tensor => torch.tensor(matrix, { dtype: 'float64' });

/** Smooth at the points used; three numbers to any shape. */
export const FUNCTIONS: Readonly<Record<string, F>> = {
  sin: (x) => x.sin(),
  'exp of a product': (x) => x.mul(x.roll(1)).mul(0.3).exp(),
  tanh: (x) => A().mv(x).tanh(),
  quadratic: (x) => x.dot(A().mv(x)),
  quotient: (x) => x.div(x.square().add(1)),
  logsumexp: (x) => x.logsumexp(0),
  softmax: (x) => x.softmax(0),
  norm: (x) => x.square().sum().add(0.5).sqrt(),
  power: (x) => x.square().add(0.3).pow(1.5),
  cumsum: (x) => x.sin().cumsum(0),
  cumprod: (x) => x.cos().cumprod(0),
  outer: (x) => x.outer(x.cos()).mul(0.5),
  solve: (x) => torch.linalg.solve(A().add(torch.eye(3, { dtype: 'float64' })), x.sin()),
  determinant: (x) =>
    torch.linalg.det(
      torch
        .diag(x.sin())
        .add(A())
        .add(torch.eye(3, { dtype: 'float64' }).mul(2)),
    ),
  sigmoid: (x) => x.sigmoid().log(),
  gelu: (x) => torch.nn.functional.gelu(x),
  softplus: (x) => torch.nn.functional.softplus(x).sum(),
  indexing: (x) => torch.stack([x.at(0).mul(x.at(2)), x.at('1:').sin().sum()]),
  'in place': (x) => {
    const y = x.mul(2);
    y.setAt([1], x.at(1).cos());
    return y.mul_(x).sin();
  },
  // No number that a composition meets, nor one that a difference steps to, is on the other side.
  where: (x) => torch.where(x.gt(0.13), x.sin(), x.mul(x).mul(0.5)),
};

const direction = (x: Tensor): Tensor => vector(0.3, -0.5, 0.8).mul(torch.ones_like(x));
const batchOf = (x: Tensor): Tensor => torch.stack([x, x.mul(-0.7).add(0.2)]);

/** Every transform takes a function of three numbers and gives another. */
export const TRANSFORMS: Readonly<Record<string, (f: F) => F>> = {
  grad: (f) => torch.func.grad((x: Tensor) => f(x).sum()) as F,
  jvp: (f) => (x) => torch.func.jvp(f, [x], [direction(x)])[1] as Tensor,
  vmap: (f) => (x) => torch.func.vmap(f)(batchOf(x)),
  jacrev: (f) => torch.func.jacrev(f) as F,
  hessian: (f) => torch.func.hessian((x: Tensor) => f(x).sum()) as F,
  compile: (f) => torch.compile(f),
  cond: (f) => (x) => torch.cond(x.sum().gt(0.4), f, (y: Tensor) => f(y.neg()).mul(2), [x]),
  scan: (f) => (x) =>
    torch.scan((c: Tensor, t: Tensor) => [c.mul(0.6).add(t.sin().mul(0.2)), f(c)], x, x.narrow(0, 0, 2))[1],
};

/** The same without libtorch's levels and without XLA: examples, rows and steps one after the other. */
const unbatched: Readonly<Record<string, (f: F) => F>> = {
  vmap: (f) => (x) => torch.stack([...batchOf(x)].map((row) => f(row))),
  compile: (f) => f,
  cond: (f) => (x) => (x.sum().item() > 0.4 ? f(x) : f(x.neg()).mul(2)),
  scan: (f) => (x) => {
    const ys: Tensor[] = [];
    let c = x;
    for (const t of x.narrow(0, 0, 2)) {
      ys.push(f(c));
      c = c.mul(0.6).add(t.sin().mul(0.2));
    }
    return torch.stack(ys);
  },
};

const STEP = 1e-2;
/** d/ds f(x + s v) at s = 0, by central differences of sixth order: about 1e-11 where f is smooth. */
const along = (f: F, x: Tensor, v: Tensor): Tensor => {
  const weights = [45, -9, 1];
  const terms = weights.map((w, k) => {
    const s = STEP * (k + 1);
    return f(x.add(v.mul(s)))
      .sub(f(x.sub(v.mul(s))))
      .mul(w / (60 * STEP));
  });
  return terms.reduce((a, b) => a.add(b));
};
const units = (): Tensor[] => [...torch.eye(3, { dtype: 'float64' })];

/** What the outermost transform must give, from values of the rest, which are themselves compositions that are checked. */
const differences: Readonly<Record<string, (f: F) => F>> = {
  grad: (f) => (x) => torch.stack(units().map((e) => along((y) => f(y).sum(), x, e))),
  jvp: (f) => (x) => along(f, x, direction(x)),
  jacrev: (f) => (x) =>
    torch.stack(
      units().map((e) => along(f, x, e)),
      -1,
    ),
  hessian: (f) => (x) =>
    torch.stack(
      units().map((e) => along(TRANSFORMS.grad!(f), x, e)),
      -1,
    ),
};

export interface Composition {
  readonly functionName: string;
  /** The outermost first. */
  readonly names: readonly string[];
}

/** All compositions up to a depth, on all functions. */
export const compositions = (depth: number): Composition[] => {
  const names = Object.keys(TRANSFORMS);
  let longest: string[][] = [[]];
  const all: string[][] = [];
  for (let d = 0; d < depth; d++) {
    longest = longest.flatMap((list) => names.map((name) => [...list, name]));
    all.push(...longest);
  }
  return Object.keys(FUNCTIONS).flatMap((functionName) => all.map((list) => ({ functionName, names: list })));
};

const compose = (transforms: readonly ((f: F) => F)[], f: F): F => transforms.reduceRight((g, t) => t(g), f);

const compare = (what: string, got: Tensor, expected: Tensor, tolerance: number): void => {
  assert.deepEqual([...got.shape], [...expected.shape], `${what}: shape`);
  const scale = Math.max(1, expected.abs().max().item());
  const error = got.sub(expected).abs().max().item() / scale;
  assert.ok(error <= tolerance, `${what}: relative error ${error}`);
};

/** Throws where a composition gives something else than eager loops do, or than finite differences of the rest. */
export const check = ({ functionName, names }: Composition): void => {
  const f = FUNCTIONS[functionName]!;
  const x = vector(0.4, -0.3, 0.7);
  const got = compose(
    names.map((name) => TRANSFORMS[name]!),
    f,
  )(x);
  const what = `${names.join(' of ')} of ${functionName}`;
  // Loops and no program, wherever no level would meet what reads data.
  const plain = names.map((name, i) => {
    const inside = names.slice(0, i).some((outer) => outer !== 'compile' && outer !== 'cond' && outer !== 'scan');
    return (!inside && unbatched[name]) || (name === 'compile' ? unbatched.compile! : TRANSFORMS[name]!);
  });
  compare(`${what}, eager`, got, compose(plain, f)(x), 1e-9);
  const [outermost, ...rest] = names.filter((name) => name !== 'compile');
  const difference = outermost === undefined ? undefined : differences[outermost];
  if (difference === undefined) return;
  const inner = compose(
    rest.map((name) => TRANSFORMS[name]!),
    f,
  );
  compare(`${what}, differences`, got, difference(inner)(x), 1e-6);
};
