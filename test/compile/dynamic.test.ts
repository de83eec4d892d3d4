/** @file Numbers as values of a program: the option `dynamic`, and numbers of live objects. */
import assert from 'node:assert/strict';
import { readLive, readNumber } from '../../lib/compile/live.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, float64, ones, tensor } = torch;

describe('compile: dynamic numbers', () => {
  it('a dynamic number does not recompile, a static one does and the reason names the way out', () => {
    const f = (x: Tensor, s: number) => x.mul(s).add(s);
    const fixed = compile(f);
    const dynamic = compile(f, { dynamic: [1] });
    for (const s of [0.1, 0.2, 1e-30, Number.NaN, Infinity]) {
      const x = tensor([1, 2], { dtype: float64 });
      assert.deepEqual(dynamic(x, s).tolist(), f(x, s).tolist());
      fixed(x, s);
    }
    assert.equal(dynamic.stats.compiles, 1);
    assert.equal(fixed.stats.compiles, 5);
    assert.match(fixed.explain().reasons[1]!, /argument 1 changed from 0\.1 to 0\.2: pass a tensor.*dynamic/);
  });

  it('promotes as a number does: integers and floats, float32, int64 and 0-d operands', () => {
    const f = (xs: Tensor[], s: number | bigint) => xs.map((x) => x.mul(s));
    const dynamic = compile(f, { dynamic: [1] });
    const xs = (['float32', 'float64', 'int64', 'bfloat16', 'int8', 'bool'] as const).flatMap((dtype) => [
      ones([2], { dtype }),
      ones([], { dtype }),
    ]);
    for (const s of [2, 0.5, -0, 7n, 3]) {
      const [a, b] = [dynamic(xs, s), f(xs, s)];
      assert.deepEqual(
        a.map((t) => [t.dtype, t.tolist()]),
        b.map((t) => [t.dtype, t.tolist()]),
      );
    }
    assert.equal(dynamic.stats.compiles, 2); // one for integers, one for floats
  });

  it('takes paths: by parameter name, by position, by key; other numbers stay static', () => {
    const f = (x: Tensor, opt: { lr: number; n: number; group: { beta: number }[] }) =>
      x.mul(opt.lr).add(opt.group[0]!.beta).reshape([opt.n, -1]);
    for (const dynamic of [
      ['opt.lr', 'opt.group.0.beta'],
      ['1.lr', '1.group.0.beta'],
      ['lr', 'group.0.beta'],
    ]) {
      const g = compile(f, { dynamic });
      const x = ones(4);
      for (const lr of [0.1, 0.2])
        for (const beta of [0.9, 0.99])
          assert.ok(torch.allclose(g(x, { lr, n: 2, group: [{ beta }] }), f(x, { lr, n: 2, group: [{ beta }] })));
      assert.equal(g.stats.compiles, 1);
      g(x, { lr: 0.5, n: 1, group: [{ beta: 0.5 }] });
      assert.equal(g.stats.compiles, 2);
    }
  });

  it('a path that names no number is refused at the first call, with the paths there are', () => {
    const f = (x: Tensor, o: { lr: number; betas: number[] }) => x.mul(o.lr);
    const o = { lr: 2, betas: [1, 2] };
    fails('BAD_ARGUMENT', [/'o\.rl'/, /'o\.lr'/, /'o\.betas\.0'/], () => compile(f, { dynamic: ['o.rl'] })(ones(1), o));
    fails('BAD_ARGUMENT', /dynamic names 2/, () =>
      compile((x: Tensor, _: number, name: string) => x.mul(name.length), { dynamic: [2] })(ones(1), 1, 'a'),
    );
    // A bundler that renames parameters: keys and positions still hold.
    const minified = (e: Tensor, t: { lr: number }) => e.mul(t.lr);
    fails('BAD_ARGUMENT', /bundler/, () => compile(minified, { dynamic: ['opt.lr'] })(ones(1), o));
    assert.equal(compile(minified, { dynamic: ['1.lr'] })(ones(1), o).item(), 2);
    assert.equal(compile(minified, { dynamic: ['lr'] })(ones(1), o).item(), 2);
  });

  it('an argument that is left out may have the path', () => {
    const f = compile((x: Tensor, o?: { lr?: number }, k?: number) => x.mul(o?.lr ?? k ?? 3), {
      dynamic: ['o.lr', 'k', 2],
    });
    assert.equal(f(ones(1)).item(), 3);
    assert.equal(f(ones(1), { lr: 2 }).item(), 2);
    assert.equal(f(ones(1), { lr: 4 }).item(), 4);
    assert.equal(f.stats.compiles, 2);
    const g = compile((x: Tensor, o: { lr: number | null }) => x.mul(o.lr ?? 7), { dynamic: ['o.lr'] });
    assert.equal(g(ones(1), { lr: null }).item(), 7);
    const tensors = compile((x: Tensor, lr: Tensor) => x.mul(lr), { dynamic: ['lr', 1] });
    assert.equal(tensors(ones(1), ones(1)).item(), 1);
  });

  it('takes part in gradients and in in-place operators', () => {
    const w = ones(3).requires_grad_(true);
    const f = compile(
      (x: Tensor, s: number) => {
        w.mul(x).mul(s).sum().backward();
        x.add_(s);
      },
      { dynamic: [1] },
    );
    const x = ones(3);
    f(x, 2.5);
    f(x, 0.5);
    assert.deepEqual(x.tolist(), [4, 4, 4]);
    assert.deepEqual(w.grad!.tolist(), [2.5 + 3.5 * 0.5, 2.5 + 3.5 * 0.5, 2.5 + 3.5 * 0.5]);
    assert.equal(f.stats.compiles, 2); // with and without a grad
  });

  it('where an operator needs a plain number, says so', () => {
    const f = compile((x: Tensor, n: number) => x.reshape([n, -1]), { dynamic: [1] });
    fails('CONCRETIZATION', /static/, () => f(ones(4), 2));
    fails('BAD_ARGUMENT', /dynamic/, () => compile((x: Tensor) => x, { dynamic: [-1] }));
    fails('BAD_ARGUMENT', /dynamic/, () => compile((x: Tensor) => x, { dynamic: [''] }));
  });
});

