/** @file torch.debug: print, check, nans and compare, in eager code and inside compiled functions. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, debug, ones, tensor } = torch;

/** What `run` writes with console.log. */
const logged = (run: () => void): string[] => {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...args: unknown[]) => void lines.push(args.join(' '));
  try {
    run();
  } finally {
    console.log = log;
  }
  return lines;
};

describe('debug.print', () => {
  it('prints values as they were then, in order, at every run, in eager and compiled code alike', () => {
    const f = (x: Tensor) => {
      const y = x.clone();
      debug.print(y, 'before');
      y.add_(1);
      debug.print(y.sum(), 'sum');
      return y;
    };
    const expected = (a: number) => [`before: tensor([${a}., ${a}.])`, `sum: tensor(${2 * a + 2}.)`];
    const fast = compile(f);
    for (const a of [1, 2]) {
      assert.deepEqual(
        logged(() => f(ones(2).mul(a))),
        expected(a),
      );
      assert.deepEqual(
        logged(() => fast(ones(2).mul(a))),
        expected(a),
      );
    }
    assert.equal(fast.stats.compiles, 1);
  });

  it('prints what the results do not need, gives no grad a way to it, and is labelled by its line', () => {
    const w = ones(2).requires_grad_(true);
    const fast = compile((x: Tensor) => {
      debug.print(x.mul(w).exp());
      return x.mul(w).sum();
    });
    assert.match(
      logged(() => void fast(ones(2)).backward()).join(),
      /^debug\.test\.[jt]s:\d+: tensor\(\[2\.7183, 2\.7183\]\)$/,
    );
    assert.deepEqual(w.grad!.tolist(), [1, 1]);
  });

  it('prints no more than happened: what stands before a failed check, nothing behind', () => {
    const fast = compile((x: Tensor) => {
      debug.print(x, 'first');
      debug.check(x.gt(0), 'positive');
      debug.print(x, 'second');
      return x;
    });
    assert.equal(logged(() => fast(ones(1))).length, 2);
    const lines = logged(() => fails('CHECK_FAILED', /positive/, () => fast(ones(1).neg())));
    assert.deepEqual(lines, ['first: tensor([-1.])']);
  });

  it('prints in loops of eager code; the body of a compiled loop refuses it', () => {
    const f = (x: Tensor) =>
      torch.fori(
        0,
        2,
        (_: unknown, carry: Tensor) => {
          debug.print(carry, 'carry');
          return carry.mul(2);
        },
        x,
      ) as Tensor;
    assert.equal(logged(() => f(ones(1))).length, 2);
    fails('BAD_ARGUMENT', /debug\.print \(.*body of a loop/, () => compile(f)(ones(1)));
  });

  it('refuses what is no tensor', () => {
    fails('BAD_ARGUMENT', /expected a tensor/, () => debug.print(3 as never));
    fails('BAD_ARGUMENT', /tensor or a boolean/, () => debug.check('x' as never, 'y'));
  });
});

describe('debug.check', () => {
  it('throws with the message and the line, in eager and compiled code; nothing is changed', () => {
    const total = torch.zeros([]);
    const f = (x: Tensor) => {
      total.add_(x.sum());
      debug.check(x.ge(0), 'weights must not be negative');
      return x.sqrt();
    };
    fails('CHECK_FAILED', [/weights must not be negative/, /debug\.test\.[jt]s:\d+/], () => f(tensor([1, -1])));
    const fast = compile(f);
    total.zero_();
    assert.deepEqual(fast(tensor([4, 9])).tolist(), [2, 3]);
    fails('CHECK_FAILED', [/weights must not be negative/, /debug\.test\.[jt]s:\d+/], () => fast(tensor([1, -1])));
    assert.equal(total.item(), 13);
    assert.deepEqual(fast(tensor([4, 9])).tolist(), [2, 3]);
  });

  it('a boolean is checked at once', () => {
    const checkRank = compile((x: Tensor) => {
      debug.check(x.ndim === 2, 'rank 2');
      return x;
    });
    fails('CHECK_FAILED', /rank/, () => checkRank(ones(2)));
    assert.doesNotThrow(() => debug.check(true, 'never'));
  });
});

describe('debug.nans', () => {
  it('names the first operator and line that made NaN; changes nothing', () => {
    const x = tensor([1, 0, 2]);
    const f = (a: Tensor) => {
      a.sub_(1);
      return a.div(a).add(1).log();
    };
    const found = debug.nans(f, x);
    assert.equal(found?.op, 'aten::div.Tensor');
    assert.match(found.line!, /debug\.test\.[jt]s:\d+:\d+$/);
    assert.equal(found.count, 1);
    assert.equal(found.numel, 3);
    assert.match(String(found), /aten::div\.Tensor made NaN out of numbers: 1 of 3/);
    assert.deepEqual(x.tolist(), [1, 0, 2]);
  });

  it('is null where there is none, and tells NaN that was given', () => {
    assert.equal(
      debug.nans((a: Tensor) => a.exp(), ones(2)),
      null,
    );
    const found = debug.nans((a: Tensor) => a.exp(), tensor([Number.NaN, 1]));
    assert.equal(found?.op, null);
    assert.match(String(found), /argument or captured tensor/);
  });

  it('finds one in the backward of a training step', () => {
    const w = torch.zeros(2).requires_grad_(true);
    const found = debug.nans((x: Tensor) => {
      w.mul(x).pow(2).sum().sqrt().backward();
      return x;
    }, ones(2));
    assert.match(found!.op!, /aten::(div|mul)/);
    assert.equal(w.grad, null);
  });
});

describe('debug.compare', () => {
  it('agrees where compiled values are eager ones, views, factorisations and random numbers among them', () => {
    const f = (x: Tensor) => {
      const noise = torch.randn_like(x).mul(0.01);
      const l = torch.linalg.cholesky(x.matmul(x.t()).add(torch.eye(3).mul(4)));
      return [l.t().reshape([9]).softmax(0), x.add(noise).as_strided([2], [3], 1), torch.topk(x, 2)] as const;
    };
    const result = debug.compare(f, torch.arange(9).reshape([3, 3]).to('float64').div(7));
    assert.equal(result.first, null, String(result));
    assert.ok(result.compared > 8, String(result));
    assert.match(String(result), /operators agree/);
    assert.equal(inspect(result), String(result));
  });

  it('covers backward inside the function and changes nothing', () => {
    const w = ones(4, 2).requires_grad_(true);
    const x = torch.arange(12).reshape([3, 4]).to('float32').div(10);
    const result = debug.compare((a: Tensor) => {
      a.mul_(2);
      a.matmul(w).relu().square().mean().backward();
      return w.grad!;
    }, x);
    assert.equal(result.first, null, String(result));
    assert.equal(w.grad, null);
    assert.equal(x.at(0, 1).item().toFixed(2), '0.10');
  });

  it('shows the first difference: a denormal, which XLA flushes to zero', () => {
    const tiny = torch.full([2], 1e-40);
    const result = debug.compare((x: Tensor) => x.add(1).sub(1).add(x.mul(1.5)).mul(1e38).mul(1e10), tiny);
    assert.ok(result.first, String(result));
    assert.equal(result.first.op, 'aten::mul.Scalar');
    assert.equal(result.first.alone, true);
    assert.match(result.first.line!, /debug\.test\.[jt]s:\d+:\d+$/);
    assert.match(String(result), /differs first.*by itself/);
  });

  it('refuses what cannot be recorded', () => {
    fails('BAD_ARGUMENT', /expected a function/, () => (debug.compare as (f: unknown) => unknown)(3));
    fails('BAD_ARGUMENT', /async/, () => debug.nans(async (x: Tensor) => x, ones(1)));
    fails('BAD_ARGUMENT', /inside compile/, () =>
      compile((x: Tensor) => {
        debug.compare((y: Tensor) => y.exp(), x);
        return x;
      })(ones(1)),
    );
    fails('CONCRETIZATION', /item/, () => debug.compare((x: Tensor) => x.mul(x.item()), ones(1)));
  });
});
