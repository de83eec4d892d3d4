/** @file Loops that XLA's CPU backend compiles as one kernel, and those that it cannot: the same numbers as eager's. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, cond, fori, scan, while_loop } = torch;
const double = { dtype: 'float64' } as const;
type Step = (x: Tensor) => Tensor;

const sine = (...shape: number[]): Tensor =>
  torch
    .arange(
      0,
      shape.reduce((a, b) => a * b, 1),
      double,
    )
    .mul(1.7)
    .sin()
    .reshape(shape);
const turned = torch.tensor([2n, 1n, 0n]);

/** One step each. Matrix products, long sums, sorts and factorisations are other libraries' kernels, which no other kernel can call. */
const STEPS: Record<string, [Step, Tensor]> = {
  'small product': [(x) => x.mm(x).tanh(), sine(4, 4)],
  'a library’s product': [(x) => x.mm(x).tanh(), sine(24, 24)],
  'batch of products': [(x) => x.matmul(x).tanh(), sine(5, 16, 16)],
  'matrix and vector': [(x) => sine(50, 50).mv(x).sin(), sine(50)],
  'long sum': [(x) => x.add(x.sum().mul(1e-3)).tanh(), sine(5000)],
  'long maximum': [(x) => x.sub(x.amax()).tanh(), sine(5000)],
  softmax: [(x) => x.softmax(0).add(x.mul(0.1)), sine(100)],
  'running sum': [(x) => x.cumsum(0).tanh(), sine(50)],
  error: [(x) => torch.erf(x).add(torch.lgamma(x.abs().add(1)).mul(0.1)), sine(20)],
  half: [(x) => x.sin().add(1).sqrt(), sine(20).half()],
  bfloat16: [(x) => x.sin().add(1).sqrt(), sine(20).bfloat16()],
  complex: [(x) => x.mul(x).div(x.abs().add(1)), torch.complex(sine(9), sine(9).neg())],
  integers: [(x) => x.mul(3).add(1).remainder(1000), torch.arange(0, 30)],
  rows: [(x) => x.index_select(0, turned).sin(), sine(3, 2)],
  'a row in its place': [(x) => x.index_copy(0, torch.tensor([1n]), x.narrow(0, 0, 1).cos()), sine(3, 2)],
  sort: [(x) => x.sort(0)[0].roll(1, 0).mul(0.9), sine(10)],
  solve: [(x) => torch.linalg.solve(torch.eye(3, double).mul(2).add(x.outer(x)), x), sine(3)],
  cholesky: [(x) => torch.linalg.cholesky(x.mm(x.t()).add(torch.eye(3, double))), sine(3, 3)],
  convolution: [(x) => torch.nn.functional.conv1d(x, torch.ones([1, 1, 3], double), null, 1, 1).tanh(), sine(1, 1, 20)],
  NaN: [(x) => x.maximum(x.flip(0)).mul(1.1), torch.tensor([Number.NaN, 1, 2, -3], double)],
  'no elements': [(x) => x.mul(2), torch.zeros([0], double)],
  'a loop inside': [(x) => fori(0, 3, (_, c: Tensor) => c.mul(1.1).sin(), x), sine(5)],
  'a branch inside': [
    (x) =>
      cond(
        x.sum().gt(0),
        () => x.exp().neg().tanh(),
        () => torch.full([5], 0.3, double).exp(),
      ),
    sine(5),
  ],
  'a step that forgets': [() => torch.full([5], 0.3, double), sine(5)],
};

describe('small loops', () => {
  for (const [name, [step, x]] of Object.entries(STEPS))
    it(name, () => {
      for (const steps of [1, 6]) {
        const f = (t: Tensor): Tensor => fori(0, steps, (_, c: Tensor) => step(c), t);
        const got = compile(f)(x);
        close(
          got,
          f(x),
          x.dtype === 'bfloat16' || x.dtype === 'float16' ? { rtol: 1e-2, atol: 1e-2 } : { rtol: 1e-10, atol: 1e-10 },
        );
      }
    });

  it('carry what no step reads, and what only the outside reads', () => {
    const f = (t: Tensor): Tensor[] => {
      const [[a, , kept], ys] = scan(
        ([c, , same]: [Tensor, Tensor, Tensor], row: Tensor) => [
          [c.add(row).sin(), row, same] as [Tensor, Tensor, Tensor],
          row.mul(2),
        ],
        [t.select(0, 0), t.select(0, 1), t.select(0, 2)] as [Tensor, Tensor, Tensor],
        t,
      ) as [[Tensor, Tensor, Tensor], Tensor];
      return [a, kept, ys];
    };
    const x = sine(4, 3);
    compile(f)(x).forEach((t, i) => {
      close(t, f(x)[i]!, { rtol: 1e-12, atol: 1e-12 });
    });
  });

  it('gradients go past integers that are carried', () => {
    const f = (t: Tensor): Tensor =>
      fori(0, 3, (_, [k, c]: [Tensor, Tensor]) => [k.add(1), c.mul(k.add(1)).sin()] as [Tensor, Tensor], [
        torch.tensor(0n),
        t,
      ] as [Tensor, Tensor])[1].sum();
    const gradient = torch.func.grad(f);
    close(compile(gradient)(sine(4)), gradient(sine(4)), { rtol: 1e-12, atol: 1e-12 });
    const counts = (t: Tensor): Tensor =>
      fori(0, 3, (_, k: Tensor) => k.add(t.gt(0).sum()), torch.tensor(0n)).mul(t.sum());
    close(compile(torch.func.grad(counts))(sine(4)), torch.func.grad(counts)(sine(4)), { rtol: 1e-12, atol: 1e-12 });
  });

  it('are one kernel in the program, also in a loop that is not', () => {
    const small = compile(
      (x: Tensor) =>
        while_loop(
          (c: Tensor) => c.sum().lt(5),
          (c: Tensor) => [c.add(0.1).sin().add(1)],
          [x],
        )[0],
    );
    assert.match(small.lower(sine(300)).hlo.text, / call\(.*calls=\{%while[\w.]*_computation/);
    const large = compile((x: Tensor) =>
      fori(
        0,
        3,
        (_, c: Tensor) =>
          fori(0, 4, (_i, s: Tensor) => s.sin(), c.select(0, 0).sum())
            .add(c)
            .sort(0)[0],
        x,
      ),
    );
    assert.match(large.lower(sine(300, 300)).hlo.text, / call\(.*calls=\{%while[\w.]*_computation/);
  });
});
