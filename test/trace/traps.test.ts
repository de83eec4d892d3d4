/** @file What JavaScript lets one do with a traced tensor that it cannot mean: refused with a code and the user's line. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { compile, ones } = torch;
const HERE = /traps\.test\.[jt]s:\d+:\d+/;
const number = (t: Tensor) => t as unknown as number;

describe('traps: the data of a traced tensor', () => {
  const reads: Readonly<Record<string, (x: Tensor) => unknown>> = {
    'Number(t)': (x) => x.mul(Number(x)),
    '+t': (x) => x.mul(+number(x)),
    't < u': (x) => (number(x) < number(x.neg()) ? x : x.neg()),
    't * 2': (x) => x.mul(number(x) * 2),
    'Math.max(t, 1)': (x) => x.mul(Math.max(number(x), 1)),
    'BigInt(t)': (x) => x.mul(Number(BigInt(number(x)))),
    'JSON.stringify(t)': (x) => x.mul(JSON.stringify({ x }).length),
    'item()': (x) => x.mul(x.item()),
    'tolist()': (x) => x.mul((x.tolist() as number[])[0]!),
    'toTypedArray()': (x) => x.mul(Number(x.toTypedArray()[0])),
    'equal(t, u)': (x) => (torch.equal(x, x) ? x : x.neg()),
    'of a captured tensor': (() => {
      const w = ones(1);
      return (x: Tensor) => x.mul(w.item());
    })(),
  };
  for (const [name, f] of Object.entries(reads))
    it(`${name} is CONCRETIZATION with the line`, () => {
      fails('CONCRETIZATION', [HERE, /where\(condition, a, b\)/], () => compile(f as (x: Tensor) => Tensor)(ones(1)));
    });

  it('the line is that of the read, not of the operator before it', () => {
    const f = compile((x: Tensor) => {
      const y = x.add(1);
      return y.mul(y.item());
    });
    const before = /:(\d+):\d+\)/;
    let message = '';
    try {
      f(ones(1));
    } catch (error) {
      message = (error as Error).message;
    }
    const stack = new Error('here').stack!;
    const now = Number(/traps\.test\.[jt]s:(\d+)/.exec(stack)![1]);
    const line = Number(before.exec(message)![1]);
    assert.ok(now - line <= 14 && now - line >= 9, `${message} (this line: ${now})`);
  });

  it('+, == and operators on several elements are BAD_ARGUMENT, in eager code too', () => {
    const wrong: ((x: Tensor) => unknown)[] = [
      (x) => number(x) + number(x),
      // biome-ignore lint/suspicious/noDoubleEquals: this is the trap
      (x) => (number(x) as unknown) == 1,
      (x) => number(x.expand([3])) * 2,
    ];
    for (const f of wrong) {
      fails('BAD_ARGUMENT', /JavaScript's/, () => f(ones(1)));
      fails('BAD_ARGUMENT', /JavaScript's/, () => compile((x: Tensor) => (f(x) ? x : x))(ones(1)));
    }
  });

  it('what needs shapes only works: iteration, templates, printing', () => {
    let text = '';
    const f = compile((x: Tensor) => {
      text = `${x}`;
      const [a, ...rest] = x;
      return rest.reduce((sum, row) => sum.add(row), a!);
    });
    assert.deepEqual(f(torch.tensor([1, 2, 4])).tolist(), 7);
    assert.match(text, /shape=\[3\].*traced/);
  });
});

describe('traps: a tensor of a trace that is over', () => {
  it('is LEAKED_TRACE with the line that used it', () => {
    let kept: Tensor | undefined;
    compile((x: Tensor) => {
      kept = x.mul(2);
      return x;
    })(ones(2));
    const leaked = kept!;
    const uses: (() => unknown)[] = [
      () => leaked.add(1),
      () => torch.add(ones(2), leaked),
      () => leaked.item(),
      () => leaked.tolist(),
      () => JSON.stringify(leaked),
      () => Number(leaked.sum()),
      () => [...leaked],
      () => leaked.backward(),
      () => compile((x: Tensor) => x.add(leaked))(ones(2)),
      () => compile((x: Tensor) => x)(leaked),
    ];
    for (const use of uses) fails('LEAKED_TRACE', [/return it from the compiled function/, HERE], use);
    // Looking at it is no use of it: an error message or a console.log must not fail.
    assert.match(String(leaked), /traced/);
  });
});

describe('traps: functions that are not over when they return', () => {
  it('async functions, promises and generators are BAD_ARGUMENT', () => {
    fails('BAD_ARGUMENT', /async/, () => compile(async (x: Tensor) => x));
    fails('BAD_ARGUMENT', /async/, () => compile((x: Tensor) => Promise.resolve(x))(ones(1)));
    fails('BAD_ARGUMENT', /async/, () =>
      compile(async function* (x: Tensor) {
        yield x;
      }),
    );
    fails('BAD_ARGUMENT', /generator/, () =>
      compile(function* (x: Tensor) {
        yield x;
      }),
    );
    for (const mode of [torch.no_grad, torch.enable_grad, torch.inference_mode] as ((fn: () => unknown) => unknown)[])
      fails('BAD_ARGUMENT', /promise/, () => mode(async () => 1));
    fails('BAD_ARGUMENT', /promise/, () => torch.autocast({}, async () => 1));
    fails('BAD_ARGUMENT', /async/, () => torch.func.grad(async (x: Tensor) => x));
    fails('BAD_ARGUMENT', /async/, () => torch.func.vmap(async (x: Tensor) => x)(ones(1)));
  });
});
