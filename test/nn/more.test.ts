/** @file Lazy layers, backward hooks, parametrizations and fusing against PyTorch (scripts/references/nn_more_torch.py). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { nn, optim } = torch;
const { parametrizations } = nn.utils;

type Layer = InstanceType<typeof nn.Module> & Record<string, unknown>;
type State = Record<string, [shape: number[], values: number[]]>;
type Seen = (number[] | null)[];
interface Reference {
  readonly lazy: readonly {
    readonly name: string;
    readonly args: unknown[];
    readonly kw: Record<string, unknown>;
    readonly shape: number[];
    readonly before: { readonly repr: string; readonly names: string[] };
    readonly after: { readonly repr: string; readonly state: State };
    readonly output: number[];
    readonly grads: Record<string, number[] | null>;
  }[];
  readonly hooks: Record<
    'plain' | 'changed',
    { readonly log: unknown[][]; readonly x: number[]; readonly grads: Record<string, number[]> }
  >;
  readonly parametrized: readonly {
    readonly what: 'spectral_norm' | 'orthogonal' | 'weight_norm';
    readonly layer: string;
    readonly kw: Record<string, unknown>;
    readonly shape: number[];
    readonly initial: State;
    readonly losses: number[];
    readonly weight: number[];
    readonly repr: string;
  }[];
  readonly adaptive: readonly {
    readonly bias: boolean;
    readonly repr: string;
    readonly names: string[];
    readonly output: number[];
    readonly loss: number;
    readonly grad: number[];
    readonly log_prob: number[];
    readonly predict: number[];
  }[];
  readonly fused: Record<'conv' | 'linear', [weight: number[], bias: number[]]>;
}
const reference = JSON.parse(
  readFileSync(join(__dirname, '../../../test/data/nn-more-torch.json'), 'utf8'),
) as Reference;

const flat = (t: Tensor): number[] => [...t.detach().flatten().toTypedArray()].map(Number);
const near = (actual: Tensor, expected: readonly number[], what: string, tolerance = 2e-5): void => {
  const got = flat(actual);
  assert.equal(got.length, expected.length, what);
  got.forEach((value, i) => {
    const want = expected[i]!;
    assert.ok(Math.abs(value - want) <= tolerance * (1 + Math.abs(want)), `${what}[${i}]: ${value}, PyTorch ${want}`);
  });
};
/** sin(1), sin(2), … */
const numbers = (shape: readonly number[]): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return torch
    .arange(1, n + 1, { dtype: 'float64' })
    .sin()
    .float()
    .reshape([...shape]);
};
const make = (name: string, args: readonly unknown[], kw: object): Layer =>
  new (nn as unknown as Record<string, new (...a: unknown[]) => Layer>)[name]!(
    ...args,
    ...(Object.keys(kw).length > 0 ? [kw] : []),
  );

describe('nn: lazy layers', () => {
  for (const c of reference.lazy) {
    it(`${c.name}(${JSON.stringify(c.args)}, ${JSON.stringify(c.kw)}) becomes the ordinary layer, with PyTorch’s numbers`, () => {
      torch.manual_seed(21);
      const layer = make(c.name, c.args, c.kw);
      assert.equal(String(layer), c.before.repr);
      assert.deepEqual(Object.keys(layer.state_dict()), c.before.names);
      const parameters = layer.parameters();
      const output = layer.forward(numbers(c.shape)) as Tensor;
      near(output, c.output, 'output');
      assert.equal(String(layer), c.after.repr);
      assert.equal(layer.constructor, (nn as unknown as Record<string, unknown>)[c.name.slice(4)]);
      const state = layer.state_dict();
      assert.deepEqual(Object.keys(state), Object.keys(c.after.state));
      for (const [name, [shape, values]] of Object.entries(c.after.state)) {
        assert.deepEqual([...state[name]!.shape], shape, name);
        near(state[name]!, values, name);
      }
      assert.deepEqual(layer.parameters(), parameters, 'the same objects: an optimizer may hold them');
      if (output.requires_grad) output.mul(numbers(output.shape)).sum().backward();
      for (const [name, p] of layer.named_parameters()) near(p.grad!, c.grads[name]!, `grad of ${name}`);
    });
  }

  it('a state dict gives a lazy layer its shapes; copies of lazy layers are lazy; a trace needs the parameters to be there', () => {
    const from = new nn.Linear(3, 2);
    const lazy = new nn.LazyLinear(2);
    const copy = nn.deepcopy(lazy);
    assert.equal(lazy.has_uninitialized_params(), true);
    lazy.load_state_dict(from.state_dict());
    const x = numbers([4, 3]);
    assert.deepEqual(lazy.forward(x).tolist(), from.forward(x).tolist());
    assert.equal(String(lazy), 'Linear(in_features=3, out_features=2, bias=True)');
    fails('BAD_ARGUMENT', /call the model once outside compile/, () => torch.compile(copy)(x));
    assert.deepEqual([...copy.forward(x).shape], [4, 2]);
    fails('BAD_ARGUMENT', /Expected 3D \(unbatched\) or 4D \(batched\)/, () =>
      new nn.LazyConv2d(1, 3).forward(numbers([2, 2])),
    );
  });
});

