/** @file NaN, infinities, empty and 0-d tensors that reach a program at run time: order, extrema and totals as in eager. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, type DTypeName } from './table.js';

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
type F = (x: Tensor) => Tensor | readonly Tensor[];
const pair = (r: unknown): readonly Tensor[] => [...(r as Iterable<Tensor>)];
/** Values alone: where several elements are equal, which of them stands where is a matter of choice. */
const values = (r: unknown): Tensor => pair(r)[0]!;

/** Two rows without ties, the second without NaN. */
const ROWS = [
  [1, -inf, nan, 3, inf, -2.5, 0.5],
  [inf, 2, -1, -inf, 4, 7, -3],
];
const ALL_DIMS: Readonly<Record<string, F>> = {
  max: (x) => x.max(),
  min: (x) => x.min(),
  amax: (x) => x.amax(),
  amin: (x) => x.amin(),
  argmax: (x) => x.argmax(),
  argmin: (x) => x.argmin(),
  aminmax: (x) => pair(x.aminmax()),
  sum: (x) => x.sum(),
  nansum: (x) => x.nansum(),
  mean: (x) => x.mean(),
  nanmean: (x) => x.nanmean(),
  prod: (x) => x.prod(),
  median: (x) => x.median(),
  nanmedian: (x) => x.nanmedian(),
  var: (x) => x.var(),
  norm: (x) => torch.linalg.vector_norm(x),
  'norm inf': (x) => torch.linalg.vector_norm(x, inf),
  'norm -inf': (x) => torch.linalg.vector_norm(x, -inf),
  all: (x) => x.all(),
  any: (x) => x.any(),
  count_nonzero: (x) => x.count_nonzero(),
};
const ALONG: Readonly<Record<string, F>> = {
  'max along': (x) => pair(x.max(-1)),
  'min along': (x) => pair(x.min(-1, true)),
  'argmax along': (x) => x.argmax(-1),
  'argmin along': (x) => x.argmin(-1, true),
  sort: (x) => pair(x.sort(-1)),
  'sort descending': (x) => pair(x.sort(-1, true)),
  argsort: (x) => x.argsort(-1),
  msort: (x) => x.msort(),
  topk: (x) => pair(x.topk(Math.min(3, x.size(-1)))),
  'topk smallest': (x) => pair(x.topk(Math.min(2, x.size(-1)), -1, false)),
  kthvalue: (x) => pair(x.kthvalue(1)),
  cumsum: (x) => x.cumsum(-1),
  cumprod: (x) => x.cumprod(-1),
  cummax: (x) => pair(x.cummax(-1)),
  cummin: (x) => pair(x.cummin(-1)),
  logcumsumexp: (x) => x.logcumsumexp(-1),
  logsumexp: (x) => x.logsumexp([-1]),
  'median along': (x) => pair(x.median(-1)),
  quantile: (x) => x.quantile(0.5, -1),
};
const POINTWISE: Readonly<Record<string, F>> = {
  'clamp to numbers': (x) => x.clamp(-1, 1),
  'clamp from below': (x) => x.clamp_min(0),
  'clamp to tensors': (x) => x.clamp(x.flip(-1).neg(), x.flip(-1)),
  'clamp to NaN': (x) => x.clamp(nan, 1),
  maximum: (x) => x.maximum(x.flip(-1)),
  minimum: (x) => x.minimum(x.flip(-1)),
  fmax: (x) => x.fmax(x.flip(-1)),
  fmin: (x) => x.fmin(x.flip(-1)),
  relu: (x) => x.relu(),
  sign: (x) => x.sign(),
  nan_to_num: (x) => x.nan_to_num(),
  heaviside: (x) => x.heaviside(x.flip(-1)),
  where: (x) => torch.where(x.gt(0), x, x.neg()),
  isclose: (x) => x.isclose(x.flip(-1), 1e-5, 1e-8, true),
  round: (x) => x.round(),
};
const COMPARISONS = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;
const FLOATS: readonly DTypeName[] = ['float32', 'float64', 'bfloat16'];

describe('lowering: NaN and infinities at run time', () => {
  for (const [name, f] of Object.entries({ ...ALL_DIMS, ...ALONG, ...POINTWISE })) {
    it(name, () => {
      for (const dtype of FLOATS) {
        if (name === 'quantile' && dtype === 'bfloat16') continue; // eager takes float32 and float64
        const x = torch.tensor(ROWS, { dtype });
        for (const row of [0, 1]) agree(`${name} of ${dtype}, row ${row}`, (v) => f(v!), [x.select(0, row)]);
        agree(`${name} of ${dtype}`, (v) => f(v!), [x]);
      }
    });
  }

  for (const name of COMPARISONS) {
    it(name, () => {
      for (const dtype of FLOATS) {
        const x = torch.tensor(ROWS, { dtype });
        agree(`${name} of ${dtype}`, (v, w) => [v![name](w!), v![name](nan), v![name](inf)], [x, x.flip(-1)]);
      }
    });
  }

  it('one NaN among many is found, at either end and in the middle', () => {
    for (const dtype of ['float32', 'float64', 'bfloat16'] as const) {
      for (const at of [0, 5000, 9999]) {
        const x = torch.arange(10_000, { dtype: 'float32' }).to(dtype);
        x.narrow(0, at, 1).fill_(nan);
        const f = (v: Tensor) => {
          const square = v.reshape([100, 100]);
          const pooled = torch.nn.functional.max_pool1d(v.reshape([1, 1, 10_000]), 4);
          return [v.max(), v.min(), square.amax([1]), square.amin([0]), values(square.max(0)), v.argmax(), pooled];
        };
        agree(`${dtype}, NaN at ${at}`, (v) => f(v!), [x]);
      }
    }
  });

  it('extrema of many numbers without NaN are exact, with infinities too', () => {
    const x = torch.randn([70, 80]);
    x.select(0, 3).narrow(0, 5, 1).fill_(-inf);
    x.select(0, 60).narrow(0, 50, 1).fill_(inf);
    agree('extrema', (v) => [v!.max(), v!.min(), v!.amax([1]), v!.amin([0]), v!.softmax(0)], [x]);
    agree('of nothing but -inf', (v) => [v!.max(), v!.amax([0])], [torch.full([70, 80], -inf)]);
    agree('of integers', (v) => [v!.max(), v!.amin([0])], [torch.randint(-1000, 1000, [70, 80])]);
  });
});

