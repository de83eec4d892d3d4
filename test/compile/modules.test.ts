/** @file Modules in compiled functions: another parameter, buffer or module in a field of one is seen at the next call. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, nn, ones } = torch;

class Net extends nn.Module {
  layers = [new nn.Linear(2, 2), new nn.Linear(2, 2)];
  list = new nn.ModuleList([new nn.Linear(2, 2)]);
  dict = new nn.ModuleDict({ a: new nn.Linear(2, 2) });
  scales = new nn.ParameterList([new nn.Parameter(ones(2))]);
  one = new nn.Linear(2, 1);
  norm = new nn.BatchNorm1d(2).eval();
  shift: Tensor = torch.zeros(2);
  extra: torch.nn.Module | null = null;
  override forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this.layers) y = layer.forward(y);
    for (const layer of this.list) y = layer.forward(y);
    y = this.dict.get('a').forward(y).mul(this.scales.at(0)).add(this.shift);
    if (this.extra) y = this.extra.forward(y) as Tensor;
    return this.one.forward(this.norm.forward(y));
  }
}

/** What may be put elsewhere, and the words for it. */
const CHANGES: Readonly<Record<string, readonly [(net: Net) => void, RegExp]>> = {
  'a parameter': [
    (n) => Object.assign(n.one, { weight: new nn.Parameter(ones(1, 2)) }),
    /Linear\.weight is another tensor/,
  ],
  'a parameter of another shape': [(n) => Object.assign(n, { one: new nn.Linear(2, 3) }), /Net\.one is another object/],
  'a parameter taken away': [(n) => Object.assign(n.one, { bias: null }), /Linear\.bias/],
  'a buffer': [(n) => n.norm.register_buffer('running_mean', ones(2)), /BatchNorm1d\.running_mean/],
  'a plain tensor': [(n) => Object.assign(n, { shift: ones(2) }), /Net\.shift/],
  'a module in an array': [(n) => n.layers.splice(1, 1, new nn.Linear(2, 2)), /Net\.layers\.1/],
  'one more module in an array': [(n) => n.layers.push(new nn.Linear(2, 2)), /Net\.layers\.length changed from 2 to 3/],
  'a module in a ModuleList': [(n) => n.list.append(new nn.Linear(2, 2)), /length/],
  'a module in a ModuleDict': [(n) => n.dict.set('a', new nn.Linear(2, 2)), /ModuleDict\.a/],
  'a parameter in a ParameterList': [(n) => n.scales.append(ones(2)), /length changed from 1 to 2/],
  'a module where there was none': [(n) => Object.assign(n, { extra: new nn.Tanh() }), /Net\.extra/],
};

describe('compile: fields of modules', () => {
  const x = (): Tensor => torch.linspace(-1, 1, 6).reshape([3, 2]);
  for (const [what, [change, words]] of Object.entries(CHANGES)) {
    for (const [how, wrap] of Object.entries({
      captured: (net: Net) => compile((a: Tensor) => net.forward(a)),
      compiled: (net: Net) => compile(net),
      'an argument': (net: Net) => {
        const f = compile((m: Net, a: Tensor) => m.forward(a));
        return Object.assign((a: Tensor) => f(net, a), { stats: f.stats, explain: () => f.explain() });
      },
    })) {
      it(`${what}, the module ${how}`, () => {
        torch.manual_seed(1);
        const net = new Net();
        const f = wrap(net);
        f(x());
        f(x());
        assert.equal(f.stats.compiles, 1);
        change(net);
        for (let i = 0; i < 2; i++) close(f(x()), net.forward(x()), { rtol: 1e-5, atol: 1e-5 });
        assert.equal(f.stats.compiles, 2);
        assert.match(f.explain().reasons[1]!, words);
      });
    }
  }

  it('put back, its program is found again', () => {
    const net = new nn.Linear(2, 2);
    const f = compile((a: Tensor) => net.forward(a));
    const [first, second] = [net.weight, new nn.Parameter(ones(2, 2))];
    for (const weight of [first, second, first, second]) {
      net.weight = weight;
      close(f(x()), net.forward(x()));
    }
    assert.equal(f.stats.compiles, 2);
  });

  it('new values in the same parameters recompile nothing', () => {
    const net = new nn.Linear(2, 2);
    const f = compile((a: Tensor) => net.forward(a));
    f(x());
    net.load_state_dict(new nn.Linear(2, 2).state_dict());
    torch.no_grad(() => net.weight.mul_(2));
    close(f(x()), net.forward(x()));
    assert.equal(f.stats.compiles, 1);
  });

  it('functional_call, weights that hooks compute, fields that forward fills', () => {
    const net = new nn.Linear(2, 2);
    const state = { weight: ones(2, 2) };
    const f = compile((a: Tensor) => torch.func.functional_call(net, state, a) as Tensor);
    class Counting extends nn.Module {
      last: unknown = null;
      weight: Tensor = ones(2);
      override forward(a: Tensor): Tensor {
        this.last = a.shape;
        return a.mul(this.weight);
      }
    }
    const counting = new Counting();
    const g = compile(counting);
    const hooked = new nn.Linear(2, 2);
    const raw = new nn.Parameter(ones(2, 2));
    hooked.register_forward_pre_hook((m) => void Object.assign(m, { weight: raw.mul(2) }));
    const h = compile((a: Tensor) => hooked.forward(a));
    for (let i = 0; i < 3; i++) {
      f(x());
      g(x());
      h(x());
    }
    assert.deepEqual([f.stats.compiles, g.stats.compiles, h.stats.compiles], [1, 1, 1]);
  });

  it('a forward that is a field', () => {
    class Scale extends nn.Module {
      weight: Tensor = new nn.Parameter(ones(2));
      override forward = (a: Tensor): Tensor => a.mul(this.weight);
    }
    const scale = new Scale();
    const inside = new nn.Sequential(scale);
    const fs = [compile(scale), compile((m: Scale, a: Tensor) => m.forward(a)), compile(inside)] as const;
    const run = (): number[] => [fs[0](ones(2)), fs[1](scale, ones(2)), fs[2](ones(2))].map((t) => t.sum().item());
    assert.deepEqual(run(), [2, 2, 2]);
    scale.weight = new nn.Parameter(ones(2).mul(3));
    assert.deepEqual(run(), [6, 6, 6]);
  });

  it('state that forward replaces in a field cannot live there: LEAKED_TRACE at the next call, not a wrong result', () => {
    class Sum extends nn.Module {
      total: Tensor = torch.zeros(2);
      override forward(a: Tensor): Tensor {
        this.total = this.total.add(a);
        return this.total;
      }
    }
    const f = compile(new Sum());
    assert.deepEqual(f(ones(2)).tolist(), [1, 1]);
    fails('LEAKED_TRACE', /modules\.test\.[jt]s:\d+/, () => f(ones(2)));
  });

  it('requires_grad of a parameter, and a mode: the reason names which', () => {
    const net = new nn.Linear(2, 2);
    const f = compile((a: Tensor) => net.forward(a));
    f(x());
    torch.no_grad(() => f(x()));
    net.requires_grad_(false);
    f(x());
    assert.deepEqual(f.explain().reasons.slice(1), [
      'the grad mode (no_grad, enable_grad) changed',
      'the grad mode (no_grad, enable_grad) changed',
    ]);
    net.weight.requires_grad_(true);
    f(x());
    assert.equal(f.explain().reasons[3], 'Linear.weight: requires_grad changed from false to true');
  });

  it('the name and the parameters of a forward stay as they were written', () => {
    assert.deepEqual([Net.prototype.forward.name, Net.prototype.forward.length], ['forward', 1]);
  });
});
