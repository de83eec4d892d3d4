/** @file Twenty steps of every optimizer, eagerly and with the whole step compiled, and every schedule, against PyTorch. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { optim, nn } = torch;
const { lr_scheduler } = optim;

interface Case {
  readonly name: string;
  readonly options: Record<string, unknown>;
  readonly dtype: 'float32' | 'float64';
  readonly losses: number[];
  readonly params: number[][];
  readonly state: Record<string, Record<string, number | number[] | null>>;
  readonly param_groups: Record<string, unknown>[];
  readonly repr: string;
}
interface Schedule {
  readonly name: string;
  readonly args: unknown[];
  readonly kw: Record<string, unknown>;
  readonly rates: number[][];
  readonly momenta: number[];
}
interface Reference {
  readonly x: number[][];
  readonly y: number[][];
  readonly w: number[][];
  readonly b: number[];
  readonly cases: Case[];
  readonly schedules: Schedule[];
  readonly specials: { name: string; rates: number[]; metrics: number[] | null }[];
}
const reference = JSON.parse(readFileSync(join(__dirname, '../../../test/data/optim-torch.json'), 'utf8')) as Reference;

type AnyOptimizer = InstanceType<typeof optim.SGD>;
type Make = new (params: Tensor[], options: Record<string, unknown>) => AnyOptimizer;
const optimizerClass = (name: string): Make => (optim as unknown as Record<string, Make>)[name]!;

/** The problem of scripts/references/optim_torch.py. */
const problem = (c: Pick<Case, 'dtype'>) => {
  const { dtype } = c;
  const x = torch.tensor(reference.x, { dtype });
  const y = torch.tensor(reference.y, { dtype });
  const w = new nn.Parameter(torch.tensor(reference.w, { dtype }));
  const b = new nn.Parameter(torch.tensor(reference.b, { dtype }));
  const loss = (): Tensor => x.matmul(w).add(b).sub(y).tanh().pow(2).sum().add(w.pow(4).sum().mul(0.01));
  const values = (): number[] => [...w.detach().reshape([-1]).toTypedArray(), ...b.detach().toTypedArray()].map(Number);
  return { w, b, loss, values };
};

const near = (actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void => {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const want = expected[i]!;
    assert.ok(
      Math.abs(value - want) <= tolerance * (1 + Math.abs(want)),
      `${what}[${i}]: ${value}, PyTorch has ${want}`,
    );
  });
};

const numbersOf = (value: unknown): number[] =>
  torch.is_tensor(value) ? [...value.detach().reshape([-1]).toTypedArray()].map(Number) : [value as number];

const compareState = (optimizer: AnyOptimizer, c: Case, tolerance: number): void => {
  const { state, param_groups } = optimizer.state_dict();
  assert.deepEqual([...state.keys()].map(String), Object.keys(c.state));
  for (const [i, own] of Object.entries(c.state)) {
    const present = Object.entries(own).filter(([, value]) => value !== null);
    assert.deepEqual(
      Object.keys(state.get(Number(i))!).sort(),
      present.map(([key]) => key).sort(),
      'names in the state',
    );
    for (const [key, value] of present)
      near(numbersOf(state.get(Number(i))![key]), [value].flat() as number[], tolerance, `state ${i}.${key}`);
  }
  // Python's tuples are lists in JSON.
  assert.deepEqual(JSON.parse(JSON.stringify(param_groups)), c.param_groups);
};