class Two extends nn.Module {
  a = new nn.Linear(3, 4);
  b = new nn.Linear(3, 4);
  override forward(x: Tensor, y: Tensor, { scale = 1 } = {}): [Tensor, Tensor] {
    return [this.a.forward(x).mul(scale), this.b.forward(y).tanh()];
  }
}

describe('nn.Module: backward hooks, and forward hooks with keywords', () => {
  for (const changing of [false, true]) {
    for (const compiled of [false, true]) {
      it(`see${changing ? ' and change' : ''} what PyTorch’s do${compiled ? ', inside a compiled function' : ''}`, () => {
        const expected = reference.hooks[changing ? 'changed' : 'plain'];
        torch.manual_seed(4);
        const net = new Two();
        const log: unknown[][] = [];
        const seen: Tensor[] = [];
        const note = (gradients: readonly (Tensor | null)[]): (number | null)[] =>
          gradients.map((g) => (g === null ? null : seen.push(g) - 1));
        const times = (gradients: readonly (Tensor | null)[], n: number) =>
          changing ? gradients.map((g) => g?.mul(n) ?? null) : undefined;
        net.register_full_backward_hook((_, input, output) => {
          log.push(['full', note(input), note(output)]);
          return times(input, 2);
        });
        net.register_full_backward_pre_hook((_, output) => {
          log.push(['pre', note(output)]);
          return times(output, 3);
        });
        net.register_forward_pre_hook(
          (_, args, kwargs) => {
            log.push(['forward_pre', args.length, kwargs]);
            return changing ? [args, { scale: (kwargs['scale'] as number) * 2 }] : undefined;
          },
          { with_kwargs: true },
        );
        net.register_forward_hook(
          (_, args, kwargs) => {
            log.push(['forward', args.length, kwargs]);
          },
          { with_kwargs: true },
        );
        const x = numbers([2, 3]).requires_grad_();
        const step = (x: Tensor, y: Tensor): Tensor[] => {
          const [one, two] = net.forward(x, y, { scale: 0.5 });
          one.pow(2).sum().add(two.sum()).backward();
          return seen.splice(0);
        };
        const gradients = (compiled ? torch.compile(step) : step)(x, numbers([2, 3]).mul(2));
        assert.equal(log.length, expected.log.length);
        for (const [i, [what, ...values]] of expected.log.entries()) {
          assert.equal(log[i]![0], what);
          if (String(what).startsWith('forward')) assert.deepEqual(log[i]!.slice(1), values);
          else
            (values as Seen[]).forEach((list, k) => {
              const got = log[i]![k + 1] as (number | null)[];
              assert.equal(got.length, list.length);
              list.forEach((want, n) => {
                assert.equal(got[n] === null, want === null, `${what} ${k} ${n}`);
                if (want !== null) near(gradients[got[n]!]!, want, `${what} ${k} ${n}`);
              });
            });
        }
        near(x.grad!, expected.x, 'x.grad');
        for (const [name, p] of net.named_parameters()) near(p.grad!, expected.grads[name]!, name);
      });
    }
  }

  it('without an argument to differentiate, the hook runs when the output’s gradient is there', () => {
    const layer = new nn.Linear(2, 1);
    const calls: unknown[] = [];
    const handle = layer.register_full_backward_hook((_, input, output) => {
      calls.push([input, output.map((g) => g?.tolist())]);
    });
    layer.forward(torch.ones(1, 2)).sum().backward();
    assert.deepEqual(calls, [[[null], [[[1]]]]]);
    handle.remove();
    layer.forward(torch.ones(1, 2)).sum().backward();
    assert.equal(calls.length, 1);
    layer.register_full_backward_hook(() => [torch.ones(1)]);
    fails('BAD_ARGUMENT', /no argument of the module requires a gradient/, () =>
      layer.forward(torch.ones(1, 2)).sum().backward(),
    );
    const other = new nn.Linear(2, 1);
    other.register_full_backward_hook(() => [null, null]);
    fails('BAD_ARGUMENT', /returned 2 gradients, there are 1/, () =>
      other.forward(torch.ones(1, 2).requires_grad_()).sum().backward(),
    );
  });

  it('always_call runs a hook when forward throws, prepend puts one in front, a child is replaced by its path', () => {
    const log: string[] = [];
    class Failing extends nn.Module {
      override forward(): Tensor {
        throw new Error('no');
      }
    }
    const failing = new Failing();
    failing.register_forward_hook(() => void log.push('never'));
    failing.register_forward_hook(() => void log.push('always'), { always_call: true });
    assert.throws(() => failing.forward(), /^Error: no$/);
    assert.deepEqual(log, ['always']);
    const net = new nn.Sequential(new nn.Identity(), new nn.Sequential(new nn.Linear(2, 2)));
    net.register_forward_pre_hook(() => void log.push('second'));
    net.register_forward_pre_hook(() => void log.push('first'), { prepend: true });
    net.set_submodule('1.0', new nn.Identity());
    assert.deepEqual(net.forward(torch.ones(2)).tolist(), [1, 1]);
    assert.deepEqual(log, ['always', 'first', 'second']);
    fails('BAD_ARGUMENT', /no child '7'/, () => net.set_submodule('7', new nn.Identity(), { strict: true }));
    net.register_state_dict_pre_hook((_m, prefix) => void log.push(`before '${prefix}'`));
    net.state_dict({ prefix: 'x.' });
    assert.equal(log.at(-1), "before 'x.'");
  });
});

