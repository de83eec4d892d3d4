/**
 * @file Tensors on a device: moved, computed with, kept there, read back. The device is `xla`, a PJRT client of its own whose memory is as
 * opaque to libtorch as a GPU's; the path is the one that `cuda` takes.
 */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { compile, memory, no_grad, tensor } from '../../lib/index.js';
import { native } from '../../lib/runtime/load.js';
import { close } from '../support/close.js';
import { fails, rejects } from '../support/fails.js';

const on = (t: Tensor): string => String(t.device);

describe('device: tensors', () => {
  it('move there and back, of every dtype and layout, also without elements', () => {
    for (const dtype of [
      'float32',
      'float64',
      'float16',
      'bfloat16',
      'int64',
      'int32',
      'uint8',
      'bool',
      'complex64',
    ] as const) {
      const x = torch.randint(0, 5, [3, 4]).to(dtype);
      const y = x.to('xla');
      assert.equal(on(y), 'xla:0');
      assert.equal(on(x), 'cpu');
      assert.deepEqual([y.dtype, [...y.shape]], [dtype, [3, 4]]);
      close(y.cpu(), x, { what: dtype });
    }
    const strided = torch.randn([3, 4]).t();
    assert.deepEqual(strided.to('xla').tolist(), strided.tolist());
    assert.deepEqual(strided.to('xla').strides, [3, 1]);
    assert.deepEqual([...torch.zeros([0, 3]).to('xla').cpu().shape], [0, 3]);
    const x = tensor([1, 2]).to('xla');
    assert.equal(x.to('xla:0'), x);
    assert.equal(x.to({ device: 'cpu', dtype: 'int32' }).dtype, 'int32');
    assert.equal(tensor(7).to('xla').item(), 7);
    assert.match(String(x), /tensor\(\[1\.,? 2\.\]/);
  });

  it('large ones are copied while the host goes on, and arrive as they were', () => {
    const scope: Tensor[] = [];
    for (let i = 0; i < 20; i++) {
      const x = torch.full([400, 500], i);
      const y = x.to('xla');
      x.add_(1);
      const strided = x.t().to('xla');
      x.dispose();
      torch.zeros([400, 500]).fill_(-1).dispose(); // takes the memory that was given back, if any was
      scope.push(y.sum(), strided.sum());
      y.dispose();
      strided.dispose();
    }
    assert.deepEqual(
      scope.map((t) => t.item()),
      Array.from({ length: 20 }).flatMap((_, i) => [i * 200_000, (i + 1) * 200_000]),
    );
    const array = new Float32Array(200_000).fill(3);
    const shared = torch.frombuffer(array).to('xla');
    array.fill(7);
    assert.equal(shared.sum().item(), 600_000);
    const f = compile((x: Tensor) => x.mul(2), { device: 'xla' });
    const x = torch.ones([200_000]);
    const doubled = f(x);
    x.zero_();
    assert.equal(doubled.sum().item(), 400_000);
  });

  it('a device that is not there is refused in words', function () {
    fails('BAD_ARGUMENT', /no device 'xla:3'/, () => tensor([1]).to('xla:3'));
    if (process.env['CUDA_VISIBLE_DEVICES'] !== undefined) this.skip();
    fails('RUNTIME_MISSING', /no NVIDIA GPU on this machine|not found/, () => tensor([1]).to('cuda'));
  });

  it('bytes on the device are counted, and come back', () => {
    const before = memory().deviceBytes;
    const x = torch.zeros([1000]).to('xla');
    const y = x.detach();
    assert.equal(memory().deviceBytes - before, 4000);
    x.dispose();
    assert.equal(memory().deviceBytes - before, 4000);
    y.dispose();
    assert.equal(memory().deviceBytes, before);
  });
});

describe('device: compiled functions', () => {
  it('run where their arguments are; results stay there and feed the next call', () => {
    const f = compile((x: Tensor, w: Tensor) => x.matmul(w).tanh());
    const [x, w] = [torch.randn([5, 5]), torch.randn([5, 5])];
    const [dx, dw] = [x.to('xla'), w.to('xla')];
    const made = f(f(f(dx, dw), dw), dw);
    assert.equal(on(made), 'xla:0');
    close(made.cpu(), f(f(f(x, w), w), w), { rtol: 1e-5, atol: 1e-6 });
    assert.equal(f.stats.compiles, 2);
    f(x, w);
    f(dx, dw);
    assert.equal(f.stats.compiles, 2);
  });

  it('{ device } copies arguments there; results of several shapes, permuted ones too', () => {
    const f = compile((o: { x: Tensor }, k: number) => [o.x.mul(k).t(), { s: o.x.sum(), top: o.x.topk(2, 1) }], {
      device: 'xla',
    });
    const x = torch.randn([3, 4]);
    const [t, { s, top }] = f({ x }, 3) as [Tensor, { s: Tensor; top: Tensor[] }];
    for (const r of [t, s, ...top]) assert.equal(on(r), 'xla:0');
    assert.deepEqual(t.strides, [3, 1]);
    close(t.cpu(), x.mul(3).t().contiguous());
    close(s.cpu(), x.sum(), { rtol: 1e-5, atol: 1e-6 });
    close(top[0]!.cpu(), x.topk(2, 1)[0]);
    assert.deepEqual(top[1]!.tolist(), x.topk(2, 1)[1].tolist());
  });

  it('captured tensors decide too, and a CPU tensor beside one on the device is copied', () => {
    const w = torch.randn([4]).to('xla');
    const f = compile((x: Tensor) => x.mul(w));
    const x = torch.randn([4]);
    assert.equal(on(f(x)), 'xla:0');
    close(f(x).cpu(), x.mul(w.cpu()));
  });

  it('gradients through the call, in both directions between the host and the device', () => {
    const eager = torch.randn([4, 3]);
    const loss = (x: Tensor) => x.sin().mul(x).sum();
    const expected = torch.autograd.grad(loss(eager.requires_grad_(true)), [eager])[0]!;
    for (const make of [
      () => eager.detach().to('xla').requires_grad_(true),
      () => eager.detach().clone().requires_grad_(true),
    ]) {
      const x = make();
      compile(loss, { device: 'xla' })(x).backward();
      assert.equal(on(x.grad!), on(x));
      close(x.grad!.cpu(), expected, { rtol: 1e-5, atol: 1e-6 });
      compile(loss, { device: 'xla' })(x).backward();
      close(x.grad!.cpu(), expected.mul(2), { rtol: 1e-5, atol: 1e-6 });
    }
    const x = eager.detach().clone().requires_grad_(true);
    loss(x.to('xla')).cpu().backward();
    close(x.grad!, expected, { rtol: 1e-5, atol: 1e-6 });
  });

  it('what a function changes in place is changed there, and a failed call changes nothing', () => {
    const w = torch.zeros([3]).to('xla');
    const alias = w.detach();
    const copy = w.clone();
    const step = compile((g: Tensor) => {
      w.sub_(g);
      return w.sum();
    });
    const g = tensor([1, 2, 3]);
    step(g);
    assert.equal(step(g).item(), -12);
    assert.deepEqual(w.tolist(), [-2, -4, -6]);
    assert.deepEqual(alias.tolist(), [-2, -4, -6]);
    assert.deepEqual(copy.tolist(), [0, 0, 0]);
    const host = torch.zeros([2, 3]).t();
    compile(
      (x: Tensor) => {
        host.add_(x);
      },
      { device: 'xla' },
    )(torch.ones([3, 2]));
    assert.deepEqual(host.tolist(), [
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
  });

  it('donated memory is used again, unless somebody else reads it', () => {
    const state = torch.zeros([1 << 16]).to('xla');
    const step = compile(
      (x: Tensor) => {
        state.add_(x);
      },
      { donate: true },
    );
    const one = tensor(1);
    step(one);
    const kept = state.clone();
    step(one);
    step(one);
    assert.equal(kept.sum().item(), 1 << 16);
    assert.equal(state.sum().item(), 3 * (1 << 16));
  });

  it('a training step with AdamW, on tensors there, is the CPU’s', () => {
    const run = (device: string): number[] => {
      torch.manual_seed(0);
      const w = torch.randn([4, 2]).to(device).requires_grad_(true);
      const b = torch.zeros([2]).to(device).requires_grad_(true);
      const optimizer = new torch.optim.AdamW([w, b], { lr: 0.05 });
      const step = compile((x: Tensor, y: Tensor) => {
        optimizer.zero_grad();
        const loss = x.matmul(w).add(b).sub(y).square().mean();
        loss.backward();
        optimizer.step();
        return loss;
      });
      const [x, y] = [torch.randn([8, 4]).to(device), torch.randn([8, 2]).to(device)];
      return Array.from({ length: 5 }, () => step(x, y).item());
    };
    const [cpu, device] = [run('cpu'), run('xla')];
    cpu.forEach((loss, i) => {
      assert.ok(Math.abs(loss - device[i]!) < 1e-5, `${cpu} and ${device}`);
    });
  });

  it('asynchronous calls, with arguments as they were at the call', async () => {
    const f = compile((x: Tensor) => x.mul(2));
    const x = tensor([1, 2]).to('xla');
    const promise = f.async(x);
    x.add_(10);
    assert.deepEqual((await promise).tolist(), [2, 4]);
    assert.deepEqual((await f.async(x)).tolist(), [22, 24]);
  });

  it('refuses what cannot be there', () => {
    const x = tensor([1, 2]).to('xla');
    fails(
      'BAD_ARGUMENT',
      /checks, debug\.print and debug\.check work in programs on the CPU; this one runs on xla:0/,
      () => compile((t: Tensor) => t.log(), { checks: true })(x),
    );
    fails('NO_RULE', /_logcumsumexp/, () =>
      compile((t: Tensor) => t.logcumsumexp(0))(torch.zeros([2], { dtype: 'complex64' }).to('xla')),
    );
  });
});

describe('device: eager operators', () => {
  it('are compiled one by one and kept', () => {
    const x = torch.randn([3, 4]);
    const d = x.to('xla');
    const y = d.sin().add(1).matmul(d.t());
    assert.equal(on(y), 'xla:0');
    close(y.cpu(), x.sin().add(1).matmul(x.t()), { rtol: 1e-5, atol: 1e-6 });
    const { values, indices } = d.max(1);
    close(values.cpu(), x.max(1).values);
    assert.deepEqual(indices.tolist(), x.max(1).indices.tolist());
    close(torch.cat([d, d], 1).cpu(), torch.cat([x, x], 1));
    close(d.sum({ dim: 1, keepdim: true }).cpu(), x.sum({ dim: 1, keepdim: true }), { rtol: 1e-5, atol: 1e-6 });
  });

  it('in place: the tensor is changed, and given back as the same object', () => {
    const x = tensor([1, 2]).to('xla');
    assert.equal(x.add_(1), x);
    assert.deepEqual(x.tolist(), [2, 3]);
  });

  it('with gradients, accumulated by libtorch’s own engine', () => {
    const x = tensor([1, 2, 3]).to('xla').requires_grad_(true);
    x.mul(x).add(x.exp()).sum().backward();
    x.mul(2).sum().backward();
    assert.equal(on(x.grad!), 'xla:0');
    close(x.grad!.cpu(), tensor([1, 2, 3].map((v) => 2 * v + Math.exp(v) + 2)), { rtol: 1e-5, atol: 1e-5 });
  });

  it('whose answer depends on data run on the host, and come back', () => {
    const x = tensor([0, 5, 0, 7]).to('xla');
    assert.equal(on(x.nonzero()), 'xla:0');
    assert.deepEqual(x.nonzero().tolist(), [[1], [3]]);
    assert.equal(x.equal(x.clone()), true);
    assert.equal(torch.allclose(x, x), true);
  });

  it('say what is wrong as on the CPU', () => {
    const [a, b] = [torch.zeros([2, 3]).to('xla'), torch.zeros([4, 5]).to('xla')];
    fails('BAD_ARGUMENT', /matmul|mat1 and mat2/, () => a.matmul(b));
  });
});

describe('device: out of memory', () => {
  it('is an error that the next call survives, 30 times', () => {
    const x = tensor(1).to('xla');
    const huge = compile((t: Tensor) =>
      t
        .expand([2 ** 36])
        .mul(t)
        .clone(),
    );
    for (let i = 0; i < 30; i++) {
      fails('OUT_OF_MEMORY', /memory/i, () => huge(x).sum().item());
      assert.equal(x.add(1).item(), 2);
    }
  });

  it('retries once after a collection', async () => {
    await rejects('OUT_OF_MEMORY', /memory/i, async () =>
      compile((t: Tensor) => t.expand([2 ** 36]).mul(t))(tensor(1).to('xla')).tolist(),
    );
    assert.ok(no_grad(() => native().memory().deviceBytes) >= 0);
  });
});
