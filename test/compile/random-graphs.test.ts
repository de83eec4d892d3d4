/** @file Random functions and those that once differed: compiled they give what they give eagerly. The long form is test/stress/random-graphs.stress.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { checkGraph, type Graph, graphs } from '../support/random-graphs.js';

const kept = JSON.parse(readFileSync(join(__dirname, '../../../test/compile/random-graphs.json'), 'utf8')) as readonly {
  readonly was: string;
  readonly graph: Graph;
}[];

describe('random functions, eager and compiled', () => {
  for (const { was, graph } of kept) it(`once: ${was}`, () => checkGraph(graph));

  it('60 of them', () => {
    fc.assert(fc.property(graphs(), checkGraph), { seed: 20261123, numRuns: 60, interruptAfterTimeLimit: 40_000 });
  });
});