describe('lowering: 0-d and empty tensors', () => {
  it('one number is its own extremum, order and total', () => {
    for (const value of [2.5, nan, -inf]) {
      for (const [name, f] of Object.entries({ ...ALL_DIMS, ...ALONG, ...POINTWISE })) {
        if (name === 'msort' || name === 'heaviside' || /clamp to tensors|maximum|minimum|fm|isclose/.test(name))
          continue;
        if (name.startsWith('topk') || name === 'var') continue; // size(-1), one degree of freedom
        agree(`${name} of ${value}`, (v) => f(v!), [torch.tensor(value)]);
      }
    }
  });

  it('totals of nothing are neutral, along a dimension and over all', () => {
    const none = torch.zeros([3, 0]);
    const totals = (x: Tensor) => [x.sum(), x.prod(), x.mean(), x.all(), x.any(), x.nansum(), x.count_nonzero()];
    agree('over all', (v) => totals(v!), [none]);
    agree('along', (v) => [v!.sum([1]), v!.prod(1), v!.mean([1]), v!.all(1), v!.any(1), v!.logsumexp([1])], [none]);
    agree('kept', (v) => [v!.amax([0]), v!.argmax(0), v!.var([1]), v!.median()], [none]);
    agree('order', (v) => [...pair(v!.sort(-1)), v!.cumsum(-1), ...pair(v!.cummax(-1)), v!.clamp(0, 1), v!.gt(0)], [
      none,
    ]);
    agree('topk of none', (v) => pair(v!.topk(0)), [none]);
  });
});

describe('the sign of zero', () => {
  // Of two operands that are 0 and -0 libtorch takes the one or the other, by where they stand in memory: maximum, minimum, clamp with tensors.
  const F = torch.nn.functional;
  const functions: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    relu: (x) => x.relu(),
    'clamp from 0': (x) => x.clamp(0, 1),
    'clamp to 0': (x) => x.clamp(-1, 0),
    'clamp to -0': (x) => x.clamp(-1, -0),
    clamp_min: (x) => x.clamp_min(0),
    clamp_max: (x) => x.clamp_max(-0),
    hardtanh: (x) => F.hardtanh(x, 0, 1),
    relu6: (x) => F.relu6(x),
    sign: (x) => x.sign(),
    sgn: (x) => x.sgn(),
    'root as a power': (x) => x.pow(0.5),
    'inverse root as a power': (x) => x.pow(-0.5),
    leaky_relu: (x) => F.leaky_relu(x),
    trunc: (x) => x.trunc(),
  };
  const two: Readonly<Record<string, (x: Tensor, y: Tensor) => Tensor>> = {
    fmax: (x, y) => torch.fmax(x, y),
    fmin: (x, y) => torch.fmin(x, y),
  };
  const same = (actual: Tensor, expected: Tensor, what: string): void => {
    const [a, b] = [actual, expected].map((t) => [...(t.to('float64').toTypedArray() as Float64Array)]);
    assert.deepStrictEqual(a, b, what); // tells -0 from 0
  };
  for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const)
    it(`is eager's, ${dtype}`, () => {
      for (const n of [4, 64]) {
        const from = (values: readonly number[]): Tensor =>
          torch.tensor(
            Array.from({ length: n }, (_, i) => values[i % values.length]!),
            { dtype },
          );
        const x = from([-0, 0, nan, -inf]);
        for (const [name, f] of Object.entries(functions)) same(torch.compile(f)(x), f(x), `${name} of ${n}`);
        // libtorch's bfloat16 takes the second of equal ones.
        if (dtype === 'bfloat16') continue;
        const y = from([0, -0, 1, nan]);
        for (const [name, f] of Object.entries(two)) same(torch.compile(f)(x, y), f(x, y), `${name} of ${n}`);
      }
    });

  it("of a product and its bias is left to XLA's maximum, which becomes part of the product", () => {
    const layer = torch.compile((x: Tensor, w: Tensor, b: Tensor) => F.linear(x, w, b).relu());
    const [x, w, b] = [torch.randn(2, 3, 8), torch.randn(4, 8), torch.randn(4)] as const;
    assert.match(layer.lower(x, w, b).stablehlo, /stablehlo\.maximum/);
    assert.ok(torch.allclose(layer(x, w, b), F.linear(x, w, b).relu()));
  });
});
