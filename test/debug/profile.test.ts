/** @file debug.profile writes a trace that Chrome reads. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

interface Event {
  name: string;
  cat?: string;
  ph: string;
  ts: number;
  dur: number;
  args?: { cached?: boolean };
}

describe('debug.profile', () => {
  const dir = mkdtempSync(join(tmpdir(), 'jorch-profile-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'trace.json');
  const read = (): Event[] =>
    (JSON.parse(readFileSync(file, 'utf8')) as { traceEvents: Event[] }).traceEvents.filter(({ ph }) => ph === 'X');
  const program = (name: string) => torch.compile((x: torch.Tensor) => x.sin().mul(Math.random()).sum(), { name });

  it('has a span for every trace, lowering, compilation and execution, inside that of the function', () => {
    const fast = program('wave');
    const result = torch.debug.profile(function twice() {
      fast(torch.ones(3));
      return fast(torch.ones(3)).item();
    }, file);
    assert.equal(typeof result, 'number');
    const found = read();
    const kinds = found.filter(({ name }) => name === 'wave').map(({ cat }) => cat);
    assert.deepEqual(kinds, ['trace', 'lower', 'compile', 'execute', 'execute']);
    assert.equal(found.find(({ cat }) => cat === 'compile')!.args!.cached, false);
    const whole = found.find(({ cat }) => cat === 'js')!;
    assert.equal(whole.name, 'twice');
    for (const { ts, dur } of found)
      assert.ok(
        ts >= whole.ts && ts + dur <= whole.ts + whole.dur + 2,
        `${ts} + ${dur} lies in ${whole.ts} + ${whole.dur}`,
      );
  });

  it('waits for a promise, and sees what is compiled on another thread', async () => {
    const fast = program('later');
    const result = torch.debug.profile(() => fast.async(torch.ones(3)), file);
    assert.ok(result instanceof Promise);
    await result;
    assert.ok(read().some(({ name, cat }) => name === 'later' && cat === 'compile'));
  });

  it('is written when the function throws; the next profile begins anew', () => {
    const broken = (): never => {
      throw new RangeError('on purpose');
    };
    assert.throws(() => torch.debug.profile(broken, file), RangeError);
    assert.deepEqual(
      read().map(({ name }) => name),
      ['broken'],
    );
    torch.debug.profile(() => {}, file);
    assert.equal(read().length, 1);
  });

  it('refuses a profile inside a profile, and what is no function or path', () => {
    torch.debug.profile(() => {
      fails('BAD_ARGUMENT', /a profile is running/, () => torch.debug.profile(() => {}, file));
    }, file);
    fails('BAD_ARGUMENT', /expected a function, got number/, () => torch.debug.profile(3 as never, file));
    fails('BAD_ARGUMENT', /expected the path/, () => torch.debug.profile(() => {}, '' as never));
  });
});
