/** @file A dataset that worker threads load by themselves. */
import * as torch from '../../lib/index.js';

/** Sample i is [i, i²]; `fail` throws at that sample, `end` ends the thread there. */
export const dataset = ({ length, fail = -1, end = -1 }: { length: number; fail?: number; end?: number }) => ({
  length,
  at(i: number) {
    if (i === end) process.exit(0);
    if (i === fail) throw new Error(`sample ${i} is unreadable`);
    return { x: torch.tensor([i]), y: BigInt(i * i), name: `n${i}` };
  },
});
