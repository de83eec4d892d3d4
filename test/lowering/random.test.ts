/** @file Random numbers in compiled programs: their distributions, their seeds, their independence. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const F = torch.nn.functional;
const { autograd } = torch;
const N = 20_000;

/** A program with XLA's code only: no call of libtorch's generator-driven kernels. */
const compiled = (f: (x: Tensor) => Tensor): ((x: Tensor) => Tensor) =>
  torch.compile(f, { optimize: 'xla', fallback: 'error' });
const sorted = (t: Tensor): Float64Array => (t.double().reshape(-1).toTypedArray() as Float64Array).sort();

/** The largest distance between two empirical distribution functions (Kolmogorov and Smirnov), ties included. */
const distance = (a: Float64Array, b: Float64Array): number => {
  let [i, j, most] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const x = Math.min(a[i]!, b[j]!);
    while (i < a.length && a[i]! <= x) i++;
    while (j < b.length && b[j]! <= x) j++;
    most = Math.max(most, Math.abs(i / a.length - j / b.length));
  }
  return most;
};
/** What two samples of one distribution exceed once in a million tests: c = √(½ ln(2/α)), times √((n+m)/nm). */
const critical = (n: number, m: number): number => Math.sqrt(0.5 * Math.log(2e6)) * Math.sqrt((n + m) / (n * m));

const ones = torch.ones(N);
const cases: Record<string, (x: Tensor) => Tensor> = {
  rand: () => torch.rand(N),
  'rand float64': () => torch.rand([N], { dtype: torch.float64 }),
  'rand float16': () => torch.rand([N], { dtype: torch.float16 }),
  'rand bfloat16': () => torch.rand([N], { dtype: torch.bfloat16 }),
  'rand complex': () => torch.rand([N], { dtype: torch.complex64 }).abs(),
  randn: () => torch.randn(N),
  'randn float64': () => torch.randn([N], { dtype: torch.float64 }),
  'randn complex': () => torch.randn([N], { dtype: torch.complex64 }).real,
  rand_like: (x) => torch.rand_like(x),
  randn_like: (x) => torch.randn_like(x),
  uniform_: (x) => x.clone().uniform_(-3, 5),
  normal_: (x) => x.clone().normal_(2, 3),
  'normal with tensors': (x) => torch.normal(x, x.mul(2)),
  'normal with a number and a tensor': (x) => torch.normal(1, x.mul(2)),
  exponential_: (x) => x.clone().exponential_(1.5),
  cauchy_: (x) => x.clone().cauchy_(1, 2),
  geometric_: (x) => x.clone().geometric_(0.3),
  'geometric_ of integers': (x) => x.long().geometric_(0.05),
  log_normal_: (x) => x.clone().log_normal_(0.5, 0.7),
  'bernoulli_ with p': (x) => x.clone().bernoulli_(0.3),
  'bernoulli_ with a tensor': (x) => x.clone().bernoulli_(x.mul(0.6)),
  bernoulli: (x) => torch.bernoulli(x.mul(0.8)),
  randint: () => torch.randint(-3, 9, [N]),
  'randint of a large range': () => torch.randint(0, 2 ** 45, [N]),
  randint_like: (x) => torch.randint_like(x, 100),
  random_: (x) => x.int().random_(),
  'random_ of bytes': (x) => x.to(torch.uint8).random_(),
  'random_ with a bound': (x) => x.clone().random_(5),
  randperm: () => torch.randperm(N),
  'multinomial with replacement': () => torch.multinomial(torch.tensor([1, 2, 0, 3, 4]), N, true),
  'multinomial without replacement': () => torch.multinomial(torch.tensor([5, 1, 3, 1]).expand(N / 2, 4), 2),
  'gamma of a large shape': (x) => torch._standard_gamma(x.mul(7)),
  'gamma of a small shape': (x) => torch._standard_gamma(x.mul(0.3)),
  dirichlet: () => torch._sample_dirichlet(torch.tensor([0.5, 2, 3]).expand(N / 4, 3)).at('...', 1),
  'poisson of a small mean': (x) => torch.poisson(x.mul(3)),
  'poisson of a large mean': (x) => torch.poisson(x.mul(70)),
  'binomial of few': (x) => torch.binomial(x.mul(6), x.mul(0.7)),
  'binomial of many': (x) => torch.binomial(x.mul(200), x.mul(0.3)),
  'dropout in training': (x) => F.dropout(x, 0.3),
  native_dropout: (x) => torch.native_dropout(x, 0.3, true)[0],
  'alpha_dropout in training': (x) => F.alpha_dropout(x, 0.4, { training: true }),
  'rrelu in training': (x) => F.rrelu(x.neg(), 0.1, 0.3, { training: true }),
};

