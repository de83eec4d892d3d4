/** @file Convolutions of images with what follows them as one call: batch norm, bounds, sums and means, against eager. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const F = torch.nn.functional;

/** The convolutions of a program, each with the letters of its steps. */
const tails = (text: string): string[] =>
  [...text.matchAll(/call = "aten::convolution\|[^"]*?->[^"&]*((?:&[^"&]*)*)"/g)].map(([, steps]) =>
    steps!.replace(/&(.)[^&]*/g, '$1'),
  );

interface Layer {
  readonly w: Tensor;
  readonly mean: Tensor;
  readonly variance: Tensor;
  readonly scale: Tensor;
  readonly shift: Tensor;
}
const layer = (out: number, input: number): Layer => ({
  w: torch.randn([out, input, 3, 3]).mul(0.1),
  mean: torch.randn([out]),
  variance: torch.rand([out]).add(0.5),
  scale: torch.randn([out]),
  shift: torch.randn([out]),
});
const convolved = (x: Tensor, { w, mean, variance, scale, shift }: Layer, stride = 1, training = false): Tensor =>
  F.batch_norm(F.conv2d(x, w, null, stride, 1), mean, variance, scale, shift, training);
const check = (f: (...xs: Tensor[]) => Tensor, inputs: readonly Tensor[], expected: readonly string[]): void => {
  const fast = torch.compile(f);
  assert.deepEqual(tails(fast.lower(...inputs).stablehlo), expected);
  const [eager, compiled] = [f(...inputs), fast(...inputs)];
  close(compiled, eager, { rtol: 1e-4, atol: 1e-4 });
  assert.deepEqual(compiled.strides, eager.strides);
};

