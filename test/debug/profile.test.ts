/** @file debug.profile writes a trace that Chrome reads. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventsOf } from '../../lib/debug/xspace.js';
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

  it('events of an XSpace: a process for a plane, a thread for a line, times since the origin', () => {
    // planes[0] = { name: 'GPU', lines: [{ name: 's', timestamp_ns: 5000, events: [{ 7, offset 2e6 ps, 3e6 ps }] }], event_metadata: { 7: 'gemm' } }
    const sized = (tag: number, ...bytes: number[]): number[] => [tag, bytes.length, ...bytes];
    const text = (tag: number, word: string): number[] => sized(tag, ...Buffer.from(word));
    const event = sized(0x22, 0x08, 7, 0x10, 0x80, 0x89, 0x7a, 0x18, 0xc0, 0x8d, 0xb7, 0x01);
    const line = sized(0x1a, ...text(0x12, 's'), 0x18, 0x88, 0x27, ...event);
    const metadata = sized(0x22, 0x08, 7, ...sized(0x12, ...text(0x12, 'gemm')));
    const found = eventsOf(Uint8Array.from(sized(0x0a, ...text(0x12, 'GPU'), ...line, ...metadata)), 1000n) as Event[];
    assert.deepEqual(
      found.map(({ name, ph, ts, dur }) => [name, ph, ts, dur]),
      [
        ['process_name', 'M', undefined, undefined],
        ['thread_name', 'M', undefined, undefined],
        ['gemm', 'X', 6, 3],
      ],
    );
  });
});
