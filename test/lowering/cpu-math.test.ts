/** @file Elementary functions of compiled code on the CPU: within 2 units of the last place, and IEEE 754's special cases. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { compile, type Tensor } from '../../lib/index.js';
import { close } from '../support/close.js';
import { bitPatterns, checkElementary, checkPairs, ELEMENTARY, OF_PAIRS } from '../support/elementary.js';
import { agreeGrad } from './table.js';

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  2,
  -2,
  3,
  -3,
  2.5,
  -2.5,
  1e-30,
  -1e-30,
  1e30,
  -1e30,
  16777217,
  Infinity,
  -Infinity,
  NaN,
];

describe('elementary functions on the CPU', () => {
  for (const name of Object.keys(ELEMENTARY)) {
    it(`${name}: float32 within 2 ulp over all numbers (every 29989th)`, () => {
      const step = 29989;
      checkElementary(name, [
        bitPatterns(0, Math.floor(2 ** 32 / step), step),
        torch.tensor([...SPECIAL, ...SPECIAL]),
        // Next to multiples of π/4 digits cancel.
        torch
          .arange(-20000, 20000, { dtype: 'float64' })
          .mul(Math.PI / 4)
          .float(),
      ]);
    });
  }

  for (const [name, f] of Object.entries(OF_PAIRS)) {
    it(`${name}: every pair of special numbers`, () => {
      for (const dtype of ['float32', 'float64'] as const) {
        const special = torch.tensor(SPECIAL, { dtype });
        const [x, y] = torch.meshgrid([special, special], { indexing: 'ij' }).map((t) => t.flatten()) as [
          Tensor,
          Tensor,
        ];
        const expected = f(x, y);
        const got = compile(f, { fallback: 'error' })(x, y);
        close(got, expected, { what: name, atol: 0 });
        const wrong = got.signbit().ne(expected.signbit()).logical_and(expected.isnan().logical_not());
        assert.equal(wrong.any().item(), false, `${name} of ${dtype}: signs`);
      }
    });
    it(`${name}: float32 within 2 ulp for 100,000 pairs of every kind`, () => {
      checkPairs(name, 500_000, 100_000);
    });
  }

  interface Reference {
    readonly x: number[];
    readonly y?: number[];
    readonly value: readonly (readonly [number, number])[];
  }
  const references = JSON.parse(readFileSync(join(__dirname, '../../../test/data/elementary.json'), 'utf8')) as Record<
    string,
    Reference
  >;
  for (const [name, { x, y, value }] of Object.entries(references)) {
    it(`${name}: float64 within 2 ulp of the exact values`, () => {
      const f = (torch as unknown as Record<string, (...xs: Tensor[]) => Tensor>)[name]!;
      const given = [x, ...(y ? [y] : [])].map((numbers) =>
        torch.tensor([...numbers, ...numbers], { dtype: 'float64' }),
      );
      const got = compile(f, { fallback: 'error' })(...given).tolist() as number[];
      value.forEach(([high, low], i) => {
        const ulp = 2 ** (Math.floor(Math.log2(Math.abs(high))) - 52);
        const error = high === 0 ? Math.abs(got[i]!) : Math.abs((got[i]! - high - low) / ulp);
        assert.ok(error <= 2, `${name}(${x[i]}${y ? `, ${y[i]}` : ''}) is ${got[i]}, ${error} ulp from ${high}`);
      });
    });
  }

  it('float64 arguments too large for the short reduction are right as well', () => {
    const x = torch.randn([4096], { dtype: 'float64' }).mul(1e12);
    x.select(0, 7).fill_(NaN);
    x.select(0, 8).fill_(Infinity);
    for (const f of [torch.sin, torch.cos, torch.tan]) close(compile((v: Tensor) => f(v))(x), f(x), { rtol: 1e-13 });
  });

  it('one large number, an infinity or a NaN in a long array changes no other result', () => {
    const x = torch.randn([20_000]).mul(100);
    for (const [f, scale] of [
      [torch.sin, 1],
      [torch.cos, 1],
      [torch.tan, 3],
    ] as const) {
      const fast = compile((v: Tensor) => f(v));
      const expected = f(x.double()).float();
      close(fast(x), expected, { rtol: 2.4e-7 * scale, atol: 1e-38 });
      for (const special of [1e9, -3e38, Infinity, NaN]) {
        const mixed = x.clone();
        mixed.select(0, 123).fill_(special);
        const wanted = f(mixed.double()).float();
        close(fast(mixed), wanted, { rtol: 2.4e-7 * scale, atol: 1e-38 });
      }
    }
  });

  describe('a program of arguments that may be large', () => {
    const value = (x: Tensor): Tensor => x.sin().add(x.mul(2).neg().abs().neg().exp()).sum();
    const both = (x: Tensor): Tensor[] => {
      const leaf = x.detach().requires_grad_();
      const y = value(leaf.mul(0.5));
      return [y.detach(), torch.autograd.grad([y], [leaf])[0]!];
    };
    for (const [dtype, scale] of [
      ['float32', 1e5],
      ['float64', 1e9],
    ] as const) {
      it(`has one branch and is right on either side of it (${dtype})`, () => {
        const fast = compile(both, { fallback: 'error' });
        const x = torch.randn([130, 140], { dtype });
        const text = fast.lower(x).stablehlo;
        assert.equal(text.match(/stablehlo\.(if|case)/g)?.length, 1);
        const [large, spoiled, beyond] = [x.mul(scale), x.clone(), x.clone()];
        spoiled.select(0, 3).fill_(NaN);
        beyond.select(0, 3).fill_(-Infinity);
        for (const given of [x, x.mul(0), large, spoiled, beyond, x]) {
          const wanted = both(given.double()).map((t) => t.to(dtype));
          fast(given).forEach((t, i) => {
            close(t, wanted[i]!, { rtol: 1e-5, atol: dtype === 'float32' ? 3e-7 * (i === 0 ? 130 : 1) : 1e-11 });
          });
        }
      });
    }

    it('keeps a branch for each function where the rest is not for compiling twice', () => {
      const x = torch.randn([128, 128]);
      const f = (v: Tensor): Tensor => v.matmul(v).sin().matmul(v).cos();
      const fast = compile(f);
      assert.equal(fast.lower(x).stablehlo.match(/stablehlo\.(if|case)/g)?.length, 2);
      close(fast(x), f(x.double()).float(), { rtol: 1e-3, atol: 1e-3 });
    });

    it('may return an argument or a constant', () => {
      const x = torch.randn([128, 128]).mul(100);
      const f = (v: Tensor): Tensor[] => [v, v.sin(), torch.ones([2]), v.cos().sum()];
      const fast = compile(f);
      for (const given of [x, x.mul(1e6)])
        fast(given).forEach((t, i) => {
          close(t, f(given.double())[i]!.float(), { rtol: 1e-5, atol: 1e-3 });
        });
    });
  });

  it('in a long program each is written once and called, which changes no result', () => {
    const x = torch.tensor([...SPECIAL, ...SPECIAL]);
    const functions: readonly ((x: Tensor) => Tensor)[] = [
      (y) => y.clamp(-1, 1).sin(),
      (y) => y.clamp(-3000, 3000).sin(),
      (y) => y.atan(),
      (y) => y.pow(2.5),
    ];
    const both = (y: Tensor): Tensor[] => functions.flatMap((f) => [f(y), f(y.neg())]);
    const long = compile((y: Tensor) => {
      let z = y.clamp(-1, 1);
      for (let i = 0; i < 35; i++) z = z.sin().mul(2);
      return [...both(y), z];
    });
    const results = long(x);
    for (const [i, y] of compile(both)(x).entries())
      close(results[i]!, y, { what: String(functions[i >> 1]), atol: 0 });
    const { stablehlo, hlo } = long.lower(x);
    const counted = (text: RegExp): number => stablehlo.match(text)?.length ?? 0;
    assert.ok(counted(/func\.call @function\d+\(/g) > 2 * counted(/^func\.func private @function/gm));
    assert.ok(counted(/^func\.func private @function/gm) > 0);
    // XLA puts them where they are called, and each instruction still says where it comes from.
    assert.doesNotMatch(hlo.text, / call\(/);
    assert.match(hlo.text, /multiply\(.*aten::sin \(.*cpu-math\.test/);
  });

  it('what is known of the arguments changes no result', () => {
    const x = torch.randn([1000]).mul(30);
    const bounded: ((v: Tensor) => Tensor)[] = [
      (v) => v.tanh().mul(1.5).sin(),
      (v) => v.clamp(0, 1).mul(1024).sub(300).cos(),
      (v) => v.clamp(-3, 4).neg().tan(),
      (v) => torch.where(v.gt(0), v.clamp(-1, 1), v.clamp(-1, 1).add(1e6)).sin(),
      (v) => v.sin().mul(v.cos()).square().reshape([10, 100]).cos().sin(),
      (v) => v.tanh().maximum(v).sin(),
    ];
    for (const f of bounded) close(compile(f, { fallback: 'error' })(x), f(x), { atol: 2e-7 });
  });

  it("gradients are libtorch's", () => {
    const x = torch.rand([50]).mul(1.8).sub(0.9);
    for (const f of [torch.sin, torch.tan, torch.asin, torch.acos, torch.atan]) agreeGrad(f.name, (v) => f(v), [x]);
    agreeGrad('pow', (v) => v.abs().pow(2.5), [x]);
  });
});
