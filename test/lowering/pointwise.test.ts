/** @file Elementwise rules against eager: every dtype, NaN and infinities at run time, 0-d, empty, strided, broadcast. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { agree, agreeGrad, awkward, FLOATS, NUMBERS, sample } from './table.js';

type Unary = (x: Tensor) => Tensor;
type Binary = (x: Tensor, y: Tensor) => Tensor;

const UNARY: Readonly<Record<string, Unary>> = {
  abs: (x) => x.abs(),
  neg: (x) => x.neg(),
  sign: (x) => x.sign(),
  relu: (x) => x.relu(),
  exp: (x) => x.exp(),
  expm1: (x) => x.expm1(),
  log: (x) => x.log(),
  log1p: (x) => x.log1p(),
  sqrt: (x) => x.sqrt(),
  rsqrt: (x) => x.rsqrt(),
  sin: (x) => x.sin(),
  cos: (x) => x.cos(),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  erf: (x) => x.erf(),
  floor: (x) => x.floor(),
  ceil: (x) => x.ceil(),
  trunc: (x) => x.trunc(),
  round: (x) => x.round(),
  isnan: (x) => x.isnan(),
  isinf: (x) => x.isinf(),
  logical_not: (x) => x.logical_not(),
};
const BINARY: Readonly<Record<string, Binary>> = {
  add: (x, y) => x.add(y),
  sub: (x, y) => x.sub(y),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(y),
  maximum: (x, y) => x.maximum(y),
  minimum: (x, y) => x.minimum(y),
  eq: (x, y) => x.eq(y),
  lt: (x, y) => x.lt(y),
  ge: (x, y) => x.ge(y),
  where: (x, y) => torch.where(x.gt(y), x, y),
};

describe('lowering: pointwise', () => {
  for (const [name, f] of Object.entries(UNARY)) {
    it(`${name} agrees with eager for every dtype and shape`, () => {
      for (const dtype of NUMBERS) agree(`${name} of ${dtype}`, f, [sample([2, 3], dtype)]);
      for (const dtype of ['float32', 'float64'] as const) agree(`${name} of awkward ${dtype}`, f, [awkward(dtype)]);
      agree(`${name} of 0-d`, f, [torch.tensor(0.25)]);
      agree(`${name} of nothing`, f, [torch.zeros([0, 3])]);
      agree(`${name} of strided`, f, [sample([3, 4]).t()]);
    });
  }
  for (const [name, f] of Object.entries(BINARY)) {
    it(`${name} promotes and broadcasts as eager`, () => {
      for (const dtype of NUMBERS)
        agree(`${name} of ${dtype}`, f, [sample([2, 3], dtype), sample([2, 3], dtype).add(7)]);
      agree(`${name} of awkward`, f, [awkward(), awkward().flip([0])]);
      agree(`${name} broadcast`, f, [sample([3, 1]), sample([4])]);
      agree(`${name} of int64 and float32`, f, [sample([3], 'int64'), sample([3])]);
      agree(`${name} with a float64 0-d tensor`, f, [sample([3]), torch.tensor(0.5, { dtype: 'float64' })]);
      agree(`${name} of nothing`, f, [torch.zeros([2, 0]), torch.zeros([1, 1])]);
    });
  }

  it('complex functions take the side of a branch cut that the sign of zero says', () => {
    const z = torch.complex(torch.tensor([-1, -1, -4, 4, 4, 0.5]), torch.tensor([0, -0, -0, 0, -0, -0]));
    for (const f of [
      (x: Tensor) => x.sqrt(),
      (x: Tensor) => x.acos(),
      (x: Tensor) => x.asin(),
      (x: Tensor) => x.acosh(),
      (x: Tensor) => x.log(),
    ]) {
      const [eager, compiled] = [f(z), torch.compile(f)(z)].map((t) => torch.view_as_real(t));
      close(compiled!, eager!, { what: String(f) });
    }
  });

  it('complex numbers divided by zero are infinite, also where the zero is a constant', () => {
    const z = torch.complex(torch.tensor([-1, 2, 0]), torch.tensor([3, 0, -1]));
    for (const f of [(x: Tensor) => x.div(torch.tensor(0)), (x: Tensor) => x.div(0)])
      close(torch.view_as_real(torch.compile(f)(z)), torch.view_as_real(f(z)), { what: String(f) });
  });

  it('rounding modes of division follow the signs', () => {
    for (const rounding_mode of ['floor', 'trunc'] as const) {
      for (const dtype of ['int64', 'float32'] as const) {
        const [x, y] = [torch.tensor([7, -7, 7, -7, 6], { dtype }), torch.tensor([3, 3, -3, -3, 3], { dtype })];
        agree(`div ${rounding_mode}`, (p, q) => p!.div(q!, { rounding_mode }), [x, y]);
      }
    }
    agree('remainder', (p, q) => p!.remainder(q!), [torch.tensor([7, -7, 7, -7]), torch.tensor([3, 3, -3, -3])]);
    agree('fmod', (p, q) => p!.fmod(q!), [torch.tensor([7, -7, 7, -7]), torch.tensor([3, 3, -3, -3])]);
  });

  it('clamp keeps NaN and takes either bound alone', () => {
    agree('clamp', (x) => x!.clamp(-0.5, 0.5), [awkward()]);
    agree('clamp min', (x) => x!.clamp(0), [awkward()]);
    agree('clamp of integers', (x) => x!.clamp(-1, 2), [sample([5], 'int64')]);
  });

  it('powers of integers wrap, of floats keep their special values', () => {
    agree('pow', (x) => x!.pow(70), [torch.tensor([3, -3, 2, 0, 1], { dtype: 'int64' })]);
    for (const e of [0, 0.5, -0.5, 2, -2, 3, 2.5]) agree(`pow ${e}`, (x) => x!.pow(e), [awkward()]);
  });

  it('activations and their gradients agree', () => {
    const F = torch.nn.functional;
    const table: Readonly<Record<string, Unary>> = {
      gelu: (x) => F.gelu(x),
      silu: (x) => F.silu(x),
      elu: (x) => F.elu(x),
      softplus: (x) => F.softplus(x),
      hardswish: (x) => F.hardswish(x),
      leaky_relu: (x) => F.leaky_relu(x),
      logsigmoid: (x) => F.logsigmoid(x),
    };
    for (const [name, f] of Object.entries(table)) {
      for (const dtype of FLOATS) agree(`${name} of ${dtype}`, (x) => f(x!), [sample([3, 4], dtype)]);
      agreeGrad(name, (x) => f(x!), [sample([3, 4], 'float64')]);
    }
  });

  it('special functions agree within float32', () => {
    const x = torch.linspace(-9, 9, 73);
    const S = torch.special;
    const table = {
      digamma: S.digamma,
      i0: S.i0,
      i1e: S.i1e,
      bessel_j0: S.bessel_j0,
      bessel_y1: S.bessel_y1,
      erfcx: S.erfcx,
    };
    for (const [name, f] of Object.entries(table))
      agree(name, (v) => (f as Unary)(v!), [x], { rtol: 1e-5, atol: 1e-5 });
  });
});