describe('compile: live values', () => {
  class Layer {
    private on = true;
    get training(): boolean {
      return readLive(this, 'training', this.on);
    }
    set training(value: boolean) {
      this.on = value;
    }
  }
  class Group {
    private rate = 0.5;
    get lr(): number | Tensor {
      return readNumber(this, 'lr', this.rate);
    }
    set lr(value: number) {
      this.rate = value;
    }
  }

  it('a flag that was read is part of the key, and the reason names it', () => {
    const layer = new Layer();
    const f = compile((x: Tensor) => (layer.training ? x.mul(2) : x));
    const x = ones(1);
    const seen: unknown[] = [];
    for (const mode of [true, false, true, false, true]) {
      layer.training = mode;
      seen.push(f(x).item());
    }
    assert.deepEqual(seen, [2, 1, 2, 1, 2]);
    assert.equal(f.stats.compiles, 2);
    assert.equal(f.explain().reasons[1], 'Layer.training changed from true to false');
  });

  it('one module after the other as an argument: each is compiled once', () => {
    const modules = [new torch.nn.Dropout(0.5), new torch.nn.Dropout(0.5).eval()];
    const f = compile((m: torch.nn.Module, x: Tensor) => m.forward(x) as Tensor);
    for (let i = 0; i < 3; i++) for (const m of modules) f(m, ones(2));
    assert.equal(f.stats.compiles, 2);
  });

  it('a flag that the function sets before it reads it is no condition', () => {
    const norm = new torch.nn.BatchNorm1d(2);
    const f = compile((x: Tensor) => {
      norm.eval();
      const y = norm.forward(x);
      norm.train();
      return y;
    });
    for (let i = 0; i < 3; i++) f(ones(2, 2));
    norm.eval();
    f(ones(2, 2));
    assert.equal(f.stats.compiles, 1);
  });

  it('a learning rate changed outside a scope that the first call was in', () => {
    const w = ones(1).requires_grad_();
    const optimizer = new torch.optim.SGD([w], { lr: 1 });
    const step = compile(() => {
      optimizer.zero_grad();
      w.sum().backward();
      optimizer.step();
    });
    torch.scope(() => step());
    for (const lr of [2, 4]) {
      optimizer.param_groups[0]!.lr = lr;
      torch.scope(() => step());
    }
    assert.equal(w.item(), 1 - 7);
  });

  it('a number is read at every call, without a recompilation', () => {
    const group = new Group();
    const w = ones(2);
    const step = compile((g: Tensor) => void w.sub_(g.mul(group.lr)));
    step(ones(2));
    assert.deepEqual(w.tolist(), [0.5, 0.5]);
    group.lr = 0.25;
    step(ones(2));
    assert.deepEqual(w.tolist(), [0.25, 0.25]);
    assert.equal(w.dtype, 'float32');
    assert.equal(step.stats.compiles, 1);
    assert.equal(group.lr, 0.25);
  });
});
