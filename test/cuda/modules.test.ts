/** @file Tensors made on a device, modules moved to one, and what is no view there (see device.test.ts). */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { nn, tensor } from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const on = (t: Tensor): string => String(t.device);

describe('device: tensors made there', () => {
  it('by every kind of factory, with the values of the CPU', () => {
    const device = 'xla';
    for (const [made, expected] of [
      [torch.zeros([2, 3], { device }), torch.zeros([2, 3])],
      [torch.full([2], 3, { device: torch.device('xla:0') }), torch.full([2], 3)],
      [torch.arange(4, { device, dtype: 'float64' }), torch.arange(4, { dtype: 'float64' })],
      [torch.eye(3, { device }), torch.eye(3)],
      [torch.ones([2]).new_zeros([3], { device }), torch.zeros([3])],
      [torch.zeros_like(torch.ones([2]), { device }), torch.zeros([2])],
    ] as const) {
      assert.equal(on(made), 'xla:0');
      close(made.cpu(), expected);
    }
    assert.equal(on(torch.zeros_like(tensor([1]).to('xla'), { device: 'cpu' })), 'cpu');
    const leaf = torch.ones([2], { device, requires_grad: true });
    leaf.mul(3).sum().backward();
    assert.deepEqual([leaf.is_leaf, leaf.grad!.tolist(), on(leaf.grad!)], [true, [3, 3], 'xla:0']);
  });

  it('random ones are those of the seed', () => {
    torch.manual_seed(3);
    const expected = torch.randn([4]);
    torch.manual_seed(3);
    close(torch.randn([4], { device: 'xla' }).cpu(), expected);
  });

  it('inside a program they are where the program is', () => {
    const f = torch.compile((x: Tensor) => x.add(torch.ones([2], { device: 'xla' })));
    assert.deepEqual(f(torch.zeros([2], { device: 'xla' })).tolist(), [1, 1]);
  });

  it('to(other) goes where the other is, with its dtype', () => {
    const there = torch.zeros([1], { device: 'xla', dtype: 'float64' });
    const moved = tensor([1, 2]).to(there);
    assert.deepEqual([on(moved), moved.dtype], ['xla:0', 'float64']);
    assert.equal(on(there.to(tensor([1]))), 'cpu');
  });
});

describe('device: modules', () => {
  const network = (): nn.Sequential => {
    torch.manual_seed(1);
    return new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Tanh(), new nn.Linear(4, 1));
  };

  it('move: parameters, buffers and gradients go, and stay the same objects', () => {
    const net = network();
    const before = net.parameters();
    net
      .forward(torch.ones([2, 3]))
      .sum()
      .backward();
    assert.equal(net.to('xla'), net);
    const after = net.parameters();
    after.forEach((p, i) => {
      assert.equal(p, before[i]);
      assert.deepEqual([on(p), on(p.grad!), p.requires_grad, p.is_leaf], ['xla:0', 'xla:0', true, true]);
    });
    for (const buffer of net.buffers()) assert.equal(on(buffer), 'xla:0');
    net.to('cpu').forward(torch.ones([2, 3]));
    for (const t of [...net.parameters(), ...net.buffers()]) assert.equal(on(t), 'cpu');
  });

  it('are made on a device', () => {
    assert.equal(on(new nn.Linear(3, 2, { device: 'xla' }).weight), 'xla:0');
  });

  for (const compiled of [false, true])
    it(`train there as on the CPU, with an optimizer made before the move${compiled ? ', compiled' : ''}`, () => {
      const losses = (device: string): number[] => {
        const net = network();
        const optimizer = new torch.optim.Adam(net.parameters(), { lr: 0.05 });
        net.to(device);
        const x = tensor([
          [1, 2, 3],
          [0, 1, 0],
          [2, 0, 1],
        ]).to(device);
        const step = (input: Tensor): Tensor => {
          optimizer.zero_grad();
          const loss = net.forward(input).sub(1).square().mean();
          loss.backward();
          nn.utils.clip_grad_norm_(net.parameters(), 1);
          optimizer.step();
          return loss;
        };
        const run = compiled ? torch.compile(step) : step;
        return [0, 1, 2, 3].map(() => run(x).item() as number);
      };
      close(tensor(losses('xla')), tensor(losses('cpu')), { rtol: 1e-4, atol: 1e-5 });
    });

  it('take the state of one on the CPU, and give theirs to a file', () => {
    const [source, there] = [new nn.Linear(3, 2), new nn.Linear(3, 2).to('xla')];
    there.load_state_dict(source.state_dict());
    close(there.weight.cpu(), source.weight);
    assert.equal(on(there.weight), 'xla:0');
  });

  it('the result of an operation is not moved under its history', () => {
    const y = tensor([1]).requires_grad_(true).mul(2);
    fails('BAD_ARGUMENT', /result of an operation cannot move from cpu to xla:0/, () => {
      y.data = tensor([1]).to('xla');
    });
    assert.deepEqual(y.tolist(), [2]);
  });
});

describe('device: views', () => {
  it('setAt writes, with every kind of index', () => {
    for (const indices of [[1, '1:'], [tensor([true, false, true])], [[0, 2], 1], ['...', -1], [null, 0]] as const) {
      const [here, there] = [torch.zeros([3, 3]), torch.zeros([3, 3], { device: 'xla' })];
      here.setAt(indices as never, 7);
      there.setAt(indices as never, 7);
      close(there.cpu(), here, { what: JSON.stringify(indices) });
    }
  });

  it('writing to what is a view elsewhere is refused, and says what to do', () => {
    const x = torch.zeros([2, 2], { device: 'xla' });
    fails('BAD_ARGUMENT', /fill_: on xla:0 the result of select\(\) is a copy.*setAt/, () => x.select(0, 1).fill_(5));
    fails('BAD_ARGUMENT', /result of view\(\) is a copy/, () =>
      torch.add(tensor([1, 2, 3, 4]), 1, { out: x.view([4]) }),
    );
    assert.deepEqual(x.view([4]).clone().add_(1).tolist(), [1, 1, 1, 1]);
    assert.deepEqual(x.tolist(), [
      [0, 0],
      [0, 0],
    ]);
  });

  it('inside a program views are views', () => {
    const x = torch.zeros([2, 2], { device: 'xla' });
    torch.compile((t: Tensor) => void t.select(0, 1).fill_(5))(x);
    assert.deepEqual(x.tolist(), [
      [0, 0],
      [5, 5],
    ]);
  });
});