describe('nn.utils.parametrizations', () => {
  const layers: Record<string, () => Layer> = {
    'Linear 4': () => make('Linear', [4, 3], {}),
    Conv2d: () => make('Conv2d', [2, 3, 3], {}),
    ConvTranspose2d: () => make('ConvTranspose2d', [2, 3, 3], {}),
  };
  for (const c of reference.parametrized) {
    const weight = Object.entries(c.initial).find(([name]) => /original1?$/.test(name))![1][0];
    const base = (): Layer => (c.layer === 'Linear' ? make('Linear', [weight[1], weight[0]], {}) : layers[c.layer]!());
    for (const compiled of [false, true]) {
      it(`${c.what} of ${c.layer} [${weight}] ${JSON.stringify(c.kw)}: names, values and five steps are PyTorch’s${compiled ? ', compiled' : ''}`, () => {
        torch.manual_seed(8);
        const { dim, ...kw } = c.kw;
        const layer = (
          c.what === 'weight_norm'
            ? parametrizations.weight_norm(base(), 'weight', (dim as number | undefined) ?? 0)
            : parametrizations[c.what](base(), 'weight', kw as object)
        ) as Layer;
        assert.equal(String(layer), c.repr);
        const state = layer.state_dict();
        assert.deepEqual(Object.keys(state), Object.keys(c.initial));
        for (const [name, [shape, values]] of Object.entries(c.initial)) {
          assert.deepEqual([...state[name]!.shape], shape, name);
          near(state[name]!, values, `initial ${name}`, 1e-4);
        }
        const optimizer = new optim.SGD(layer.parameters(), { lr: 0.05 });
        const step = (x: Tensor): Tensor => {
          const out = layer.forward(x) as Tensor;
          const loss = out.sub(numbers(out.shape)).pow(2).sum();
          loss.backward();
          optimizer.step();
          optimizer.zero_grad();
          return loss.detach();
        };
        const run = compiled ? torch.compile(step) : step;
        c.losses.forEach((loss, i) => void near(run(numbers(c.shape)), [loss], `loss ${i}`, 2e-4));
        layer.eval();
        near(layer['weight'] as Tensor, c.weight, 'weight', 2e-4);
      });
    }
  }

  it('weight_norm loads PyTorch’s older names; orthogonal takes an orthogonal matrix by assignment', () => {
    const layer = parametrizations.weight_norm(new nn.Linear(2, 2)) as unknown as Layer;
    layer.load_state_dict({
      bias: torch.zeros(2),
      weight_g: torch.full([2, 1], 2),
      weight_v: torch.eye(2).mul(5),
    });
    assert.deepEqual((layer['weight'] as Tensor).tolist(), [
      [2, 0],
      [0, 2],
    ]);
    const turned = torch.tensor([
      [0, -1],
      [1, 0],
    ]);
    const orthogonal = parametrizations.orthogonal(new nn.Linear(2, 2)) as unknown as Layer;
    orthogonal['weight'] = turned;
    near(orthogonal['weight'] as Tensor, flat(turned), 'assigned');
    fails('BAD_ARGUMENT', /orthogonal_map must be one of/, () =>
      parametrizations.orthogonal(new nn.Linear(2, 2), 'weight', { orthogonal_map: 'qr' as never }),
    );
    fails('BAD_ARGUMENT', /has no 'wight'/, () => parametrizations.spectral_norm(new nn.Linear(2, 2), 'wight'));
  });
});

