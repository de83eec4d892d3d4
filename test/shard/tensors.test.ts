/** @file Tensors that are spread over a mesh: what they say, how they are read, what operators outside compile() do with them. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { mesh, nn, P, shard, shard_ } = torch;
const m = mesh([4, 2], ['data', 'model']);
const counted = (...shape: number[]): Tensor =>
  torch
    .arange(shape.reduce((a, b) => a * b, 1))
    .reshape(shape)
    .to('float32');

describe('shard: tensors', () => {
  it('come back as they went, however they are cut', () => {
    const x = counted(8, 4, 6);
    for (const spec of [
      P(),
      P('data'),
      P(null, 'model'),
      P('model', 'data'),
      P(['data', 'model']),
      P(['model', 'data']),
      P(null, null, 'model'),
    ]) {
      const s = shard(x, spec, m);
      assert.equal(String(s.sharding!.spec), String(spec));
      assert.deepEqual([...s.shape], [8, 4, 6]);
      assert.deepEqual(s.tolist(), x.tolist(), String(spec));
    }
  });

  it('of every dtype, without dimensions, without elements, and of views that are not contiguous', () => {
    for (const dtype of ['float64', 'float16', 'bfloat16', 'int64', 'int8', 'bool', 'complex64'] as const) {
      const x = counted(4, 4).to(dtype);
      assert.deepEqual(shard(x, P('data', 'model'), m).full_tensor().toTypedArray(), x.toTypedArray(), dtype);
    }
    assert.equal(shard(torch.tensor(3), P(), m).item(), 3);
    assert.deepEqual([...shard(torch.empty([0, 4]), P('data', 'model'), m).full_tensor().shape], [0, 4]);
    const t = counted(6, 4).t();
    assert.deepEqual(shard(t, P('data', 'model'), m).tolist(), t.tolist());
    const z = torch.complex(counted(4), counted(4)).conj();
    assert.deepEqual(shard(z, P('data'), m).tolist(), z.tolist());
  });

  it('say how they are spread', () => {
    const s = shard(counted(8, 4), P('data', null), m);
    assert.equal(String(s.sharding), "P('data') on Mesh(cpu: data=4, model=2)");
    assert.deepEqual(s.sharding!.shard_shape(s.shape), [2, 4]);
    assert.equal(s.sharding!.is_fully_replicated, false);
    assert.equal(s.device_mesh!.size('model'), 2);
    assert.equal(s.full_tensor().sharding, null);
    assert.equal(s.cpu().sharding, null);
    assert.equal(counted(2).sharding, null);
    assert.match(String(s), /^tensor\(\[\[ 0\., {2}1\., {2}2\., {2}3\.\]/);
  });

  it('operators outside compile() read them; they stay spread', () => {
    const x = counted(8, 4);
    const s = shard(x, P('data', 'model'), m);
    close(s.mul(2).add(s), x.mul(3));
    close(s.t().matmul(s), x.t().matmul(x));
    assert.equal(s.sum().item(), x.sum().item());
    close(torch.cat([s, x]), torch.cat([x, x]));
    assert.notEqual(s.sharding, null);
    assert.notEqual(torch.zeros_like(s).sharding, null);
    assert.deepEqual(torch.ones_like(s).tolist(), torch.ones_like(x).tolist());
    assert.equal(s.at('2:4').sharding, null);
  });

  it('writing to one leaves an ordinary tensor, through every view of it', () => {
    const s = shard(counted(8, 4), P('data'), m);
    const alias = s.detach();
    const view = s.view([32]);
    s.add_(1);
    assert.equal(s.sharding, null);
    assert.equal(alias.sharding, null);
    view.at('0:2');
    assert.deepEqual(view.tolist(), counted(32).add(1).tolist());
    alias.mul_(2);
    assert.deepEqual(s.tolist(), counted(8, 4).add(1).mul(2).tolist());
  });

  it('shard_ moves the tensor itself; handles from before see the same values', () => {
    const w = counted(8, 4);
    const before = w.detach();
    const view = w.t();
    assert.equal(shard_(w, P(null, 'model'), m), w);
    assert.equal(String(w.sharding!.spec), "P(null, 'model')");
    close(before.add(1), counted(8, 4).add(1));
    close(view.contiguous(), counted(8, 4).t().contiguous());
    fails('BAD_ARGUMENT', /view/, () => shard_(counted(8, 4).t(), P('data'), m));
    fails('BAD_ARGUMENT', /typed array/, () => shard_(torch.frombuffer(new Float32Array(8)), P('data'), m));
  });

  it('is differentiable', () => {
    const x = counted(8, 4).requires_grad_(true);
    shard(x, P('data'), m).square().sum().backward();
    close(x.grad!, counted(8, 4).mul(2));
    const p = new nn.Parameter(shard(counted(8), P('data'), m));
    assert.notEqual(p.sharding, null);
    p.square().sum().backward();
    p.mul(3).sum().backward();
    close(p.grad!, counted(8).mul(2).add(3));
    close(torch.func.grad((t: Tensor) => shard(t, P('data'), m).exp().sum())(counted(8)), counted(8).exp());
    close(torch.func.vmap((t: Tensor) => shard(t, P('model'), m).mul(2))(counted(3, 2)), counted(3, 2).mul(2));
    const [, tangent] = torch.func.jvp(
      (t: Tensor) => shard(t, P('data'), m).square(),
      [counted(4)],
      [torch.ones(4)],
    ) as [Tensor, Tensor];
    close(tangent, counted(4).mul(2));
  });

  it('an optimizer made of spread parameters has spread state, and steps outside compile() too', () => {
    const p = new nn.Parameter(shard(counted(8), P('data'), m));
    const q = new nn.Parameter(counted(8));
    const [a, b] = [new torch.optim.Adam([p], 0.1), new torch.optim.Adam([q], 0.1)];
    for (let i = 0; i < 2; i++) {
      for (const [w, optimizer] of [
        [p, a],
        [q, b],
      ] as const) {
        optimizer.zero_grad();
        w.square().sum().backward();
        optimizer.step();
      }
    }
    close(p, q);
  });
});

describe('shard: what does not fit', () => {
  it('meshes', () => {
    fails('BAD_ARGUMENT', /shape like \[4, 2\]/, () => mesh([0], ['a']));
    fails('BAD_ARGUMENT', /2 dimensions but 1 axis name/, () => mesh([2, 2], ['a']));
    fails('BAD_ARGUMENT', /different names/, () => mesh([2, 2], ['a', 'a']));
    fails('TOO_LARGE', /1000 devices.*256/, () => mesh([1000], ['a']));
  });

  it('specs', () => {
    const x = counted(6, 4);
    fails('BAD_ARGUMENT', /no axis 'rows'; its axes are 'data', 'model'/, () => shard(x, P('rows'), m));
    fails('BAD_ARGUMENT', /dimension 0 has size 6.*4 equal parts \('data'/, () => shard(x, P('data'), m));
    fails('BAD_ARGUMENT', /3 entries, the tensor has 2 dimensions/, () => shard(x, P(null, null, 'data'), m));
    fails('BAD_ARGUMENT', /'model' twice/, () => shard(x, P('model', 'model'), m));
    fails('BAD_ARGUMENT', /over which mesh/, () => shard(x, P('model')));
    fails('BAD_ARGUMENT', /expected a tensor/, () => shard(3 as never, P('model'), m));
    fails('BAD_ARGUMENT', /expected a spec/, () => shard(x, 'model' as never, m));
    fails('BAD_ARGUMENT', /axis name/, () => P(3 as never));
  });
});
