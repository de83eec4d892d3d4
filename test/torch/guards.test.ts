/** @file Arguments that end the process, or never end, inside libtorch's own kernels are refused, eagerly and in compiled programs. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { linalg, special } = torch;
type Functions = Readonly<Record<string, (...args: unknown[]) => torch.Tensor>>;

describe('guards', () => {
  it('eigenvalues of matrices with NaN or infinity: torch’s words instead of the end of the process', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const dtype of [torch.float32, torch.float64, torch.complex64] as const) {
        const a = torch.eye(3, { dtype }).mul(1);
        a.at(1, 2).fill_(bad);
        for (const f of [linalg.eigvals, linalg.eig] as const) {
          fails('BAD_ARGUMENT', /should not contain infs or NaNs/, () => f(a));
          fails('BAD_ARGUMENT', /should not contain infs or NaNs/, () => f(torch.stack([torch.eye(3, { dtype }), a])));
        }
      }
    linalg.eigvals(torch.eye(3));
    linalg.eigvals(torch.zeros(0, 0));
  });

  it('the same in a compiled program, whose data are known when it runs', () => {
    const fast = torch.compile((x: torch.Tensor) => linalg.eigvals(x).real.sum());
    fast(torch.eye(3));
    fails('BAD_ARGUMENT', /should not contain infs or NaNs/, () => fast(torch.eye(3).mul(Number.NaN)));
  });

  it('operators that no kernel has for a dtype: eager’s words from compiled functions, never XLA’s', () => {
    const x = torch.ones(3, { dtype: torch.complex64 });
    const n = torch.ones(3, { dtype: torch.int64 });
    const cases: readonly [(t: torch.Tensor) => torch.Tensor, torch.Tensor][] = [
      [(t) => t.remainder(4), x],
      [(t) => t.div(2, { rounding_mode: 'floor' }), x],
      [(t) => t.fmod(t), x],
      [(t) => torch.nn.functional.gelu(t), n],
      [(t) => t.softmax(0), n],
    ];
    for (const [f, t] of cases)
      for (const g of [f, torch.compile(f)])
        fails('BAD_ARGUMENT', /not implemented for '(ComplexFloat|Long)'/, () => g(t));
  });

  it('loops of programs end: gcd of NaN is refused, a degree beyond all is NaN', () => {
    const x = torch.ones(2);
    const nan = torch.full([2], Number.NaN);
    fails('BAD_ARGUMENT', /not implemented for 'Float'/, () =>
      torch.compile((a: torch.Tensor, b: torch.Tensor) => torch.gcd(a, b))(x, nan),
    );
    for (const name of ['chebyshev_polynomial_u', 'hermite_polynomial_h', 'legendre_polynomial_p']) {
      const f = torch.compile((n: torch.Tensor) => (special as unknown as Functions)[name]!(x, n));
      const [first, second] = f(torch.tensor([1e38, 2])).tolist() as number[];
      assert.ok(Number.isNaN(first) && Number.isFinite(second), `${name}: ${first}, ${second}`);
    }
  });

  it('polynomials of a degree that would be summed for ever', () => {
    const x = torch.tensor([0.5, 2]);
    for (const name of [
      'chebyshev_polynomial_t',
      'hermite_polynomial_h',
      'laguerre_polynomial_l',
      'legendre_polynomial_p',
    ])
      for (const n of [1e308, 2 ** 53, torch.tensor([3, 1e30])])
        fails('BAD_ARGUMENT', /the largest degree is/, () => (special as unknown as Functions)[name]!(x, n));
    special.legendre_polynomial_p(x, 5);
  });

  it('weighted cov leaves its argument alone, eagerly and compiled', () => {
    const weights = torch.tensor([2, 1, 3]);
    for (const dtype of [torch.int8, torch.int64, torch.float32] as const)
      for (const f of [
        (x: torch.Tensor) => torch.cov(x, { aweights: weights.narrow(0, 0, 1), correction: 0 }),
        torch.compile((x: torch.Tensor) => torch.cov(x, { aweights: weights.narrow(0, 0, 1), correction: 0 })),
      ]) {
        const x = torch.tensor([[1], [2]]).to(dtype);
        f(x);
        assert.deepEqual(x.double().tolist(), [[1], [2]]);
      }
    const x = torch.tensor([[1, 2, 4]], { dtype: torch.float64 });
    // By hand: mean 16/6, (2·(1−m)² + (2−m)² + 3·(4−m)²) / 6.
    const m = 16 / 6;
    const want = (2 * (1 - m) ** 2 + (2 - m) ** 2 + 3 * (4 - m) ** 2) / 6;
    const got = torch.cov(x, { aweights: weights.double(), correction: 0 }).item() as number;
    assert.ok(Math.abs(got - want) < 1e-12, `${got}, ${want}`);
  });

  it('empty lists for ATen’s own parts', () => {
    fails('BAD_ARGUMENT', /not offered/, () => torch.ops['aten']!['_stack']!([]));
    fails('BAD_ARGUMENT', /non-empty/, () => torch.ops['aten']!['align_tensors']!([]));
  });
});
