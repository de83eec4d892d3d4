/** @file The optimisation as one program: the same iterations as the loop in JavaScript, batches of starts, refusals. */
import assert from 'node:assert/strict';
import type { Graph } from '../../lib/compile/graph.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { hasKernels } from '../../lib/stablehlo/kernel.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, func, minimize } = torch;
const rosenbrock = (x: Tensor): Tensor => {
  const n = x.shape[0];
  const [next, here] = [x.narrow(0, 1, n - 1), x.narrow(0, 0, n - 1)];
  return next.sub(here.square()).square().mul(100).add(here.neg().add(1).square()).sum();
};
const all = (n: number, value: number): Tensor => torch.full([n], value, { dtype: 'float64' });

describe('minimize with compileLoop', () => {
  // A problem that needs zooming, one that needs stepping outwards, one whose value is infinite beyond a wall.
  const PROBLEMS: Record<string, [(x: Tensor) => Tensor, Tensor]> = {
    'Rosenbrock, 2': [rosenbrock, torch.tensor([-1.2, 1], { dtype: 'float64' })],
    'Rosenbrock, 20': [rosenbrock, all(20, 2)],
    'a long way': [(x) => x.sub(1e4).square().add(1).log().sum().add(x.square().sum().mul(1e-6)), all(3, 0)],
    'a wall': [(x) => x.sub(3).square().sum().sub(x.neg().add(3.5).log().sum().mul(1e-3)), all(2, -5)],
    'a wall without a gradient': [
      (x) => x.sub(3).square().sum().sub(x.neg().add(3.5).sqrt().sum().mul(1e-2)),
      all(2, -5),
    ],
    'a quadratic': [
      (x) =>
        x
          .mul(torch.arange(1, 6, { dtype: 'float64' }))
          .square()
          .sum(),
      all(5, 1),
    ],
  };
  const METHODS = ['BFGS', 'L-BFGS-B'] as const;
  for (const [method, name] of METHODS.flatMap((m) => Object.keys(PROBLEMS).map((name) => [m, name] as const)))
    it(`${method}, ${name}: the iterations of the loop in JavaScript`, () => {
      const [f, x0] = PROBLEMS[name]!;
      // By the gradient alone: differences of values near the minimum are rounding.
      const options = method === 'BFGS' ? {} : { ftol: 0 };
      const expected = minimize(f, x0, { method, options });
      const got = minimize(f, x0, { method, options, compileLoop: 'always' });
      assert.equal(got.compiledLoop, true);
      assert.deepEqual([got.status, got.success, got.message], [expected.status, expected.success, expected.message]);
      // Rounding differs, and with it now and then an iteration.
      assert.ok(
        Math.abs(got.nit - expected.nit) <= 1 + expected.nit / 20,
        `${got.nit} iterations, not ${expected.nit}`,
      );
      assert.ok(
        Math.abs(got.nfev - expected.nfev) <= 2 + expected.nfev / 20,
        `${got.nfev} evaluations, not ${expected.nfev}`,
      );
      close(got.x, expected.x, { rtol: 1e-4, atol: 1e-5 });
      assert.ok(got.jac!.abs().max().item() <= 1e-5);
      assert.equal(got.njev, got.nfev);
    });

  it('pytrees, float32 leaves and captured tensors, which are read at every run', () => {
    const target = torch.tensor([1, 2], { dtype: 'float64' });
    const f = ({ a, b }: { a: Tensor; b: Tensor }): Tensor =>
      a.sub(target).square().sum().add(b.double().sub(3).square().sum());
    const x0 = { a: torch.zeros([2], { dtype: 'float64' }), b: torch.zeros([1, 1]) };
    const first = minimize(f, x0, { compileLoop: 'always' });
    close(first.x.a, target, { rtol: 1e-5, atol: 1e-5 });
    assert.equal(first.x.b.dtype, 'float32');
    assert.deepEqual([...first.x.b.shape], [1, 1]);
    target.fill_(7);
    close(minimize(f, x0, { compileLoop: 'always' }).x.a, target, { rtol: 1e-5, atol: 1e-5 });
  });

  it('ends as SciPy does: at maxiter, at NaN, at a point that is no better anywhere', () => {
    const short = minimize(rosenbrock, all(4, 2), { compileLoop: 'always', options: { maxiter: 3 } });
    assert.deepEqual([short.status, short.nit, short.success], [1, 3, false]);
    assert.equal(minimize((x: Tensor) => x.log().sum(), all(2, -1), { compileLoop: 'always' }).status, 3);
    assert.equal(minimize((x: Tensor) => x.square().sum(), all(2, 0), { compileLoop: 'always' }).nit, 0);
  });

  it('L-BFGS of 10,000 variables, few and many pairs kept, until values or evaluations end it', () => {
    const x0 = all(10_000, 2);
    for (const maxcor of [1, 3, 10, 25]) {
      const run = { method: 'L-BFGS-B', options: { maxcor, maxiter: 40 } } as const;
      const expected = minimize(rosenbrock, x0, run);
      const got = minimize(rosenbrock, x0, { ...run, compileLoop: 'always' });
      assert.deepEqual([got.status, got.nit, got.nfev], [expected.status, expected.nit, expected.nfev]);
      close(got.x, expected.x, { rtol: 1e-5, atol: 1e-6 });
    }
    const ends = (options: object) =>
      minimize(rosenbrock, all(4, 2), { method: 'L-BFGS-B', options, compileLoop: 'always' }).message;
    assert.match(ends({}), /RELATIVE REDUCTION|PROJECTED GRADIENT/);
    assert.match(ends({ ftol: 1e-2 }), /RELATIVE REDUCTION/);
    assert.match(ends({ ftol: 0 }), /PROJECTED GRADIENT/);
    assert.match(ends({ maxfun: 3 }), /EVALUATIONS EXCEEDS/);
    assert.match(ends({ maxiter: 3 }), /ITERATIONS REACHED/);
  });

  it('BFGS gives the inverse Hessian', () => {
    const A = torch.tensor([2, 5], { dtype: 'float64' });
    const { hess_inv } = minimize((x: Tensor) => x.square().mul(A).sum().mul(0.5), all(2, 1), {
      compileLoop: 'always',
      options: { gtol: 1e-9 },
    });
    close(hess_inv!.diagonal(), A.reciprocal(), { rtol: 1e-2, atol: 1e-3 });
  });

  it('BFGS that begins again along the steepest descent, in vain, ends with the identity', () => {
    const run = { compileLoop: 'always', options: { maxls: 1 } } as const;
    const { status, nit, hess_inv } = minimize(rosenbrock, all(20, 2), run);
    assert.equal(status, 2);
    assert.ok(nit > 10);
    close(hess_inv!, torch.eye(20, { dtype: 'float64' }), { rtol: 0, atol: 0 });
  });

  it('true leaves the first runs of a small problem to JavaScript, and compiles for a large one at once', () => {
    const f = (x: Tensor): Tensor => x.sub(1).square().sum();
    const small = minimize(f, all(3, 2), { compileLoop: true });
    assert.deepEqual([small.compiledLoop, small.success], [false, true]);
    const large = minimize(f, all(700, 2), { compileLoop: true });
    assert.deepEqual([large.compiledLoop, large.success], [true, true]);
    assert.equal(minimize(f, all(3, 2)).compiledLoop, undefined);
  });

  it('minimize.loop vmapped over starts: every start as if alone', () => {
    const starts = torch.stack([all(3, 2), all(3, -1), torch.tensor([0.5, -2, 1], { dtype: 'float64' })]);
    const batch = compile(func.vmap((x: Tensor) => minimize.loop(rosenbrock, x)))(starts);
    for (let i = 0; i < 3; i++) {
      const alone = minimize(rosenbrock, starts.select(0, i), { compileLoop: 'always' });
      close(batch.x.select(0, i), alone.x, { rtol: 1e-6, atol: 1e-6 });
      assert.equal(batch.nit.select(0, i).item(), alone.nit);
      assert.equal(batch.status.select(0, i).item(), 0);
    }
    const limited = compile(func.vmap((x: Tensor) => minimize.loop(rosenbrock, x, { method: 'L-BFGS-B', ftol: 0 })))(
      starts,
    );
    for (let i = 0; i < 3; i++) {
      const options = { ftol: 0 };
      const alone = minimize(rosenbrock, starts.select(0, i), { method: 'L-BFGS-B', options });
      close(limited.x.select(0, i), alone.x, { rtol: 1e-5, atol: 1e-5 });
      assert.ok(Math.abs(limited.nit.select(0, i).item() - alone.nit) <= 2);
      assert.equal(limited.status.select(0, i).item(), 0);
    }
    const eager = func.vmap((x: Tensor) => minimize.loop(rosenbrock, x, { maxiter: 4 }))(starts);
    assert.deepEqual(eager.nit.tolist(), [4, 4, 4]);
  });

  // What XLA's emitter of single kernels takes, and what it does not: the loop is then a kernel for each operation, as any program.
  const [M, V] = [torch.ones([40, 40], { dtype: 'float64' }), torch.ones([700, 6], { dtype: 'float64' })];
  const bowl = (x: Tensor): Tensor => x.sub(1).square().sum();
  const OBJECTIVES: Record<string, [kernel: boolean, f: (x: Tensor) => Tensor]> = {
    'a product of matrices': [true, (x) => x.expand([40, 6]).t().matmul(M).square().sum().mul(1e-4).add(bowl(x))],
    'a product with a vector': [true, (x) => V.mv(x).sub(1).square().sum().mul(1e-2).add(bowl(x))],
    'a sum of many': [true, (x) => x.expand([5000, 6]).mul(1e-2).square().sum().add(bowl(x))],
    'a loop in it': [
      true,
      (x) =>
        torch
          .fori(0, 7, (_, v: Tensor) => v.mul(0.5).add(x.sin().mul(0.1)), x)
          .square()
          .sum()
          .add(bowl(x)),
    ],
    'a branch in it': [
      true,
      (x) =>
        torch.cond(
          x.sum().gt(3),
          () => bowl(x),
          () => bowl(x).add(x.square().sum()),
        ),
    ],
    'a large product': [
      false,
      (x) => x.sum().mul(1e-3).mul(M.repeat(2, 2)).matmul(M.repeat(2, 2)).square().mean().add(bowl(x)),
    ],
    "libtorch's kernel": [
      false,
      (x) =>
        torch.linalg
          .cholesky(torch.diag(x.square().add(1)))
          .sum()
          .add(bowl(x)),
    ],
    'a sort': [
      false,
      (x) =>
        x
          .sort()[0]
          .sub(torch.arange(0, 6, { dtype: 'float64' }))
          .square()
          .sum(),
    ],
    'a convolution': [
      false,
      (x) =>
        torch.nn.functional
          .conv1d(x.reshape([1, 1, 6]), torch.ones([1, 1, 3], { dtype: 'float64' }))
          .square()
          .sum()
          .add(bowl(x)),
    ],
  };
  for (const [what, [kernel, f]] of Object.entries(OBJECTIVES))
    it(`${what}: ${kernel ? 'one kernel' : 'not one kernel'}, the minimum of the loop in JavaScript`, () => {
      const x0 = torch.tensor([0.3, -0.2, 0.5, 1.5, 0.7, 0.1], { dtype: 'float64' });
      const run = { method: 'L-BFGS-B' } as const;
      const { stablehlo } = compile((x: Tensor) => minimize.loop(f, x, run)).lower(x0);
      assert.equal(hasKernels(stablehlo), kernel);
      const expected = minimize(f, x0, run);
      const got = minimize(f, x0, { ...run, compileLoop: 'always' });
      assert.deepEqual([got.nit, got.nfev], [expected.nit, expected.nfev]);
      close(got.x, expected.x, { rtol: 1e-6, atol: 1e-6 });
    });

  it('is a kernel of the start alone, and small: LLVM takes as long as it has lines', () => {
    const most = { BFGS: 600, 'L-BFGS-B': 650 };
    for (const [method, lines] of Object.entries(most)) {
      const run = (x: Tensor) => minimize.loop(bowl, x, { method: method as keyof typeof most });
      const text = compile(run).lower(all(6, 1)).stablehlo;
      const operands = /\(%operands: tuple<([^)]*)>\)/.exec(text)![1]!.split(', ');
      assert.deepEqual(
        operands.filter((type) => type !== 'tensor<6xf64>'),
        method === 'BFGS' ? ['tensor<6x6xf64>'] : [],
      );
      assert.ok(text.split('\n').length < lines, `${method}: ${text.split('\n').length} lines`);
    }
  });

  it('operators of the objective come from its lines, those of the method from the line that calls it', () => {
    const here = (): number => Number([...new Error().stack!.matchAll(/loop\.test\.[jt]s:(\d+)/g)][1]![1]);
    const from = here();
    const objective = (x: Tensor): Tensor => x.sin().square().sum();
    const run = (x: Tensor) => minimize.loop(objective, x);
    const to = here();
    const bodies = ({ nodes }: Graph): Graph['nodes'][number][] =>
      nodes.flatMap((node) => [node, ...(node.control?.kind === 'while' ? bodies(node.control.body.graph) : [])]);
    const nodes = bodies(compile(run).lower(all(3, 1)).graph);
    const linesOf = (op: string) => [
      ...new Set(nodes.filter((node) => node.op === op).map(({ line }) => Number(line?.split(':').at(-2)) - from)),
    ];
    assert.deepEqual(linesOf('aten::sin'), [1]);
    assert.deepEqual(linesOf('aten::mv'), [2]);
    assert.equal(to - from, 3);
  });

  it('refuses what needs JavaScript between iterations', () => {
    const run = (options: object) => () => minimize(rosenbrock, all(2, 2), { compileLoop: 'always', ...options });
    fails('BAD_ARGUMENT', /callback/, run({ callback: () => false }));
    fails('BAD_ARGUMENT', /BFGS and L-BFGS-B/, run({ method: 'CG' }));
    fails('BAD_ARGUMENT', /xrtol/, run({ options: { xrtol: 1e-3 } }));
    fails('BAD_ARGUMENT', /maxcor must be an integer/, run({ method: 'L-BFGS-B', options: { maxcor: 0.5 } }));
    fails('BAD_ARGUMENT', /gtol must be a number/, run({ options: { gtol: '1' } }));
    fails('BAD_ARGUMENT', /true, false or 'always'/, run({ compileLoop: 'yes' }));
  });
});
