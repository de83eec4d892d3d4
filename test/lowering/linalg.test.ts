/** @file Linear algebra whose factors are not unique or whose systems are not square, by what must hold of them. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeGrad, sample } from './table.js';

const { linalg } = torch;
const LOOSE = { rtol: 1e-4, atol: 1e-4 };

describe('lowering: least squares', () => {
  it('lstsq solves systems of every form, with every driver', () => {
    for (const [a, y] of [
      [
        [5, 3],
        [5, 2],
      ],
      [[3, 3], [3]],
      [
        [2, 5, 3],
        [2, 5, 2],
      ],
      [
        [2, 5, 3],
        [2, 5],
      ],
      [
        [2, 4],
        [2, 2],
      ],
    ]) {
      for (const driver of ['gelsy', 'gels', 'gelsd', 'gelss']) {
        const f = (A?: Tensor, b?: Tensor) => [...linalg.lstsq(A!, b!, { driver })] as Tensor[];
        agree(`${driver} of ${a} and ${y}`, f, [sample(a!, 'float64'), sample(y!, 'float64')], LOOSE);
      }
    }
  });

  it('gelsd gives the shortest solution and the rank of a deficient system', () => {
    const a = sample([6, 2], 'float64').matmul(sample([2, 4], 'float64'));
    const f = (A?: Tensor, b?: Tensor) => {
      const { solution, rank } = linalg.lstsq(A!, b!, { driver: 'gelsd', rcond: 1e-9 });
      return [solution, rank];
    };
    agree('rank 2 of 4', f, [a, sample([6, 1], 'float64')], LOOSE);
  });

  it('has gradients by both sides', () => {
    const f = (A?: Tensor, b?: Tensor) => linalg.lstsq(A!, b!).solution;
    agreeGrad('tall', f, [sample([5, 3], 'float64'), sample([5, 2], 'float64')], LOOSE);
    agreeGrad('wide', f, [sample([2, 4], 'float64'), sample([2, 1], 'float64')], LOOSE);
  });
});

describe('lowering: LDL factors', () => {
  before(() => torch.manual_seed(54));

  /** Backward error of n steps that let elements grow some hundredfold: n · ε · 100. */
  const rounding = (dtype: string, n: number) =>
    dtype === 'float64' ? LOOSE : { rtol: Math.max(1e-4, n * 1.2e-5), atol: Math.max(1e-4, n * 1.2e-5) };
  /** Small diagonals call for blocks of two; n beyond LAPACK's block size takes its blocked code. */
  const symmetric = (shape: number[], dtype: 'float64' | 'float32' | 'complex64', conjugate: boolean): Tensor => {
    const x = sample(shape, dtype);
    const y = x.add(conjugate ? x.mH : x.mT);
    return y.mul(torch.ones_like(y).sub(torch.eye(shape.at(-1)!).mul(0.9)));
  };
  const factor = (hermitian: boolean) => (x?: Tensor) =>
    [...linalg.ldl_factor_ex(x!, { hermitian })] as unknown as Tensor[];

  for (const [dtype, hermitian] of [
    ['float64', false],
    ['float64', true],
    ['float32', false],
    ['complex64', false],
    ['complex64', true],
  ] as const) {
    it(`pivots as LAPACK does and solves: ${dtype}${hermitian ? ', hermitian' : ''}`, () => {
      for (const shape of [
        [1, 1],
        [2, 2],
        [7, 7],
        [3, 2, 5, 5],
        [0, 3, 3],
        [70, 70],
      ]) {
        const a = symmetric(shape, dtype, hermitian);
        agree(`factor ${shape}`, factor(hermitian), [a], rounding(dtype, shape.at(-1)!));
        const { LD, pivots } = linalg.ldl_factor(a, { hermitian });
        if (shape.length > 2 || shape[0] === 7)
          assert.ok(shape[0] === 0 || Number(pivots.min().item()) < 0, 'blocks of two');
        const solve = (l?: Tensor, p?: Tensor, y?: Tensor) => linalg.ldl_solve(l!, p!, y!, { hermitian });
        const y = sample([...shape.slice(0, -1), 3], dtype);
        agree(`solve ${shape}`, solve, [LD, pivots, y], { rtol: 1e-3, atol: 1e-3 });
      }
    });
  }

  it('solves for many right-hand sides by one matrix, and reads the lower triangle alone', () => {
    const a = symmetric([4, 4], 'float64', false);
    agree('lower', factor(false), [a.tril().add(sample([4, 4], 'float64').triu(1))], LOOSE);
    const { LD, pivots } = linalg.ldl_factor(a);
    agree('broadcast', (l, p, y) => linalg.ldl_solve(l!, p!, y!), [LD, pivots, sample([2, 4, 1], 'float64')], LOOSE);
  });

  it('names the first zero pivot', () => {
    const a = torch.tensor(
      [
        [2, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ],
      { dtype: 'float64' },
    );
    agree('singular', factor(false), [torch.stack([a, torch.eye(3, { dtype: 'float64' })])]);
  });
});

describe('lowering: singular values of nothing', () => {
  it('full bases of an empty matrix are identities', () => {
    for (const shape of [
      [3, 0],
      [0, 2],
      [2, 0, 3],
    ]) {
      for (const full of [true, false])
        agree(`${shape}`, (x) => [...linalg.svd(x!, full)] as Tensor[], [sample(shape)]);
    }
  });
});