describe('optim: trajectories against PyTorch', () => {
  for (const c of reference.cases) {
    const tolerance = c.dtype === 'float64' ? 1e-12 : 2e-6;
    // Float32 counters and the order of operations cost a few digits where numbers are tensors.
    const compiledTolerance = c.dtype === 'float64' ? 1e-7 : 5e-6;
    const title = `${c.name} ${JSON.stringify(c.options)} ${c.dtype}`;
    it(title, () => {
      const { w, b, loss, values } = problem(c);
      const optimizer = new (optimizerClass(c.name))([w, b], c.options);
      const closure = (): Tensor => {
        optimizer.zero_grad();
        const value = loss();
        value.backward();
        return value;
      };
      for (let i = 0; i < 20; i++) {
        if (i === 10) optimizer.param_groups[0]!.lr *= 0.5;
        const value = c.name === 'LBFGS' ? optimizer.step(closure) : closure();
        if (c.name !== 'LBFGS') optimizer.step();
        near([value.item()], [c.losses[i]!], tolerance, `loss ${i}`);
        near(values(), c.params[i]!, tolerance, `parameters after step ${i}`);
      }
      if (c.name !== 'LBFGS') compareState(optimizer, c, tolerance);
    });
    if (c.name === 'LBFGS') continue;
    it(`${title}, compiled once`, () => {
      const { w, b, loss, values } = problem(c);
      const optimizer = new (optimizerClass(c.name))([w, b], c.options);
      const step = torch.compile(() => {
        optimizer.zero_grad();
        const value = loss();
        value.backward();
        optimizer.step();
        return value.detach();
      });
      for (let i = 0; i < 20; i++) {
        if (i === 10) optimizer.param_groups[0]!.lr *= 0.5;
        near([step().item()], [c.losses[i]!], compiledTolerance, `loss ${i}`);
        near(values(), c.params[i]!, compiledTolerance, `parameters after step ${i}`);
      }
      // zero_grad and backward come in the same program: whether there was a gradient before is part of its key.
      assert.ok(step.stats.compiles <= 2, `${step.stats.compiles} compilations:\n${step.explain()}`);
      compareState(optimizer, c, compiledTolerance);
    });
  }

  it('a state dict goes to another optimizer, which continues the same way; so does a compiled one', () => {
    for (const c of reference.cases.filter(({ name, dtype }) => name !== 'LBFGS' && dtype === 'float64')) {
      const first = problem(c);
      const one = new (optimizerClass(c.name))([first.w, first.b], c.options);
      const second = problem(c);
      const two = new (optimizerClass(c.name))([second.w, second.b], c.options);
      const step = torch.compile(() => {
        two.zero_grad();
        second.loss().backward();
        two.step();
      });
      step();
      const eager = (): void => {
        one.zero_grad();
        first.loss().backward();
        one.step();
      };
      for (let i = 0; i < 10; i++) eager();
      torch.no_grad(() => {
        second.w.copy_(first.w);
        second.b.copy_(first.b);
      });
      two.load_state_dict(one.state_dict());
      for (let i = 10; i < 15; i++) {
        eager();
        step();
      }
      near(second.values(), first.values(), 1e-7, `${c.name} ${JSON.stringify(c.options)}`);
    }
  });

  it('a complex parameter is updated as its real and imaginary parts', () => {
    for (const name of ['SGD', 'Adam', 'Adagrad', 'RMSprop', 'Adadelta', 'RAdam']) {
      const z = new nn.Parameter(torch.complex(torch.tensor([1, -2]), torch.tensor([0.5, 3])));
      const parts = new nn.Parameter(torch.view_as_real(z.detach()).clone());
      const a = new (optimizerClass(name))([z], { lr: 0.1 });
      const b = new (optimizerClass(name))([parts], { lr: 0.1 });
      for (let i = 0; i < 5; i++) {
        for (const o of [a, b]) o.zero_grad();
        torch.view_as_real(z).pow(2).sum().backward();
        parts.pow(2).sum().backward();
        for (const o of [a, b]) o.step();
      }
      near(numbersOf(torch.view_as_real(z.detach())), numbersOf(parts), 1e-6, name);
    }
  });
});

