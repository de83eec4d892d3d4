/** @file minimize, least_squares and root on torch functions. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { least_squares, linePlot, minimize, root } from '../../lib/optimize/index.js';

const float64 = { dtype: torch.float64 } as const;

/** The rosenbrock Rosenbrock function, SciPy's `rosen`. */
const rosenbrock = (x: Tensor): Tensor => {
  const n = x.shape[0];
  const left = x.narrow(0, 0, n - 1);
  const right = x.narrow(0, 1, n - 1);
  return right.sub(left.square()).square().mul(100).add(left.sub(1).square()).sum();
};
const from2 = (n: number) => torch.full([n], 2, float64);
const numbers = (t: Tensor) => t.flatten().tolist() as number[];
const near = (t: Tensor, expected: readonly number[], tolerance = 1e-5) =>
  numbers(t).forEach((v, i) => {
    assert.ok(Math.abs(v - expected[i]!) <= tolerance, `${numbers(t)} and ${expected}`);
  });
const bad = (call: () => unknown, message: RegExp) =>
  assert.throws(call, (e: unknown) => torch.isJorchError(e) && e.code === 'BAD_ARGUMENT' && message.test(e.message));

/** Counts the turns of the event loop until it is told to stop. */
const countTurns = (): { stop(): number } => {
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return {
    stop: () => {
      running = false;
      return turns;
    },
  };
};

