/** @file Functions compiled for a mesh: how arguments, captured tensors and results are spread, what is compiled when, what is refused. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, mesh, P, shard } = torch;
const m = mesh([4, 2], ['data', 'model']);
const normal = (seed: number, ...shape: number[]): Tensor =>
  torch.randn(shape, { generator: new torch.Generator().manual_seed(seed) });
const specOf = (t: Tensor): string => String(t.sharding?.spec);

describe('compile: mesh', () => {
  it('cuts ordinary arguments, takes spread ones as they are, and says how results are spread', () => {
    const [x, w] = [normal(1, 8, 6), normal(2, 6, 4)];
    const f = compile((a: Tensor, b: Tensor) => a.matmul(b).relu(), {
      mesh: m,
      in_shardings: [P('data'), P(null, 'model')],
    });
    const y = f(x, w);
    assert.equal(specOf(y), "P('data', 'model')"); // XLA's own choice: nothing has to move
    close(y, x.matmul(w).relu());
    const g = compile((a: Tensor) => a.mul(2), { mesh: m });
    const z = g(y);
    assert.equal(specOf(z), "P('data', 'model')");
    assert.doesNotMatch(g.lower(y).hlo.text, /all-gather|all-reduce/);
    close(z, x.matmul(w).relu().mul(2));
    assert.equal(g.stats.compiles, 1);
  });

  it('out_shardings, and shard() inside, move data by collectives', () => {
    const x = normal(1, 8, 8);
    const total = compile((a: Tensor) => a.sum(0), { mesh: m, in_shardings: [P('data')], out_shardings: P() });
    const text = total.lower(x).hlo.text;
    assert.match(text, /all-reduce/);
    close(total(x), x.sum(0));
    const whole = compile((a: Tensor) => a.exp(), { mesh: m, in_shardings: [P('data')], out_shardings: P() });
    assert.match(whole.lower(x).hlo.text, /all-gather/);
    assert.equal(specOf(whole(x)), 'P()');
    const turned = compile((a: Tensor) => shard(a.exp(), P(null, 'data')).add(1), {
      mesh: m,
      in_shardings: [P('data')],
      out_shardings: P(null, 'data'),
    });
    assert.match(turned.lower(x).hlo.text, /all-to-all/);
    close(turned(x), x.exp().add(1));
    const [long, tall] = [normal(2, 8, 512), normal(3, 512, 8)];
    const halves = compile((a: Tensor, b: Tensor) => a.matmul(b), {
      mesh: m,
      in_shardings: [P(null, 'data'), P('data')],
      out_shardings: P('data'),
    });
    assert.match(halves.lower(long, tall).hlo.text, /reduce-scatter|all-reduce/);
    close(halves(long, tall), long.matmul(tall), { rtol: 1e-4, atol: 1e-4 });
  });

  it('shardings are given for pytrees: a spec for all of it, or one a leaf', () => {
    const args = { a: normal(1, 8), b: [normal(2, 8, 4), normal(3, 4)] as const };
    const f = compile((t: typeof args) => ({ sum: t.b[0].add(t.b[1]).mul(t.a.unsqueeze(1)), rest: [t.a.mul(2)] }), {
      mesh: m,
      in_shardings: [{ a: ['data'], b: [P('data', 'model'), null] }],
      out_shardings: { sum: P('data'), rest: P() },
    });
    const { sum, rest } = f(args);
    assert.deepEqual([specOf(sum), specOf(rest[0]!)], ["P('data')", 'P()']);
    close(sum, args.b[0].add(args.b[1]).mul(args.a.unsqueeze(1)));
    const all = compile((t: { x: Tensor; y: Tensor }) => t.x.add(t.y), { mesh: m, in_shardings: [P('data')] });
    close(all({ x: args.a, y: args.a }), args.a.mul(2));
  });

  it('compiles once a sharding; equal ones under other names are one', () => {
    const f = compile((a: Tensor) => a.sin(), { mesh: m });
    const x = normal(1, 8, 8);
    f(x);
    f(shard(x, P(), m)); // whole on every device is how an ordinary tensor comes
    assert.equal(f.stats.compiles, 1);
    f(shard(x, P('data'), m));
    f(shard(x, P('rows', null), mesh([4, 2], ['rows', 'columns'])));
    assert.equal(f.stats.compiles, 2);
    assert.match(String(f.explain()), /argument 0: its sharding changed from P\(\) to P\('data'\)/);
    close(f(shard(x, P('model'), m)), x.sin());
    assert.equal(f.stats.compiles, 3);
    const g = compile((a: Tensor) => a.sin(), { mesh: m, in_shardings: [P('data')] });
    for (const t of [x, shard(x, P('model'), m), shard(x, P('data'), m), shard(x, P('d'), mesh([2], ['d']))])
      close(g(t), x.sin());
    assert.equal(g.stats.compiles, 1);
  });

  it('tensors that the function changes stay spread, and are read from outside at any time', () => {
    const w = shard(normal(1, 8, 4), P('data'), m);
    const before = w.full_tensor();
    const alias = w.detach();
    const step = compile((g: Tensor) => void w.sub_(g), { mesh: m });
    for (let i = 0; i < 3; i++) step(torch.ones(8, 4));
    assert.equal(step.stats.compiles, 1);
    assert.equal(specOf(w), "P('data')");
    close(w, before.sub(3), { atol: 1e-5 });
    close(alias, w);
    w.add_(1); // an ordinary tensor from here on
    step(torch.ones(8, 4));
    close(w, before.sub(3), { atol: 1e-5 });
  });

  it('donated memory is reused, others’ is left alone', () => {
    const w = shard(normal(1, 8, 4), P('data'), m);
    const before = w.full_tensor();
    const step = compile((g: Tensor) => void w.sub_(g), { mesh: m, donate: true });
    assert.match(step.lower(torch.ones(8, 4)).stablehlo, /tf.aliasing_output/);
    step(torch.ones(8, 4));
    const held = shard(w, P('data'), m); // the same pieces
    step(torch.ones(8, 4));
    close(held, before.sub(1), { atol: 1e-5 });
    step(torch.ones(8, 4));
    close(w, before.sub(3), { atol: 1e-5 });
  });

  it('draws the random numbers of the program for one device', () => {
    const body = (x: Tensor) => torch.nn.functional.dropout(x.add(torch.randn_like(x)), 0.5);
    const x = normal(1, 16, 8);
    torch.manual_seed(7);
    const one = compile(body, { optimize: 'xla' })(x);
    torch.manual_seed(7);
    const many = compile(body, { mesh: m, in_shardings: [P('data', 'model')] })(x);
    close(many, one);
  });

  it('gradients flow through a call', () => {
    const [x, w] = [normal(1, 8, 8), normal(2, 8, 4)];
    const f = (a: Tensor, b: Tensor) => a.matmul(b).sin().exp();
    const own = [x.clone().requires_grad_(true), w.clone().requires_grad_(true)] as const;
    f(...own)
      .sum()
      .backward();
    for (const in_shardings of [[P('data'), P(null, 'model')], [P(null, 'data'), P('data')], []]) {
      const leaves = [x.clone().requires_grad_(true), w.clone().requires_grad_(true)] as const;
      const y = compile(f, { mesh: m, in_shardings })(...leaves);
      y.sum().backward();
      for (const [i, leaf] of leaves.entries()) close(leaf.grad!, own[i]!.grad!, { rtol: 1e-5 });
    }
  });

  it('twice, too', () => {
    const x = normal(1, 8, 4).requires_grad_(true);
    const f = compile((a: Tensor) => a.sin().mul(a).sum(), { mesh: m, in_shardings: [P('data')] });
    const [first] = torch.autograd.grad([f(x)], [x], { create_graph: true }) as [Tensor];
    first.square().sum().backward();
    const own = normal(1, 8, 4).requires_grad_(true);
    const [expected] = torch.autograd.grad([own.sin().mul(own).sum()], [own], { create_graph: true }) as [Tensor];
    expected.square().sum().backward();
    close(first, expected);
    close(x.grad!, own.grad!);
  });

  it('results that do not divide, are transposed, views, empty, or nothing at all', () => {
    const x = normal(1, 8, 4);
    const f = (a: Tensor) => [a.at('0:6').mul(2), a.t().exp(), a.at('0:0').mul(2), a.sum(), a.at('2:3').add(1)];
    const results = compile(f, { mesh: m, in_shardings: [P('data', 'model')] })(x);
    for (const [i, expected] of f(x).entries()) close(results[i]!, expected, { what: `result ${i}` });
    close(compile((a: Tensor) => a.add(1), { mesh: m })(results[0]!), f(x)[0]!.add(1));
    const w = shard(x, P('data'), m);
    const [same, view] = compile((a: Tensor) => [a, a.view([32])], { mesh: m })(w) as [Tensor, Tensor];
    assert.equal(same, w);
    close(view, x.view([32]));
    view.mul_(2);
    close(w, x.mul(2));
    assert.equal(compile((_: Tensor) => undefined, { mesh: m })(x), undefined);
    assert.deepEqual(compile(() => torch.ones(3), { mesh: m })().tolist(), [1, 1, 1]);
  });

  it('control flow, and shard() in it', () => {
    const x = normal(1, 8, 4);
    const f = (a: Tensor) =>
      torch.scan((c: Tensor, row: Tensor) => [shard(c.add(row), P('model'), m), c.sum()], torch.zeros(4), a) as [
        Tensor,
        Tensor,
      ];
    const [carry, sums] = compile(f, { mesh: m, in_shardings: [P('data')] })(x);
    const [expected, each] = f(x);
    close(carry, expected);
    close(sums, each);
  });

  it('print, check and checks: true', () => {
    const x = normal(1, 8).abs();
    const lines: string[] = [];
    const { log } = console;
    console.log = (...parts: unknown[]) => void lines.push(parts.join(' '));
    try {
      compile(
        (a: Tensor) => {
          torch.debug.print(a.sum(), 'sum');
          return a.mul(2);
        },
        { mesh: m, in_shardings: [P('data')] },
      )(x);
    } finally {
      console.log = log;
    }
    assert.match(lines.join('\n'), /sum/);
    const pick = compile((a: Tensor, i: Tensor) => a.index_select(0, i), {
      mesh: m,
      in_shardings: [P('data')],
      checks: true,
    });
    close(pick(x, torch.tensor([1n, 3n])), x.index_select(0, torch.tensor([1n, 3n])));
    assert.throws(() => pick(x, torch.tensor([1n, 9n])), /index out of range|out of bounds/i);
  });

  it('asynchronous calls', async () => {
    const w = shard(normal(1, 8, 4), P('data'), m);
    const before = w.full_tensor();
    const step = compile((g: Tensor) => w.sub_(g).sum(), { mesh: m, in_shardings: [P('data')] });
    const sums = await Promise.all([step.async(torch.ones(8, 4)), step.async(torch.ones(8, 4))]);
    close(w, before.sub(2), { atol: 1e-5 });
    close(sums[1]!, before.sub(2).sum(), { atol: 1e-4 });
    assert.equal(specOf(w), "P('data')");
    const y = compile((a: Tensor) => a.exp(), { mesh: m, in_shardings: [P('data')] });
    await y.warmup(torch.spec([8, 4]));
    close(await y.async(before), before.exp());
    assert.equal(y.stats.compiles, 1);
  });

  it('meshes of several sizes, many devices among them', () => {
    const x = normal(1, 64);
    for (const n of [1, 2, 64]) {
      const one = mesh([n], ['x']);
      const y = compile((a: Tensor) => a.sub(a.mean()).exp(), { mesh: one, in_shardings: [P('x')] })(x);
      close(y, x.sub(x.mean()).exp());
      close(compile((a: Tensor) => a.add(1), { mesh: m, in_shardings: [P('data')] })(y), x.sub(x.mean()).exp().add(1));
    }
  });

  it('inside other compiled and transformed functions it is its body', () => {
    const x = normal(1, 8);
    const f = compile((a: Tensor) => shard(a.mul(2), P('data')).sum(), { mesh: m });
    close(compile((a: Tensor) => f(a).add(1))(x), x.mul(2).sum().add(1));
    close(torch.func.grad(f)(x), torch.full([8], 2));
    const g = compile((a: Tensor) => a.sin().sum(), { mesh: m, in_shardings: [P('data')], out_shardings: P() });
    close(torch.func.grad(g)(x), x.cos());
    close(torch.func.vmap(g)(normal(2, 3, 8)), normal(2, 3, 8).sin().sum(1));
  });

  it('a function for one device takes spread tensors, and changes them', () => {
    const x = normal(1, 8, 4);
    const s = shard(x, P('data'), m);
    close(compile((a: Tensor) => a.exp())(s), x.exp());
    const step = compile((a: Tensor) => void a.add_(1));
    step(s);
    close(s, x.add(1));
  });
});

describe('compile: mesh, what is refused', () => {
  const x = normal(1, 6, 4);
  it('shardings that do not fit name the leaf', () => {
    fails('BAD_ARGUMENT', /f: in_shardings of argument 0\.a: dimension 0 has size 6/, () =>
      compile(
        function f(t: { a: Tensor }) {
          return t.a;
        },
        { mesh: m, in_shardings: [{ a: P('data') }] },
      )({ a: x }),
    );
    fails('BAD_ARGUMENT', /in_shardings of argument 0.*no axis 'rows'/, () =>
      compile((t: Tensor) => t.mul(2), { mesh: m, in_shardings: [P('rows')] })(x),
    );
    fails('BAD_ARGUMENT', /out_shardings of the result\[1\].*3 entries/, () =>
      compile((t: Tensor) => [t.mul(2), t.add(1)], { mesh: m, out_shardings: [null, P(null, null, 'data')] })(x),
    );
    fails('BAD_ARGUMENT', /2 entries for 1 argument/, () =>
      compile((t: Tensor) => t.mul(2), { mesh: m, in_shardings: [null, null] })(x),
    );
    fails('BAD_ARGUMENT', /has no key 'c'/, () =>
      compile((t: { a: Tensor }) => t.a.mul(2), { mesh: m, in_shardings: [{ c: P() }] })({ a: x }),
    );
    fails('BAD_ARGUMENT', /argument 1 is no tensor/, () =>
      compile((t: Tensor, n: number) => t.mul(n), { mesh: m, in_shardings: [null, P()] })(x, 2),
    );
    fails('BAD_ARGUMENT', /needs \{ mesh \}/, () => compile((t: Tensor) => t, { in_shardings: [P()] }));
    fails('BAD_ARGUMENT', /made with mesh/, () => compile((t: Tensor) => t, { mesh: [8] as never }));
    fails('BAD_ARGUMENT', /one entry an argument/, () =>
      compile((t: Tensor) => t, { mesh: m, in_shardings: P() as never }),
    );
    const other = mesh([2], ['x']);
    fails('BAD_ARGUMENT', /compiled for Mesh\(cpu: data=4, model=2\)/, () =>
      compile((t: Tensor) => shard(t, P('x'), other), { mesh: m })(x),
    );
    fails('BAD_ARGUMENT', /another mesh/, () =>
      compile((t: Tensor) => t.mul(2), { mesh: m, in_shardings: [shard(x, P('x'), other).sharding] })(x),
    );
  });

  it('operators that need libtorch, by name and line; shard_ in the function; export', () => {
    fails('NO_RULE', [/aten::\w+.*ATen call/, /compile\.test\.\w+:\d+/, /several devices/], () =>
      compile((t: Tensor) => torch.linalg.eigvals(t.matmul(t.t())).real, { mesh: m })(x),
    );
    fails('BAD_ARGUMENT', /shard_.*inside a compiled/, () =>
      compile((t: Tensor) => torch.shard_(t, P()), { mesh: m })(x),
    );
    fails('BAD_ARGUMENT', /cannot be exported/, () =>
      compile((t: Tensor) => t.mul(2), { mesh: m }).export('/dev/null', x),
    );
  });
});