describe('nn: adaptive softmax, fused batch norm', () => {
  for (const c of reference.adaptive) {
    it(`AdaptiveLogSoftmaxWithLoss, head_bias ${c.bias}`, () => {
      torch.manual_seed(2);
      const layer = new nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], { div_value: 2, head_bias: c.bias });
      assert.equal(String(layer), c.repr);
      assert.deepEqual(Object.keys(layer.state_dict()), c.names);
      const x = numbers([6, 8]).requires_grad_();
      const target = torch.tensor([0n, 3n, 5n, 9n, 12n, 19n]);
      const [output, loss] = torch.compile(layer)(x, target);
      near(output, c.output, 'output');
      near(loss, [c.loss], 'loss');
      layer.forward(x, target)[1].backward();
      near(x.grad!, c.grad, 'gradient');
      near(layer.log_prob(x), c.log_prob, 'log_prob');
      assert.deepEqual(layer.predict(x).tolist(), c.predict);
      near(layer.forward(x.at(2), torch.tensor(5n))[0], [c.output[2]!], 'one row');
      fails('BAD_ARGUMENT', /cutoffs should be/, () => new nn.AdaptiveLogSoftmaxWithLoss(8, 20, [10, 4]));
    });
  }

  it('a convolution or linear layer and its batch norm become one layer', () => {
    torch.manual_seed(6);
    const [conv, bn] = [new nn.Conv2d(2, 3, 3, { bias: false }), new nn.BatchNorm2d(3)];
    const [linear, bn1] = [new nn.Linear(4, 3), new nn.BatchNorm1d(3)];
    torch.no_grad(() => {
      for (const m of [bn, bn1]) {
        m.running_mean!.copy_(numbers([3]));
        m.running_var!.copy_(numbers([3]).abs().add(0.5));
        m.weight!.copy_(numbers([3]).add(2));
      }
    });
    fails('BAD_ARGUMENT', /eval mode/, () => nn.utils.fuse_conv_bn_eval(conv, bn));
    const a = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval());
    const b = nn.utils.fuse_linear_bn_eval(linear.eval(), bn1.eval());
    near(a.weight, reference.fused.conv[0], 'conv weight');
    near(a.bias!, reference.fused.conv[1], 'conv bias');
    near(b.weight, reference.fused.linear[0], 'linear weight');
    near(b.bias!, reference.fused.linear[1], 'linear bias');
    assert.equal(conv.bias, null, 'the layers themselves stay');
  });
});