describe('lowering: random operators', () => {
  for (const [name, f] of Object.entries(cases)) {
    it(`${name}: eager’s distribution, fresh and uncorrelated at every call, reproducible`, () => {
      const program = compiled(f);
      torch.manual_seed(7);
      const [first, second] = [program(ones), program(ones)];
      const eager = f(ones);
      assert.deepEqual([first.shape, first.dtype], [eager.shape, eager.dtype]);
      assert.ok(!first.isnan().any().item());
      const [a, b] = [sorted(first), sorted(eager)];
      const d = distance(a, b);
      assert.ok(d <= critical(a.length, b.length), `distance ${d} of the distribution functions`);
      assert.ok(!first.equal(second));
      const both = torch.stack([first.reshape(-1).double(), second.reshape(-1).double()]);
      const r = torch.corrcoef(both).at(0, 1).item() as number;
      // Cauchy's distribution has no variance: a few values decide.
      const bound = name === 'cauchy_' ? 0.99 : 6 / Math.sqrt(first.numel());
      assert.ok(Math.abs(r) < bound, `correlation ${r}`);
      torch.manual_seed(7);
      assert.ok(program(ones).equal(first));
    });
  }

  it('uniform and normal numbers follow their exact distribution functions', () => {
    torch.manual_seed(3);
    const u = sorted(compiled(() => torch.rand([N], { dtype: torch.float64 }))(ones));
    const z = sorted(torch.special.ndtr(compiled(() => torch.randn([N], { dtype: torch.float64 }))(ones)));
    for (const sample of [u, z]) {
      const d = Math.max(...sample.map((p, i) => Math.max(Math.abs(p - i / N), Math.abs(p - (i + 1) / N))));
      assert.ok(d < Math.sqrt((0.5 * Math.log(2e6)) / N), `distance ${d}`);
    }
  });

  it('the moments of normal numbers are right', () => {
    torch.manual_seed(4);
    const z = compiled(() => torch.randn(200_000))(ones).double();
    const moment = (k: number) => z.pow(k).mean().item() as number;
    // Standard errors of the sample moments of 200 000 numbers, times 5.
    assert.ok(Math.abs(moment(1)) < 0.0112);
    assert.ok(Math.abs(moment(2) - 1) < 0.0159);
    assert.ok(Math.abs(moment(3)) < 0.044);
    assert.ok(Math.abs(moment(4) - 3) < 0.11);
  });

  it('two calls in one program, neighbours, and rows draw independently', () => {
    torch.manual_seed(5);
    const [a, b] = torch.compile(() => [torch.randn(N), torch.randn(N)] as [Tensor, Tensor])();
    const pairs = [
      [a, b],
      [a.narrow(0, 0, N - 1), a.narrow(0, 1, N - 1)],
      [a.narrow(0, 0, N / 2), a.narrow(0, N / 2, N / 2)],
    ];
    for (const [x, y] of pairs) {
      const r = torch
        .corrcoef(torch.stack([x!, y!]))
        .at(0, 1)
        .item() as number;
      assert.ok(Math.abs(r) < 6 / Math.sqrt(x!.numel()), `correlation ${r}`);
    }
  });

  it('randperm is a permutation, each first element equally likely', () => {
    torch.manual_seed(6);
    const program = torch.compile(() => torch.randperm(8));
    const counts = new Array(8).fill(0) as number[];
    for (let i = 0; i < 1600; i++) {
      const p = program().tolist() as number[];
      counts[p[0]!]!++;
      assert.deepEqual([...p].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
    const chi2 = counts.reduce((s, n) => s + (n - 200) ** 2 / 200, 0);
    assert.ok(chi2 < 35, `chi-squared ${chi2} with 7 degrees of freedom`);
  });

  it('a category of probability 0 never comes', () => {
    const weights = torch.tensor([0, 0.1, 0, 0.2, 0]);
    for (const replacement of [true, false]) {
      const drawn = compiled((w) => torch.multinomial(w.expand(5000, 5), 2, replacement))(weights);
      assert.deepEqual(torch.unique(drawn).tolist(), [1, 3]);
    }
  });

  it('an explicit generator decides, the default one stays', () => {
    const generator = new torch.Generator();
    const program = torch.compile((x: Tensor) => x.add(torch.randn([4], { generator })));
    const x = torch.zeros(4);
    generator.manual_seed(1);
    torch.manual_seed(1);
    const next = torch.rand(1).item();
    torch.manual_seed(1);
    const first = program(x);
    assert.equal(torch.rand(1).item(), next);
    const second = program(x);
    generator.manual_seed(1);
    assert.deepEqual([program(x).tolist(), program(x).tolist()], [first.tolist(), second.tolist()]);
    assert.notDeepEqual(first.tolist(), second.tolist());
  });

  it('dropout’s gradient uses the mask of its forward, also through the compiled call', () => {
    const x = torch.ones(64).requires_grad_(true);
    const y = torch.compile((t: Tensor) => F.dropout(t, 0.5))(x);
    y.sum().backward();
    assert.deepEqual(x.grad!.tolist(), y.detach().tolist());
    const inside = torch.compile((t: Tensor) => {
      const w = t.detach().clone().requires_grad_(true);
      const z = torch.dropout(w, 0.5, true);
      return [z.detach(), autograd.grad(z.sum(), [w])[0]!];
    })(torch.ones(64));
    assert.deepEqual(inside[0]!.tolist(), inside[1]!.tolist());
  });

  it('takes empty and 0-d shapes, and probabilities 0 and 1', () => {
    const [e, s, zero, one] = torch.compile((x: Tensor) => [
      torch.rand(0, 3),
      torch.randn([]),
      F.dropout(x, 1),
      F.dropout(x, 0),
    ])(torch.ones(5));
    assert.deepEqual([e!.shape, s!.shape], [[0, 3], []]);
    assert.deepEqual(
      [zero!.tolist(), one!.tolist()],
      [
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
      ],
    );
  });

  it('the operator randint without a dtype has the default one, as in eager', () => {
    const f = (): Tensor => torch.ops.aten!.randint!(10, [3], { dtype: null }) as Tensor;
    for (const draw of [f, torch.compile(f)]) assert.equal(draw().dtype, torch.float32);
  });

  it('refuses bad parameters as eager does', () => {
    const calls: ((x: Tensor) => Tensor)[] = [
      (x) => x.clone().bernoulli_(2),
      (x) => x.clone().exponential_(-1),
      (x) => x.clone().geometric_(2),
      (x) => x.clone().cauchy_(0, -1),
      (x) => x.clone().log_normal_(0, -1),
      (x) => x.clone().uniform_(2, 1),
      (x) => x.clone().normal_(0, -1),
      (x) => x.clone().random_(0),
      (x) => x.to(torch.uint8).random_(0, 300),
      () => torch.randint(5, 2, [3]),
      () => torch.randn([3], { dtype: torch.int64 }),
      (x) => F.dropout(x, 2),
    ];
    for (const f of calls) {
      fails('BAD_ARGUMENT', [], () => f(ones));
      fails('BAD_ARGUMENT', [], () => torch.compile(f)(ones));
    }
  });
});