describe('minimize', function () {
  this.timeout(60_000);

  it('BFGS takes Rosenbrock N = 100 from x = 2 below 1e-10 in no more evaluations than SciPy (223)', () => {
    const { x, fun, nfev, success, jac } = minimize(rosenbrock, from2(100), { method: 'BFGS' });
    assert.ok(success);
    assert.ok(fun < 1e-10, `value ${fun}`);
    assert.ok(nfev <= 223, `${nfev} evaluations`);
    near(x, Array(100).fill(1));
    assert.ok(Math.max(...numbers(jac!).map(Math.abs)) <= 1e-5);
  });

  it('gives compiled and eager the same path', () => {
    const compiled = minimize(rosenbrock, from2(10));
    const eager = minimize(rosenbrock, from2(10), { compile: false });
    assert.equal(compiled.nfev, eager.nfev);
    near(compiled.x, numbers(eager.x), 1e-9);
  });

  for (const method of ['L-BFGS-B', 'CG', 'Newton-CG', 'trust-exact'] as const) {
    it(`${method} finds the same minimum, with derivatives made by itself`, () => {
      const { x, nhev, success } = minimize(rosenbrock, from2(6), { method, tol: 1e-9 });
      assert.ok(success);
      near(x, Array(6).fill(1));
      assert.equal(nhev > 0, method === 'Newton-CG' || method === 'trust-exact');
    });
  }

  it('Nelder-Mead needs no gradient', () => {
    const kinked = (x: Tensor) =>
      x
        .sub(torch.tensor([1, -2], float64))
        .abs()
        .sum();
    const { x, jac, njev } = minimize(kinked, torch.zeros([2], float64), { method: 'Nelder-Mead', tol: 1e-6 });
    near(x, [1, -2]);
    assert.equal(jac, undefined);
    assert.equal(njev, 0);
  });

  it('takes a pytree apart and puts it together again, dtypes and shapes kept', () => {
    const fun = ({ a, b }: { a: Tensor; b: [Tensor] }) =>
      a.sub(3).square().sum().add(b[0].add(1).square().double().sum());
    const x0 = { b: [torch.zeros([])] as [Tensor], a: torch.zeros([2, 2], float64) };
    const { x, jac } = minimize(fun, x0);
    assert.deepEqual(x.a.shape, [2, 2]);
    assert.equal(x.a.dtype, 'float64');
    assert.equal(x.b[0].dtype, 'float32');
    assert.deepEqual(jac!.a.shape, [2, 2]);
    near(x.a, [3, 3, 3, 3]);
    near(x.b[0], [-1]);
    assert.equal(x0.a.sum().item(), 0, 'x0 is left alone');
  });

  it('returns BFGS’s inverse Hessian', () => {
    const A = torch.tensor(
      [
        [2, 0.5],
        [0.5, 1],
      ],
      float64,
    );
    const { hess_inv } = minimize((x: Tensor) => x.dot(A.mv(x)).mul(0.5), torch.tensor([1, 2], float64), { tol: 1e-8 });
    near(hess_inv!.mm(A), [1, 0, 0, 1], 0.01);
  });

  it('keeps within bounds, given as pairs or as { lb, ub }', () => {
    const fun = (x: Tensor) =>
      x
        .sub(torch.tensor([3, -4, 0.5], float64))
        .square()
        .sum();
    const x0 = torch.zeros([3], float64);
    for (const bounds of [
      [
        [null, 1],
        [-1, null],
        [0, 1],
      ] as [number | null, number | null][],
      { lb: [-9, -1, 0], ub: 1 },
    ]) {
      const { x, success } = minimize(fun, x0, { bounds });
      assert.ok(success);
      near(x, [1, -1, 0.5], 1e-7);
    }
    near(minimize(fun, x0, { method: 'Nelder-Mead', bounds: { ub: 1, lb: -1 }, tol: 1e-9 }).x, [1, -1, 0.5], 1e-4);
  });

  it('takes the gradient from a function, from fun itself, and from differences', () => {
    const fun = (x: Tensor) => x.square().square().sum();
    const gradient = (x: Tensor) => x.pow(3).mul(4);
    const x0 = torch.tensor([1, -2], float64);
    const exact = minimize(fun, x0);
    assert.equal(minimize(fun, x0, { jac: gradient }).nfev, exact.nfev);
    assert.equal(minimize((x: Tensor) => [fun(x), gradient(x)], x0, { jac: true }).nfev, exact.nfev);
    const differences = minimize(fun, x0, { jac: '3-point', options: { gtol: 1e-4 } });
    near(differences.x, [0, 0], 0.05);
    assert.equal(differences.nfev, 5 * differences.njev);
  });

  it('calls a compiled function that gives its own gradient as it is: one program for many searches', () => {
    const both = torch.compile(({ a }: { a: Tensor }) => [a.sub(1).square().sum(), { a: a.sub(1).mul(2) }] as const);
    for (const start of [5, -3]) {
      const { x, success } = minimize(both, { a: torch.full([2, 2], start, float64) }, { jac: true });
      assert.ok(success);
      near(x.a, [1, 1, 1, 1]);
    }
    assert.equal(both.stats.compiles, 1);
    const wrong = () => minimize((x: Tensor) => [x.sum(), x.sum()], from2(2), { jac: true, compile: false });
    bad(wrong, /the gradient must be shaped like x0: expected \[2\], got \[\]/);
  });

  it('takes a Hessian and a Hessian product', () => {
    const d = torch.tensor([1, 10], float64);
    const fun = (x: Tensor) => x.square().mul(d).sum();
    const x0 = torch.tensor([1, 1], float64);
    const hess = () => torch.diag(d.mul(2));
    near(minimize(fun, x0, { method: 'trust-exact', hess }).x, [0, 0]);
    near(minimize(fun, x0, { method: 'Newton-CG', hess }).x, [0, 0]);
    near(minimize(fun, x0, { method: 'Newton-CG', hessp: (_, p) => p.mul(d).mul(2) }).x, [0, 0]);
  });

  it('tells the callback, and stops when it returns true', () => {
    const seen: number[] = [];
    const { nit, status, success, message } = minimize(rosenbrock, from2(4), {
      callback: ({ iteration, x, value, gradientNorm }) => {
        seen.push(iteration);
        assert.ok(Math.abs(rosenbrock(x).item() - value) <= 1e-9 * value);
        assert.ok(gradientNorm > 0);
        return iteration === 3;
      },
    });
    assert.deepEqual(seen, [1, 2, 3]);
    assert.equal(nit, 3);
    assert.equal(status, 99);
    assert.equal(success, false);
    assert.match(message, /callback/);
  });

  it('says with SciPy’s status and message why it stopped', () => {
    const limited = minimize(rosenbrock, from2(4), { options: { maxiter: 2 } });
    assert.equal(limited.status, 1);
    assert.equal(limited.message, 'Maximum number of iterations has been exceeded.');
    const nan = minimize((x: Tensor) => x.mul(Number.NaN).sum(), from2(2));
    assert.equal(nan.status, 3);
    assert.equal(nan.message, 'NaN result encountered.');
    const counted = minimize(rosenbrock, from2(4), { method: 'L-BFGS-B', options: { maxfun: 3 } });
    assert.equal(counted.status, 1);
    assert.match(counted.message, /EVALUATIONS EXCEEDS LIMIT/);
  });

  it('steps back from values that are infinite or NaN', () => {
    // log x - x² … defined for x > 0 only; the first step from here goes far beyond.
    const fun = (x: Tensor) => x.log().neg().add(x.square().mul(50)).sum();
    near(minimize(fun, torch.tensor([5, 0.01], float64)).x, [0.1, 0.1], 1e-6);
  });

  it('stops when its signal is aborted', () => {
    const controller = new AbortController();
    const callback = () => controller.abort(new Error('enough'));
    assert.throws(() => minimize(rosenbrock, from2(4), { callback, signal: controller.signal }), /enough/);
  });

  it('names what is wrong with x0, the objective, the method and the options', () => {
    const sum = (x: Tensor) => x.sum();
    const x0 = from2(2);
    bad(() => minimize(sum, torch.zeros([0], float64)), /no elements/);
    bad(() => minimize(sum, torch.tensor([1n, 2n])), /x0 must be floating, not int64/);
    bad(() => minimize(sum, torch.tensor([1, Number.NaN], float64)), /element 1 is NaN/);
    bad(() => minimize(sum, [1, 2] as unknown as Tensor), /x0 must be a tensor/);
    bad(() => minimize((x: Tensor) => x, x0), /one number, got shape \[2\]/);
    bad(() => minimize(() => 3, x0), /must return a tensor, got number/);
    bad(() => minimize(3 as never, x0), /fun must be a function/);
    bad(() => minimize(sum, x0, { method: 'bfgs' as 'BFGS' }), /unknown method 'bfgs' \(did you mean 'BFGS'\?\)/);
    bad(
      () => minimize(sum, x0, { options: { maxIter: 3 } as object }),
      /unknown option 'maxIter' \(did you mean 'maxiter'\?\)/,
    );
    bad(
      () => minimize(sum, x0, { options: { gtol: 'small' as unknown as number } }),
      /gtol must be a number, got string/,
    );
    bad(() => minimize(sum, x0, { maxiter: 3 } as object), /unknown keyword 'maxiter'/);
    bad(() => minimize(sum, x0, { bounds: [[0, 1]] }), /1 bounds for the 2 elements/);
    bad(
      () =>
        minimize(sum, x0, {
          bounds: [
            [0, 1],
            [2, 1],
          ],
        }),
      /bounds of element 1: 2 is not at most 1/,
    );
    bad(() => minimize(sum, x0, { method: 'CG', bounds: { lb: 0 } }), /cannot handle bounds/);
    bad(() => minimize(sum, x0, { method: 'Nelder-Mead', jac: true }), /does not use jac/);
  });

  it('lets an objective that does not depend on x alone: its gradient is zero', () => {
    const { fun, nit } = minimize(() => torch.tensor(7, float64), from2(2));
    assert.equal(fun, 7);
    assert.equal(nit, 0);
  });

  it('runs between turns of the event loop when asynchronous', async () => {
    const turns = countTurns();
    const iterations: number[] = [];
    const { success, nit } = await minimize.async(rosenbrock, from2(10), {
      callback: async ({ iteration }) => {
        iterations.push(iteration);
      },
    });
    const counted = turns.stop();
    assert.ok(success);
    assert.equal(iterations.length, nit);
    assert.ok(counted >= nit, `${counted} turns of the loop in ${nit} iterations`);
  });

  it('asynchronous, compiles off the event loop', async () => {
    const salt = Math.random(); // nothing on disk fits it
    const slow = (x: Tensor): Tensor => {
      let y = x.outer(x);
      for (let i = 0; i < 10; i++)
        y = y
          .matmul(y)
          .tanh()
          .add(salt + i);
      return y.mean().add(x.square().sum());
    };
    const turns = countTurns();
    const { nit } = await minimize.async(slow, from2(4), { options: { maxiter: 2 } });
    const counted = turns.stop();
    assert.ok(counted > nit + 20, `${counted} turns of the loop in ${nit} iterations and a compilation`);
  });

  it('asynchronous, is aborted from outside', async () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    const run = minimize.async(rosenbrock, from2(100), { signal: controller.signal });
    await assert.rejects(run, (e: Error) => e.name === 'AbortError');
  });
});

