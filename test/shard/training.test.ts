/** @file Training steps over a mesh equal those on one device: data parallel, tensor parallel, with spread parameters and optimizer state. */
import assert from 'node:assert/strict';
import type { Mesh, ShardingTree, Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';

const { compile, mesh, nn, optim, P, shard, shard_ } = torch;
const STEPS = 4;
type Spec = ReturnType<typeof P>;

class Mlp extends nn.Module {
  up = new nn.Linear(8, 32);
  down = new nn.Linear(32, 4);
  constructor(private readonly inner?: Spec) {
    super();
  }
  override forward(x: Tensor): Tensor {
    const h = this.up.forward(x).relu();
    return this.down.forward(this.inner ? shard(h, this.inner) : h);
  }
}

/** Pre-norm: causal attention with four heads, then a feed-forward network. */
class Block extends nn.Module {
  norm1 = new nn.LayerNorm(16);
  q = new nn.Linear(16, 16);
  k = new nn.Linear(16, 16, { bias: false }); // its gradient would be nothing but rounding
  v = new nn.Linear(16, 16);
  out = new nn.Linear(16, 16);
  norm2 = new nn.LayerNorm(16);
  up = new nn.Linear(16, 64);
  down = new nn.Linear(64, 16);
  override forward(x: Tensor): Tensor {
    const [batch, length, width] = x.shape;
    const heads = (t: Tensor): Tensor => t.view([batch, length, 4, 4]).transpose(1, 2);
    const h = this.norm1.forward(x);
    const [q, k, v] = [this.q, this.k, this.v].map((layer) => heads(layer.forward(h))) as [Tensor, Tensor, Tensor];
    const mixed = nn.functional.scaled_dot_product_attention(q, k, v, { is_causal: true });
    const y = x.add(this.out.forward(mixed.transpose(1, 2).reshape([batch, length, width])));
    return y.add(this.down.forward(nn.functional.gelu(this.up.forward(this.norm2.forward(y)))));
  }
}

interface Case {
  readonly make: (dtype: 'float32' | 'float64') => InstanceType<typeof nn.Module> & { forward(x: Tensor): Tensor };
  readonly shape: readonly number[];
  readonly target: readonly number[];
  /** By the parameter's name. */
  readonly specs?: Readonly<Record<string, Spec>>;
  readonly data: Spec;
  readonly mesh: Mesh;
  readonly collectives: RegExp;
}

const seeded = <T>(make: () => T): T => {
  torch.manual_seed(5);
  return make();
};
const mlp = (dtype: 'float32' | 'float64') => seeded(() => new Mlp()).to(dtype) as Mlp;
const block = (dtype: 'float32' | 'float64') => seeded(() => new Block()).to(dtype) as Block;

const CASES: Readonly<Record<string, Case>> = {
  'MLP, data parallel': {
    make: mlp,
    shape: [16, 8],
    target: [16, 4],
    data: P('data'),
    mesh: mesh([8], ['data']),
    collectives: /all-reduce/,
  },
  'MLP, tensor parallel': {
    make: (dtype) => seeded(() => new Mlp(P(null, 'model'))).to(dtype) as Mlp,
    shape: [16, 8],
    target: [16, 4],
    specs: { 'up.weight': P('model'), 'up.bias': P('model'), 'down.weight': P(null, 'model') },
    data: P(),
    mesh: mesh([8], ['model']),
    collectives: /all-reduce/,
  },
  'MLP, parameters and state cut over the data axis (FSDP)': {
    make: mlp,
    shape: [16, 8],
    target: [16, 4],
    specs: { 'up.weight': P('data'), 'up.bias': P('data'), 'down.weight': P(null, 'data') },
    data: P('data'),
    mesh: mesh([8], ['data']),
    collectives: /all-gather/,
  },
  'transformer block, data and tensor parallel': {
    make: block,
    shape: [4, 6, 16],
    target: [4, 6, 16],
    specs: {
      ...Object.fromEntries(
        ['q', 'v', 'up'].flatMap((n) => [
          [`${n}.weight`, P('model')],
          [`${n}.bias`, P('model')],
        ]),
      ),
      'k.weight': P('model'),
      'out.weight': P(null, 'model'),
      'down.weight': P(null, 'model'),
    },
    data: P('data'),
    mesh: mesh([2, 4], ['data', 'model']),
    collectives: /all-reduce/,
  },
};

const train = (
  { make, shape, target, specs = {}, data, mesh: over }: Case,
  dtype: 'float32' | 'float64',
  spread: boolean,
) => {
  const model = make(dtype);
  if (spread) for (const [name, p] of model.named_parameters()) if (specs[name]) shard_(p, specs[name]!, over);
  const optimizer = new optim.AdamW(model.parameters(), 1e-2);
  const body = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zero_grad();
    const loss = nn.functional.mse_loss(model.forward(x), y);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const in_shardings: ShardingTree[] = [data, data];
  const step = compile(body, spread ? { mesh: over, in_shardings } : { optimize: 'xla' });
  const generator = new torch.Generator().manual_seed(3);
  const losses: Tensor[] = [];
  for (let i = 0; i < STEPS; i++) {
    const [x, y] = [torch.randn([...shape], { generator, dtype }), torch.randn([...target], { generator, dtype })];
    losses.push(step(x, y));
  }
  return { model, optimizer, step, losses };
};

describe('training over a mesh', () => {
  for (const [name, given] of Object.entries(CASES)) {
    for (const dtype of ['float32', 'float64'] as const) {
      it(`${name}: ${dtype}, as on one device`, () => {
        const one = train(given, dtype, false);
        const many = train(given, dtype, true);
        const tolerance = dtype === 'float64' ? { rtol: 1e-9, atol: 1e-12 } : { rtol: 1e-3, atol: 1e-5 };
        for (const [i, loss] of many.losses.entries()) close(loss, one.losses[i]!, { ...tolerance, what: `loss ${i}` });
        const expected = new Map(one.model.named_parameters());
        for (const [key, p] of many.model.named_parameters()) {
          close(p, expected.get(key)!, { ...tolerance, what: key });
          close(p.grad!, expected.get(key)!.grad!, { ...tolerance, what: `${key}.grad` });
          const spec = String(given.specs?.[key] ?? P());
          assert.equal(String(p.sharding!.spec), spec, key);
          assert.equal(String(p.grad!.sharding!.spec), spec, `${key}.grad`);
        }
        assert.equal(many.step.stats.compiles, one.step.stats.compiles, 'no compilation because of shardings');
        const x = torch.randn([...given.shape], { dtype });
        const y = torch.randn([...given.target], { dtype });
        assert.match(many.step.lower(x, y).hlo.text, given.collectives);
      });
    }
  }

  it('a model trained over a mesh is evaluated, saved and trained on outside it', () => {
    const { model: trained, optimizer } = train(CASES['MLP, tensor parallel']!, 'float64', true);
    const model = trained as Mlp;
    const plain = mlp('float64');
    plain.load_state_dict(model.state_dict());
    const x = torch.randn([3, 8], { dtype: 'float64', generator: new torch.Generator().manual_seed(1) });
    const reference = torch.no_grad(() => plain.forward(x));
    close(
      torch.no_grad(() => plain.down.forward(model.up.forward(x).relu())),
      reference,
    );
    assert.equal(String(model.up.weight.sharding!.spec), "P('model')", 'reading leaves it spread');
    optimizer.zero_grad();
    model.up.forward(x).sum().backward();
    optimizer.step();
    assert.equal(model.up.weight.sharding, null, 'an ordinary step leaves an ordinary tensor');
  });
});