describe('lowering: complex logsumexp', () => {
  it('is shifted by the largest real part', () => {
    const x = sample([3, 4], 'complex64');
    agree('along', (v) => v!.logsumexp([1]), [x]);
    agree('of large ones', (v) => v!.mul(100).logsumexp([0, 1]), [x], { rtol: 1e-5 });
  });

  it('multiplies a transpose by a vector without writing it out', () => {
    const f = (x: Tensor, y: Tensor): Tensor => x.mT.mv(y);
    for (const dtype of ['float32', 'complex64'] as const) {
      const [x, y] = [sample([40, 7], dtype), sample([40], dtype)];
      agree(`transposed ${dtype}`, (a, v) => f(a!, v!), [x, y]);
      agree(`twice transposed ${dtype}`, (a, v) => f(a!.mT, v!), [x.mT.contiguous(), y]);
      const { stablehlo } = torch.compile(f).lower(x, y);
      assert.match(stablehlo, /dot_general %arg1, %arg0, contracting_dims = \[0\] x \[0\]/);
    }
    agree('of nothing', (a, v) => f(a!, v!), [sample([0, 3]), sample([0])]);
  });

  it('multiplies a factor that is the same for a whole batch once', () => {
    const [a, b, c, d] = [sample([4, 5]), sample([3, 5, 2]), sample([3, 4, 5]), sample([5, 2])];
    const products: readonly (readonly [string, (x: Tensor, y: Tensor) => Tensor, Tensor, Tensor])[] = [
      ['the first', (x, y) => x.expand([3, 4, 5]).bmm(y), a, b],
      ['the second', (x, y) => x.bmm(y.expand([3, 5, 2])), c, d],
      [
        'both',
        (x, y) =>
          x
            .unsqueeze(0)
            .expand([3, 4, 5])
            .bmm(y.expand([3, 5, 2])),
        a,
        d,
      ],
      ['a transposed one', (x, y) => x.t().expand([3, 4, 5]).bmm(y), a.t().contiguous(), b],
      ['a row', (x, y) => x.expand([3, 4, 5]).bmm(y), sample([1, 1, 5]), b],
    ];
    for (const [what, f, x, y] of products) {
      agree(`${what} expanded`, f, [x, y]);
      assert.doesNotMatch(torch.compile(f).lower(x, y).stablehlo, /batching_dims/, what);
    }
  });
});

describe('lowering: triangular systems', () => {
  it('are solved from both sides as eagerly', () => {
    for (const [a, left, right] of [
      [
        [4, 4],
        [4, 3],
        [2, 4],
      ],
      [
        [2, 3, 4, 4],
        [4, 3],
        [2, 1, 5, 4],
      ],
      [
        [3, 0, 0],
        [3, 0, 2],
        [3, 2, 0],
      ],
      [
        [1, 1],
        [1, 2],
        [2, 1],
      ],
      [
        [150, 150],
        [150, 150],
        [140, 150],
      ],
    ] as const)
      for (const complex of [false, true])
        for (const [upper, fromLeft, unitriangular] of [
          [true, true, false],
          [false, false, false],
          [true, false, true],
          [true, false, false],
        ] as const) {
          const real = (shape: readonly number[]) => sample([...shape], 'float64');
          const make = (shape: readonly number[]) => (complex ? torch.complex(real(shape), real(shape)) : real(shape));
          const n = a.at(-1)!;
          const A = make(a).add(torch.eye(n, { dtype: 'float64' }).mul(2 * n));
          const B = make(fromLeft ? left : right);
          const f = (x: Tensor, y: Tensor) => linalg.solve_triangular(x, y, { upper, left: fromLeft, unitriangular });
          const expected = f(A, B);
          const name = `${a} complex ${complex} upper ${upper} left ${fromLeft}`;
          for (const x of [A, A.mT.contiguous().mT])
            assert.ok(torch.allclose(torch.compile(f)(x, B), expected, { rtol: 1e-9, atol: 1e-12 }), name);
          const options = { upper: !upper, left: !fromLeft, unitriangular };
          const turned = (x: Tensor, y: Tensor) => linalg.solve_triangular(x.mT, y.mT, options);
          const got = torch.compile(turned)(A, B);
          assert.ok(torch.allclose(got, turned(A, B), { rtol: 1e-9, atol: 1e-12 }), `transposes, ${name}`);
        }
  });
});

describe('lowering: Cholesky factors', () => {
  it("are libtorch's in either triangle, of one triangle of the matrix, and NaN where there is none", () => {
    for (const dtype of ['float32', 'float64', 'complex64'] as const) {
      const x = sample([2, 5, 5], dtype);
      const good = x.matmul(x.mH).add(torch.eye(5, { dtype }).mul(5));
      const noise = sample([2, 5, 5], dtype).triu(1);
      for (const upper of [false, true]) {
        const factor = torch.compile((a: Tensor) => linalg.cholesky_ex(a, { upper }));
        const given = good.add(upper ? noise.mT : noise);
        const [L, info] = factor(torch.cat([given, given.neg()]));
        const [all, none] = [L.unbind(0), info.unbind(0)];
        const [wanted] = linalg.cholesky_ex(given, { upper });
        const options = { rtol: 1e-4, atol: 1e-4 };
        assert.ok(torch.allclose(torch.stack(all.slice(0, 2)), wanted, options), `${dtype} upper ${upper}`);
        assert.ok(torch.stack(all.slice(2)).isnan().all().item(), `${dtype} upper ${upper}: NaN`);
        assert.deepEqual(
          none.map((t) => t.item()),
          [0, 0, 1, 1],
        );
        const one = factor(given.select(0, 0).neg());
        assert.ok(one[0].isnan().all().item());
        assert.equal(one[1].item(), 1);
      }
    }
  });
});