describe('least_squares', function () {
  this.timeout(60_000);
  let t: Tensor;
  let y: Tensor;
  before(() => {
    t = torch.linspace(0, 5, 50, float64);
    y = t.mul(-0.7).exp().mul(2.5);
  });
  const model = (p: Tensor) => t.mul(p.select(0, 1)).exp().mul(p.select(0, 0)).sub(y);

  it('fits an exponential with the exact Jacobian', () => {
    const { x, cost, jac, fun, success } = least_squares(model, torch.tensor([1, -0.1], float64));
    assert.ok(success);
    near(x, [2.5, -0.7], 1e-9);
    assert.ok(cost < 1e-20);
    assert.deepEqual(jac.shape, [50, 2]);
    assert.deepEqual(fun.shape, [50]);
    near(jac.narrow(1, 0, 1).flatten(), numbers(t.mul(-0.7).exp()), 1e-9);
  });

  it('takes the Jacobian from a function', () => {
    const jac = (p: Tensor) => {
      const e = t.mul(p.select(0, 1)).exp();
      return torch.stack([e, e.mul(t).mul(p.select(0, 0))], 1);
    };
    near(least_squares(model, torch.tensor([1, -0.1], float64), { jac }).x, [2.5, -0.7], 1e-9);
  });

  it('refuses fewer residuals than variables', () => {
    bad(() => least_squares((x: Tensor) => x.sum(), from2(2)), /at least as many residuals/);
  });
});

