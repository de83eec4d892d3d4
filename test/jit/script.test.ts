/** @file jit.load: TorchScript runs, differentiates, trains and compiles as Python says (test/data/files/script*.pt). */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';
import { loss, waves } from '../support/waves.js';

const stored = (name: string): string => join(__dirname, '../../../test/data/files', name);
const open = (): torch.jit.ScriptModule => torch.jit.load(stored('script.pt'));
interface Gradients {
  readonly out: Tensor;
  readonly grads: Record<string, Tensor>;
}
// biome-ignore lint/suspicious/noExplicitAny: results of many kinds
const expected: Record<string, any> = torch.load(stored('script-results.pt'));

/** The result and the gradients are Python's. */
const agrees = (module: torch.jit.ScriptModule, run: () => Tensor, { out, grads }: Gradients): void => {
  module.zero_grad();
  const y = run();
  close(y, out, { what: 'out', atol: 2e-5 });
  loss(y).backward();
  const found = module.named_parameters().filter(([, p]) => p.grad !== null);
  assert.deepEqual(found.map(([name]) => name).sort(), Object.keys(grads).sort());
  for (const [name, p] of found) close(p.grad!, grads[name]!, { what: `gradient of ${name}`, rtol: 1e-4, atol: 2e-5 });
};

describe('jit.load', () => {
  for (const compiled of [false, true]) {
    const mode = compiled ? 'compiled' : 'eager';
    // biome-ignore lint/suspicious/noExplicitAny: any function
    const made = <F extends (...args: any[]) => any>(f: F): F => (compiled ? (torch.compile(f) as unknown as F) : f);

    it(`${mode}: convolution and batch norm train, their buffers move, then run in eval`, () => {
      const { convolutional: net } = open();
      const x = waves(4, 1, 6, 6);
      const run = made((images: Tensor) => net.forward(images));
      agrees(net, () => run(x) as Tensor, expected['training']);
      const after: Record<string, Tensor> = net.state_dict();
      assert.deepEqual(Object.keys(after), Object.keys(expected['after_training']));
      for (const [name, t] of Object.entries(after)) close(t, expected['after_training'][name], { what: name });
      net.eval();
      agrees(net, () => run(x) as Tensor, expected['eval']);
    });

    it(`${mode}: LSTM with tied weights, optional state in and out`, () => {
      const { recurrent: net } = open();
      assert.equal(net['first'].weight, net['second'].weight, 'tied');
      const run = made((...args: unknown[]) => net.forward(...args));
      const x = waves(2, 5, 3);
      agrees(net, () => run(x)[0], expected['recurrent']);
      const h = waves(1, 2, 4);
      const [, state] = run(x, [h, h.mul(0.5)]);
      for (const i of [0, 1]) close(state[i], expected['recurrent_state'][i]);
    });

    it(`${mode}: dicts, tuples, named tuples, lists, options, texts and numbers in and out`, () => {
      const { structures } = open();
      const x = waves(2, 3);
      const [eFirst, ePair, eNumbers, eChosen] = expected['structures'];
      const run = made((...args: unknown[]) => {
        const [first, pair, numbers, chosen, plain] = structures.forward(...args);
        if (args.length === 4) assert.equal(chosen, null);
        else {
          assert.deepEqual(plain, ['text', false, 0.5 / 3, { re: 1, im: 0.5 }]);
          assert.equal(pair.mean, pair[0], 'fields of a named tuple');
          assert.deepEqual([pair[1], pair.count], [2, 2]);
          assert.deepEqual([...numbers], [...eNumbers]);
        }
        return [first, [pair[0]], chosen]; // a compiled function returns tensors
      });
      const [first, pair, chosen] = run(x, { a: x.mul(2), b: x.add(1) }, [2, 0.5], ['a', 'b'], true, [x]);
      close(first.total[0], eFirst.total[0]);
      assert.equal(first.total[1], x, 'an argument comes back as itself');
      assert.deepEqual(first.none, []);
      close(pair[0], ePair[0]);
      close(chosen, eChosen);
      assert.equal(run(x, { a: x }, [2, 0.5], ['a'])[2], null);
    });

    it(`${mode}: what a script keeps in tensors is kept between calls`, () => {
      const { stateful } = open();
      const x = waves(2, 3);
      const run = made((t: Tensor) => stateful.forward(t));
      torch.no_grad(() => {
        for (const [i, out] of expected['stateful'].entries()) close(run(x.mul(i + 1)), out, { what: `call ${i}` });
      });
      const [steps, mean, hidden] = expected['stateful_after'];
      close(stateful['steps'], steps);
      close(stateful['mean'], mean);
      close(stateful['hidden'], hidden);
      stateful['reset']();
      torch.no_grad(() => close(run(x), expected['stateful'][0]));
    });

    it(`${mode}: factories, literals, loops, devices, forks`, () => {
      const { factories } = open();
      const x = waves(2, 3);
      close(made((t: Tensor) => factories.forward(t, 5))(x), expected['factories']);
      close(made((t: Tensor) => factories['forked'](t))(x), expected['forked']);
      const random = made((t: Tensor) => factories['random'](t));
      const [a, b] = [random(x), random(x)];
      assert.ok(Math.abs(a.mean().item() - 0.5) < 0.05);
      assert.equal(a.equal(b), false, 'random numbers are drawn at every call');
    });

    it(`${mode}: a traced submodule, with devices and dtypes written into it`, () => {
      const { traced } = open();
      agrees(traced, () => made((t: Tensor) => traced.forward(t))(waves(3, 3)), expected['traced']);
    });

    it(`${mode}: no_grad inside the script`, () => {
      const { decides } = open();
      const leaf = waves(2, 3).requires_grad_();
      made((t: Tensor) => decides['without_grad'](t))(leaf)
        .sum()
        .backward();
      close(leaf.grad!, expected['without_grad']);
    });
  }

  it('is an nn.Module: names, modes, dtypes, state dicts, methods', () => {
    const model = open();
    assert.deepEqual(model.convolutional.methods, ['forward']);
    assert.match(String(model.convolutional), /^Convolutional\(\n {2}\(conv\): Conv2d\(\)/);
    assert.equal(model.training, true);
    model.eval();
    assert.ok(model.modules().every((m) => !m.training));
    assert.ok(model.named_parameters().some(([name]) => name === 'odd.constructor.weight'));
    assert.deepEqual([...model.get_submodule('odd.constructor').forward(torch.ones(1, 2)).shape], [1, 2]);
    const x = waves(4, 1, 6, 6);
    const y = model.forward(x);
    close(model.double().forward(x.double()).float(), y, { rtol: 1e-4, atol: 1e-5 });
    const bf16 = model.bfloat16().forward(x.bfloat16());
    assert.equal(bf16.dtype, 'bfloat16');
    const other = open().eval();
    other.load_state_dict(
      Object.fromEntries(Object.entries(other.state_dict()).map(([name, t]) => [name, torch.zeros_like(t)])),
    );
    close(other.forward(x), torch.zeros(4, 2));
    const hooked: string[] = [];
    other.convolutional.register_forward_hook((m: torch.jit.ScriptModule) => void hooked.push(m._get_name()));
    other.convolutional.forward(x);
    assert.deepEqual(hooked, ['Convolutional']);
    fails('BAD_ARGUMENT', /has no method 'nope'; there are: forward/, () => model.get_method('nope'));
    fails('BAD_ARGUMENT', /odd.*fixed|fixed.*odd/, () => {
      model['odd'] = 1;
    });
  });

  it('is copied, and called with other parameters', () => {
    const model = open().eval();
    const x = waves(4, 1, 6, 6);
    const y = model.forward(x);
    const copy = torch.nn.deepcopy(model);
    torch.no_grad(() => {
      for (const p of model.parameters()) p.zero_();
    });
    close(copy.forward(x), y);
    close(model.forward(x), torch.zeros(4, 2));
    assert.equal(copy.recurrent['first'].weight, copy.recurrent['second'].weight, 'what was tied is tied');
    close(torch.nn.deepcopy(copy.convolutional).forward(x), y);
    const others = Object.fromEntries(copy.convolutional.named_parameters());
    close(torch.func.functional_call(model.convolutional, others, [x]) as Tensor, y);
    close(model.forward(x), torch.zeros(4, 2));
    const fast = torch.compile((values: Record<string, Tensor>) =>
      torch.func.functional_call(model.convolutional, values, [x]),
    );
    close(fast(others) as Tensor, y, { atol: 1e-5 });
    close(fast(others) as Tensor, y, { atol: 1e-5 });
    assert.equal(fast.stats.compiles, 1);
  });

  it('trains compiled, with the optimizer in the step', () => {
    const losses = [false, true].map((compiled) => {
      const { convolutional: net } = open();
      const optimizer = new torch.optim.SGD(net.parameters(), { lr: 0.05 });
      const x = waves(4, 1, 6, 6);
      const step = (images: Tensor): Tensor => {
        optimizer.zero_grad();
        const l = net.forward(images).pow(2).mean();
        l.backward();
        optimizer.step();
        return l.detach();
      };
      const run = compiled ? torch.compile(step) : step;
      return [0, 1, 2, 3].map(() => run(x).item());
    });
    for (const [i, l] of losses[0]!.entries()) assert.ok(Math.abs(l - losses[1]![i]!) < 1e-5 * Math.abs(l) + 1e-7);
    assert.ok(losses[0]![3]! < losses[0]![0]!);
  });

  it('compile(module), vmap and jacobians go through it', () => {
    const model = open().eval();
    const x = waves(4, 1, 6, 6);
    close(torch.compile(model)(x) as Tensor, model.forward(x), { atol: 1e-5 });
    const each = torch.func.vmap((image: Tensor) => model.forward(image.unsqueeze(0)).squeeze(0))(x) as Tensor;
    close(each, model.forward(x), { atol: 1e-5 });
    const row = waves(3);
    const jacobian = torch.func.jacrev((r: Tensor) => model.decides['without_grad'](r))(row) as Tensor;
    close(jacobian, torch.diag(row.exp()), { atol: 1e-5 });
  });

  it('attributes that are no tensors: read, set, counted; part of what a program depends on', () => {
    const { stateful } = open();
    const x = waves(2, 3);
    for (const out of expected['counted']) close(stateful['counted'](x), out);
    assert.equal(stateful['calls'], 2);
    assert.equal(stateful['scale'], 2);
    const run = torch.compile((t: Tensor) => stateful.forward(t));
    torch.no_grad(() => {
      const first = run(torch.zeros(2, 3).add(1));
      stateful['reset']();
      stateful['scale'] = 3;
      close(run(torch.ones(2, 3)), first.mul(1.5));
    });
    fails('BAD_ARGUMENT', /scale must be float, not a string/, () => {
      stateful['scale'] = 'a';
    });
    fails('BAD_ARGUMENT', /changes its attribute 'calls' while compile\(\) records/, () =>
      torch.compile((t: Tensor) => stateful['counted'](t))(x),
    );
    assert.equal(stateful['calls'], 0, 'a refused trace leaves the script as it was');
    fails('BAD_ARGUMENT', /changes its attribute 'last' .*another shape/, () =>
      torch.compile((t: Tensor) => stateful['remembered'](t))(x),
    );
    for (const out of expected['remembered']) close(stateful['remembered'](x), out);
    close(torch.compile((t: Tensor) => stateful['remembered'](t))(x), expected['remembered'][1]);
    fails('BAD_ARGUMENT', /attribute 'cache'/, () =>
      torch.compile((t: Tensor) => stateful['cached'](t))(torch.ones(1)),
    );
    close(stateful['cached'](torch.ones(1)), expected['cached']);
    fails('BAD_ARGUMENT', /requires grad.*no_grad/, () =>
      torch.compile((t: Tensor) => stateful.forward(t))(torch.ones(2, 3).requires_grad_()),
    );
  });

  it('several calls in one program see each other’s state; results are what they were when returned', () => {
    const { stateful } = open();
    const x = waves(2, 3);
    const thrice = torch.compile((t: Tensor) => [1, 2, 3].map((k) => stateful.forward(t.mul(k)) as Tensor));
    const again = torch.compile(
      (t: Tensor) => [stateful['remembered'](t), stateful['remembered'](t.mul(2))] as Tensor[],
    );
    torch.no_grad(() => {
      for (const [i, out] of (thrice(x) as Tensor[]).entries()) close(out, expected['stateful'][i]);
      close(stateful['hidden'], expected['stateful_after'][2]);
      assert.equal(stateful['steps'].item(), 3);
      stateful['remembered'](torch.zeros(2, 3));
      const [a, b] = again(x) as [Tensor, Tensor];
      close(a, x);
      close(b, x.mul(3));
      close(stateful['last'], x.mul(2));
    });
    x.fill_(0);
    assert.notEqual(stateful['last'].abs().sum().item(), 0, 'it keeps values, not the argument');
  });

  it('compiling leaves the lists of tensors that a script keeps as they are', () => {
    const { stateful } = open();
    const [kept] = stateful['cache'];
    torch.no_grad(() => torch.compile((t: Tensor) => stateful.forward(t))(waves(2, 3)));
    assert.ok(stateful['cache'][0].is_set_to(kept), 'the same memory');
  });

  it('another tensor in the place of a parameter or a state is another program', () => {
    const model = open().eval();
    const x = waves(4, 1, 6, 6);
    const fast = torch.compile(model);
    close(fast(x) as Tensor, model.forward(x), { atol: 1e-5 });
    model.convolutional['out'].bias = new torch.nn.Parameter(torch.ones(2));
    model.convolutional['out'].weight.requires_grad_(false).zero_();
    close(fast(x) as Tensor, torch.ones(4, 2));
    const { stateful } = open();
    const run = torch.compile((t: Tensor) => stateful.forward(t));
    torch.no_grad(() => {
      for (const [i, out] of expected['stateful'].entries()) {
        close(run(waves(2, 3).mul(i + 1)), out);
        stateful['hidden'] = stateful['hidden'].clone();
      }
    });
  });

  it('history that a script keeps goes on, and ends when the state is set', () => {
    const { stateful } = open();
    const x = waves(2, 3).requires_grad_();
    stateful.forward(x);
    stateful.forward(x).sum().backward();
    assert.ok(stateful['hidden'].requires_grad);
    const once = open().stateful;
    const y = waves(2, 3).requires_grad_();
    once.forward(y).sum().backward();
    assert.notDeepEqual(x.grad!.tolist(), y.grad!.tolist(), 'gradients came through both calls');
    stateful['hidden'] = torch.zeros(2, 3);
    const z = waves(2, 3).requires_grad_();
    stateful.forward(z).sum().backward();
    close(z.grad!, y.grad!);
  });

  it('branches on data: eager as in Python, in a trace the usual errors', () => {
    const { decides } = open();
    const x = waves(2, 3);
    close(decides.forward(x), expected['decides'][0]);
    close(decides.forward(x.sub(5)), expected['decides'][1]);
    close(decides['selects'](x), expected['selects']);
    fails('CONCRETIZATION', /cond\(/, () => torch.compile((t: Tensor) => decides.forward(t))(x));
    fails('DYNAMIC_SHAPE', /where\(mask/, () => torch.compile((t: Tensor) => decides['selects'](t))(x));
  });

  it('errors are JorchErrors: raised by the script, by its operators, wrong arguments', () => {
    const { decides, structures } = open();
    const x = waves(2, 3);
    fails('BAD_ARGUMENT', /n must not be negative, got -1/, () => decides['refuses'](x, -1));
    fails('BAD_ARGUMENT', /shape '\[4, 4\]' is invalid for input of size 6/, () => decides['refuses'](x, 4));
    fails('BAD_ARGUMENT', /shape '\[4, 4\]' is invalid/, () =>
      torch.compile((t: Tensor) => decides['refuses'](t, 4))(x),
    );
    fails('BAD_ARGUMENT', /refuses: missing argument 'n' \(int\)/, () => decides['refuses'](x));
    fails('BAD_ARGUMENT', /n must be int, not 1\.5/, () => decides['refuses'](x, 1.5));
    fails('BAD_ARGUMENT', /takes at most 2 arguments, got 3/, () => decides['refuses'](x, 1, 2));
    fails('BAD_ARGUMENT', /opts\[a\] must be Tensor, not a string/, () =>
      structures.forward(x, { a: 'b' }, [1, 2], []),
    );
    fails('BAD_ARGUMENT', /pair must be .* not an array/, () => structures.forward(x, {}, [1], []));
    fails('BAD_ARGUMENT', /more\[0\] must be Tensor, not null/, () =>
      structures.forward(x, {}, [1, 2], [], null, [null]),
    );
    fails('BAD_ARGUMENT', /has no forward/, () => open()['odd'].forward(x));
  });

  it('refuses what is no TorchScript archive, and damaged ones, in words', () => {
    const folder = mkdtempSync(join(tmpdir(), 'jorch-jit-'));
    try {
      const at = (bytes: Uint8Array): string => {
        const path = join(folder, 'x.pt');
        writeFileSync(path, bytes);
        return path;
      };
      fails('BAD_ARGUMENT', /is a checkpoint without code: load it with torch\.load/, () =>
        torch.jit.load(stored('kinds.pt')),
      );
      fails('BAD_ARGUMENT', /no zip archive/, () => torch.jit.load(stored('fortran.npy')));
      fails('BAD_ARGUMENT', /cannot be read/, () => torch.jit.load(join(folder, 'nothing')));
      const whole = readFileSync(stored('script.pt'));
      fails('BAD_ARGUMENT', /cut off|no zip/, () => torch.jit.load(at(whole.subarray(0, 20000))));
      const code = Buffer.from(whole);
      const from = code.indexOf('class Everything');
      code.write('klass', from);
      fails('BAD_ARGUMENT', /jit\.load/, () => torch.jit.load(at(code)));
      fails('BAD_ARGUMENT', /TorchScript archive.*jit\.load/, () => torch.load(stored('script.pt')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