describe('lowering: what follows a convolution', () => {
  before(() => torch.manual_seed(12));

  it('is part of its call: batch norm, relu, a residual, the mean of an image', () => {
    const [one, two, three] = [layer(16, 3), layer(16, 16), layer(24, 16)];
    const net = (x: Tensor): Tensor => {
      const h = F.relu(convolved(x, one));
      return F.relu(convolved(h.add(F.relu(convolved(h, two))), three, 2)).mean([2, 3]);
    };
    const expected = ['nl', 'nl+', 'nlm'];
    for (const batch of [64, 40, 63, 1])
      check(net, [torch.randn([batch, 3, batch === 1 ? 256 : 64, batch === 1 ? 256 : 64])], expected);
    check(net, [torch.randn([64, 3, 64, 64]).contiguous({ memory_format: torch.channels_last })], expected);
  });

  it('of two convolutions whose results are added is part of one of them', () => {
    const [one, two] = [layer(16, 16), layer(16, 16)];
    const block = (x: Tensor): Tensor => F.relu(convolved(x, one).add(convolved(x, two)));
    check(block, [torch.randn([16, 16, 32, 32])], ['n', 'n+l']);
  });

  it('ends where somebody else looks, where shapes differ, and at what is no step', () => {
    const one = layer(16, 16);
    const x = torch.randn([16, 16, 32, 32]);
    check((a) => F.relu(convolved(a, one)).sigmoid(), [x], ['nl']);
    check((a) => F.max_pool2d(convolved(a, one).add(a.select(0, 0)), 2), [x], ['n']);
    check((a) => convolved(a, one).mean([0, 2, 3]), [x], ['n']);
    check((a) => convolved(a, one).mean([2], true), [x], ['n']);
    check((a) => convolved(a, one).mean([-1, -2], true).add(1), [x], ['nm']);
    check((a) => convolved(a, one).double().relu().float(), [x], ['n']);
    check(
      (a) => torch.clamp(F.conv2d(a, one.w, one.shift), -0.5, 0.25).sub(a.narrow(2, 1, 30).narrow(3, 1, 30)),
      [x],
      ['lu'],
    );
    const both = torch.compile((a: Tensor) => {
      const h = F.conv2d(a, one.w);
      return [h, h.relu()] as const;
    });
    assert.deepEqual(tails(both.lower(x).stablehlo), ['']);
    const [h, positive] = both(x);
    assert.ok(torch.equal(h.relu(), positive));
  });

  it('is not, where training needs the values between', () => {
    const one = layer(16, 16);
    const w = one.w.detach().requires_grad_();
    const f = (x: Tensor): Tensor =>
      F.relu(convolved(x, { ...one, w }, 1, true))
        .mul(r)
        .sum();
    const [x, r] = [torch.randn([16, 16, 32, 32]), torch.randn([16, 16, 32, 32])];
    const step = torch.compile((a: Tensor) => torch.autograd.grad(f(a), [w])[0]!);
    assert.ok(tails(step.lower(x).stablehlo).every((steps) => steps === ''));
    close(step(x), torch.autograd.grad(f(x), [w])[0]!, { rtol: 1e-3, atol: 0.05 });
  });

  it('keeps NaN and infinities, and a batch of nothing', () => {
    const one = layer(8, 8);
    const x = torch.randn([32, 8, 24, 24]);
    for (const [i, v] of [NaN, Infinity, -Infinity].entries()) x.select(0, 3 * i).fill_(v);
    const f = (a: Tensor, r: Tensor): Tensor => F.relu(convolved(a, one)).add(r).clamp(-1, 3);
    const fast = torch.compile(f);
    const grown = [x, x.flip([0])].map((t) => t.repeat([2, 1, 2, 2])) as [Tensor, Tensor];
    assert.deepEqual(tails(fast.lower(...grown).stablehlo), ['nl+lu']);
    close(fast(...grown), f(...grown), { rtol: 1e-4, atol: 1e-4 });
    const none = torch.zeros([0, 8, 24, 24]);
    assert.deepEqual(fast(none, none).shape, [0, 8, 24, 24]);
  });

  it('is computed as eager does, whatever the order of the steps, the shapes and the strides', () => {
    const step = fc.oneof(
      fc.constantFrom('norm', 'plain norm', 'relu', 'relu6', 'residual').map((kind) => ({ kind, at: 0 })),
      fc.double({ min: -1, max: 1, noNaN: true }).map((at) => ({ kind: 'at least', at })),
      fc.double({ min: -1, max: 1, noNaN: true }).map((at) => ({ kind: 'at most', at })),
    );
    const cases = fc.record({
      batch: fc.integer({ min: 1, max: 9 }),
      groups: fc.constantFrom(2, 3, 8),
      each: fc.integer({ min: 1, max: 5 }),
      size: fc.tuple(fc.integer({ min: 7, max: 30 }), fc.integer({ min: 7, max: 30 })),
      kernel: fc.constantFrom(1, 2, 3),
      stride: fc.constantFrom(1, 2),
      padding: fc.constantFrom(0, 1),
      dilation: fc.constantFrom(1, 2),
      bias: fc.boolean(),
      last: fc.boolean(),
      mean: fc.boolean(),
      steps: fc.array(step, { minLength: 1, maxLength: 7 }),
    });
    let joined = 0;
    fc.assert(
      fc.property(
        cases,
        ({ batch, groups, each, size, kernel, stride, padding, dilation, bias, last, mean, steps }) => {
          const [inputs, outputs] = [groups * 2, groups * each];
          const rows = torch.randn([batch, inputs, ...size]);
          const x = last ? rows.contiguous({ memory_format: torch.channels_last }) : rows;
          const w = torch.randn([outputs, 2, kernel, kernel]);
          const c = bias ? torch.randn([outputs]) : null;
          const plain = (a: Tensor): Tensor => F.conv2d(a, w, c, stride, padding, dilation, groups);
          const residual = torch.randn(plain(x).shape);
          const numbers = layer(outputs, 1);
          const f = (a: Tensor, r: Tensor): Tensor => {
            let y = plain(a);
            for (const { kind, at } of steps) {
              if (kind === 'norm') y = F.batch_norm(y, numbers.mean, numbers.variance, numbers.scale, numbers.shift);
              if (kind === 'plain norm') y = F.batch_norm(y, numbers.mean, numbers.variance);
              if (kind === 'relu') y = F.relu(y);
              if (kind === 'relu6') y = F.relu6(y);
              if (kind === 'residual') y = r.add(y);
              if (kind === 'at least') y = y.clamp_min(at);
              if (kind === 'at most') y = y.clamp({ max: at });
            }
            return mean ? y.mean([2, 3], true) : y;
          };
          const fast = torch.compile(f);
          if (tails(fast.lower(x, residual).stablehlo)[0]) joined++;
          const [eager, compiled] = [f(x, residual), fast(x, residual)];
          close(compiled, eager, { rtol: 1e-3, atol: 1e-3 });
          assert.deepEqual(compiled.strides, eager.strides);
        },
      ),
      { seed: 5, numRuns: 30 },
    );
    assert.ok(joined > 15, `only ${joined} of 30 have a call with steps`);
  });
});
