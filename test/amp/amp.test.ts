/** @file torch.amp: GradScaler's trajectories and autocast's against PyTorch's, eagerly and with the whole step compiled. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { amp, nn, optim } = torch;

interface Case {
  readonly name: 'SGD' | 'Adam' | 'NAdam';
  readonly options: Record<string, unknown>;
  readonly scaler: torch.amp.GradScalerOptions;
  readonly unscale: boolean;
  readonly rows: readonly { readonly w: number[]; readonly scale: number; readonly tracker: number }[];
  readonly state: torch.amp.GradScalerState;
}
interface Reference {
  readonly x: number[][];
  readonly y: number[][];
  readonly w: number[][];
  readonly overflow: Record<string, number>;
  readonly cases: readonly Case[];
  readonly autocast: Record<'bfloat16' | 'float16', { readonly losses: number[]; readonly dtypes: string[] }>;
}
const reference = JSON.parse(readFileSync(join(__dirname, '../../../test/data/amp-torch.json'), 'utf8')) as Reference;

const near = (actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void => {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const want = expected[i]!;
    assert.ok(Math.abs(value - want) <= tolerance * (1 + Math.abs(want)), `${what}: ${value}, PyTorch has ${want}`);
  });
};

describe('amp.GradScaler', () => {
  const x = torch.tensor(reference.x);
  const y = torch.tensor(reference.y);
  const setUp = (c: Case) => {
    const w = new nn.Parameter(torch.tensor(reference.w));
    const optimizer = new (optim[c.name] as unknown as new (p: Tensor[], o: object) => InstanceType<typeof optim.SGD>)(
      [w],
      c.options,
    );
    const scaler = new amp.GradScaler('cpu', c.scaler);
    const step = (factor: Tensor): void => {
      optimizer.zero_grad();
      scaler.scale(x.matmul(w).sub(y).pow(2).mean().mul(factor)).backward();
      if (c.unscale) {
        scaler.unscale_(optimizer);
        nn.utils.clip_grad_norm_([w], 0.5);
      }
      scaler.step(optimizer);
      scaler.update();
    };
    return { w, scaler, step };
  };
  for (const c of reference.cases) {
    for (const compiled of [false, true]) {
      it(`${c.name}${c.unscale ? ', unscaled and clipped' : ''}: steps, scales and skipped steps are PyTorch’s${compiled ? ', compiled' : ''}`, () => {
        const { w, scaler, step } = setUp(c);
        const run = compiled ? torch.compile(step) : step;
        c.rows.forEach((row, i) => {
          run(torch.tensor(reference.overflow[String(i)] ?? 1));
          assert.equal(scaler.get_scale(), row.scale, `scale after step ${i}`);
          near(w.detach().flatten().tolist() as number[], row.w, 5e-6, `step ${i}`);
          assert.equal(scaler.state_dict()._growth_tracker, row.tracker);
        });
        assert.deepEqual(scaler.state_dict(), c.state);
        if (compiled) assert.ok((run as typeof run & { stats: torch.CompileStats }).stats.compiles <= 2);
      });
    }
  }

  it('its state goes to another scaler; numbers set later hold, in a compiled step too', () => {
    const c = reference.cases[0]!;
    const [a, b] = [setUp(c), setUp(c)];
    for (let i = 0; i < 5; i++) a.step(torch.tensor(1));
    b.scaler.load_state_dict(a.scaler.state_dict());
    assert.deepEqual(b.scaler.state_dict(), a.scaler.state_dict());
    const step = torch.compile(b.step);
    step(torch.tensor(1));
    b.scaler.set_growth_interval(100);
    b.scaler.set_backoff_factor(0.125);
    const before = b.scaler.get_scale();
    step(torch.tensor(1e37));
    assert.equal(b.scaler.get_scale(), before / 8);
    b.scaler.update(1024);
    assert.equal(b.scaler.get_scale(), 1024);
  });

  it('disabled, it does nothing', () => {
    const scaler = new amp.GradScaler('cpu', { enabled: false });
    const w = new nn.Parameter(torch.ones(2));
    const optimizer = new optim.SGD([w], { lr: 1 });
    const loss = w.sum();
    assert.equal(scaler.scale(loss), loss);
    loss.backward();
    scaler.step(optimizer);
    scaler.update();
    assert.deepEqual(w.tolist(), [0, 0]);
    assert.deepEqual([scaler.get_scale(), scaler.state_dict()], [1, {}]);
  });

  it('a wrong order of calls is refused in torch’s words', () => {
    const scaler = new amp.GradScaler();
    const w = new nn.Parameter(torch.ones(2));
    const optimizer = new optim.SGD([w], { lr: 1 });
    fails('BAD_ARGUMENT', /No inf checks were recorded prior to update/, () => scaler.update());
    fails('BAD_ARGUMENT', /No inf checks were recorded for this optimizer/, () => scaler.step(optimizer));
    const again = new amp.GradScaler();
    again.scale(w.sum()).backward();
    again.unscale_(optimizer);
    fails('BAD_ARGUMENT', /already been called/, () => again.unscale_(optimizer));
    again.step(optimizer);
    fails('BAD_ARGUMENT', /called after step/, () => again.unscale_(optimizer));
    fails('BAD_ARGUMENT', /step\(\) has already been called/, () => again.step(optimizer));
    const half = new nn.Parameter(torch.ones(2, { dtype: 'float16' }));
    half.sum().backward();
    fails('BAD_ARGUMENT', /Attempting to unscale FP16 gradients/, () =>
      new amp.GradScaler().unscale_(new optim.SGD([half])),
    );
    fails('BAD_ARGUMENT', /growth factor/, () => new amp.GradScaler('cpu', { growth_factor: 1 }));
    fails('BAD_ARGUMENT', /lacks numbers/, () => new amp.GradScaler().load_state_dict({}));
  });
});

describe('amp.autocast', () => {
  for (const dtype of ['bfloat16', 'float16'] as const) {
    for (const compiled of [false, true]) {
      it(`twenty steps in ${dtype} lose what PyTorch’s lose${compiled ? ', compiled' : ''}`, () => {
        const expected = reference.autocast[dtype];
        const [x, y] = [torch.tensor(reference.x), torch.tensor(reference.y)];
        torch.manual_seed(9);
        const net = new nn.Sequential(new nn.Linear(3, 16), new nn.ReLU(), new nn.Linear(16, 2));
        const optimizer = new optim.SGD(net.parameters(), { lr: 0.05 });
        const step = (): [Tensor, Tensor] => {
          const [out, loss] = amp.autocast('cpu', { dtype }, () => {
            const made = net.forward(x);
            return [made, nn.functional.mse_loss(made, y)] as const;
          });
          optimizer.zero_grad();
          loss.backward();
          optimizer.step();
          return [out.detach(), loss.detach()];
        };
        const run = compiled ? torch.compile(step) : step;
        const losses = expected.losses.map(() => {
          const [out, loss] = run();
          assert.deepEqual([out.dtype, loss.dtype], expected.dtypes);
          return loss.item();
        });
        // Roundings of 2⁻⁹ and 2⁻¹² fall otherwise where products are summed in another order.
        near(losses, expected.losses, dtype === 'bfloat16' ? 4e-3 : 5e-4, 'loss');
      });
    }
  }

  it('takes torch’s arguments, and refuses others in words', () => {
    const a = torch.ones(2, 2);
    assert.equal(torch.autocast('cpu', () => a.matmul(a)).dtype, 'bfloat16');
    assert.equal(torch.autocast({ dtype: 'float16' }, () => a.matmul(a)).dtype, 'float16');
    assert.equal(amp.autocast('cpu', { enabled: false }, () => a.matmul(a)).dtype, 'float32');
    assert.deepEqual([amp.is_autocast_available('cpu'), amp.is_autocast_available('tpu')], [true, false]);
    fails('BAD_ARGUMENT', /none for 'cuda'/, () => torch.autocast('cuda', () => a));
    fails('BAD_ARGUMENT', /bfloat16 or float16/, () => torch.autocast('cpu', { dtype: 'float64' }, () => a));
    fails('BAD_ARGUMENT', /promise/, () => torch.autocast('cpu', async () => a));
  });
});
