/** @file Row 16: whatever is written into arguments while a call is under way, or after it, its results are those of the values at the call; a call that fails changes nothing. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { isJorchError } from '../../lib/index.js';
import { figure } from '../support/figure.js';
import { randomOf } from '../support/hostile-files.js';

const CASES = 1000;
/** In flight at once. */
const TOGETHER = 25;

type Random = () => number;
const below = (next: Random, n: number): number => Math.floor(next() * n);
const oneOf = <T>(next: Random, list: readonly T[]): T => list[below(next, list.length)]!;

interface Source {
  readonly x: Tensor;
  /** Changes what x holds, as its owner may at any time. */
  readonly write: () => void;
}
const twice = torch.compile((x: Tensor) => x.mul(2));
/** Small whole ones, of which sums are exact. */
const numbers = (n: number): Tensor => torch.arange(n, { dtype: 'float32' }).remainder(11);

/** How a caller may hold numbers. */
const SOURCES: Readonly<Record<string, (n: number, next: Random) => Source>> = {
  'a tensor': (n, next) => {
    const x = numbers(n).add(below(next, 4));
    return { x, write: () => void x.fill_(-7) };
  },
  'a view': (n, next) => {
    const base = numbers(3 * n).reshape([3, n]);
    return { x: base.select(0, below(next, 3)), write: () => void base.zero_() };
  },
  'a view with gaps': (n) => {
    const base = numbers(2 * n).reshape([n, 2]);
    const x = base.select(1, 1);
    return { x, write: () => void x.mul_(-3) };
  },
  'an expanded number': (n, next) => {
    const base = torch.full([1], below(next, 9));
    return { x: base.expand([n]), write: () => void base.add_(100) };
  },
  'a typed array': (n, next) => {
    const data = Float32Array.from({ length: n }, () => below(next, 9));
    return { x: torch.frombuffer(data), write: () => void data.fill(-1) };
  },
  'a compiled result': (n) => {
    const x = twice(numbers(n));
    return { x, write: () => void x.sub_(1000) };
  },
};

interface Use {
  readonly f: (x: Tensor, y: Tensor) => Tensor[];
  /** It writes to its first argument, too. */
  readonly writes?: true;
  /** It fails, at the end. */
  readonly fails?: true;
}
const USES: readonly Use[] = [
  { f: (x, y) => [x.add(y), x.mul(y).sum()] },
  { f: (x, y) => [x.cumsum(0), torch.cat([y, x]).neg()] },
  { f: (x, y) => [torch.sort(x)[0]!, torch.histc(y, 4)] }, // a kernel of libtorch's
  { f: (x, y) => [x.double().square().sum(), y.neg()] },
  { f: (x, y) => [x.mul_(2).add_(y), y.abs()], writes: true },
  { f: (x, y) => [x.add_(1), torch.poisson(y.abs().neg().sub(1))], writes: true, fails: true },
];
const compiled = USES.map(({ f }) => torch.compile(f));

/** When the owner writes: at once, a little later, when the results are there. */
const MOMENTS: Readonly<Record<string, (write: () => void, done: Promise<unknown>) => Promise<unknown>>> = {
  'at once': async (write) => write(),
  'in a microtask': (write) => Promise.resolve().then(write),
  'in the next turn': (write) => new Promise((resolve) => setImmediate(() => resolve(write()))),
  'after the call': (write, done) => done.then(write, write),
};
const VALUES = (t: Tensor): unknown => [String(t.dtype), t.shape, [...(t.contiguous().toTypedArray() as Float32Array)]];

const runCase = async (seed: number): Promise<string | undefined> => {
  const next = randomOf(seed);
  for (let i = 0; i < 5; i++) next();
  const n = oneOf(next, [1, 7, 300, 40_000]);
  const [use, sync] = [below(next, USES.length), below(next, 3) === 0];
  const [sourceName, momentName] = [oneOf(next, Object.keys(SOURCES)), oneOf(next, Object.keys(MOMENTS))];
  const { f, writes, fails } = USES[use]!;
  const what = `case ${seed}: function ${use} of ${sourceName} of ${n}, ${sync ? 'synchronous' : momentName}`;
  // What is written to is the caller's own memory, once.
  const source = SOURCES[writes ? 'a tensor' : sourceName]!(n, next);
  const other = SOURCES[oneOf(next, Object.keys(SOURCES))]!(n, next);
  const before = [source.x, other.x].map(VALUES);
  const expected = fails ? undefined : f(source.x.clone(), other.x.clone()).map(VALUES);
  try {
    let results: Tensor[];
    if (sync) {
      results = compiled[use]!(source.x, other.x);
      if (!writes) source.write();
      other.write();
    } else {
      const call = compiled[use]!.async(source.x, other.x);
      const moment = MOMENTS[momentName]!(() => {
        // A tensor that the call changes may not be changed by others; that is refused, and another test's matter.
        if (!writes) source.write();
        other.write();
      }, call);
      // What is written before the call has failed has to stay as it is; nothing else is.
      [results] = await Promise.all([call, moment]);
    }
    if (fails) return `${what}: it did not fail`;
    assert.deepStrictEqual(results.map(VALUES), expected, what);
    if (writes) assert.deepStrictEqual(VALUES(source.x), expected![0], `${what}: what was written`);
  } catch (error) {
    if (!fails) return `${what}: ${error}`;
    if (!isJorchError(error) || error.code !== 'BAD_ARGUMENT') return `${what}: ${error}`;
    assert.deepStrictEqual(VALUES(source.x), before[0], `${what}: the argument after a failure`);
  }
  return undefined;
};

describe('arguments that change while calls are under way', function () {
  this.timeout(120_000);

  it(`${CASES} seeded cases: results are those of the values at the call, a failed call leaves its arguments alone`, async () => {
    const wrong: string[] = [];
    for (let seed = 0; seed < CASES; seed += TOGETHER) {
      const cases = Array.from({ length: TOGETHER }, (_, i) => runCase(seed + i));
      for (const told of await Promise.all(cases)) if (told) wrong.push(told);
    }
    assert.deepEqual(wrong, []);
    figure(16, `${CASES} of ${CASES} seeded cases as at the call`);
  });
});
