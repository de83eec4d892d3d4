/** @file nn.Module: what is found in fields, names, state dicts, hooks, text, moving, copying, parametrisation, packed sequences. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { nn, compile } = torch;

class Block extends nn.Module {
  scale = new nn.Parameter(torch.ones(2));
  layers = [new nn.Linear(2, 2), new nn.Linear(2, 2)];
  norm: InstanceType<typeof nn.BatchNorm1d> | null = new nn.BatchNorm1d(2);
  label = 'a block';
  override forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this.layers) y = layer.forward(y).relu();
    return this.norm!.forward(y).mul(this.scale);
  }
}

describe('nn.Module: fields', () => {
  it('parameters, buffers and children of own fields, arrays as ModuleLists, in PyTorch’s order', () => {
    const block = new Block();
    assert.deepEqual(Object.keys(block.state_dict()), [
      'scale',
      'layers.0.weight',
      'layers.0.bias',
      'layers.1.weight',
      'layers.1.bias',
      'norm.weight',
      'norm.bias',
      'norm.running_mean',
      'norm.running_var',
      'norm.num_batches_tracked',
    ]);
    assert.deepEqual(
      block.named_modules().map(([name]) => name),
      ['', 'layers', 'layers.0', 'layers.1', 'norm'],
    );
    assert.equal(block.parameters().length, 7);
    block.layers.push(new nn.Linear(2, 2));
    assert.equal(block.parameters().length, 9, 'a module pushed to the array later');
    block.norm = null;
    assert.equal(block.buffers().length, 0, 'a field set to null');
    assert.equal(block.get_parameter('layers.1.bias'), block.layers[1]!.bias);
    fails('BAD_ARGUMENT', /no child 'nope'/, () => block.get_submodule('layers.nope'));
  });

  it('shared parameters are listed once and saved under every name', () => {
    class Tied extends nn.Module {
      a = new nn.Linear(3, 3, { bias: false });
      b = new nn.Linear(3, 3, { bias: false });
    }
    const tied = new Tied();
    tied.b.weight = tied.a.weight;
    assert.equal(tied.parameters().length, 1);
    assert.deepEqual(Object.keys(tied.state_dict()), ['a.weight', 'b.weight']);
    assert.equal(nn.deepcopy(tied).parameters().length, 1);
  });

  it('registered buffers stay buffers when the field is set; non-persistent ones are not saved', () => {
    class Counting extends nn.Module {
      declare seen: Tensor;
      declare scratch: Tensor;
      constructor() {
        super();
        this.register_buffer('seen', torch.zeros(1));
        this.register_buffer('scratch', torch.zeros(2), false);
      }
    }
    const counting = new Counting();
    counting.seen = torch.ones(1);
    assert.deepEqual(Object.keys(counting.state_dict()), ['seen']);
    assert.equal(counting.buffers().length, 2);
  });

  it('modules outlive the scope that they are made in', () => {
    const net = torch.scope(() => {
      torch.zeros(3);
      return { net: new nn.Linear(2, 1) };
    }).net;
    assert.equal(net.forward(torch.ones(1, 2)).numel(), 1);
  });
});

describe('nn.Module: state dicts', () => {
  it('load_state_dict copies into the same tensors', () => {
    const [a, b] = [new Block(), new Block()];
    const weight = b.layers[0]!.weight;
    const result = b.load_state_dict(a.state_dict());
    assert.deepEqual(result, { missing_keys: [], unexpected_keys: [] });
    assert.equal(b.layers[0]!.weight, weight);
    close(weight, a.layers[0]!.weight);
    a.layers[0]!.weight.data.zero_();
    assert.notEqual(weight.abs().sum().item(), 0);
  });

  it('missing, unexpected and misshapen entries are named; strict: false reports them', () => {
    const net = new nn.Linear(2, 3);
    const state = { weight: torch.zeros(3, 3), extra: torch.zeros(1) };
    fails(
      'BAD_ARGUMENT',
      [/Missing key.*"bias"/, /Unexpected key.*"extra"/, /size mismatch for weight.*\[3, 3\].*\[3, 2\]/],
      () => net.load_state_dict(state),
    );
    assert.deepEqual(net.load_state_dict({ bias: torch.ones(3), extra: torch.ones(1) }, { strict: false }), {
      missing_keys: ['weight'],
      unexpected_keys: ['extra'],
    });
    assert.deepEqual(net.bias!.tolist(), [1, 1, 1]);
  });

  it('assign puts the given tensors into the fields', () => {
    const net = new nn.Linear(2, 1);
    const weight = torch.ones([1, 2], { dtype: 'float64' });
    net.load_state_dict({ weight, bias: torch.zeros([1], { dtype: 'float64' }) }, { assign: true });
    assert.equal(net.weight.dtype, 'float64');
    assert.equal(net.parameters().length, 2);
    assert.equal(net.weight.requires_grad, true);
  });
});

describe('nn.Module: hooks, modes, text', () => {
  it('forward hooks change arguments and results, and can be removed', () => {
    const net = new nn.Sequential(new nn.Identity());
    const pre = net.register_forward_pre_hook((_m, [x]) => (x as Tensor).add(1));
    const post = net.register_forward_hook((_m, _args, y) => (y as Tensor).mul(10));
    assert.equal(net.forward(torch.ones(1)).item(), 20);
    pre.remove();
    assert.equal(net.forward(torch.ones(1)).item(), 10);
    post.remove();
    assert.equal(net.forward(torch.ones(1)).item(), 1);
    assert.equal(nn.deepcopy(net).forward(torch.ones(1)).item(), 1);
  });

  it('train and eval reach everything below', () => {
    fails('BAD_ARGUMENT', /between 0 and 1, but got 2/, () => new nn.Dropout(2));
    const construct = (name: string, ...args: unknown[]) => Reflect.construct(nn[name as 'Linear'], args);
    for (const [missing, name, ...args] of [
      ['out_features', 'Linear', 2],
      ['in_features', 'Linear', { in_features: 2, out_features: 1 }],
      ['kernel_size', 'Conv2d', 1, 4, { kernel_size: 3 }],
      ['num_features', 'BatchNorm1d'],
      ['embedding_dim', 'Embedding', 10],
      ['normalized_shape', 'LayerNorm', { normalized_shape: 3 }],
    ] as const)
      fails('BAD_ARGUMENT', new RegExp(`^${name}: missing argument '${missing}'`), () => construct(name, ...args));
    const net = new nn.Sequential(new nn.Dropout(0.5), new Block());
    net.eval();
    assert.ok(net.modules().every((m) => !m.training));
    const x = torch.randn(4, 2);
    close(net.forward(x), net.forward(x));
    net.train();
    assert.ok(net.modules().every((m) => m.training));
  });

  it('prints as PyTorch does, equal neighbours of a ModuleList folded', () => {
    const list = new nn.ModuleList([new nn.Linear(2, 2), new nn.Linear(2, 2), new nn.ReLU()]);
    assert.equal(
      String(list),
      'ModuleList(\n  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)\n  (2): ReLU()\n)',
    );
  });

  it('apply, requires_grad_, zero_grad, to', () => {
    const net = new Block();
    const names: string[] = [];
    net.apply((m) => void names.push(m._get_name()));
    assert.deepEqual(names, ['Linear', 'Linear', 'ModuleList', 'BatchNorm1d', 'Block']);
    net.forward(torch.randn(3, 2)).sum().backward();
    const { weight } = net.layers[0]!;
    net.to('float64');
    assert.deepEqual(
      [weight.dtype, weight.grad!.dtype, net.norm!.running_mean!.dtype, net.norm!.num_batches_tracked!.dtype],
      ['float64', 'float64', 'float64', 'int64'],
    );
    assert.equal(net.layers[0]!.weight, weight, 'the same tensor');
    net.zero_grad();
    assert.equal(weight.grad, null);
    net.requires_grad_(false);
    assert.ok(net.parameters().every((p) => !p.requires_grad));
    fails('BAD_ARGUMENT', /floating or complex/, () => net.to('int64'));
  });

  it('wrong arguments are refused in words', () => {
    fails('BAD_ARGUMENT', /Linear.*'biass'/, () => new nn.Linear(2, 2, { biass: true } as never));
    fails('BAD_ARGUMENT', /groups/, () => new nn.Conv2d(3, 4, 1, { groups: 2 }));
    fails('BAD_ARGUMENT', /embed_dim 5/, () => new nn.MultiheadAttention(5, 2));
    fails('BAD_ARGUMENT', /no forward/, () => new nn.Module().forward());
    fails('BAD_ARGUMENT', /expected modules, got a?.*number/, () => new nn.Sequential(3 as never));
  });
});

describe('nn: parametrisation, sequences, clipping', () => {
  it('weight_norm: the state’s names, the value, gradients; removal leaves a parameter', () => {
    const net = new nn.Linear(3, 2);
    const before = net.weight.detach().clone();
    nn.utils.parametrizations.weight_norm(net);
    assert.deepEqual(Object.keys(net.state_dict()), [
      'bias',
      'parametrizations.weight.original0',
      'parametrizations.weight.original1',
    ]);
    assert.match(
      String(net),
      /^ParametrizedLinear\(\n {2}in_features=3, out_features=2, bias=True\n {2}\(parametrizations\)/,
    );
    close(net.weight, before);
    net.forward(torch.ones(1, 3)).sum().backward();
    assert.ok(net.parameters().every((p) => p.grad !== null));
    const copy = nn.deepcopy(net);
    torch.no_grad(() => copy.get_parameter('parametrizations.weight.original0').mul_(2));
    close(copy.weight, before.mul(2));
    close(net.weight, before);
    nn.utils.parametrize.remove_parametrizations(net, 'weight');
    assert.deepEqual(Object.keys(net.state_dict()).sort(), ['bias', 'weight']);
  });

  it('a parametrisation of one’s own, chained', () => {
    class Symmetric extends nn.Module {
      override forward(x: Tensor): Tensor {
        return x.triu().add(x.triu(1).t());
      }
    }
    class Double extends nn.Module {
      override forward(x: Tensor): Tensor {
        return x.mul(2);
      }
    }
    const net = new nn.Linear(3, 3);
    nn.utils.parametrize.register_parametrization(net, 'weight', new Symmetric());
    nn.utils.parametrize.register_parametrization(net, 'weight', new Double());
    close(net.weight, net.weight.t());
    assert.deepEqual(Object.keys(net.state_dict()), ['bias', 'parametrizations.weight.original']);
    close(net.weight.diagonal(), net.get_parameter('parametrizations.weight.original').diagonal().mul(2));
  });

  it('packed sequences give each sequence’s own result, in any order of lengths', () => {
    for (const layer of [new nn.LSTM(2, 3, { bidirectional: true }), new nn.GRU(2, 3, { num_layers: 2 })]) {
      const sequences = [2, 5, 3].map((n) => torch.randn(n, 2));
      const packed = nn.utils.rnn.pack_sequence(sequences, { enforce_sorted: false });
      const [output, state] = (layer as InstanceType<typeof nn.LSTM>).forward(packed);
      const parts = nn.utils.rnn.unpack_sequence(output);
      sequences.forEach((s, i) => {
        const [alone, last] = (layer as InstanceType<typeof nn.LSTM>).forward(s);
        close(parts[i]!, alone);
        const pick = (t: Tensor): Tensor => t.select(1, i);
        if (Array.isArray(state)) close(pick((state as unknown as Tensor[])[0]!), (last as unknown as Tensor[])[0]!);
        else close(pick(state as unknown as Tensor), last as unknown as Tensor);
      });
    }
  });

  it('clip_grad_norm_ and clip_grad_value_, eager and compiled', () => {
    const p = new nn.Parameter(torch.tensor([3, 4]));
    p.pow(2).sum().div(2).backward();
    assert.equal(nn.utils.clip_grad_norm_([p], 1).item(), 5);
    close(p.grad!, torch.tensor([0.6, 0.8]));
    const step = compile(() => {
      p.grad = null;
      p.pow(2).sum().div(2).backward();
      const norm = nn.utils.clip_grad_norm_(p, 2.5);
      nn.utils.clip_grad_value_(p, 1.75);
      return norm;
    });
    assert.equal(step().item(), 5);
    close(p.grad!, torch.tensor([1.5, 1.75]));
    const vector = nn.utils.parameters_to_vector([p]);
    nn.utils.vector_to_parameters(vector.mul(2), [p]);
    assert.deepEqual(p.tolist(), [6, 8]);
  });
});

describe('compile(module)', () => {
  it('is the forward, with its type; updated parameters are seen; batch statistics advance', () => {
    const net = new Block();
    const fast = compile(net);
    const twin = nn.deepcopy(net);
    const x = torch.randn(5, 2);
    for (let i = 0; i < 3; i++) close(fast(x), twin.forward(x), { atol: 1e-5 });
    close(net.norm!.running_mean!, twin.norm!.running_mean!);
    assert.equal(net.norm!.num_batches_tracked!.item(), 3);
    torch.no_grad(() => {
      for (const p of [...net.parameters(), ...twin.parameters()]) p.mul_(0.5);
    });
    close(fast(x), twin.forward(x), { atol: 1e-5 });
    assert.equal(fast.stats.compiles, 1);
  });

  it('an embedding of a large table', () => {
    const table = new nn.Embedding(100_000, 128);
    const ids = torch.tensor([
      [0n, 99_999n],
      [5n, 5n],
    ]);
    close(compile(table)(ids), table.forward(ids));
  });

  it('train and eval are noticed', () => {
    const net = new nn.Sequential(new nn.Dropout(0.9), new nn.BatchNorm1d(3));
    const fast = compile(net);
    const x = torch.randn(50, 3);
    fast(x);
    net.eval();
    close(fast(x), net.forward(x), { atol: 1e-5 });
    net.train();
    fast(x);
    assert.equal(fast.stats.compiles, 2);
  });

  it('gradients through the compiled module reach its parameters', () => {
    const net = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 1));
    const twin = nn.deepcopy(net);
    const x = torch.randn(6, 3);
    compile(net)(x).pow(2).mean().backward();
    twin.forward(x).pow(2).mean().backward();
    net.parameters().forEach((p, i) => void close(p.grad!, twin.parameters()[i]!.grad!));
  });
});