describe('optim: groups', () => {
  const parameter = (): Tensor => new nn.Parameter(torch.ones(2));

  it('options of groups, named parameters, parameters added later', () => {
    const [a, b, c] = [parameter(), parameter(), parameter()];
    const optimizer = new optim.SGD([{ params: [a] }, { params: b, lr: 1 }], { lr: 0.5 });
    optimizer.add_param_group({ params: [c], lr: 0 });
    for (const p of [a, b, c]) p.sum().backward();
    optimizer.step();
    assert.deepEqual(
      [a, b, c].map((p) => p.tolist()),
      [
        [0.5, 0.5],
        [0, 0],
        [1, 1],
      ],
    );
    const net = new nn.Linear(2, 1);
    assert.equal(new optim.Adam(net.named_parameters()).param_groups[0]!.params.length, 2);
  });

  it('what makes no sense is refused in words', () => {
    fails('BAD_ARGUMENT', /empty parameter list/, () => new optim.SGD([]));
    fails('BAD_ARGUMENT', /Invalid learning rate: -1/, () => new optim.SGD([parameter()], { lr: -1 }));
    fails(
      'BAD_ARGUMENT',
      /Invalid beta parameter at index 1/,
      () => new optim.Adam([parameter()], { betas: [0.9, 1] }),
    );
    fails('BAD_ARGUMENT', /non-leaf/, () => new optim.SGD([parameter().mul(2)]));
    const p = parameter();
    fails('BAD_ARGUMENT', /more than one/, () => new optim.SGD([{ params: [p] }, { params: [p] }]));
    fails('BAD_ARGUMENT', /nesterov|Nesterov/, () => new optim.SGD([p], { nesterov: true }));
    fails('BAD_ARGUMENT', /number of parameter groups/, () =>
      new optim.SGD([p]).load_state_dict({ state: {}, param_groups: [] }),
    );
    fails('BAD_ARGUMENT', /closure/, () => new optim.LBFGS([p]).step());
  });

  it('parameters without a gradient stay; hooks run; the loss of a closure is returned', () => {
    const [a, b] = [parameter(), parameter()];
    const optimizer = new optim.AdamW([a, b]);
    let calls = 0;
    const hook = optimizer.register_step_post_hook(() => {
      calls++;
    });
    const loss = optimizer.step(() => {
      const value = a.sum();
      value.backward();
      return value;
    });
    hook.remove();
    optimizer.step();
    assert.equal(loss.item(), 2);
    assert.equal(calls, 1);
    assert.deepEqual(b.tolist(), [1, 1]);
    assert.deepEqual([...optimizer.state_dict().state.keys()], [0]);
  });

  it('the learning rate of a compiled step may change at every call, and schedulers refuse to run inside', () => {
    const p = parameter();
    const optimizer = new optim.SGD([p], { lr: 1 });
    const scheduler = new lr_scheduler.ExponentialLR(optimizer, 0.5);
    const step = torch.compile(() => {
      optimizer.zero_grad();
      p.sum().backward();
      optimizer.step();
    });
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      step();
      seen.push(p.at(0).item());
      scheduler.step();
    }
    assert.deepEqual(seen, [0, -0.5, -0.75, -0.875]);
    assert.ok(step.stats.compiles <= 2);
    fails('BAD_ARGUMENT', /outside/, () => torch.compile(() => void scheduler.step())());
  });
});

