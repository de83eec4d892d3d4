/** @file Bad input to eager operators: a JorchError that names argument and remedy, and the process lives on. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { ones, zeros } = torch;

describe('errors of eager operators', () => {
  it('wrong shapes: the shapes given', () => {
    fails('BAD_ARGUMENT', [/matmul/, /2x3 and 2x3/], () => zeros(2, 3).matmul(zeros(2, 3)));
    fails('BAD_ARGUMENT', [/add/, /size of tensor a \(3\).*\(2\)/], () => zeros(3).add(zeros(2)));
    fails('BAD_ARGUMENT', /\[5\].*invalid for input of size 6|shape/, () => zeros(6).view(5));
    fails('BAD_ARGUMENT', /cat/, () => torch.cat([zeros(2, 3), zeros(3, 2)]));
  });

  it('wrong dtypes: what was given and what is needed', () => {
    fails('BAD_ARGUMENT', /dtype|Float|float/, () => ones(2, 2, { dtype: 'float64' }).mm(ones(2, 2)));
    fails('BAD_ARGUMENT', /./, () => torch.bitwise_and(ones(2), ones(2)));
    fails('BAD_ARGUMENT', /./, () => torch.nn.functional.embedding(ones(2), ones(2, 2)));
    fails('BAD_ARGUMENT', [/float33/, /float32/], () => ones(2).to('float33' as never));
  });

  it('wrong kinds of arguments: argument, kind, expectation', () => {
    fails('BAD_ARGUMENT', [/sin/, /input/, /Tensor/], () => torch.sin('a' as never));
    fails('BAD_ARGUMENT', /sin/, () => torch.sin(undefined as never));
    fails('BAD_ARGUMENT', /sin/, () => (torch.sin as () => unknown)());
    fails('BAD_ARGUMENT', /sum/, () => ones(2).sum('x' as never));
    fails('BAD_ARGUMENT', /sum/, () => ones(2).sum(0.5 as never));
    fails('BAD_ARGUMENT', /cat/, () => torch.cat([ones(1), 3 as never]));
    fails('BAD_ARGUMENT', /./, () => ones(2).add({} as never));
    fails('BAD_ARGUMENT', /./, () => ones(2).add([1, 2] as never));
    fails('BAD_ARGUMENT', /./, () => ones(2).add(Symbol('x') as never));
    fails('BAD_ARGUMENT', /./, () => ones(2).add(2n ** 70n));
  });

  it('an unknown keyword: its name and the signatures', () => {
    fails('BAD_ARGUMENT', [/unexpected keyword 'dimm'/, /dim/], () => torch.sum(ones(2), { dimm: 1 } as never));
    fails('BAD_ARGUMENT', /unexpected keyword/, () => ones(2).softmax(0, { temperature: 2 } as never));
    fails('BAD_ARGUMENT', /'alfa'/, () => ones(2).add(ones(2), { alfa: 2 } as never));
  });

  it('too many arguments, an argument given twice', () => {
    fails('BAD_ARGUMENT', /sin/, () => (torch.sin as (...args: unknown[]) => unknown)(ones(1), 2, 3));
    fails('BAD_ARGUMENT', /dim/, () => (torch.softmax as (...args: unknown[]) => unknown)(ones(2), 0, { dim: 0 }));
  });

  it('an unknown operator: its name', () => {
    fails('BAD_ARGUMENT', /no_such_operator/, () => torch.ops.aten!.no_such_operator!(ones(1)));
    fails('BAD_ARGUMENT', /nowhere/, () => torch.ops.nowhere!.sin!(ones(1)));
    assert.equal((ones(1) as unknown as Record<string, unknown>).no_such_method, undefined);
  });

  it('a disposed tensor', () => {
    const x = ones(2);
    x.dispose();
    fails('DISPOSED', [/add/, /dispose/], () => torch.add(ones(2), x));
  });

  it('a method taken off its tensor', () => {
    const { add } = ones(1) as { add: (n: number) => Tensor };
    fails('BAD_ARGUMENT', /./, () => add.call(undefined, 1));
    fails('BAD_ARGUMENT', /./, () => add.call({}, 1));
  });

  it('a getter or a Proxy that throws: its own error comes out', () => {
    const own = new Error('my own');
    const throws = (): never => {
      throw own;
    };
    const isOwn = (e: unknown): boolean => e === own;
    assert.throws(
      () => torch.sum(ones(2), Object.defineProperty({}, 'dim', { get: throws, enumerable: true }) as never),
      isOwn,
    );
    assert.throws(() => ones(2).view(new Proxy([2], { get: throws })), isOwn);
    assert.throws(() => torch.cat(new Proxy([ones(1)], { get: throws })), isOwn);
    assert.equal(ones(2).sum().item(), 2);
  });

  it('messages are torch’s words without C++ stack frames', () => {
    try {
      zeros(2, 3).matmul(zeros(2, 3));
    } catch (e) {
      assert.doesNotMatch((e as Error).message, /Exception raised from|frame #|\.cpp/);
    }
  });

  it('the stack has the line of the caller', () => {
    try {
      zeros(3).add(zeros(2));
      assert.fail();
    } catch (e) {
      assert.match((e as Error).stack ?? '', /errors\.test\.[jt]s/);
      assert.ok(e instanceof torch.JorchError && torch.isJorchError(e));
      assert.equal((e as Error).name, 'JorchError');
    }
  });
});
