/** @file swa_utils and Muon against PyTorch (scripts/references/swa_torch.py), eagerly and compiled. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { nn, optim } = torch;
const { swa_utils } = optim;

interface Reference {
  readonly muon: readonly { readonly options: object; readonly shape: [number, number]; readonly rows: number[][] }[];
  readonly swa: readonly {
    readonly kind: 'swa' | 'ema' | 'ema_buffers';
    readonly rates: number[];
    readonly state: Record<string, number[]>;
    readonly after: Record<string, number[]>;
  }[];
}
const reference = JSON.parse(readFileSync(join(__dirname, '../../../test/data/swa-torch.json'), 'utf8')) as Reference;

const near = (actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void => {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    assert.ok(
      Math.abs(value - expected[i]!) <= tolerance * (1 + Math.abs(expected[i]!)),
      `${what}[${i}]: ${value}, PyTorch has ${expected[i]}`,
    );
  });
};
const flat = (t: Tensor): number[] => [...t.detach().flatten().toTypedArray()].map(Number);
const numbers = (...shape: number[]): Tensor =>
  torch
    .arange(1, shape.reduce((a, b) => a * b, 1) + 1, { dtype: 'float64' })
    .sin()
    .float()
    .reshape(shape);

for (const compiled of [false, true]) {
  describe(`optim: Muon and averages of weights${compiled ? ', compiled' : ''}`, () => {
    for (const c of reference.muon) {
      it(`Muon ${JSON.stringify(c.options)} [${c.shape}]`, () => {
        const w = new nn.Parameter(numbers(...c.shape));
        const optimizer = new optim.Muon([w], c.options);
        const step = (): void => {
          numbers(5, c.shape[0]).matmul(w).tanh().sub(0.3).pow(2).sum().backward();
          optimizer.step();
          optimizer.zero_grad();
        };
        const run = compiled ? torch.compile(step) : step;
        for (const [i, row] of c.rows.entries()) {
          run();
          // Orthogonalised in bfloat16: roundings of 2⁻⁸ fall otherwise in XLA's fused loops, and the iterations enlarge what is small.
          near(flat(w), row, (compiled ? 4e-3 : 1e-3) * (i + 1), `step ${i}`);
        }
      });
    }
    for (const c of reference.swa) {
      it(`AveragedModel, SWALR and update_bn: ${c.kind}`, () => {
        torch.manual_seed(3);
        const net = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Linear(4, 1));
        const optimizer = new optim.SGD(net.parameters(), { lr: 0.1 });
        const averaged = new swa_utils.AveragedModel(
          net,
          {
            swa: {},
            ema: { multi_avg_fn: swa_utils.get_ema_multi_avg_fn(0.9) },
            ema_buffers: { avg_fn: swa_utils.get_ema_avg_fn(0.8), use_buffers: true },
          }[c.kind],
        );
        const schedule = new swa_utils.SWALR(optimizer, 0.02, {
          anneal_epochs: 4,
          anneal_strategy: c.kind === 'swa' ? 'cos' : 'linear',
        });
        const x = numbers(8, 3);
        const step = (x: Tensor): void => {
          (net.forward(x) as Tensor).sub(1).pow(2).mean().backward();
          optimizer.step();
          optimizer.zero_grad();
          averaged.update_parameters(net);
        };
        const run = compiled ? torch.compile(step) : step;
        for (const [i, rate] of c.rates.entries()) {
          near([optimizer.param_groups[0]!.lr], [rate], 1e-12, `rate ${i}`);
          run(x.mul(i + 1));
          schedule.step();
        }
        const state = averaged.state_dict();
        assert.deepEqual(Object.keys(state), Object.keys(c.state));
        for (const [name, values] of Object.entries(c.state)) near(flat(state[name]!), values, 2e-5, name);
        swa_utils.update_bn([x, [x.mul(2).add(1)]], averaged);
        for (const [name, buffer] of averaged.named_buffers()) near(flat(buffer), c.after[name]!, 2e-5, name);
      });
    }
  });
}

describe('optim: what Muon and swa_utils refuse', () => {
  it('in words', () => {
    const p = new nn.Parameter(torch.ones(2));
    fails('BAD_ARGUMENT', /only supports 2D parameters/, () => new optim.Muon([p]));
    fails('BAD_ARGUMENT', /beta2_decay should be <= 0/, () => new optim.Adafactor([p], { beta2_decay: 1 }));
    fails('BAD_ARGUMENT', /value in \[0,1\] range/, () => swa_utils.get_ema_avg_fn(2));
    fails(
      'BAD_ARGUMENT',
      /only one of/,
      () =>
        new swa_utils.AveragedModel(new nn.Identity(), {
          avg_fn: swa_utils.get_swa_avg_fn(),
          multi_avg_fn: swa_utils.get_swa_multi_avg_fn(),
        }),
    );
    fails(
      'BAD_ARGUMENT',
      /anneal_strategy/,
      () => new swa_utils.SWALR(new optim.SGD([p]), 1, { anneal_strategy: 'exp' as never }),
    );
  });
});
