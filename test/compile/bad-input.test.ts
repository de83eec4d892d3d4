/** @file Bad input to compile(): a JorchError with its code, naming argument and remedy; and everything works afterwards. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, ones } = torch;

describe('compile: bad input is a JorchError', () => {
  it('CONCRETIZATION: `if (t.item() > 0)` inside compile, with the remedy', () => {
    const f = compile((x: Tensor) => (x.sum().item() > 0 ? x : x.neg()));
    fails('CONCRETIZATION', [/item/, /where\(condition, a, b\)|cond/, /static/], () => f(ones(2)));
  });

  it('CONCRETIZATION: tolist, toTypedArray, Number(t), t < u, a loop over data', () => {
    fails('CONCRETIZATION', /./, () => compile((x: Tensor) => (x.tolist() as number[]).length && x)(ones(2)));
    fails('CONCRETIZATION', /./, () => compile((x: Tensor) => x.toTypedArray() && x)(ones(2)));
    fails('CONCRETIZATION', /item/, () => compile((x: Tensor) => x.mul(Number(x.sum())))(ones(2)));
    fails('CONCRETIZATION', /item/, () =>
      compile((x: Tensor) => ((x as unknown as number) < 1 ? x : x.neg()))(ones(1)),
    );
    fails('CONCRETIZATION', /./, () => compile((x: Tensor) => (torch.equal(x, x) ? x : x.neg()))(ones(1)));
  });

  it('dtypes that eager refuses are refused in its words', () => {
    const m = ones(2, 2);
    const cases: readonly [RegExp, (x: Tensor) => Tensor][] = [
      [/same dtype.*float != double/, (x) => x.matmul(m.double())],
      [/same dtype/, (x) => torch.nn.functional.linear(x, m.double())],
      [/boolean mask/, (x) => x.masked_fill(m, 1)],
      [/lshift_cpu/, (x) => x.bitwise_left_shift(1)],
      [/lt_cpu/, (x) => torch.complex(x, x).lt(torch.complex(m, m))],
      [/Long but found Int/, (x) => torch.nn.functional.cross_entropy(x, torch.tensor([0, 1], { dtype: 'int32' }))],
    ];
    for (const [words, f] of cases) {
      fails('BAD_ARGUMENT', words, () => f(m));
      fails('BAD_ARGUMENT', words, () => compile(f)(m));
    }
  });

  it('a function that returns a promise: refused, and what the promise rejects with ends no process', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', note);
    try {
      const late = (() => Promise.reject(new Error('late'))) as unknown as (x: Tensor) => Tensor;
      fails('BAD_ARGUMENT', /async/, () => compile(late)(ones(1)));
      fails('BAD_ARGUMENT', /async/, () => torch.func.grad(late)(ones(1)));
      fails('BAD_ARGUMENT', /promise/, () => torch.no_grad(() => late(ones(1))));
      fails('BAD_ARGUMENT', /async/, () => torch.debug.nans(late, ones(1)));
      const inner = compile((x: Tensor) => x.add(1));
      fails('BAD_ARGUMENT', /async/, () => compile(((x: Tensor) => inner.async(x)) as never as typeof late)(ones(1)));
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(unhandled, []);
    } finally {
      process.removeListener('unhandledRejection', note);
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
  });

  it('item() of a captured tensor inside compile', () => {
    const w = ones(1);
    fails('CONCRETIZATION', /item/, () => compile((x: Tensor) => x.mul(w.item()))(ones(1)));
  });

  it('DYNAMIC_SHAPE names the operator, the line and the static form; the static forms compile', () => {
    const n = torch.tensor([1n, 0n, 2n]);
    const cases: [RegExp, RegExp, (x: Tensor) => unknown, (x: Tensor) => Tensor][] = [
      [/nonzero/, /nonzero_static/, (x) => torch.nonzero(x), (x) => torch.nonzero_static(x, { size: 2 })],
      [/masked_select/, /where/, (x) => torch.masked_select(x, x.gt(0)), (x) => torch.where(x.gt(0), x, 0)],
      [/index/, /where/, (x) => x.at(x.gt(0)), (x) => torch.where(x.gt(0), x, 0)],
      [/unique/, /sort/, (x) => torch.unique(x), (x) => torch.sort(x)[0]],
      [
        /bincount/,
        /scatter_add/,
        (x) => torch.bincount(x),
        (x) => torch.zeros([3], { dtype: torch.int64 }).scatter_add(0, x, torch.ones_like(x)),
      ],
      [
        /repeat_interleave/,
        /output_size/,
        (x) => x.repeat_interleave(x),
        (x) => x.repeat_interleave(x, { output_size: 3 }),
      ],
    ];
    for (const [op, remedy, dynamic, fixed] of cases) {
      fails('DYNAMIC_SHAPE', [op, remedy, /bad-input\.test\.[jt]s:\d+/], () =>
        compile(dynamic as (x: Tensor) => Tensor)(n),
      );
      assert.deepEqual(compile(fixed)(n).tolist(), fixed(n).tolist());
    }
  });

  it('a non-tensor result: its path, its kind, the remedy', () => {
    fails('BAD_ARGUMENT', [/result\.n is a number/, /torch\.tensor/], () =>
      compile((x: Tensor) => ({ x, n: 3 }))(ones(1)),
    );
    fails('BAD_ARGUMENT', [/result\[1\] is a string/], () => compile((x: Tensor) => [x, 'y'])(ones(1)));
    fails('BAD_ARGUMENT', [/result is a boolean/], () => compile((_: Tensor) => true)(ones(1)));
    fails('BAD_ARGUMENT', [/class Set/], () => compile((x: Tensor) => new Set([x]))(ones(1)));
    fails('BAD_ARGUMENT', [/result\.f is a function/], () => compile((x: Tensor) => ({ f: () => x }))(ones(1)));
  });

  it('an async function is refused, and so is a promise', () => {
    fails('BAD_ARGUMENT', /async/, () => compile(async (x: Tensor) => x));
    fails('BAD_ARGUMENT', /async/, () => compile((x: Tensor) => Promise.resolve(x))(ones(1)));
  });

  it('what is no function, an unknown option, options of the wrong kind', () => {
    for (const bad of [undefined, null, 3, {}, ones(1)])
      fails('BAD_ARGUMENT', /expected a function/, () => compile(bad as never));
    fails('BAD_ARGUMENT', [/unknown option 'fallbak'/, /fallback/], () =>
      compile((x: Tensor) => x, { fallbak: 'error' } as never),
    );
    for (const [option, value] of Object.entries({
      name: 3,
      static: ['x'],
      dynamic: 1,
      donate: 'all',
      fallback: 'none',
      optimize: true,
      checks: 'inf',
      maxCompiles: { limit: 0 },
    }))
      fails('BAD_ARGUMENT', new RegExp(`compile: ${option} is .*expected`), () =>
        compile((x: Tensor) => x, { [option]: value } as never),
      );
    fails('BAD_ARGUMENT', /options are an object/, () => compile((x: Tensor) => x, null as never));
  });

  it('LEAKED_TRACE: a tensor kept in an outer variable', () => {
    let kept: Tensor | undefined;
    compile((x: Tensor) => {
      kept = x.add(1);
      return kept;
    })(ones(2));
    fails('LEAKED_TRACE', /return it from the compiled function/, () => kept!.add(1));
    fails('LEAKED_TRACE', /./, () => kept!.item());
    fails('LEAKED_TRACE', /./, () => compile((x: Tensor) => x.add(kept!))(ones(2)));
    assert.deepEqual([...kept!.shape], [2]);
  });

  it('LEAKED_TRACE: the argument of the traced function', () => {
    let kept: Tensor | undefined;
    compile((x: Tensor) => {
      kept = x;
      return x.add(1);
    })(ones(2));
    fails('LEAKED_TRACE', /./, () => kept!.mul(2));
  });

  it('DISPOSED: a disposed argument, a disposed captured tensor', () => {
    const f = compile((x: Tensor) => x.add(1));
    const x = ones(1);
    f(x);
    x.dispose();
    fails('DISPOSED', /dispose/, () => f(x));
    const w = ones(1);
    const g = compile((a: Tensor) => a.add(w));
    w.dispose();
    fails('DISPOSED', /dispose/, () => g(ones(1)));
  });

  it('shape and dtype errors inside the function are those of eager, and name the operator', () => {
    const f = compile((x: Tensor, y: Tensor) => x.matmul(y));
    fails('BAD_ARGUMENT', [/matmul|mm/, /2x3 and 2x3/], () => f(ones(2, 3), ones(2, 3)));
    assert.deepEqual([...f(ones(2, 3), ones(3, 2)).shape], [2, 2]);
    fails('BAD_ARGUMENT', /unexpected keyword 'dimm'/, () =>
      compile((x: Tensor) => x.sum({ dimm: 1 } as never))(ones(2)),
    );
    fails('BAD_ARGUMENT', /index|range|bounds/, () => compile((x: Tensor) => x.select(0, 7))(ones(2)));
    fails('BAD_ARGUMENT', /./, () => compile((x: Tensor) => torch.linalg.cholesky(x))(ones(2, 3)));
  });

  it('a data error at run time is ATen’s own', () => {
    const f = compile((x: Tensor) => torch.poisson(x));
    const good = ones(3);
    f(good);
    fails('BAD_ARGUMENT', [/Poisson rate/], () => f(ones(3).neg()));
    assert.deepEqual([...f(good).shape], [3]);
  });

  it('a failed factorisation gives NaN, as in XLA, where eager throws', () => {
    const bad = torch.eye(3).neg();
    fails('BAD_ARGUMENT', /positive-definite/, () => torch.linalg.cholesky(bad));
    const f = compile((x: Tensor) => torch.linalg.cholesky(x));
    assert.equal(f(bad).isnan().any().item(), true);
    assert.deepEqual(f(torch.eye(3)).tolist(), torch.eye(3).tolist());
  });

  it('values that require grad written into memory that several arguments share', () => {
    const w = ones(2).requires_grad_(true);
    const base = ones(3);
    const f = compile((x: Tensor, y: Tensor) => {
      x.mul_(w);
      return y.sum();
    });
    fails('BAD_ARGUMENT', /share memory|no_grad mode/, () => f(base.at('0:2'), base.at('1:3')));
    assert.deepEqual([base.tolist(), base.requires_grad], [[1, 1, 1], false]);
  });

  it('dtypes that eager refuses', () => {
    fails('BAD_ARGUMENT', /Float/, () => compile((x: Tensor) => torch.bitwise_and(x, x))(ones(2)));
  });
});

describe('compile: a failing call leaves tensors and jorch usable', () => {
  it('a throw inside f: the error itself comes out, arguments are untouched, the next call traces anew', () => {
    let broken = true;
    const oops = new Error('my own');
    const x = ones(2);
    const f = compile((a: Tensor) => {
      a.add_(1);
      if (broken) throw oops;
      return a.mul(2);
    });
    assert.throws(
      () => f(x),
      (e) => e === oops,
    );
    assert.deepEqual(x.tolist(), [1, 1]);
    assert.equal(f.stats.compiles, 0);
    broken = false;
    assert.deepEqual(f(x).tolist(), [4, 4]);
    assert.deepEqual(x.tolist(), [2, 2]);
  });

  it('a throw of undefined, null or a string comes out as it is', () => {
    for (const thrown of [undefined, null, 'text', 0]) {
      const caught: unknown[] = [];
      try {
        compile((x: Tensor): Tensor => {
          x.add(1);
          throw thrown;
        })(ones(1));
      } catch (e) {
        caught.push(e);
      }
      assert.deepEqual(caught, [thrown]);
    }
    assert.equal(ones(1).add(1).item(), 2);
  });

  it('a throw after a captured tensor was written: the captured tensor keeps its value', () => {
    const w = ones(2);
    const f = compile((x: Tensor) => {
      w.mul_(5);
      return x.matmul(torch.ones(3, 3));
    });
    fails('BAD_ARGUMENT', /./, () => f(ones(1, 2)));
    assert.deepEqual(w.tolist(), [1, 1]);
    assert.equal(w.requires_grad, false);
  });

  it('a throw in lowering: nothing is cached, captured tensors keep their values', () => {
    const w = torch.eye(2);
    const f = compile(
      (x: Tensor) => {
        w.add_(1);
        return torch.linalg.eig(x.add(w))[0].real;
      },
      { fallback: 'error' },
    );
    fails('NO_RULE', /./, () => f(torch.eye(2)));
    assert.equal(f.stats.compiles, 0);
    assert.deepEqual(w.tolist(), torch.eye(2).tolist());
  });

  it('a failure inside XLA: COMPILE_FAILED, every tensor as it was, eager works on', () => {
    const script = `
      process.env.XLA_FLAGS = '--xla_no_such_flag=1';
      const torch = require(${JSON.stringify(require.resolve('../../lib/index.js'))});
      const w = torch.ones(2).requires_grad_(true);
      const count = torch.zeros([]);
      const x = torch.ones(2);
      let traces = 0;
      const f = torch.compile((a) => {
        traces++;
        count.add_(1);
        w.mul(a).sum().backward();
        a.mul_(2);
        return a.view(-1);
      });
      const codes = [];
      for (let i = 0; i < 2; i++) try { f(x); } catch (error) { codes.push(error.code); }
      w.mul(x).sum().backward();
      console.log(JSON.stringify([codes, traces, f.stats.compiles, x.tolist(), count.item(), w.tolist(), w.grad.tolist(), torch.is_grad_enabled()]));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    const failed = 'COMPILE_FAILED';
    assert.deepEqual(JSON.parse(stdout || '0'), [[failed, failed], 2, 0, [1, 1], 0, [1, 1], [1, 1], true], stderr);
  });

  it('a failure at run time: mutations do not happen', () => {
    const count = torch.zeros([]);
    const f = compile((x: Tensor) => {
      count.add_(1);
      x.mul_(2);
      return torch.poisson(x);
    });
    const bad = torch.eye(2).neg();
    f(torch.eye(2));
    fails('BAD_ARGUMENT', /rate/, () => f(bad));
    assert.equal(count.item(), 1);
    assert.deepEqual(bad.tolist(), torch.eye(2).neg().tolist());
  });

  it('a throw inside backward inside compile leaves autograd working', () => {
    const w = ones(2).requires_grad_(true);
    fails('BAD_ARGUMENT', /./, () =>
      compile((x: Tensor) => {
        w.mul(x).backward();
        return x;
      })(ones(2)),
    );
    assert.equal(w.grad, null);
    w.mul(3).sum().backward();
    assert.deepEqual(w.grad!.tolist(), [3, 3]);
  });

  it('an error inside no_grad inside compile restores the mode', () => {
    assert.throws(() =>
      compile((x: Tensor) =>
        torch.no_grad((): Tensor => {
          x.add(1);
          throw new Error('stop');
        }),
      )(ones(1)),
    );
    assert.equal(torch.is_grad_enabled(), true);
  });

  it('100 failing compilations do not keep tensors alive by themselves', () => {
    const before = torch.memory().tensors;
    torch.scope(() => {
      for (let i = 0; i < 100; i++)
        assert.throws(() =>
          compile((x: Tensor): Tensor => {
            x.add(1);
            throw new Error('stop');
          })(ones(1)),
        );
    });
    assert.ok(torch.memory().tensors <= before); // fewer when garbage of other tests was collected meanwhile
  });
});