describe('optim.lr_scheduler against PyTorch', () => {
  type AnyScheduler = {
    step(metric?: number): void;
    state_dict(): Record<string, unknown>;
    load_state_dict(s: Record<string, unknown>): void;
  };
  const two = (): AnyOptimizer => {
    const [p, q] = [new nn.Parameter(torch.zeros(1)), new nn.Parameter(torch.zeros(1))];
    return new optim.SGD([{ params: [p] }, { params: [q], lr: 0.05 }], { lr: 0.1, momentum: 0.9 });
  };
  const build = (optimizer: AnyOptimizer, s: Schedule): AnyScheduler => {
    const Class = (lr_scheduler as unknown as Record<string, new (...args: unknown[]) => AnyScheduler>)[s.name]!;
    return new Class(optimizer, ...s.args, s.kw);
  };
  for (const s of reference.schedules) {
    it(`${s.name} ${JSON.stringify(s.args)} ${JSON.stringify(s.kw)}`, () => {
      const optimizer = two();
      const scheduler = build(optimizer, s);
      for (let i = 0; i < 20; i++) {
        near(
          optimizer.param_groups.map((g) => g.lr),
          s.rates[i]!,
          1e-12,
          `rates at ${i}`,
        );
        near([optimizer.param_groups[0]!.momentum], [s.momenta[i]!], 1e-12, `momentum at ${i}`);
        if (i < 19) scheduler.step();
      }
      // Resumed from its state dict in the middle, it goes on the same way.
      const again = two();
      const resumed = build(again, s);
      for (let i = 0; i < 7; i++) resumed.step();
      const last = two();
      const restored = build(last, s);
      restored.load_state_dict(JSON.parse(JSON.stringify(resumed.state_dict())) as Record<string, unknown>);
      last.load_state_dict(again.state_dict());
      restored.step();
      near(
        last.param_groups.map((g) => g.lr),
        s.rates[8]!,
        1e-12,
        'resumed',
      );
    });
  }
  const {
    LambdaLR,
    MultiplicativeLR,
    SequentialLR,
    ChainedScheduler,
    ReduceLROnPlateau,
    LinearLR,
    ExponentialLR,
    ConstantLR,
  } = lr_scheduler;
  const specials: Record<string, (o: AnyOptimizer) => AnyScheduler> = {
    LambdaLR: (o) => new LambdaLR(o, (e) => 1 / (1 + e)),
    MultiplicativeLR: (o) => new MultiplicativeLR(o, () => 0.95),
    SequentialLR: (o) =>
      new SequentialLR(o, [new LinearLR(o, { start_factor: 0.1, total_iters: 4 }), new ExponentialLR(o, 0.9)], [5]),
    ChainedScheduler: (o) =>
      new ChainedScheduler([new ConstantLR(o, { factor: 0.1, total_iters: 2 }), new ExponentialLR(o, 0.9)]),
    ReduceLROnPlateau: (o) =>
      new ReduceLROnPlateau(o, { factor: 0.5, patience: 2, cooldown: 1, min_lr: 0.02 }) as AnyScheduler,
  };
  for (const { name, rates, metrics } of reference.specials) {
    it(name, () => {
      const optimizer = new optim.SGD([new nn.Parameter(torch.zeros(1))], { lr: 0.1 });
      const scheduler = specials[name]!(optimizer);
      rates.forEach((rate, i) => {
        near([optimizer.param_groups[0]!.lr], [rate], 1e-12, `rate at ${i}`);
        scheduler.step(metrics?.[i]);
      });
    });
  }
});

describe('an optimizer on the console', () => {
  it('shows its groups as PyTorch does, and nothing else', () => {
    const adam = new torch.optim.Adam([torch.ones(1, { requires_grad: true })], { lr: 0.1 });
    assert.match(inspect(adam), /^Adam \(\nParameter Group 0\n {4}amsgrad: False\n[\s\S]* {4}lr: 0\.1\n[\s\S]*\)$/);
  });
});

describe('arguments of schedulers', () => {
  const sgd = () => new torch.optim.SGD([torch.ones(1, { requires_grad: true })], { lr: 1, momentum: 0.9 });
  const { lr_scheduler } = torch.optim;

  it('options come by position, too, as in torch', () => {
    const [optimizer, scheduler] = [sgd(), new lr_scheduler.StepLR(sgd(), 1, 0.5)];
    assert.equal(scheduler.gamma, 0.5);
    assert.equal(new lr_scheduler.LinearLR(optimizer, 0.25, 1, 4).end_factor, 1);
    assert.equal(new lr_scheduler.CosineAnnealingLR(sgd(), 10, 0.1).eta_min, 0.1);
  });

  it('keywords in the place of a required argument, unknown ones and no optimizer are refused', () => {
    const construct = (name: string, ...args: unknown[]) => Reflect.construct(lr_scheduler[name as 'StepLR'], args);
    for (const [name, options] of Object.entries({
      StepLR: { step_size: 1 },
      MultiStepLR: { milestones: [1] },
      ExponentialLR: { gamma: 0.5 },
      CosineAnnealingLR: { T_max: 10 },
      LambdaLR: { lr_lambda: () => 1 },
      MultiplicativeLR: { lr_lambda: () => 1 },
      OneCycleLR: { max_lr: 1, total_steps: 10 },
      CosineAnnealingWarmRestarts: { T_0: 5 },
      CyclicLR: { base_lr: 0.1, max_lr: 1 },
      SequentialLR: { schedulers: [], milestones: [] },
    }))
      fails('BAD_ARGUMENT', [new RegExp(`${name}: missing argument`), /by position/], () =>
        construct(name, sgd(), options),
      );
    fails('BAD_ARGUMENT', /unknown keyword 'gama'; did you mean 'gamma'/, () =>
      construct('StepLR', sgd(), 1, { gama: 1 }),
    );
    fails('BAD_ARGUMENT', /must be an optimizer/, () => construct('StepLR', {}, 1));
  });
});