describe('root', () => {
  it('solves two equations', () => {
    const circleAndLine = (x: Tensor) => {
      const [a, b] = x.unbind(0) as unknown as [Tensor, Tensor];
      return torch.stack([a.square().add(b.square()).sub(4), a.sub(b)]);
    };
    const { x, success } = root(circleAndLine, torch.tensor([1, 0.5], float64));
    assert.ok(success);
    near(x, [Math.SQRT2, Math.SQRT2], 1e-10);
  });

  it('says when there is none', () => {
    const { success, message } = root((x: Tensor) => x.square().add(1), torch.tensor([0.3], float64));
    assert.equal(success, false);
    assert.match(message, /not zero/);
  });
});

describe('linePlot', () => {
  it('draws points and bands, on a plain axis too, and puts the legend where there is room', () => {
    const [x, y] = [
      [0, 1, 2],
      [10, 20, 30],
    ];
    const band = { low: [5, 15, 25], high: [15, 25, 40] };
    const svg = linePlot(
      [
        { label: 'rising', x: x!, y: y!, band },
        { label: 'seen', x: x!, y: y!, style: 'points' },
      ],
      { logY: false },
    );
    const area = svg.match(/<path d="M([^"]*)Z" fill="#0072b2" fill-opacity="0.2"\/>/)![1]!;
    assert.equal(area.split('L').length, 6); // there and back
    const heights = [...svg.matchAll(/>(\d+)<\/text>/g)].map(([, n]) => Number(n));
    assert.ok(heights.includes(40), 'the axis reaches the upper edge of the band');
    assert.match(svg, /<circle cx="101" cy="56" r="3" fill="#d55e00"\/>/); // to the left: the lines end in the upper right
    assert.match(linePlot([{ label: 'falling', x: x!, y: [9, 3, 1] }]), /<path d="M601 36h22"/);
  });

  it('draws a line per series on a logarithmic axis, and escapes labels', () => {
    const svg = linePlot([{ label: 'a < b', x: [1, 2, 3, 4], y: [100, 1, 0, 1e-4] }], { title: 'T', yLabel: 'norm' });
    assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
    assert.match(svg, /a &#60; b/);
    assert.match(svg, />10⁻⁴</);
    assert.match(svg, />10²</);
    // The zero has no logarithm: three points remain.
    assert.equal(svg.match(/d="M[\d.]+ [\d.]+L[\d.]+ [\d.]+L[\d.]+ [\d.]+"/g)?.length, 1);
  });

  it('draws axes around nothing', () => {
    assert.match(linePlot([{ label: '', x: [], y: [] }]), /<\/svg>/);
  });
});
