/** @file Temporaries of large programs stay mapped between runs. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

describe('compile: the memory of temporaries', () => {
  it('is not taken from the system anew in every run', () => {
    const f = torch.compile((x: Tensor) => {
      const [, ys] = torch.scan((c: Tensor, row: Tensor) => [c.mul(0.5).add(row), c] as const, x.at(0), x);
      return ys.square().mean();
    });
    const x = torch.rand([100, 100_000]);
    const expected = f(x).item();
    const { temporaries } = f.lower(x).memory;
    assert.ok(temporaries > 32 * 2 ** 20, `${temporaries} bytes of temporaries`);
    for (let i = 0; i < 3; i++) f(x);
    const before = process.resourceUsage().minorPageFault;
    for (let i = 0; i < 10; i++) assert.equal(f(x).item(), expected);
    const faults = process.resourceUsage().minorPageFault - before;
    // Taken anew they are 9,765 pages in each run.
    assert.ok(faults < 30_000, `${faults} page faults in ten runs`);
  });
});
