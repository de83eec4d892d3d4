/** @file orthogonal as a parametrization: a weight that stays (semi-)orthogonal (Lezcano-Casado, Trivializations for gradient-based optimization on manifolds, 2019). */
import { JorchError } from '../runtime/errors.js';
import * as linalg from '../torch/generated/linalg.js';
import * as torch from '../torch/generated/ops.js';
import { no_grad } from '../torch/modes.js';
import type { Tensor } from '../torch/python-types.js';
import { Module } from './module.js';
import { Buffer } from './parameter.js';
import { type Parametrization, register_parametrization } from './parametrize.js';

/** How a matrix becomes an orthogonal one: exp(A) and (I + A/2)(I − A/2)⁻¹ of its skew-symmetric part, or a product of reflections. */
export type OrthogonalMap = 'matrix_exp' | 'cayley' | 'householder';
const MAPS: readonly OrthogonalMap[] = ['matrix_exp', 'cayley', 'householder'];

const EPS: Readonly<Record<string, number>> = { float64: 2 ** -52, complex128: 2 ** -52 };

/** Q of the QR factors whose R has a positive diagonal. */
const qOf = (a: Tensor): Tensor => {
  const [x, tau] = torch.geqrf(a);
  return linalg.householder_product(x, tau).mul(x.diagonal(0, -2, -1).sgn().unsqueeze(-2));
};
const isOrthogonal = (q: Tensor): boolean => {
  const [n, k] = q.shape.slice(-2) as [number, number];
  const eps = 10 * n * (EPS[q.dtype] ?? 2 ** -23);
  return torch.allclose(q.mH.matmul(q), torch.eye(k, { dtype: q.dtype, device: q.device }), { atol: eps });
};
const tall = (x: Tensor): [x: Tensor, transposed: boolean] => {
  const [n, k] = x.shape.slice(-2) as [number, number];
  return n < k ? [x.mT, true] : [x, false];
};

class _Orthogonal extends Module implements Parametrization {
  /** With trivialization: an orthogonal matrix that the parameters are moves away from. */
  base: Tensor | null = null;
  constructor(
    private readonly shape: readonly number[],
    private readonly map: OrthogonalMap,
    private readonly trivialization: boolean,
  ) {
    super();
    if (trivialization) this.register_buffer('base', null);
  }

  override forward(given: Tensor): Tensor {
    const [x, transposed] = tall(given);
    const [n, k] = x.shape.slice(-2) as [number, number];
    const q = this.map === 'householder' ? this.reflections(x) : this.ofSkew(x, n, k);
    const moved = this.base === null ? q : this.base.matmul(q);
    return transposed ? moved.mT : moved;
  }
  private ofSkew(x: Tensor, n: number, k: number): Tensor {
    let lower = x.tril();
    if (n !== k) lower = torch.cat([lower, x.new_zeros([...x.shape.slice(0, -1), n - k])], -1);
    const skew = lower.sub(lower.mH);
    const eye = torch.eye(n, { dtype: x.dtype, device: x.device });
    const q =
      this.map === 'matrix_exp'
        ? torch.matrix_exp(skew)
        : linalg.solve(eye.sub(skew, { alpha: 0.5 }), eye.add(skew, { alpha: 0.5 }));
    return n === k ? q : q.narrow(-1, 0, k);
  }
  private reflections(x: Tensor): Tensor {
    const a = x.tril(-1);
    const tau = a.mul(a).sum(-2).add(1).reciprocal().mul(2);
    // The diagonal holds signs, which are not learnt.
    return linalg.householder_product(a, tau).mul(x.diagonal(0, -2, -1).int().unsqueeze(-2));
  }

  /** None where a matrix does not tell from which parameters it comes. */
  get right_inverse(): ((value: Tensor) => Tensor) | undefined {
    if (!this.trivialization && this.map !== 'householder') return undefined;
    return (value) => {
      if (value.shape.join() !== this.shape.join())
        throw new JorchError(
          'BAD_ARGUMENT',
          `orthogonal: expected a matrix of shape [${this.shape.join(', ')}], got [${value.shape.join(', ')}]`,
        );
      return no_grad(() => (this.trivialization ? this.startFrom(value) : this.reflectionsOf(value)));
    };
  }
  private reflectionsOf(value: Tensor): Tensor {
    const [q, transposed] = tall(value);
    const [a, tau] = torch.geqrf(q);
    const signs = a.diagonal(0, -2, -1).sign();
    a.diagonal(0, -2, -1).copy_(torch.where(tau.eq(0), signs.neg(), signs));
    return transposed ? a.mT : a;
  }
  /** Makes an orthogonal matrix the base; the parameters begin at no move away from it. */
  private startFrom(value: Tensor): Tensor {
    const [q] = tall(value);
    const [n, k] = q.shape.slice(-2) as [number, number];
    let base: Tensor;
    if (n !== k) base = qOf(torch.cat([q, torch.randn([...q.shape.slice(0, -1), n - k], { dtype: q.dtype })], -1));
    else base = isOrthogonal(q) ? q.clone() : qOf(q);
    this.base = new Buffer(base);
    const start = torch.zeros_like(value);
    start.diagonal(0, -2, -1).fill_(-1);
    return start;
  }
}

export interface OrthogonalOptions {
  /** matrix_exp for square and complex matrices, else householder. */
  orthogonal_map?: OrthogonalMap | null;
  /** Moves away from a base, which makes every orthogonal matrix reachable and assignable. Default true. */
  use_trivialization?: boolean;
}

/**
 * Keeps `module[name]`, [..., n, k], orthogonal: orthonormal columns if n ≥ k, else orthonormal rows.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html
 */
export const orthogonal = <M extends Module>(
  module: M,
  name = 'weight',
  { orthogonal_map = null, use_trivialization = true }: OrthogonalOptions = {},
): M => {
  const weight = (module as unknown as Record<string, Tensor>)[name];
  if (weight === undefined || weight.ndim < 2)
    throw new JorchError(
      'BAD_ARGUMENT',
      `orthogonal: expected '${name}' of ${module._get_name()} to be a matrix or a batch of matrices`,
    );
  const square = weight.size(-2) === weight.size(-1);
  const map = orthogonal_map ?? (square || weight.is_complex() ? 'matrix_exp' : 'householder');
  if (!MAPS.includes(map))
    throw new JorchError('BAD_ARGUMENT', `orthogonal: orthogonal_map must be one of ${MAPS.join(', ')}, got '${map}'`);
  if (map === 'householder' && weight.is_complex())
    throw new JorchError('BAD_ARGUMENT', 'orthogonal: the householder map does not take complex tensors');
  return register_parametrization(module, name, new _Orthogonal(weight.shape, map, use_trivialization), {
    unsafe: true,
  });
};
